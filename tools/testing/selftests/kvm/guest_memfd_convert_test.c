// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion in place, as seen by the host: what the ioctls of a guest_memfd
 * accept, what they change, and what they leave as it was.  No guest runs and
 * no page is held.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/compiler.h>
#include <sys/mman.h>

#include "guest_memfd_convert.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	GMEM_FILE_SIZE
#define VEC_NR		40

/* Tags of patterns. */
enum { FIRST = 1, SECOND };

static void setup_filled(struct gmem_map *m)
{
	gmem_conv_setup(m, FILE_SIZE);
	gmem_fill(m->mem, 0, FILE_SIZE, FIRST);
}

static void assert_all_shared(struct gmem_map *m)
{
	gmem_assert_is(m->fd, 0, m->size, GMEM_SHARED);
	gmem_check(m->mem, 0, m->size, FIRST);
}

/*
 * Files
 */

static void test_capability_is_the_attribute_mask(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct kvm_vm *def = vm_create_barebones();

	ASSERT_EQ(gmem_check_cap(vm->fd, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES),
		  (int)KVM_MEMORY_ATTRIBUTE_PRIVATE);
	ASSERT_EQ(gmem_check_cap(def->fd,
				 KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES), 0);
	ASSERT_EQ(gmem_check_cap(vm->fd, KVM_CAP_GUEST_MEMFD_FLAGS) &
		  GMEM_SHARED_FLAGS, GMEM_SHARED_FLAGS);
	kvm_vm_free(def);
	kvm_vm_free(vm);
}

static void test_file_starts_as_its_flags_say(void)
{
	struct gmem_map m;

	__gmem_map_setup(&m, KVM_X86_SW_PROTECTED_VM, FILE_SIZE,
			 GUEST_MEMFD_FLAG_MMAP);
	gmem_assert_is(m.fd, 0, FILE_SIZE, GMEM_PRIVATE);
	gmem_assert_sigbus(m.mem);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-private"), FILE_SIZE);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-shared"), 0ULL);
	gmem_map_teardown(&m);

	gmem_conv_setup(&m, FILE_SIZE);
	gmem_assert_is(m.fd, 0, FILE_SIZE, GMEM_SHARED);
	gmem_check_zero(m.mem, FILE_SIZE);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-private"), 0ULL);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-shared"), FILE_SIZE);
	gmem_map_teardown(&m);
}

static void test_files_that_are_not_convertible_give_einval(void)
{
	static const struct {
		unsigned long type;
		u64 flags;
	} kinds[] = {
		{ KVM_X86_DEFAULT_VM, 0 },
		{ KVM_X86_DEFAULT_VM, GUEST_MEMFD_FLAG_MMAP },
		{ KVM_X86_DEFAULT_VM, GMEM_SHARED_FLAGS },
		{ KVM_X86_DEFAULT_VM, GUEST_MEMFD_FLAG_INIT_SHARED },
		{ KVM_X86_SW_PROTECTED_VM, 0 },
		{ KVM_X86_SW_PROTECTED_VM, GUEST_MEMFD_FLAG_INIT_SHARED },
	};
	u64 size, attributes, resident;
	struct kvm_vm *vm;
	int fd, i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		vm = vm_create_barebones_type(kinds[i].type);
		fd = vm_create_guest_memfd(vm, FILE_SIZE, kinds[i].flags);
		size = FILE_SIZE;
		ASSERT_EQ(__gmem_convert(fd, 0, P, GMEM_PRIVATE, 0, 0, NULL),
			  -EINVAL);
		ASSERT_EQ(__gmem_convert(fd, 0, P, GMEM_SHARED, 0, 0, NULL),
			  -EINVAL);
		ASSERT_EQ(__gmem_get(fd, 0, &size, &attributes, &resident),
			  -EINVAL);
		close(fd);
		kvm_vm_free(vm);
	}
}

