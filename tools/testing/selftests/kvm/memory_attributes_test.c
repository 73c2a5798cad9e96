// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_MEMORY_ATTRIBUTES and the capabilities around it.
 *
 * There is no ioctl to read attributes back; what the guest sees of them is
 * tested elsewhere. Here: which arguments are accepted and which refused,
 * that time and memory depend on the number of ranges and not on their size,
 * and that the memory comes back.
 */
#include <time.h>

#include "guest_memfd_util.h"
#include "processor.h"

#define P		GMEM_PAGE_SIZE
#define GPA		GMEM_DATA_GPA
#define PRIVATE		KVM_MEMORY_ATTRIBUTE_PRIVATE
#define WHOLE_SPACE	(-P)		/* all but the last page */
#define GIB		BIT_ULL(30)
#define TIB		BIT_ULL(40)

/* Of one call on a range of any size; emulated CPUs are slow. */
#define MAX_CALL_NS	50000000LL

/* Noise of free memory, with caches and slabs shrunk before each reading. */
#define SLACK_KB	384

static int set_raw(struct kvm_vm *vm, u64 gpa, u64 size, u64 attributes,
		   u64 flags)
{
	struct kvm_memory_attributes attrs = {
		.address = gpa,
		.size = size,
		.attributes = attributes,
		.flags = flags,
	};

	return __vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs);
}

/*
 * Capabilities
 */

static void test_capabilities_of_dev_kvm(void)
{
	ASSERT_EQ(kvm_check_cap(KVM_CAP_USER_MEMORY2), 1U);
	ASSERT_EQ(kvm_check_cap(KVM_CAP_MEMORY_FAULT_INFO), 1U);
	ASSERT_EQ((u64)kvm_check_cap(KVM_CAP_MEMORY_ATTRIBUTES), PRIVATE);
	ASSERT_EQ(kvm_check_cap(KVM_CAP_GUEST_MEMFD), 1U);
	ASSERT_EQ(kvm_check_cap(KVM_CAP_VM_TYPES), 3U);
}

static void test_capabilities_of_a_protected_vm(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();

	ASSERT_EQ(vm_check_cap(vm, KVM_CAP_USER_MEMORY2), 1);
	ASSERT_EQ(vm_check_cap(vm, KVM_CAP_MEMORY_FAULT_INFO), 1);
	ASSERT_EQ((u64)vm_check_cap(vm, KVM_CAP_MEMORY_ATTRIBUTES), PRIVATE);
	ASSERT_EQ(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD), 1);
	ASSERT_EQ(vm_check_cap(vm, KVM_CAP_VM_TYPES), 3);
	kvm_vm_free(vm);
}

