// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large folios of guest_memfd: when there are any, and when KVM maps them as
 * such.  What the guest finds in its memory must never depend on it.
 */
#define _GNU_SOURCE /* for mremap(2) in helpers */
#include <sys/mman.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "guest_memfd_huge.h"
#include "guest_memfd_map.h"
#include "guest_memfd_undo.h"
#include "processor.h"
#include "race.h"

#define OTHER_SLOT	(GMEM_DATA_SLOT + 1)

/* Touch a page: one word. */
static void touch(struct guest_fixture *f, u64 gpa)
{
	guest_write(f->vcpu, gpa, guest_pattern(gpa, 1));
}

static void assert_touched(struct guest_fixture *f, u64 gpa)
{
	ASSERT_EQ(guest_read(f->vcpu, gpa), guest_pattern(gpa, 1));
}

/* Use @fd, which is freed with the VM, for the data slot. */
static void start_with_flags(struct guest_fixture *f, u64 size, u64 flags,
			     const char *mode)
{
	huge_start_empty(f, size, mode);
	gmem_slot_delete(&f->slot);
	close(f->slot.fd);
	f->slot.fd = vm_create_guest_memfd(f->vm, size, flags);
	gmem_slot_bind(&f->slot);
}

/*
 * When folios are large
 */

static const struct {
	const char *mode;
	u64 flags;
	bool huge;
} modes[] = {
	{ "always", 0, true },
	{ "always", GUEST_MEMFD_FLAG_HUGEPAGE, true },
	{ "madvise", 0, false },
	{ "madvise", GUEST_MEMFD_FLAG_HUGEPAGE, true },
	{ "never", 0, false },
	{ "never", GUEST_MEMFD_FLAG_HUGEPAGE, false },
};

static void check_mode(int i)
{
	struct guest_fixture f;
	u64 before;

	start_with_flags(&f, 2 * H, modes[i].flags, modes[i].mode);
	before = vm_nr_huge(f.vm);

	touch(&f, GPA + P);
	gmem_assert_usage(f.slot.fd, modes[i].huge ? H : P,
			  modes[i].huge ? H : 0, modes[i].mode);
	ASSERT_EQ(vm_nr_huge(f.vm) - before, (u64)modes[i].huge);
	gmem_allocate(f.slot.fd, H, H);
	gmem_assert_usage(f.slot.fd, modes[i].huge ? 2 * H : H + P,
			  modes[i].huge ? 2 * H : 0, modes[i].mode);
	guest_check_zero(f.vcpu, GPA + H, H);
	assert_touched(&f, GPA + P);
	guest_end(&f);
}

static void test_setting_and_flag_decide(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		check_mode(i);
}

static void test_huge_folio_is_zeroed(void)
{
	struct guest_fixture f;

	huge_start_empty(&f, 4 * H, "always");
	/* What is freed last is what is allocated next. */
	guest_fill(f.vcpu, GPA, 4 * H, 1);
	gmem_punch_hole(f.slot.fd, 0, 4 * H);
	guest_check_zero(f.vcpu, GPA, 4 * H);
	gmem_assert_usage(f.slot.fd, 4 * H, 4 * H, "after reading");
	gmem_punch_hole(f.slot.fd, 0, 4 * H);
	gmem_allocate(f.slot.fd, 0, 4 * H);
	guest_check_zero(f.vcpu, GPA, 4 * H);
	guest_end(&f);
}

static void test_nothing_is_allocated_beyond_the_end(void)
{
	struct guest_fixture f;

	huge_start_empty(&f, 2 * H - P, "always");
	touch(&f, GPA + H);
	gmem_assert_usage(f.slot.fd, P, 0, "at the end");
	touch(&f, GPA + 2 * H - 2 * P);
	gmem_assert_usage(f.slot.fd, 2 * P, 0, "at the very end");
	touch(&f, GPA);
	gmem_assert_usage(f.slot.fd, H + 2 * P, H, "before the end");
	guest_end(&f);
}