static void test_unknown_ioctls_give_enotty(void)
{
	struct kvm_memory_attributes attrs = {
		.size = P, .attributes = GMEM_PRIVATE,
	};
	struct gmem_map m;

	setup_filled(&m);
	GMEM_ASSERT_ERRNO(ioctl(m.fd, KVM_SET_MEMORY_ATTRIBUTES, &attrs),
			  ENOTTY, "the VM's");
	GMEM_ASSERT_ERRNO(ioctl(m.fd, KVM_GET_API_VERSION, 0), ENOTTY,
			  "the system's");
	GMEM_ASSERT_ERRNO(ioctl(m.vm->fd, KVM_SET_MEMORY_ATTRIBUTES2, &attrs),
			  ENOTTY, "on the VM");
	assert_all_shared(&m);
	gmem_map_teardown(&m);
}

/*
 * Arguments
 */

static void test_bad_ranges_give_einval(void)
{
	static const struct {
		u64 offset, size;
	} bad[] = {
		{ 0, 0 }, { P, 0 }, { 1, P }, { 0, P - 1 }, { 0, P + 1 },
		{ P - 1, P }, { FILE_SIZE, P }, { FILE_SIZE - P, 2 * P },
		{ 0, FILE_SIZE + P }, { -P, P }, { -P, 2 * P }, { P, -P },
		{ 0, BIT_ULL(63) }, { BIT_ULL(63), P },
		{ BIT_ULL(63) - P, P },	{ P, -1ULL },
	};
	u64 size, attributes, resident;
	struct gmem_map m;
	int i;

	setup_filled(&m);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		TEST_ASSERT(__gmem_convert(m.fd, bad[i].offset, bad[i].size,
					   GMEM_PRIVATE, 0, 0, NULL) == -EINVAL,
			    "set 0x%lx+0x%lx", bad[i].offset, bad[i].size);
		size = bad[i].size;
		TEST_ASSERT(__gmem_get(m.fd, bad[i].offset, &size, &attributes,
				       &resident) == -EINVAL,
			    "get 0x%lx+0x%lx", bad[i].offset, bad[i].size);
	}
	assert_all_shared(&m);
	gmem_map_teardown(&m);
}

static void test_unknown_bits_give_einval(void)
{
	const u64 flags = KVM_MEMORY_ATTRIBUTES2_ZERO |
			  KVM_MEMORY_ATTRIBUTES2_PRESERVE | GMEM_WAIT;
	struct gmem_map m;
	int i;

	setup_filled(&m);
	for (i = 0; i < 64; i++) {
		if (BIT_ULL(i) != GMEM_PRIVATE)
			TEST_ASSERT(__gmem_convert(m.fd, 0, P, BIT_ULL(i), 0, 0,
						   NULL) == -EINVAL,
				    "attribute %d", i);
		if (!(BIT_ULL(i) & flags))
			TEST_ASSERT(__gmem_convert(m.fd, 0, P, GMEM_PRIVATE,
						   BIT_ULL(i), 0, NULL) ==
				    -EINVAL, "flag %d", i);
	}
	assert_all_shared(&m);
	gmem_map_teardown(&m);
}

static void test_reserved_fields_give_einval(void)
{
	struct kvm_memory_attributes2 attrs;
	struct kvm_gmem_get_attributes get;
	struct kvm_gmem_attributes_vec vec;
	struct kvm_gmem_range range = { 0, P };
	struct gmem_map m;
	int i, wait;

	setup_filled(&m);
	for (wait = 0; wait < 2; wait++) {
		for (i = 0; i < ARRAY_SIZE(attrs.reserved); i++) {
			attrs = (struct kvm_memory_attributes2) {
				.size = P, .attributes = GMEM_PRIVATE,
				.flags = wait ? GMEM_WAIT : 0,
			};
			attrs.reserved[i] = 1;
			/* The time, and what the call before has answered. */
			if (wait && i < 2)
				continue;
			GMEM_ASSERT_ERRNO(ioctl(m.fd, KVM_SET_MEMORY_ATTRIBUTES2,
						&attrs), EINVAL,
					  "reserved[%d]", i);
		}
	}
	for (i = 0; i < ARRAY_SIZE(get.reserved) + 1; i++) {
		get = (struct kvm_gmem_get_attributes) { .size = P };
		if (i == ARRAY_SIZE(get.reserved))
			get.flags = 1;
		else
			get.reserved[i] = 1;
		GMEM_ASSERT_ERRNO(ioctl(m.fd, KVM_GMEM_GET_ATTRIBUTES, &get),
				  EINVAL, "reserved[%d]", i);
	}
	for (i = 0; i < ARRAY_SIZE(vec.reserved) + 1; i++) {
		vec = (struct kvm_gmem_attributes_vec) {
			.ranges = (uintptr_t)&range, .nr = 1,
			.attributes = GMEM_PRIVATE,
		};
		if (i == ARRAY_SIZE(vec.reserved))
			vec.timeout_ns = 1;
		else
			vec.reserved[i] = 1;
		GMEM_ASSERT_ERRNO(ioctl(m.fd, KVM_GMEM_SET_ATTRIBUTES_VEC,
					&vec), EINVAL, "reserved[%d]", i);
	}
	assert_all_shared(&m);
	gmem_map_teardown(&m);
}

