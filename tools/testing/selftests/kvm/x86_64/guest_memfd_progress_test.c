// SPDX-License-Identifier: GPL-2.0
/*
 * Does a vCPU get on that touches pages which are new to it, while memory next
 * to them, or far away, changes all the time?
 *
 * A vCPU fills a range, of which the host takes all mappings away again (a hole
 * in the file), and so on.  What counts is how many pages it fills for the CPU
 * time that its thread uses: a fault that has to start again uses time and fills
 * nothing, and what else the machine has to do does not matter.  Meanwhile,
 * other threads change memory without a pause.  In the next moment they do just
 * the same to another VM, and that is the vCPU's undisturbed speed, with the same
 * load on CPUs and caches.  Both are measured in short pieces, by turns.  What a
 * busy host takes from single pieces does not count: the median of the pairs is
 * asked for, and a low one must be low again.
 */
#include <pthread.h>
#include <time.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_huge.h"

/* Below what the vCPU fills, what it fills, and above; and far away. */
#define ZONE		H
#define FILL_GPA	(GPA + ZONE)
#define FILL_SIZE	(2 * H)
#define ABOVE		(ZONE + FILL_SIZE)
#define SLOT_SIZE	(ABOVE + ZONE)
#define FAR		(512ULL << 20)
#define FILE_SIZE	(FAR + ZONE)

/* A turn without disturbance and one with it are a pair. */
#define TURN_NS		(200 * MS)
#define NR_PAIRS	7
/* At most so many until all disturbers have changed enough. */
#define MAX_PAIRS	(4 * NR_PAIRS)
#define MIN_CHANGES	100
#define MIN_SHARE	50
#define NR_TRIES	3

enum { PATTERN = 1 };

/* A guest, whose thread is the one that runs the test. */
struct guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct gmem_slot slot;
	int fd;
};

struct disturber {
	/* Change the page at @offset of the slot or the file, and back. */
	void (*change)(struct guest *g, u64 offset);
	u64 offset;
	/* The one that is measured, and another. */
	struct guest *near, *other;
	unsigned long changes[2];
	pthread_t thread;
};

static bool disturb, stop;

static void change_attributes(struct guest *g, u64 offset)
{
	vm_mem_set_shared(g->vm, GPA + offset, P);
	vm_mem_set_private(g->vm, GPA + offset, P);
}

static void change_in_place(struct guest *g, u64 offset)
{
	gmem_to_shared(g->fd, offset, P);
	gmem_to_private(g->fd, offset, P);
}

/* Of the shared side: what MMU notifiers are about. */
static void change_mapping(struct guest *g, u64 offset)
{
	char *page = g->slot.hva + offset;

	WRITE_ONCE(*page, 1);
	TEST_ASSERT(!madvise(page, P, MADV_DONTNEED), "errno %d", errno);
}

static void *disturber_run(void *arg)
{
	struct disturber *d = arg;
	bool near;

	while (!READ_ONCE(stop)) {
		near = READ_ONCE(disturb);
		d->change(near ? d->near : d->other, d->offset);
		d->changes[near]++;
	}
	return NULL;
}

static u64 thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void fill_once(struct guest *g)
{
	guest_fill(g->vcpu, FILL_GPA, FILL_SIZE, PATTERN);
	gmem_punch_hole(g->fd, ZONE, FILL_SIZE);
}

/* Fill for a while; returns nanoseconds of CPU time for each time. */
static u64 fill_turn(struct guest *g, bool with)
{
	u64 end = gmem_now() + TURN_NS, start;
	unsigned int n = 0;

	WRITE_ONCE(disturb, with);
	fill_once(g);	/* not counted: from here on they all have noticed */
	start = thread_ns();
	do {
		fill_once(g);
		n++;
	} while (gmem_now() < end);
	return (thread_ns() - start) / n;
}

static bool changed_enough(const struct disturber *d, int nr)
{
	while (nr--)
		if (READ_ONCE(d[nr].changes[1]) < MIN_CHANGES)
			return false;
	return true;
}

