// SPDX-License-Identifier: GPL-2.0
/*
 * The two sides of a gfn: private memory and shared memory at the same guest
 * physical address, and which of them the guest sees.
 *
 * In a VM of type KVM_X86_SW_PROTECTED_VM an access is private if and only if
 * the VM's attributes say so for its gfn.  A private gfn is backed by the
 * slot's guest_memfd, a shared one by the slot's userspace_addr.
 */
#include "guest_memfd_guest.h"
#include "processor.h"
#include "race.h"

/* A huge page and a bit, so that there is an edge inside of the slot. */
#define DATA_SIZE	(GMEM_HUGE_SIZE + GMEM_PAGE_SIZE)
/* An address that the guest can reach and that no slot covers at first. */
#define OTHER_GPA	(GMEM_DATA_GPA + BIT_ULL(30))
#define OTHER_SLOT	(GMEM_DATA_SLOT + 1)

/* Tags of patterns. */
enum { SHARED = 10, PRIVATE, OTHER };

/* Make @size bytes at OTHER_GPA reachable for the guest, without a slot. */
static void map_other(struct guest_fixture *f, u64 size)
{
	virt_map(f->vm, OTHER_GPA, OTHER_GPA, size / GMEM_PAGE_SIZE);
}

/*
 * Two sides of a gfn
 */

static void test_memory_is_shared_by_default(void)
{
	struct guest_fixture f;

	guest_start(&f, DATA_SIZE);
	host_fill(f.slot.hva, GMEM_DATA_GPA, DATA_SIZE, SHARED);
	guest_check(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, SHARED);
	guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, OTHER);
	host_check(f.slot.hva, GMEM_DATA_GPA, DATA_SIZE, OTHER);
	ASSERT_EQ(gmem_allocated(f.slot.fd), 0UL);
	guest_end(&f);
}