static void test_bad_pointers_give_efault(void)
{
	struct kvm_gmem_attributes_vec vec = {
		.ranges = 8, .nr = 1, .attributes = GMEM_PRIVATE,
		.done = GMEM_UNSET,
	};
	struct gmem_map m;

	setup_filled(&m);
	GMEM_ASSERT_ERRNO(ioctl(m.fd, KVM_SET_MEMORY_ATTRIBUTES2, 8), EFAULT,
			  "set");
	GMEM_ASSERT_ERRNO(ioctl(m.fd, KVM_GMEM_SET_ATTRIBUTES_VEC, 8), EFAULT,
			  "vec");
	GMEM_ASSERT_ERRNO(ioctl(m.fd, KVM_GMEM_GET_ATTRIBUTES, 8), EFAULT,
			  "get");
	GMEM_ASSERT_ERRNO(ioctl(m.fd, KVM_GMEM_SET_ATTRIBUTES_VEC, &vec),
			  EFAULT, "ranges");
	ASSERT_EQ(vec.done, 0ULL);
	assert_all_shared(&m);
	gmem_map_teardown(&m);
}

static void test_contents_flags_that_make_no_sense_are_refused(void)
{
	const u64 both = KVM_MEMORY_ATTRIBUTES2_ZERO |
			 KVM_MEMORY_ATTRIBUTES2_PRESERVE;
	struct gmem_map m;

	setup_filled(&m);
	ASSERT_EQ(__gmem_convert(m.fd, 0, P, GMEM_PRIVATE,
				 KVM_MEMORY_ATTRIBUTES2_ZERO, 0, NULL),
		  -EINVAL);
	ASSERT_EQ(__gmem_convert(m.fd, 0, P, GMEM_PRIVATE, both, 0, NULL),
		  -EINVAL);
	ASSERT_EQ(__gmem_convert(m.fd, 0, P, GMEM_SHARED, both, 0, NULL),
		  -EINVAL);
	assert_all_shared(&m);
	gmem_map_teardown(&m);
}

/*
 * State
 */

static void test_private_pages_are_out_of_reach(void)
{
	struct gmem_map m;

	setup_filled(&m);
	gmem_to_private(m.fd, P, 2 * P);
	TEST_ASSERT(!gmem_is_mapped(m.mem + P), "still mapped");
	gmem_assert_sigbus(m.mem + P);
	gmem_assert_sigbus(m.mem + 2 * P);
	gmem_check(m.mem, 0, P, FIRST);
	gmem_check(m.mem + 3 * P, 3 * P, FILE_SIZE - 3 * P, FIRST);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-private"), 2 * P);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-shared"), FILE_SIZE - 2 * P);
	/* The memory is where it was. */
	ASSERT_EQ(gmem_allocated(m.fd), FILE_SIZE);
	gmem_map_teardown(&m);
}

static void test_what_becomes_shared_is_zero(void)
{
	static const u64 flags[] = { 0, KVM_MEMORY_ATTRIBUTES2_ZERO };
	struct gmem_map m;
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		setup_filled(&m);
		gmem_to_private(m.fd, 2 * P, 3 * P);
		ASSERT_EQ(__gmem_convert(m.fd, 0, FILE_SIZE, GMEM_SHARED,
					 flags[i], 0, NULL), 0);
		gmem_assert_is(m.fd, 0, FILE_SIZE, GMEM_SHARED);
		/* And what has been shared before is as it was. */
		gmem_check(m.mem, 0, 2 * P, FIRST);
		gmem_check_zero(m.mem + 2 * P, 3 * P);
		gmem_check(m.mem + 5 * P, 5 * P, FILE_SIZE - 5 * P, FIRST);
		ASSERT_EQ(gmem_allocated(m.fd), FILE_SIZE);
		gmem_map_teardown(&m);
	}
}