static void test_fallocate_allocates_what_it_is_asked_for(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, 8 * H, 0);

	host_set_thp("always");
	gmem_allocate(fd, P, P);
	gmem_assert_usage(fd, P, 0, "one page");
	gmem_allocate(fd, 0, H);
	gmem_assert_usage(fd, H, 0, "around it");
	gmem_allocate(fd, H + P, 3 * H);
	gmem_assert_usage(fd, 4 * H, 2 * H, "an odd range");
	gmem_allocate(fd, 0, 8 * H);
	gmem_assert_usage(fd, 8 * H, 5 * H, "all");
	close(fd);
	kvm_vm_free(vm);
}

static void test_present_page_keeps_its_neighbours_small(void)
{
	struct guest_fixture f;

	huge_start_empty(&f, 2 * H, "always");
	gmem_allocate(f.slot.fd, 5 * P, P);
	guest_fill(f.vcpu, GPA, 2 * H, 1);
	gmem_assert_usage(f.slot.fd, 2 * H, H, "filled");
	guest_check(f.vcpu, GPA, 2 * H, 1);
	guest_end(&f);
}

/* What the guest keeps on the other side of the slot is not allocated. */
static void test_allocation_is_inside_the_attribute_range(void)
{
	struct guest_fixture f;

	huge_start_empty(&f, 3 * H, "always");
	vm_mem_set_shared(f.vm, GPA, 3 * H);
	vm_mem_set_private(f.vm, GPA + 7 * P, P);
	touch(&f, GPA + 7 * P);
	gmem_assert_usage(f.slot.fd, P, 0, "one private page");
	vm_mem_set_private(f.vm, GPA + H - P, H + 2 * P);
	touch(&f, GPA + 2 * H);
	gmem_assert_usage(f.slot.fd, 2 * P, 0, "after the last whole one");
	touch(&f, GPA + H);
	gmem_assert_usage(f.slot.fd, H + 2 * P, H, "a whole one");
	touch(&f, GPA + H - P);
	gmem_assert_usage(f.slot.fd, H + 3 * P, H, "before it");
	guest_end(&f);
}

static void test_allocation_is_inside_the_slot(void)
{
	struct guest_fixture f;

	huge_start_empty(&f, 3 * H, "always");
	gmem_slot_delete(&f.slot);
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA + P, 2 * H, f.slot.hva, f.slot.fd, P);
	touch(&f, GPA + P);
	gmem_assert_usage(f.slot.fd, P, 0, "the slot's first page");
	touch(&f, GPA + 2 * H);
	gmem_assert_usage(f.slot.fd, 2 * P, 0, "its last one");
	touch(&f, GPA + H);
	gmem_assert_usage(f.slot.fd, H + 2 * P, H, "in between");
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA + P, 0, NULL, -1, 0);
	gmem_slot_bind(&f.slot);
	guest_end(&f);
}

/*
 * Two slots that share a folio, and the file is closed: both lose what they have,
 * one after the other.
 */
static void check_shared_folio_is_lost(u64 middle)
{
	const u64 size = 3 * H;
	struct guest_fixture f;

	huge_start_empty(&f, size, "always");
	gmem_slot_delete(&f.slot);
	gmem_allocate(f.slot.fd, 0, size);
	gmem_assert_usage(f.slot.fd, size, size, "allocated");
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA, middle, f.slot.hva, f.slot.fd, 0);
	vm_set_user_memory_region2(f.vm, OTHER_SLOT + 1, KVM_MEM_GUEST_MEMFD,
				   GPA + middle, size - middle,
				   f.slot.hva + middle, f.slot.fd, middle);
	guest_fill(f.vcpu, GPA, size, 1);
	close(f.slot.fd);
	f.slot.own_fd = false;

	guest_cmd_set(f.vcpu, GUEST_OP_READ, GPA + middle, 0, 0);
	guest_expect_private_fault(f.vcpu, GPA + middle);
	vm_mem_set_shared(f.vm, GPA, size);
	guest_cmd_finish(f.vcpu);
	guest_check_zero(f.vcpu, GPA, size);

	vm_set_user_memory_region2(f.vm, OTHER_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA, 0, NULL, -1, 0);
	vm_set_user_memory_region2(f.vm, OTHER_SLOT + 1, KVM_MEM_GUEST_MEMFD,
				   GPA + middle, 0, NULL, -1, 0);
	kvm_vm_free(f.vm);
}