static void test_capabilities_of_a_default_vm(void)
{
	struct kvm_vm *vm = vm_create_barebones();

	ASSERT_EQ(vm_check_cap(vm, KVM_CAP_USER_MEMORY2), 1);
	ASSERT_EQ(vm_check_cap(vm, KVM_CAP_MEMORY_FAULT_INFO), 1);
	ASSERT_EQ(vm_check_cap(vm, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	ASSERT_EQ(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD), 1);
	ASSERT_EQ(vm_check_cap(vm, KVM_CAP_VM_TYPES), 3);
	kvm_vm_free(vm);
}

static void test_vm_types_follow_the_capability(void)
{
	unsigned long types = kvm_check_cap(KVM_CAP_VM_TYPES);
	int kvm_fd = open_kvm_dev_path_or_exit();
	unsigned long type;
	int fd;

	for (type = 0; type < 64; type++) {
		if (types & BIT(type)) {
			fd = ioctl(kvm_fd, KVM_CREATE_VM, type);
			TEST_ASSERT(fd >= 0, "type %lu: errno %d", type, errno);
			close(fd);
			continue;
		}
		GMEM_ASSERT_ERRNO(ioctl(kvm_fd, KVM_CREATE_VM, type), EINVAL,
				  "type %lu", type);
	}
	for (type = 64; type; type <<= 1)
		GMEM_ASSERT_ERRNO(ioctl(kvm_fd, KVM_CREATE_VM, type), EINVAL,
				  "type 0x%lx", type);
	GMEM_ASSERT_ERRNO(ioctl(kvm_fd, KVM_CREATE_VM, -1UL), EINVAL,
			  "type -1");
	close(kvm_fd);
}

static void test_protected_vm_has_one_address_space(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	void *hva = gmem_alloc_hva(GPA, P);
	struct kvm_vm *other = vm_create_barebones();
	u32 slot = BIT(16) | 1;
	int nr;

	nr = vm_check_cap(other, KVM_CAP_MULTI_ADDRESS_SPACE);
	ASSERT_EQ(nr, (int)kvm_check_cap(KVM_CAP_MULTI_ADDRESS_SPACE));
	if (nr > 1)
		vm_set_user_memory_region(other, slot, 0, GPA, P, hva);
	kvm_vm_free(other);

	nr = vm_check_cap(vm, KVM_CAP_MULTI_ADDRESS_SPACE);
	TEST_ASSERT(nr <= 1, "%d address spaces", nr);
	GMEM_ASSERT_ERRNO(__vm_set_user_memory_region(vm, slot, 0, GPA, P, hva),
			  EINVAL, "slot in address space 1");
	GMEM_ASSERT_ERRNO(__vm_set_user_memory_region2(vm, slot, 0, GPA, P, hva,
						       -1, 0),
			  EINVAL, "slot in address space 1");
	TEST_ASSERT(gmem_gpa_is_free(vm, GPA, P), "slot left behind");
	kvm_vm_free(vm);
	gmem_free_hva(hva, P);
}

static void test_protected_vm_has_no_smm(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct kvm_vcpu *vcpu = __vm_vcpu_add(vm, 0);
	int ret;

	ASSERT_EQ(vm_check_cap(vm, KVM_CAP_X86_SMM), 0);
	ret = __vcpu_ioctl(vcpu, KVM_SMI, NULL);
	TEST_ASSERT(ret == -1 && (errno == EINVAL || errno == ENOTTY),
		    "KVM_SMI = %d, errno %d", ret, errno);
	kvm_vm_free(vm);
}

/*
 * Arguments
 */

static void test_unknown_attributes_give_einval(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int bit;

	for (bit = 0; bit < 64; bit++) {
		if (BIT_ULL(bit) == PRIVATE)
			continue;
		GMEM_ASSERT_ERRNO(set_raw(vm, GPA, P, BIT_ULL(bit), 0), EINVAL,
				  "attribute bit %d", bit);
		GMEM_ASSERT_ERRNO(set_raw(vm, GPA, P, BIT_ULL(bit) | PRIVATE,
					  0),
				  EINVAL, "attribute bit %d and private", bit);
	}
	vm_mem_set_private(vm, GPA, P);
	kvm_vm_free(vm);
}

static void test_flags_give_einval(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int bit;

	for (bit = 0; bit < 64; bit++) {
		GMEM_ASSERT_ERRNO(set_raw(vm, GPA, P, PRIVATE, BIT_ULL(bit)),
				  EINVAL, "flag bit %d", bit);
		GMEM_ASSERT_ERRNO(set_raw(vm, GPA, P, 0, BIT_ULL(bit)), EINVAL,
				  "flag bit %d", bit);
	}
	vm_mem_set_private(vm, GPA, P);
	kvm_vm_free(vm);
}

static void test_bad_ranges_give_einval(void)
{
	static const struct {
		u64 gpa, size;
	} cases[] = {
		{ 0, 0 }, { GPA, 0 }, { -P, 0 },
		{ 1, P }, { GPA + 1, P }, { GPA + P - 1, P }, { GPA + 512, P },
		{ GPA, 1 }, { GPA, P - 1 }, { GPA, P + 1 }, { GPA, 512 },
		{ GPA + 1, P - 1 }, { P - 1, P + 1 },
		/* The end is not below 2^64. */
		{ -P, P }, { -P, 2 * P }, { P, -P }, { 2 * P, -P },
		{ BIT_ULL(63), BIT_ULL(63) }, { BIT_ULL(63), -P },
		{ GPA, -GPA }, { -2 * P, 2 * P }, { -P, -P },
		{ 0, -1 }, { -1, 1 }, { -1, -1 },
	};
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		GMEM_ASSERT_ERRNO(set_raw(vm, cases[i].gpa, cases[i].size,
					  PRIVATE, 0), EINVAL,
				  "private 0x%lx+0x%lx", cases[i].gpa,
				  cases[i].size);
		GMEM_ASSERT_ERRNO(set_raw(vm, cases[i].gpa, cases[i].size, 0,
					  0), EINVAL,
				  "shared 0x%lx+0x%lx", cases[i].gpa,
				  cases[i].size);
	}
	vm_mem_set_private(vm, GPA, P);
	kvm_vm_free(vm);
}