/* What is private is none of the VMM's business: it cannot ask to see it. */
static void test_preserve_is_for_what_becomes_private(void)
{
	struct gmem_map m;

	setup_filled(&m);
	ASSERT_EQ(__gmem_convert(m.fd, P, P, GMEM_PRIVATE,
				 KVM_MEMORY_ATTRIBUTES2_PRESERVE, 0, NULL), 0);
	ASSERT_EQ(__gmem_convert(m.fd, 0, FILE_SIZE, GMEM_SHARED,
				 KVM_MEMORY_ATTRIBUTES2_PRESERVE, 0, NULL),
		  -EOPNOTSUPP);
	gmem_assert_is(m.fd, P, P, GMEM_PRIVATE);
	gmem_assert_sigbus(m.mem + P);
	gmem_map_teardown(&m);
}

static void test_conversion_again_changes_nothing(void)
{
	struct gmem_map m;
	u64 pfn;

	setup_filled(&m);
	pfn = gmem_mapped_pfn(m.mem + P);
	gmem_to_shared(m.fd, 0, FILE_SIZE);
	assert_all_shared(&m);
	TEST_ASSERT(gmem_mapped_pfn(m.mem + P) == pfn, "unmapped");

	gmem_to_private(m.fd, P, P);
	gmem_to_private(m.fd, P, P);
	gmem_to_private(m.fd, 0, 3 * P);
	gmem_to_private(m.fd, P, P);
	gmem_assert_is(m.fd, 0, 3 * P, GMEM_PRIVATE);
	gmem_assert_is(m.fd, 3 * P, FILE_SIZE - 3 * P, GMEM_SHARED);
	gmem_to_shared(m.fd, 0, FILE_SIZE);
	TEST_ASSERT(!gmem_touch(m.mem + P, true), "not shared");
	/* In place. */
	ASSERT_EQ(gmem_mapped_pfn(m.mem + P), pfn);
	gmem_map_teardown(&m);
}

static void test_holes_are_converted_and_not_filled(void)
{
	struct gmem_map m;

	gmem_conv_setup(&m, FILE_SIZE);
	gmem_to_private(m.fd, 0, FILE_SIZE);
	gmem_assert_sigbus(m.mem);
	gmem_to_shared(m.fd, P, P);
	ASSERT_EQ(gmem_allocated(m.fd), 0ULL);
	gmem_check_zero(m.mem + P, P);
	ASSERT_EQ(gmem_allocated(m.fd), P);
	/* The state is of the range, not of the memory. */
	gmem_punch_hole(m.fd, 0, FILE_SIZE);
	gmem_assert_is(m.fd, P, P, GMEM_SHARED);
	gmem_assert_is(m.fd, 2 * P, FILE_SIZE - 2 * P, GMEM_PRIVATE);
	gmem_allocate(m.fd, 0, FILE_SIZE);
	gmem_assert_sigbus(m.mem);
	gmem_check_zero(m.mem + P, P);
	gmem_map_teardown(&m);
}

/* Against a model: each page its own state. */
static void test_state_follows_a_model(void)
{
	u8 model[GMEM_FILE_PAGES] = {};
	u64 first, nr, i, run, found, resident;
	unsigned int seed = 1, n, nr_private;
	struct gmem_map m;

	gmem_conv_setup(&m, FILE_SIZE);
	for (n = 0; n < 2000; n++) {
		first = rand_r(&seed) % GMEM_FILE_PAGES;
		nr = 1 + rand_r(&seed) % (GMEM_FILE_PAGES - first);
		found = rand_r(&seed) % 2;
		gmem_convert(m.fd, first * P, nr * P, found ? GMEM_PRIVATE : 0);
		memset(model + first, found, nr);

		nr_private = 0;
		for (i = 0; i < GMEM_FILE_PAGES; i++)
			nr_private += model[i];
		ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-private"), nr_private * P);
		for (i = 0; i < GMEM_FILE_PAGES; i += run / P) {
			run = FILE_SIZE - i * P;
			ASSERT_EQ(__gmem_get(m.fd, i * P, &run, &found,
					     &resident), 0);
			for (nr = 0; nr < run / P; nr++)
				ASSERT_EQ(model[i + nr], !!found);
			if (i + nr < GMEM_FILE_PAGES)
				ASSERT_EQ(model[i + nr], !found);
		}
	}
	gmem_map_teardown(&m);
}