static int compare(const void *a, const void *b)
{
	const unsigned int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Returns how much of its speed the vCPU keeps, in percent. */
static unsigned int measure_once(struct guest *g, struct guest *other,
				 struct disturber *d, int nr, const char *what)
{
	unsigned int share[MAX_PAIRS];
	int i, pairs = 0;
	u64 alone;

	/* The vCPU runs before a thread of ioctls holds RCU up. */
	fill_once(g);
	disturb = false;
	stop = false;
	for (i = 0; i < nr; i++) {
		d[i].near = g;
		d[i].other = other;
		memset(d[i].changes, 0, sizeof(d[i].changes));
		TEST_ASSERT(!pthread_create(&d[i].thread, NULL, disturber_run,
					    &d[i]), "no thread");
	}
	do {
		alone = fill_turn(g, false);
		share[pairs++] = 100 * alone / fill_turn(g, true);
	} while (pairs < NR_PAIRS ||
		 (pairs < MAX_PAIRS && !changed_enough(d, nr)));
	WRITE_ONCE(stop, true);
	for (i = 0; i < nr; i++)
		pthread_join(d[i].thread, NULL);

	qsort(share, pairs, sizeof(share[0]), compare);
	ksft_print_msg("%s: %u %% (%u to %u in %d pairs)\n", what,
		       share[pairs / 2], share[0], share[pairs - 1], pairs);
	for (i = 0; i < nr; i++)
		ksft_print_msg("%s: %lu changes\n", what, d[i].changes[1]);
	TEST_ASSERT(changed_enough(d, nr), "%s: too few changes", what);
	return share[pairs / 2];
}

static void measure(struct guest *g, struct guest *other, struct disturber *d,
		    int nr, const char *what)
{
	unsigned int share, tries = 0;

	do {
		share = measure_once(g, other, d, nr, what);
	} while (share < MIN_SHARE && ++tries < NR_TRIES);
	TEST_ASSERT(share >= MIN_SHARE, "%s: %u %% of its speed", what, share);
}

/*
 * With attributes that decide between two sides, all private
 */

static void start_two_sides(struct guest *g, const char *thp)
{
	huge_require_private();
	host_set_thp("never");
	guest_word_step = P;
	g->vm = guest_vm_create(1, &g->vcpu, SLOT_SIZE, &g->slot);
	g->fd = g->slot.fd;
	vm_mem_set_private(g->vm, GPA, FILE_SIZE);
	guest_do(g->vcpu, GUEST_OP_NOP, 0, 0, 0);
	host_set_thp(thp);
}

static void end_two_sides(struct guest *g)
{
	gmem_vm_free(g->vm, &g->slot);
}

static void measure_two_sides(const char *thp, struct disturber *d, int nr,
			      const char *what)
{
	struct guest g, other;

	start_two_sides(&g, thp);
	start_two_sides(&other, thp);
	measure(&g, &other, d, nr, what);
	end_two_sides(&other);
	end_two_sides(&g);
}

static void measure_attributes(const char *thp, u64 offset, const char *what)
{
	struct disturber d = {
		.change = change_attributes,
		.offset = offset,
	};

	measure_two_sides(thp, &d, 1, what);
}

static void test_attributes_near_small_pages(void)
{
	measure_attributes("never", ABOVE, "4 KiB, next page");
}

static void test_attributes_far_from_small_pages(void)
{
	measure_attributes("never", FAR, "4 KiB, far");
}

static void test_attributes_near_huge_pages(void)
{
	measure_attributes("always", ABOVE, "2 MiB, next page");
}

static void test_attributes_far_from_huge_pages(void)
{
	measure_attributes("always", FAR, "2 MiB, far");
}

/*
 * Conversion in place
 */

static void start_in_place(struct guest *g, const char *thp)
{
	huge_require_private();
	host_set_thp("never");
	guest_word_step = P;
	g->vm = guest_vm_create(1, &g->vcpu, SLOT_SIZE, &g->slot);
	gmem_slot_delete(&g->slot);
	g->fd = vm_create_guest_memfd(g->vm, FILE_SIZE, GUEST_MEMFD_FLAG_MMAP);
	vm_set_user_memory_region2(g->vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA, SLOT_SIZE, NULL, g->fd, 0);
	vm_set_user_memory_region2(g->vm, GMEM_DATA_SLOT + 1,
				   KVM_MEM_GUEST_MEMFD, GPA + FAR, ZONE, NULL,
				   g->fd, FAR);
	guest_do(g->vcpu, GUEST_OP_NOP, 0, 0, 0);
	host_set_thp(thp);
}

static void end_in_place(struct guest *g)
{
	vm_set_user_memory_region2(g->vm, GMEM_DATA_SLOT + 1, 0, GPA + FAR, 0,
				   NULL, -1, 0);
	vm_set_user_memory_region2(g->vm, GMEM_DATA_SLOT, 0, GPA, 0, NULL, -1,
				   0);
	gmem_slot_bind(&g->slot);
	close(g->fd);
	gmem_vm_free(g->vm, &g->slot);
}

static void measure_in_place(const char *thp, u64 offset, const char *what)
{
	struct disturber d = {
		.change = change_in_place,
		.offset = offset,
	};
	struct guest g, other;

	start_in_place(&g, thp);
	start_in_place(&other, thp);
	measure(&g, &other, &d, 1, what);
	end_in_place(&other);
	end_in_place(&g);
}

static void test_in_place_near_small_pages(void)
{
	measure_in_place("never", ABOVE, "in place, 4 KiB, next page");
}

static void test_in_place_far_from_small_pages(void)
{
	measure_in_place("never", FAR, "in place, 4 KiB, far");
}

static void test_in_place_near_huge_pages(void)
{
	measure_in_place("always", ABOVE, "in place, 2 MiB, next page");
}

static void test_in_place_far_from_huge_pages(void)
{
	measure_in_place("always", FAR, "in place, 2 MiB, far");
}

/*
 * MMU notifiers
 */

static void test_mapping_of_neighbour(void)
{
	struct disturber d = {
		.change = change_mapping,
		.offset = ABOVE,
	};

	measure_two_sides("never", &d, 1, "mapping, next page");
}

/* The shared side of the very page that the vCPU has in private. */
static void test_mapping_of_other_side(void)
{
	struct disturber d = {
		.change = change_mapping,
		.offset = ZONE,
	};

	measure_two_sides("never", &d, 1, "mapping, other side");
}

/* One below and one above: all between them is not concerned. */
static void test_between_two_invalidations(void)
{
	struct disturber d[] = {
		{ .change = change_mapping, .offset = 0 },
		{ .change = change_attributes, .offset = FAR },
	};

	measure_two_sides("never", d, ARRAY_SIZE(d), "between two");
}

static u64 nr_mapped(struct kvm_vm *vm)
{
	return vm_get_stat(vm, "pages_4k") + 512 * vm_get_stat(vm, "pages_2m");
}

static void check_mappings_of_private_stay(const char *thp)
{
	struct guest g;
	u64 before;

	start_two_sides(&g, thp);
	memset(g.slot.hva, 1, SLOT_SIZE);
	guest_fill(g.vcpu, FILL_GPA, FILL_SIZE, PATTERN);
	before = nr_mapped(g.vm);
	TEST_ASSERT(before >= FILL_SIZE / P, "%lu pages mapped", before);

	TEST_ASSERT(!madvise(g.slot.hva, SLOT_SIZE, MADV_DONTNEED), "madvise");
	ASSERT_EQ(nr_mapped(g.vm), before);
	guest_check(g.vcpu, FILL_GPA, FILL_SIZE, PATTERN);
	end_two_sides(&g);
}

static void test_mmu_notifier_leaves_private_mappings(void)
{
	check_mappings_of_private_stay("never");
	check_mappings_of_private_stay("always");
}

/* Every other page: each mapping is judged by itself. */
static void test_mmu_notifier_zaps_shared_among_private(void)
{
	u64 gpa, before;
	struct guest g;

	start_two_sides(&g, "never");
	for (gpa = FILL_GPA; gpa < FILL_GPA + H; gpa += 2 * P)
		vm_mem_set_shared(g.vm, gpa, P);
	guest_fill(g.vcpu, FILL_GPA, H, PATTERN);
	before = nr_mapped(g.vm);

	TEST_ASSERT(!madvise(g.slot.hva, SLOT_SIZE, MADV_DONTNEED), "madvise");
	ASSERT_EQ(nr_mapped(g.vm), before - H / P / 2);
	for (gpa = FILL_GPA; gpa < FILL_GPA + H; gpa += 2 * P) {
		guest_check_zero(g.vcpu, gpa, P);
		guest_check(g.vcpu, gpa + P, P, PATTERN);
	}
	end_two_sides(&g);
}

static void test_hole_leaves_shared_mappings(void)
{
	struct guest g;
	u64 before;

	start_two_sides(&g, "never");
	vm_mem_set_shared(g.vm, FILL_GPA, H);
	guest_fill(g.vcpu, FILL_GPA, FILL_SIZE, PATTERN);
	before = nr_mapped(g.vm);

	gmem_punch_hole(g.fd, ZONE, FILL_SIZE);
	ASSERT_EQ(nr_mapped(g.vm), before - (FILL_SIZE - H) / P);
	guest_check(g.vcpu, FILL_GPA, H, PATTERN);
	guest_check_zero(g.vcpu, FILL_GPA + H, FILL_SIZE - H);
	end_two_sides(&g);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_mmu_notifier_leaves_private_mappings),
	GMEM_TEST(test_mmu_notifier_zaps_shared_among_private),
	GMEM_TEST(test_hole_leaves_shared_mappings),
	GMEM_TEST(test_attributes_near_small_pages),
	GMEM_TEST(test_attributes_far_from_small_pages),
	GMEM_TEST(test_attributes_near_huge_pages),
	GMEM_TEST(test_attributes_far_from_huge_pages),
	GMEM_TEST(test_in_place_near_small_pages),
	GMEM_TEST(test_in_place_far_from_small_pages),
	GMEM_TEST(test_in_place_near_huge_pages),
	GMEM_TEST(test_in_place_far_from_huge_pages),
	GMEM_TEST(test_mapping_of_neighbour),
	GMEM_TEST(test_mapping_of_other_side),
	GMEM_TEST(test_between_two_invalidations),
};

int main(int argc, char *argv[])
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