static void test_every_range_that_does_not_wrap_is_accepted(void)
{
	static const struct {
		u64 gpa, size;
	} cases[] = {
		{ 0, P }, { 0, WHOLE_SPACE }, { -2 * P, P },
		{ P, WHOLE_SPACE - P }, { BIT_ULL(52) - P, P },
		{ BIT_ULL(52) - P, 2 * P }, { BIT_ULL(52), P },
		{ 0, BIT_ULL(52) }, { BIT_ULL(63) - P, 2 * P },
		{ BIT_ULL(63), BIT_ULL(63) - P }, { 0, BIT_ULL(63) },
		{ GPA, 64 * GIB }, { GPA, TIB }, { GPA + P, TIB + P },
	};
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		vm_mem_set_private(vm, cases[i].gpa, cases[i].size);
		vm_mem_set_private(vm, cases[i].gpa, cases[i].size);
		vm_mem_set_shared(vm, cases[i].gpa, cases[i].size);
		vm_mem_set_shared(vm, cases[i].gpa, cases[i].size);
	}
	kvm_vm_free(vm);
}

static void test_bad_pointer_gives_efault(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();

	GMEM_ASSERT_ERRNO(ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, NULL),
			  EFAULT, "NULL");
	GMEM_ASSERT_ERRNO(ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, -P),
			  EFAULT, "kernel address");
	kvm_vm_free(vm);
}

/* A VM without private memory has no attribute to set. */
static void test_default_vm_has_no_attributes(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int bit, ret;

	for (bit = 0; bit < 64; bit++) {
		ret = set_raw(vm, GPA, P, BIT_ULL(bit), 0);
		TEST_ASSERT(ret == -1 && (errno == EINVAL || errno == ENOTTY),
			    "attribute bit %d: %d, errno %d", bit, ret, errno);
	}
	/* Setting none is no error in mainline, but also of no use. */
	ret = set_raw(vm, GPA, P, 0, 0);
	TEST_ASSERT(!ret || errno == EINVAL || errno == ENOTTY,
		    "no attribute: %d, errno %d", ret, errno);
	kvm_vm_free(vm);
}

static void test_slots_do_not_matter(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct gmem_slot slot;
	struct gmem_state before;

	/* Before there is a slot, across its edges, and after it is gone. */
	vm_mem_set_private(vm, GPA - GMEM_HUGE_SIZE, 2 * GMEM_HUGE_SIZE);
	gmem_slot_add(&slot, vm, GMEM_DATA_SLOT, GPA, 16 * P, NULL, -1, 0);
	gmem_allocate(slot.fd, 0, 8 * P);
	gmem_state_get(slot.fd, &before);
	vm_mem_set_private(vm, GPA + 8 * P, 16 * P);
	vm_mem_set_shared(vm, GPA - 8 * P, 16 * P);
	vm_mem_set_private(vm, GPA + 3 * P, P);
	vm_mem_set_shared(vm, 0, WHOLE_SPACE);
	gmem_state_assert_same(slot.fd, &before, "setting attributes");
	gmem_slot_delete(&slot);
	vm_mem_set_private(vm, GPA, 16 * P);
	gmem_slot_bind(&slot);
	vm_mem_set_shared(vm, GPA, 16 * P);
	gmem_state_assert_same(slot.fd, &before, "setting attributes");
	gmem_vm_free(vm, &slot);
}

/*
 * Slots of all sizes around a huge page, with attributes that change at and
 * around their edges. What was read out of bounds here once was the array that
 * says where huge pages are allowed.
 */
static void test_slots_smaller_than_a_huge_page(void)
{
	static const u64 starts[] = { 0, P, GMEM_HUGE_SIZE - P };
	static const u64 sizes[] = {
		P, 2 * P, GMEM_HUGE_SIZE - P, GMEM_HUGE_SIZE,
		GMEM_HUGE_SIZE + P, 2 * GMEM_HUGE_SIZE + P,
	};
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct gmem_slot slot;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		for (j = 0; j < ARRAY_SIZE(sizes); j++) {
			u64 gpa = GPA + starts[i], size = sizes[j];

			gmem_slot_add(&slot, vm, GMEM_DATA_SLOT, gpa, size,
				      NULL, -1, 0);
			vm_mem_set_private(vm, gpa, size);
			vm_mem_set_shared(vm, gpa, P);
			vm_mem_set_private(vm, gpa + size - P, 2 * P);
			vm_mem_set_shared(vm, gpa - P, size + 2 * P);
			vm_mem_set_private(vm, gpa + size - P, P);
			vm_mem_set_shared(vm, 0, 2 * GPA);
			gmem_slot_delete(&slot);
			gmem_slot_free(&slot);
		}
	}
	kvm_vm_free(vm);
}