static void test_get_tells_runs_and_memory(void)
{
	u64 size, attributes, resident;
	struct gmem_map m;

	gmem_conv_setup(&m, FILE_SIZE);
	gmem_allocate(m.fd, 2 * P, 3 * P);
	gmem_to_private(m.fd, 4 * P, 4 * P);

	size = FILE_SIZE;
	ASSERT_EQ(__gmem_get(m.fd, 0, &size, &attributes, &resident), 0);
	ASSERT_EQ(size, 4 * P);
	ASSERT_EQ(attributes, GMEM_SHARED);
	ASSERT_EQ(resident, 2 * P);

	size = FILE_SIZE - 4 * P;
	ASSERT_EQ(__gmem_get(m.fd, 4 * P, &size, &attributes, &resident), 0);
	ASSERT_EQ(size, 4 * P);
	ASSERT_EQ(attributes, GMEM_PRIVATE);
	ASSERT_EQ(resident, P);

	/* No further than asked for. */
	size = P;
	ASSERT_EQ(__gmem_get(m.fd, 9 * P, &size, &attributes, &resident), 0);
	ASSERT_EQ(size, P);
	ASSERT_EQ(attributes, GMEM_SHARED);
	ASSERT_EQ(resident, 0ULL);
	gmem_map_teardown(&m);
}

/* As many ranges as there can be, and all gone at once. */
static void test_every_other_page_of_a_large_file(void)
{
	const u64 size = 64ULL << 20;
	struct gmem_map m;
	u64 offset;

	gmem_conv_setup(&m, size);
	for (offset = 0; offset < size; offset += 2 * P)
		gmem_to_private(m.fd, offset, P);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-private"), size / 2);
	gmem_assert_sigbus(m.mem + size - 2 * P);
	TEST_ASSERT(!gmem_touch(m.mem + size - P, true), "not shared");
	gmem_to_private(m.fd, P, size - 2 * P);
	gmem_assert_is(m.fd, 0, size - P, GMEM_PRIVATE);
	for (offset = 0; offset < size; offset += 2 * P)
		gmem_to_shared(m.fd, offset, P);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-private"), size / 2 - P);
	gmem_to_shared(m.fd, 0, size);
	gmem_assert_is(m.fd, 0, size, GMEM_SHARED);
	gmem_map_teardown(&m);
}

/*
 * What a conversion costs follows what is in the file, and what is bound of it,
 * not its size.  If it does not, this never ends, and its time is up.
 */
static void test_huge_file_with_a_slot_far_out_is_converted(void)
{
	const u64 size = 1ULL << 62, slot = size - (1ULL << 40);
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, size, GMEM_SHARED_FLAGS);

	vm_set_user_memory_region2(vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA, 4 * P, NULL, fd, slot);
	gmem_allocate(fd, slot, P);
	gmem_to_private(fd, 0, size);
	gmem_assert_is(fd, 0, size, GMEM_PRIVATE);
	gmem_to_shared(fd, P, size - 2 * P);
	gmem_assert_is(fd, P, size - 2 * P, GMEM_SHARED);
	ASSERT_EQ(gmem_fdinfo(fd, "gmem-private"), 2 * P);
	ASSERT_EQ(gmem_allocated(fd), P);
	close(fd);
	kvm_vm_free(vm);
}

/*
 * Batches
 */

static int convert_vec(int fd, struct kvm_gmem_range *ranges, u64 nr,
		       u64 attributes, u64 *done)
{
	struct kvm_gmem_attributes_vec vec = {
		.ranges = (uintptr_t)ranges,
		.nr = nr,
		.attributes = attributes,
		.done = GMEM_UNSET,
		.error_offset = GMEM_UNSET,
		.reason = GMEM_UNSET,
	};
	int ret = errno_of(ioctl(fd, KVM_GMEM_SET_ATTRIBUTES_VEC, &vec));

	ASSERT_EQ(vec.error_offset, GMEM_UNSET);
	ASSERT_EQ(vec.reason, GMEM_UNSET);
	*done = vec.done;
	return ret;
}