static void test_host_does_not_see_private_writes(void)
{
	struct guest_fixture f;

	guest_start_private(&f, DATA_SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	host_check_zero(f.slot.hva, DATA_SIZE);
	guest_end(&f);
}

static void test_guest_does_not_see_host_writes_to_private_memory(void)
{
	struct guest_fixture f;

	guest_start_private(&f, DATA_SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	host_fill(f.slot.hva, GMEM_DATA_GPA, DATA_SIZE, SHARED);
	guest_check(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	guest_end(&f);
}

static void check_flip_keeps_both_sides(u64 gpa, u64 size)
{
	struct guest_fixture f;
	void *hva;

	guest_start(&f, 2 * DATA_SIZE);
	hva = gmem_slot_hva(&f.slot, gpa);
	guest_fill(f.vcpu, gpa, size, SHARED);

	vm_mem_set_private(f.vm, gpa, size);
	guest_check_zero(f.vcpu, gpa, size);
	guest_fill(f.vcpu, gpa, size, PRIVATE);

	vm_mem_set_shared(f.vm, gpa, size);
	guest_check(f.vcpu, gpa, size, SHARED);
	host_check(hva, gpa, size, SHARED);

	vm_mem_set_private(f.vm, gpa, size);
	guest_check(f.vcpu, gpa, size, PRIVATE);
	host_check(hva, gpa, size, SHARED);
	guest_end(&f);
}

static void test_flip_keeps_both_sides(void)
{
	check_flip_keeps_both_sides(GMEM_DATA_GPA, GMEM_PAGES(1));
	check_flip_keeps_both_sides(GMEM_DATA_GPA, GMEM_HUGE_SIZE);
	check_flip_keeps_both_sides(GMEM_DATA_GPA + GMEM_PAGES(1), GMEM_PAGES(1));
	check_flip_keeps_both_sides(GMEM_DATA_GPA + GMEM_PAGES(1), GMEM_HUGE_SIZE);
	check_flip_keeps_both_sides(GMEM_DATA_GPA + GMEM_HUGE_SIZE, GMEM_PAGES(1));
}

static void test_flip_in_small_steps_keeps_both_sides(void)
{
	struct guest_fixture f;
	u64 gpa;

	guest_start(&f, DATA_SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, SHARED);
	vm_mem_set_private(f.vm, GMEM_DATA_GPA, DATA_SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);

	/* One page after the other becomes shared, and looks it. */
	for (gpa = GMEM_DATA_GPA; gpa < GMEM_DATA_GPA + GMEM_PAGES(16);
	     gpa += GMEM_PAGES(1)) {
		vm_mem_set_shared(f.vm, gpa, GMEM_PAGES(1));
		guest_check(f.vcpu, gpa, GMEM_PAGES(1), SHARED);
		guest_check(f.vcpu, gpa + GMEM_PAGES(1), GMEM_PAGES(1), PRIVATE);
	}
	guest_end(&f);
}

static void test_punched_memory_reads_as_zero(void)
{
	u64 gpa = GMEM_DATA_GPA + GMEM_PAGES(3), size = GMEM_PAGES(5);
	struct guest_fixture f;

	guest_start(&f, DATA_SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, SHARED);
	vm_mem_set_private(f.vm, GMEM_DATA_GPA, DATA_SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);

	gmem_slot_punch_hole(&f.slot, gpa, size);
	guest_check_zero(f.vcpu, gpa, size);
	guest_check(f.vcpu, GMEM_DATA_GPA, GMEM_PAGES(3), PRIVATE);
	guest_check(f.vcpu, gpa + size, DATA_SIZE - GMEM_PAGES(8), PRIVATE);
	host_check(f.slot.hva, GMEM_DATA_GPA, DATA_SIZE, SHARED);
	guest_end(&f);
}

/* What a VMM does to convert for good: flip and throw away. */
static void test_flip_with_punch_starts_over(void)
{
	struct guest_fixture f;

	guest_start_private(&f, DATA_SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);

	vm_mem_set_shared(f.vm, GMEM_DATA_GPA, DATA_SIZE);
	gmem_punch_hole(f.slot.fd, 0, DATA_SIZE);
	guest_check_zero(f.vcpu, GMEM_DATA_GPA, DATA_SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, SHARED);

	vm_mem_set_private(f.vm, GMEM_DATA_GPA, DATA_SIZE);
	guest_check_zero(f.vcpu, GMEM_DATA_GPA, DATA_SIZE);
	host_check(f.slot.hva, GMEM_DATA_GPA, DATA_SIZE, SHARED);
	guest_end(&f);
}

/*
 * Attributes
 */

/* Give both sides of all pages their pattern; all private in the end. */
static void fill_both_sides(struct guest_fixture *f, u64 size)
{
	vm_mem_set_shared(f->vm, GMEM_DATA_GPA, size);
	host_fill(f->slot.hva, GMEM_DATA_GPA, size, SHARED);
	vm_mem_set_private(f->vm, GMEM_DATA_GPA, size);
	guest_fill(f->vcpu, GMEM_DATA_GPA, size, PRIVATE);
}

static void check_holes(u64 step)
{
	u64 nr = DATA_SIZE / GMEM_PAGE_SIZE, i;
	u8 sides[DATA_SIZE / GMEM_PAGE_SIZE];
	struct guest_fixture f;

	guest_start(&f, DATA_SIZE);
	fill_both_sides(&f, DATA_SIZE);

	for (i = 0; i < nr; i++) {
		sides[i] = i % step ? GUEST_SIDE_PRIVATE : GUEST_SIDE_SHARED;
		if (!(i % step))
			vm_mem_set_shared(f.vm, GMEM_DATA_GPA + GMEM_PAGES(i),
					  GMEM_PAGES(1));
	}
	guest_check_sides(f.vcpu, GMEM_DATA_GPA, sides, nr, SHARED);

	/* Back in one go. */
	vm_mem_set_private(f.vm, GMEM_DATA_GPA, DATA_SIZE);
	guest_check(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	host_check(f.slot.hva, GMEM_DATA_GPA, DATA_SIZE, SHARED);
	guest_end(&f);
}

static void test_holes_of_single_pages_are_exact(void)
{
	host_set_thp("never");
	check_holes(2);
	check_holes(7);
}

static void test_holes_in_huge_pages_are_exact(void)
{
	host_set_thp("always");
	check_holes(2);
	check_holes(511);
}

static void test_attributes_precede_the_slot(void)
{
	struct gmem_slot other;
	struct guest_fixture f;

	guest_start(&f, GMEM_PAGES(1));
	map_other(&f, GMEM_PAGES(4));
	vm_mem_set_private(f.vm, OTHER_GPA + GMEM_PAGES(1), GMEM_PAGES(2));

	gmem_slot_add(&other, f.vm, OTHER_SLOT, OTHER_GPA, GMEM_PAGES(4), NULL, -1,
		      0);
	host_fill(other.hva, OTHER_GPA, GMEM_PAGES(4), SHARED);
	guest_check(f.vcpu, OTHER_GPA, GMEM_PAGES(1), SHARED);
	guest_check_zero(f.vcpu, OTHER_GPA + GMEM_PAGES(1), GMEM_PAGES(2));
	guest_check(f.vcpu, OTHER_GPA + GMEM_PAGES(3), GMEM_PAGES(1), SHARED);

	guest_end(&f);
	gmem_slot_free(&other);
}

static void test_attributes_outlive_the_slot(void)
{
	struct guest_fixture f;

	guest_start(&f, GMEM_PAGES(4));
	host_fill(f.slot.hva, GMEM_DATA_GPA, GMEM_PAGES(4), SHARED);
	vm_mem_set_private(f.vm, GMEM_DATA_GPA, GMEM_PAGES(2));
	guest_fill(f.vcpu, GMEM_DATA_GPA, GMEM_PAGES(2), PRIVATE);

	gmem_slot_delete(&f.slot);
	gmem_slot_bind(&f.slot);
	guest_check(f.vcpu, GMEM_DATA_GPA, GMEM_PAGES(2), PRIVATE);
	guest_check(f.vcpu, GMEM_DATA_GPA + GMEM_PAGES(2), GMEM_PAGES(2), SHARED);
	guest_end(&f);
}

/* The range is cut and joined by later ones; the guest sees the sum. */
static void test_overlapping_ranges_add_up(void)
{
	static const struct {
		u64 first, nr;
		u64 attributes;
		const char *sides;
	} step[] = {
		{ 2, 4, KVM_MEMORY_ATTRIBUTE_PRIVATE, "SSPPPPSSSS" },
		{ 3, 2, 0,			      "SSPSSPSSSS" },
		{ 3, 1, KVM_MEMORY_ATTRIBUTE_PRIVATE, "SSPPSPSSSS" },
		{ 4, 1, KVM_MEMORY_ATTRIBUTE_PRIVATE, "SSPPPPSSSS" },
		{ 4, 1, KVM_MEMORY_ATTRIBUTE_PRIVATE, "SSPPPPSSSS" },
		{ 0, 3, 0,			      "SSSPPPSSSS" },
		{ 5, 5, KVM_MEMORY_ATTRIBUTE_PRIVATE, "SSSPPPPPPP" },
		{ 0, 10, KVM_MEMORY_ATTRIBUTE_PRIVATE, "PPPPPPPPPP" },
		{ 9, 1, 0,			      "PPPPPPPPPS" },
		{ 0, 10, 0,			      "SSSSSSSSSS" },
	};
	u8 sides[10];
	struct guest_fixture f;
	int i, j;

	guest_start(&f, GMEM_PAGES(10));
	fill_both_sides(&f, GMEM_PAGES(10));
	vm_mem_set_shared(f.vm, GMEM_DATA_GPA, GMEM_PAGES(10));

	for (i = 0; i < ARRAY_SIZE(step); i++) {
		vm_set_memory_attributes(f.vm,
					 GMEM_DATA_GPA + GMEM_PAGES(step[i].first),
					 GMEM_PAGES(step[i].nr), step[i].attributes);
		for (j = 0; j < 10; j++)
			sides[j] = step[i].sides[j] == 'P' ?
				   GUEST_SIDE_PRIVATE : GUEST_SIDE_SHARED;
		guest_check_sides(f.vcpu, GMEM_DATA_GPA, sides, 10, SHARED);
	}
	guest_end(&f);
}

static void test_refused_attributes_change_nothing(void)
{
	static const struct {
		u64 offset, size, attributes;
	} bad[] = {
		{ 0, 0, 0 },
		{ 1, GMEM_PAGES(1), 0 },
		{ 0, GMEM_PAGES(1) + 1, 0 },
		{ 0, -GMEM_PAGES(1), 0 },
		{ 0, GMEM_PAGES(1), ~KVM_MEMORY_ATTRIBUTE_PRIVATE },
		{ 0, GMEM_PAGES(1), 1 },
	};
	struct guest_fixture f;
	int i;

	guest_start(&f, GMEM_PAGES(2));
	fill_both_sides(&f, GMEM_PAGES(2));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		GMEM_ASSERT_ERRNO(__vm_set_memory_attributes(f.vm,
							     GMEM_DATA_GPA + bad[i].offset,
							     bad[i].size,
							     bad[i].attributes),
				  EINVAL, "case %d", i);
		guest_check(f.vcpu, GMEM_DATA_GPA, GMEM_PAGES(2), PRIVATE);
	}
	guest_end(&f);
}

#define MODEL_PAGES	1027
#define MODEL_ROUNDS	48

struct model {
	struct race_rng rng;
	bool private[MODEL_PAGES];
	bool punched[MODEL_PAGES];
};

/* Mostly short ranges; now and then one that spans huge pages. */
static void model_range(struct model *m, u64 *first, u64 *nr)
{
	u64 max = race_random_below(&m->rng, 3) ? 8 : MODEL_PAGES;

	*first = race_random_below(&m->rng, MODEL_PAGES);
	*nr = 1 + race_random_below(&m->rng, max);
	if (*nr > MODEL_PAGES - *first)
		*nr = MODEL_PAGES - *first;
}

static void model_step(struct model *m, struct guest_fixture *f)
{
	u64 what = race_random_below(&m->rng, 5);
	u64 first, nr, gpa;

	model_range(m, &first, &nr);
	gpa = GMEM_DATA_GPA + GMEM_PAGES(first);

	if (!what) {
		gmem_slot_punch_hole(&f->slot, gpa, GMEM_PAGES(nr));
		memset(m->punched + first, true, nr);
	} else {
		vm_set_memory_attributes(f->vm, gpa, GMEM_PAGES(nr),
					 what & 1 ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
		memset(m->private + first, what & 1, nr);
	}
}

static void model_check(struct model *m, struct guest_fixture *f)
{
	u8 sides[MODEL_PAGES];
	int i;

	for (i = 0; i < MODEL_PAGES; i++) {
		if (!m->private[i])
			sides[i] = GUEST_SIDE_SHARED;
		else
			sides[i] = m->punched[i] ? GUEST_SIDE_ZERO :
						   GUEST_SIDE_PRIVATE;
	}
	guest_check_sides(f->vcpu, GMEM_DATA_GPA, sides, MODEL_PAGES, SHARED);
}

static void check_random_attributes(void)
{
	struct model *m = calloc(1, sizeof(*m));
	u64 seed = race_seed();
	struct guest_fixture f;
	int i;

	ksft_print_msg("random attributes: RACE_SEED=0x%lx\n", seed);
	m->rng.state = seed;
	memset(m->private, true, sizeof(m->private));

	guest_start(&f, GMEM_PAGES(MODEL_PAGES));
	fill_both_sides(&f, GMEM_PAGES(MODEL_PAGES));
	for (i = 0; i < MODEL_ROUNDS; i++) {
		model_step(m, &f);
		model_check(m, &f);
	}
	host_check(f.slot.hva, GMEM_DATA_GPA, GMEM_PAGES(MODEL_PAGES), SHARED);
	guest_end(&f);
	free(m);
}

static void test_random_attributes_match_the_model_small(void)
{
	host_set_thp("never");
	check_random_attributes();
}

static void test_random_attributes_match_the_model_large(void)
{
	host_set_thp("always");
	check_random_attributes();
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_memory_is_shared_by_default),
	GMEM_TEST(test_host_does_not_see_private_writes),
	GMEM_TEST(test_guest_does_not_see_host_writes_to_private_memory),
	GMEM_TEST(test_flip_keeps_both_sides),
	GMEM_TEST(test_flip_in_small_steps_keeps_both_sides),
	GMEM_TEST(test_punched_memory_reads_as_zero),
	GMEM_TEST(test_flip_with_punch_starts_over),
	GMEM_TEST(test_holes_of_single_pages_are_exact),
	GMEM_TEST(test_holes_in_huge_pages_are_exact),
	GMEM_TEST(test_attributes_precede_the_slot),
	GMEM_TEST(test_attributes_outlive_the_slot),
	GMEM_TEST(test_overlapping_ranges_add_up),
	GMEM_TEST(test_refused_attributes_change_nothing),
	GMEM_TEST(test_random_attributes_match_the_model_small),
	GMEM_TEST(test_random_attributes_match_the_model_large),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