/*
 * Cost
 */

/* Best of ten: private and back to shared. */
static s64 time_of(struct kvm_vm *vm, u64 gpa, u64 size)
{
	struct timespec start;
	s64 ns, best = INT64_MAX;
	int i;

	for (i = 0; i < 10; i++) {
		clock_gettime(CLOCK_MONOTONIC, &start);
		vm_mem_set_private(vm, gpa, size);
		vm_mem_set_shared(vm, gpa, size);
		ns = timespec_to_ns(timespec_elapsed(start));
		best = min(best, ns);
	}
	return best;
}

static void test_time_does_not_grow_with_the_size(void)
{
	static const u64 sizes[] = {
		64 * GIB, TIB, BIT_ULL(52), WHOLE_SPACE - GPA,
	};
	struct kvm_vm *vm = gmem_vm_create_barebones();
	s64 one_page, ns;
	int i;

	one_page = time_of(vm, GPA, P);
	ksft_print_msg("4 KiB: %ld us\n", one_page / 1000);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		ns = time_of(vm, GPA, sizes[i]);
		ksft_print_msg("0x%lx bytes: %ld us\n", sizes[i], ns / 1000);
		TEST_ASSERT(ns < MAX_CALL_NS && ns < 20 * one_page + 5000000,
			    "0x%lx bytes take %ld ns, a page takes %ld ns",
			    sizes[i], ns, one_page);
	}
	kvm_vm_free(vm);
}

static void test_time_does_not_grow_with_a_slot(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct gmem_slot slot;
	s64 one_page, ns;

	/* Nothing of it is allocated or mapped. */
	gmem_slot_add(&slot, vm, GMEM_DATA_SLOT, GPA, 64 * GIB, NULL, -1, 0);
	one_page = time_of(vm, GPA, P);
	ns = time_of(vm, GPA, 64 * GIB);
	ksft_print_msg("slot of 64 GiB: page %ld us, all %ld us\n",
		       one_page / 1000, ns / 1000);
	TEST_ASSERT(ns < MAX_CALL_NS, "64 GiB take %ld ns", ns);
	gmem_vm_free(vm, &slot);
}

/* Free memory is noisy: the best of five tries counts. */
static void test_memory_does_not_grow_with_the_size(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	s64 taken, best = INT64_MAX;
	u64 before;
	int i;

	for (i = 0; i < 5; i++) {
		before = gmem_free_kb();
		vm_mem_set_private(vm, (u64)(i + 1) * TIB, TIB);
		taken = before - gmem_free_kb();
		best = min(best, taken);
	}
	ksft_print_msg("1 TiB private takes %ld kB\n", best);
	TEST_ASSERT(best < 1024, "1 TiB private takes %ld kB", best);
	kvm_vm_free(vm);
}

/* Every second page private; what that takes is returned, in KiB. */
static s64 make_many_ranges(struct kvm_vm *vm, u64 gpa, u64 nr)
{
	u64 before = gmem_free_kb(), i;

	for (i = 0; i < nr; i++)
		vm_mem_set_private(vm, gpa + 2 * i * P, P);
	return before - gmem_free_kb();
}

static void test_memory_of_many_ranges_is_returned(void)
{
	const u64 nr = 32768;
	u64 no_vm = gmem_free_kb(), before;
	struct kvm_vm *vm;
	s64 taken;

	vm = gmem_vm_create_barebones();
	before = gmem_free_kb();
	taken = make_many_ranges(vm, GPA, nr);
	ksft_print_msg("%lu ranges take %ld kB\n", nr, taken);
	TEST_ASSERT(taken > 2 * SLACK_KB, "%ld kB: too little to tell", taken);

	/* One call replaces them all. */
	vm_mem_set_shared(vm, GPA, 2 * nr * P);
	gmem_assert_mem_returned(before, SLACK_KB);
	/* So does the end of the VM. */
	make_many_ranges(vm, GPA, nr);
	kvm_vm_free(vm);
	gmem_assert_mem_returned(no_vm, SLACK_KB);
}