static void test_slots_lose_a_folio_that_they_share(void)
{
	check_shared_folio_is_lost(H / 2);
	check_shared_folio_is_lost(H + P);
	check_shared_folio_is_lost(3 * H - P);
}

static void test_memory_policy_bounds_folios(void)
{
	unsigned long node0 = 1;
	struct kvm_vm *vm;
	char *mem;
	int fd;

	host_set_thp("always");
	vm = vm_create_barebones();
	fd = vm_create_guest_memfd(vm, 4 * H, GMEM_SHARED_FLAGS);
	mem = gmem_mmap(fd, 4 * H, 0);
	TEST_ASSERT(!syscall(SYS_mbind, mem + H + P, 2 * H, MPOL_BIND, &node0,
			     sizeof(node0) * 8, 0), "mbind, errno %d", errno);
	gmem_allocate(fd, 0, 4 * H);
	/* The first and the third; a policy begins or ends in the others. */
	gmem_assert_usage(fd, 4 * H, 2 * H, "allocated");
	munmap(mem, 4 * H);
	close(fd);
	kvm_vm_free(vm);
}

/* What one call sets, or many, is one policy. */
static void test_equal_policies_are_one(void)
{
	unsigned long node0 = 1;
	struct kvm_vm *vm;
	char *mem;
	int fd, i;

	host_set_thp("always");
	vm = vm_create_barebones();
	fd = vm_create_guest_memfd(vm, 2 * H, GMEM_SHARED_FLAGS);
	mem = gmem_mmap(fd, 2 * H, 0);
	/* Upwards, and downwards. */
	for (i = 0; i < 512; i++) {
		TEST_ASSERT(!syscall(SYS_mbind, mem + i * P, P, MPOL_BIND, &node0,
				     sizeof(node0) * 8, 0), "errno %d", errno);
		TEST_ASSERT(!syscall(SYS_mbind, mem + 2 * H - (i + 1) * P, P,
				     MPOL_BIND, &node0, sizeof(node0) * 8, 0),
			    "errno %d", errno);
	}
	gmem_allocate(fd, 0, 2 * H);
	gmem_assert_usage(fd, 2 * H, 2 * H, "allocated");
	munmap(mem, 2 * H);
	close(fd);
	kvm_vm_free(vm);
}

/*
 * When there is no large folio
 */

static void fill_and_check(struct guest_fixture *f, u64 offset, u64 size)
{
	guest_fill(f->vcpu, GPA + offset, size, 1);
	guest_check(f->vcpu, GPA + offset, size, 1);
}

static void test_full_group_gets_small_folios(void)
{
	struct guest_fixture f;
	struct admin_cgroup cg;
	char limit[32];

	huge_start_empty(&f, 2 * H, "always");
	admin_cgroup_create(&cg, "huge");
	admin_cgroup_enter(&cg);
	fill_and_check(&f, 0, H);
	gmem_assert_usage(f.slot.fd, H, H, "no limit");

	/* Room for most of one more. */
	snprintf(limit, sizeof(limit), "%llu",
		 admin_cgroup_value(&cg, "memory.current", NULL) + H - 64 * P);
	TEST_ASSERT(!admin_cgroup_write(&cg, "memory.max", limit), "no limit");
	fill_and_check(&f, H, 100 * P);
	gmem_assert_usage(f.slot.fd, H + 100 * P, H, "limit");

	TEST_ASSERT(!admin_cgroup_write(&cg, "memory.max", "max"), "a limit");
	fill_and_check(&f, H, H);
	gmem_assert_usage(f.slot.fd, 2 * H, H, "no limit any more");
	admin_cgroup_leave();
	guest_end(&f);
}

#define FAIL_PAGE_ALLOC	"/sys/kernel/debug/fail_page_alloc/"