static void test_batch_converts_all_ranges(void)
{
	struct kvm_gmem_range ranges[VEC_NR];
	const u64 size = 2 * VEC_NR * P;
	struct gmem_map m;
	u64 done, i;

	gmem_conv_setup(&m, size);
	gmem_fill(m.mem, 0, size, FIRST);
	for (i = 0; i < VEC_NR; i++)
		ranges[i] = (struct kvm_gmem_range) { 2 * i * P, P };
	ASSERT_EQ(convert_vec(m.fd, ranges, VEC_NR, GMEM_PRIVATE, &done), 0);
	ASSERT_EQ(done, (u64)VEC_NR);
	for (i = 0; i < VEC_NR; i++) {
		gmem_assert_is(m.fd, 2 * i * P, P, GMEM_PRIVATE);
		gmem_check(m.mem + (2 * i + 1) * P, (2 * i + 1) * P, P, FIRST);
	}
	gmem_map_teardown(&m);
}

static void test_batch_stops_at_the_first_bad_range(void)
{
	struct kvm_gmem_range ranges[VEC_NR];
	const u64 size = 2 * VEC_NR * P;
	struct gmem_map m;
	u64 done, i, bad;

	for (bad = 0; bad < VEC_NR; bad += 13) {
		gmem_conv_setup(&m, size);
		for (i = 0; i < VEC_NR; i++)
			ranges[i] = (struct kvm_gmem_range) { 2 * i * P, P };
		ranges[bad].size = 1;
		ASSERT_EQ(convert_vec(m.fd, ranges, VEC_NR, GMEM_PRIVATE,
				      &done), -EINVAL);
		ASSERT_EQ(done, bad);
		ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-private"), bad * P);
		gmem_map_teardown(&m);
	}
}

static void test_batch_without_ranges_gives_einval(void)
{
	struct gmem_map m;
	u64 done;

	setup_filled(&m);
	ASSERT_EQ(convert_vec(m.fd, NULL, 0, GMEM_PRIVATE, &done), -EINVAL);
	ASSERT_EQ(done, GMEM_UNSET);
	ASSERT_EQ(convert_vec(m.fd, NULL, -1ULL, GMEM_PRIVATE, &done), -EINVAL);
	ASSERT_EQ(done, GMEM_UNSET);
	assert_all_shared(&m);
	gmem_map_teardown(&m);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_capability_is_the_attribute_mask),
	GMEM_TEST(test_file_starts_as_its_flags_say),
	GMEM_TEST(test_files_that_are_not_convertible_give_einval),
	GMEM_TEST(test_unknown_ioctls_give_enotty),
	GMEM_TEST(test_bad_ranges_give_einval),
	GMEM_TEST(test_unknown_bits_give_einval),
	GMEM_TEST(test_reserved_fields_give_einval),
	GMEM_TEST(test_bad_pointers_give_efault),
	GMEM_TEST(test_contents_flags_that_make_no_sense_are_refused),
	GMEM_TEST(test_private_pages_are_out_of_reach),
	GMEM_TEST(test_what_becomes_shared_is_zero),
	GMEM_TEST(test_preserve_is_for_what_becomes_private),
	GMEM_TEST(test_conversion_again_changes_nothing),
	GMEM_TEST(test_holes_are_converted_and_not_filled),
	GMEM_TEST(test_state_follows_a_model),
	GMEM_TEST(test_get_tells_runs_and_memory),
	GMEM_TEST(test_every_other_page_of_a_large_file),
	GMEM_TEST(test_huge_file_with_a_slot_far_out_is_converted),
	GMEM_TEST(test_batch_converts_all_ranges),
	GMEM_TEST(test_batch_stops_at_the_first_bad_range),
	GMEM_TEST(test_batch_without_ranges_gives_einval),
};

int main(int argc, char *argv[])
{
	setbuf(stdout, NULL);
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