static void test_adjacent_ranges_merge(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	u64 before = gmem_free_kb(), i;
	const u64 nr = 65536;

	/* Eight bytes for each would be 512 KiB. */
	for (i = 0; i < nr; i++)
		vm_mem_set_private(vm, GPA + i * P, P);
	gmem_assert_mem_returned(before, SLACK_KB);

	/* From above as well, and by filling gaps: not that many are needed. */
	for (i = nr / 4; i--; )
		vm_mem_set_private(vm, 2 * GPA + i * P, P);
	make_many_ranges(vm, 3 * GPA, nr / 4);
	for (i = 0; i < nr / 4; i++)
		vm_mem_set_private(vm, 3 * GPA + (2 * i + 1) * P, P);
	gmem_assert_mem_returned(before, SLACK_KB);
	kvm_vm_free(vm);
}

/* Random calls over a small window, with slots coming and going. */
static void test_random_ranges(void)
{
	const u64 nr_gfns = 4096;
	u64 before, first, nr, base = GPA - nr_gfns / 2 * P;
	unsigned int seed = time(NULL);
	struct gmem_slot slot;
	struct kvm_vm *vm;
	int i;

	ksft_print_msg("seed %u\n", seed);
	before = gmem_free_kb();
	vm = gmem_vm_create_barebones();
	gmem_slot_add(&slot, vm, GMEM_DATA_SLOT, GPA, nr_gfns / 4 * P, NULL, -1,
		      0);
	for (i = 0; i < 20000; i++) {
		first = rand_r(&seed) % nr_gfns;
		nr = 1 + rand_r(&seed) % (nr_gfns - first);
		if (rand_r(&seed) % 4)
			nr = min(nr, 8UL);
		vm_set_memory_attributes(vm, base + first * P, nr * P,
					 rand_r(&seed) & 1 ? PRIVATE : 0);
		if (i % 1000)
			continue;
		gmem_slot_delete(&slot);
		slot.gpa = base + (first / 2) * P;
		gmem_slot_bind(&slot);
	}
	gmem_vm_free(vm, &slot);
	gmem_assert_mem_returned(before, SLACK_KB);
}

static void test_attributes_are_per_vm(void)
{
	u64 before = gmem_free_kb();
	struct kvm_vm *vms[8];
	int i, j;

	for (i = 0; i < ARRAY_SIZE(vms); i++)
		vms[i] = gmem_vm_create_barebones();
	for (j = 0; j < 4096; j++)
		for (i = 0; i < ARRAY_SIZE(vms); i++)
			vm_mem_set_private(vms[i], GPA + 2 * j * P, P);
	/* Freeing one leaves the others' trees alone. */
	for (i = 0; i < ARRAY_SIZE(vms); i++) {
		kvm_vm_free(vms[i]);
		for (j = i + 1; j < ARRAY_SIZE(vms); j++)
			vm_mem_set_shared(vms[j], GPA + 2 * i * P, 64 * P);
	}
	gmem_assert_mem_returned(before, SLACK_KB);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_capabilities_of_dev_kvm),
	GMEM_TEST(test_capabilities_of_a_protected_vm),
	GMEM_TEST(test_capabilities_of_a_default_vm),
	GMEM_TEST(test_vm_types_follow_the_capability),
	GMEM_TEST(test_protected_vm_has_one_address_space),
	GMEM_TEST(test_protected_vm_has_no_smm),
	GMEM_TEST(test_unknown_attributes_give_einval),
	GMEM_TEST(test_flags_give_einval),
	GMEM_TEST(test_bad_ranges_give_einval),
	GMEM_TEST(test_every_range_that_does_not_wrap_is_accepted),
	GMEM_TEST(test_bad_pointer_gives_efault),
	GMEM_TEST(test_default_vm_has_no_attributes),
	GMEM_TEST(test_slots_do_not_matter),
	GMEM_TEST(test_slots_smaller_than_a_huge_page),
	GMEM_TEST(test_time_does_not_grow_with_the_size),
	GMEM_TEST(test_time_does_not_grow_with_a_slot),
	GMEM_TEST(test_memory_does_not_grow_with_the_size),
	GMEM_TEST(test_memory_of_many_ranges_is_returned),
	GMEM_TEST(test_adjacent_ranges_merge),
	GMEM_TEST(test_random_ranges),
	GMEM_TEST(test_attributes_are_per_vm),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