/* Of this thread. */
static void fail_huge_allocations(bool on)
{
	static const struct {
		const char *path, *value;
	} settings[] = {
		{ FAIL_PAGE_ALLOC "min-order", "9" },
		{ FAIL_PAGE_ALLOC "ignore-gfp-wait", "N" },
		{ FAIL_PAGE_ALLOC "ignore-gfp-highmem", "N" },
		{ FAIL_PAGE_ALLOC "task-filter", "Y" },
		{ FAIL_PAGE_ALLOC "verbose", "0" },
		{ FAIL_PAGE_ALLOC "times", "-1" },
		{ FAIL_PAGE_ALLOC "probability", "100" },
	};
	int i;

	for (i = 0; on && i < ARRAY_SIZE(settings); i++)
		gmem_setting_write(settings[i].path, settings[i].value);
	gmem_proc_write("/proc/thread-self/make-it-fail", on ? "1" : "0");
	for (i = 0; !on && i < ARRAY_SIZE(settings); i++)
		gmem_setting_restore(settings[i].path);
}

static void test_failed_allocation_gets_small_folios(void)
{
	struct guest_fixture f;

	huge_start_empty(&f, 4 * H, "always");
	fail_huge_allocations(true);
	fill_and_check(&f, 0, 10 * P);
	gmem_allocate(f.slot.fd, H, H);
	fail_huge_allocations(false);
	gmem_assert_usage(f.slot.fd, H + 10 * P, 0, "failing");
	fill_and_check(&f, 0, 4 * H);
	gmem_assert_usage(f.slot.fd, 4 * H, 2 * H, "failing no more");
	guest_end(&f);
}

/*
 * When mappings are
 */

struct window {
	u64 offset;	/* of the slot in the file */
	u64 gpa;	/* from GPA */
	u64 size;
	u64 nr_huge;	/* mappings, once all is mapped */
};

static const struct window windows[] = {
	{ 0,		0,		2 * H,		2 },
	{ 0,		0,		2 * H - P,	1 },
	{ P,		P,		2 * H - P,	1 },
	{ H / 2,	H / 2,		2 * H,		1 },
	{ H / 2,	H + H / 2,	2 * H,		1 },
	/* All of one folio, but not aligned to the gfn. */
	{ H,		P,		H,		0 },
	{ H + P,	H,		2 * H,		0 },
	{ H - P,	P,		2 * H,		0 },
	{ H / 2,	0,		H,		0 },
	{ 2 * H - P,	2 * H - P,	2 * P,		0 },
};

static void check_window(const struct window *w)
{
	struct guest_fixture f;
	u64 before, i;

	huge_start_empty(&f, 4 * H, "always");
	gmem_allocate(f.slot.fd, 0, 4 * H);
	gmem_assert_usage(f.slot.fd, 4 * H, 4 * H, "all");

	gmem_slot_delete(&f.slot);
	/* The address for shared memory has nothing to say. */
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA + w->gpa, w->size, f.slot.hva + P,
				   f.slot.fd, w->offset);
	before = vm_nr_huge(f.vm);
	guest_fill(f.vcpu, GPA + w->gpa, w->size, 1);
	TEST_ASSERT(vm_nr_huge(f.vm) - before == w->nr_huge,
		    "offset 0x%lx at 0x%lx, size 0x%lx: %lu huge, wanted %lu",
		    w->offset, w->gpa, w->size, vm_nr_huge(f.vm) - before,
		    w->nr_huge);
	guest_check(f.vcpu, GPA + w->gpa, w->size, 1);

	/* The file's other pages have not been touched: see all of it. */
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA + w->gpa, 0, NULL, -1, 0);
	gmem_slot_bind(&f.slot);
	guest_check_zero(f.vcpu, GPA, w->offset);
	guest_check_zero(f.vcpu, GPA + w->offset + w->size,
			 4 * H - w->offset - w->size);
	for (i = 0; i < w->size; i += P)
		ASSERT_EQ(guest_read(f.vcpu, GPA + w->offset + i),
			  guest_pattern(GPA + w->gpa + i, 1));
	ASSERT_EQ(vm_nr_huge(f.vm) - before, 4UL);
	guest_end(&f);
}

static void test_mapping_is_inside_the_slot_and_aligned(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(windows); i++)
		check_window(&windows[i]);
}

static void test_mapping_is_inside_the_attribute_range(void)
{
	struct guest_fixture f;
	u64 before, edge = GPA + H + 7 * P;

	huge_start(&f, 3 * H);
	before = vm_nr_huge(f.vm);

	/* Just the mapping that overlaps goes. */
	vm_mem_set_shared(f.vm, edge, P);
	ASSERT_EQ(before - vm_nr_huge(f.vm), 1UL);
	guest_check(f.vcpu, GPA, edge - GPA, 1);
	guest_check_zero(f.vcpu, edge, P);
	guest_check(f.vcpu, edge + P, GPA + 3 * H - edge - P, 1);
	ASSERT_EQ(before - vm_nr_huge(f.vm), 1UL);

	/* And it comes back, with what was there before. */
	vm_mem_set_private(f.vm, edge, P);
	guest_check(f.vcpu, GPA, 3 * H, 1);
	ASSERT_EQ(vm_nr_huge(f.vm), before);
	gmem_assert_usage(f.slot.fd, 3 * H, 3 * H, "after all");
	guest_end(&f);
}

static void test_pages_are_converted_one_after_the_other(void)
{
	struct guest_fixture f;
	u64 before, i;

	huge_start(&f, 2 * H);
	before = vm_nr_huge(f.vm);
	for (i = 0; i < 2 * H / P; i += 37) {
		vm_mem_set_shared(f.vm, GPA + i * P, P);
		guest_check_zero(f.vcpu, GPA + i * P, P);
		vm_mem_set_private(f.vm, GPA + i * P, P);
		guest_check(f.vcpu, GPA + i * P, P, 1);
	}
	guest_check(f.vcpu, GPA, 2 * H, 1);
	ASSERT_EQ(vm_nr_huge(f.vm), before);
	gmem_assert_usage(f.slot.fd, 2 * H, 2 * H, "after all");
	guest_end(&f);
}

static void test_pre_fault_maps_huge(void)
{
	struct guest_fixture f;
	u64 before;

	huge_start_empty(&f, 4 * H, "always");
	before = vm_nr_huge(f.vm);
	/* The last page of the first, and the first of the second. */
	vcpu_pre_fault(f.vcpu, GPA + H - P, 2 * P);
	ASSERT_EQ(vm_nr_huge(f.vm) - before, 2UL);
	gmem_assert_usage(f.slot.fd, 2 * H, 2 * H, "pre-faulted");
	guest_fill(f.vcpu, GPA, 2 * H, 1);
	guest_check(f.vcpu, GPA, 2 * H, 1);
	guest_end(&f);
}

/*
 * Slots that have nothing but a file
 */

static void test_slot_with_nothing_but_a_file_is_mapped_huge(void)
{
	struct guest_fixture f;
	u64 before, gpa;
	char *mem;
	int fd;

	host_set_thp("never");
	guest_word_step = P / 4;
	f.vm = __vm_create(VM_MODE_DEFAULT, 1, 3 * H / P);
	f.vcpu = vm_vcpu_add(f.vm, 0, guest_cmd_loop);
	guest_cmd_init(f.vcpu);
	fd = vm_create_guest_memfd(f.vm, 3 * H, GMEM_SHARED_FLAGS);
	vm_set_user_memory_region2(f.vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA, 3 * H, (void *)P, fd, 0);
	/* In large pages of the guest: KVM may have to shadow its tables. */
	for (gpa = GPA; gpa < GPA + 3 * H; gpa += H)
		__virt_pg_map(f.vm, gpa, gpa, PG_LEVEL_2M);
	guest_do(f.vcpu, GUEST_OP_NOP, 0, 0, 0);
	host_set_thp("always");
	before = vm_nr_huge(f.vm);

	guest_fill(f.vcpu, GPA, 3 * H, 1);
	ASSERT_EQ(vm_nr_huge(f.vm) - before, 3UL);
	gmem_assert_usage(fd, 3 * H, 3 * H, "filled");
	mem = gmem_mmap(fd, 3 * H, 0);
	host_check(mem, GPA, 3 * H, 1);

	/* A hole in the second folio, seen from both sides. */
	gmem_punch_hole(fd, H + 3 * P, 2 * P);
	gmem_assert_usage(fd, 3 * H - 2 * P, 2 * H, "punched");
	ASSERT_EQ(vm_nr_huge(f.vm) - before, 2UL);
	guest_check(f.vcpu, GPA, H + 3 * P, 1);
	guest_check_zero(f.vcpu, GPA + H + 3 * P, 2 * P);
	guest_check(f.vcpu, GPA + H + 5 * P, 2 * H - 5 * P, 1);
	host_check(mem, GPA, H + 3 * P, 1);
	host_check_zero(mem + H + 3 * P, 2 * P);
	host_check(mem + H + 5 * P, GPA + H + 5 * P, 2 * H - 5 * P, 1);
	munmap(mem, 3 * H);
	close(fd);
	kvm_vm_free(f.vm);
}

/*
 * Two vCPUs
 */

struct pair {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[2];
	struct gmem_slot slot;
};

static void pair_setup(void *ctx)
{
	struct pair *p = ctx;
	int i;

	gmem_punch_hole(p->slot.fd, 0, H);
	for (i = 0; i < 2; i++) {
		guest_cmd_set(p->vcpus[i], GUEST_OP_WRITE, GPA + i * H / 2, 0, 0);
		guest_cmd_of(p->vcpus[i])->value = i + 1;
	}
}

static void pair_run_a(void *ctx)
{
	guest_cmd_finish(((struct pair *)ctx)->vcpus[0]);
}

static void pair_run_b(void *ctx)
{
	guest_cmd_finish(((struct pair *)ctx)->vcpus[1]);
}

static bool pair_check(void *ctx)
{
	struct pair *p = ctx;

	gmem_assert_usage(p->slot.fd, H, H, "two vCPUs");
	ASSERT_EQ(guest_read(p->vcpus[1], GPA), 1UL);
	ASSERT_EQ(guest_read(p->vcpus[0], GPA + H / 2), 2UL);
	guest_check_zero(p->vcpus[0], GPA + P, H / 2 - P);
	guest_check_zero(p->vcpus[0], GPA + H / 2 + P, H / 2 - P);
	return true;
}

static void test_two_vcpus_share_a_new_folio(void)
{
	static const struct race_ops ops = {
		.name = "first touch by two vCPUs",
		.setup = pair_setup,
		.run_a = pair_run_a,
		.run_b = pair_run_b,
		.check = pair_check,
	};
	struct race_stats stats;
	struct pair p;

	huge_require_private();
	host_set_thp("always");
	guest_word_step = P;
	p.vm = guest_vm_create(2, p.vcpus, H, &p.slot);
	vm_mem_set_private(p.vm, GPA, H);
	TEST_ASSERT(race_run(&ops, &p, 300, 10000, &stats), "see above");
	gmem_vm_free(p.vm, &p.slot);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_setting_and_flag_decide),
	GMEM_TEST(test_huge_folio_is_zeroed),
	GMEM_TEST(test_nothing_is_allocated_beyond_the_end),
	GMEM_TEST(test_fallocate_allocates_what_it_is_asked_for),
	GMEM_TEST(test_present_page_keeps_its_neighbours_small),
	GMEM_TEST(test_allocation_is_inside_the_attribute_range),
	GMEM_TEST(test_allocation_is_inside_the_slot),
	GMEM_TEST(test_slots_lose_a_folio_that_they_share),
	GMEM_TEST(test_memory_policy_bounds_folios),
	GMEM_TEST(test_equal_policies_are_one),
	GMEM_TEST(test_full_group_gets_small_folios),
	GMEM_TEST(test_failed_allocation_gets_small_folios),
	GMEM_TEST(test_mapping_is_inside_the_slot_and_aligned),
	GMEM_TEST(test_mapping_is_inside_the_attribute_range),
	GMEM_TEST(test_pages_are_converted_one_after_the_other),
	GMEM_TEST(test_pre_fault_maps_huge),
	GMEM_TEST(test_slot_with_nothing_but_a_file_is_mapped_huge),
	GMEM_TEST(test_two_vcpus_share_a_new_folio),
};

int main(int argc, char *argv[])
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
