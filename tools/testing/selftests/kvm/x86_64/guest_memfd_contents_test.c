// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest finds in private memory: zeros at first, then what it wrote,
 * in the page of the file that its slot says.
 */
#include "guest_memfd_guest.h"
#include "processor.h"

/* A huge page and a bit, so that there is an edge inside of the slot. */
#define DATA_SIZE	(GMEM_HUGE_SIZE + GMEM_PAGE_SIZE)
/* An address that the guest can reach and that no slot covers at first. */
#define OTHER_GPA	(GMEM_DATA_GPA + BIT_ULL(30))
#define OTHER_SLOT	(GMEM_DATA_SLOT + 1)

/* Tags of patterns. */
enum { PRIVATE = 1, OTHER };

/* Make @size bytes at OTHER_GPA reachable for the guest, without a slot. */
static void map_other(struct guest_fixture *f, u64 size)
{
	virt_map(f->vm, OTHER_GPA, OTHER_GPA, size / GMEM_PAGE_SIZE);
}

/*
 * Contents
 */

static void check_fresh_memory_is_zero(bool allocate)
{
	struct guest_fixture f;

	host_dirty_free_memory(64 << 20);
	guest_start_private(&f, DATA_SIZE);
	if (allocate)
		gmem_allocate(f.slot.fd, 0, DATA_SIZE);

	guest_check_zero(f.vcpu, GMEM_DATA_GPA, DATA_SIZE);
	guest_end(&f);
}

static void test_fresh_memory_reads_as_zero(void)
{
	check_fresh_memory_is_zero(false);
}

static void test_allocated_memory_reads_as_zero(void)
{
	check_fresh_memory_is_zero(true);
}

static void test_fresh_memory_reads_as_zero_small(void)
{
	host_set_thp("never");
	check_fresh_memory_is_zero(false);
	check_fresh_memory_is_zero(true);
}

static void test_fresh_memory_reads_as_zero_large(void)
{
	host_set_thp("always");
	check_fresh_memory_is_zero(false);
	check_fresh_memory_is_zero(true);
}

/* What one guest wrote is not what the next one finds. */
static void test_memory_of_a_closed_file_is_not_seen_again(void)
{
	struct guest_fixture f;
	int i;

	for (i = 0; i < 4; i++) {
		guest_start_private(&f, DATA_SIZE);
		guest_check_zero(f.vcpu, GMEM_DATA_GPA, DATA_SIZE);
		guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
		guest_end(&f);
	}
}

static void check_every_page_keeps_its_contents(void)
{
	struct guest_fixture f;

	guest_start_private(&f, DATA_SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	guest_check(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	TEST_ASSERT(gmem_allocated(f.slot.fd) == DATA_SIZE,
		    "0x%lx bytes allocated", gmem_allocated(f.slot.fd));
	guest_end(&f);
}

static void test_every_page_keeps_its_contents_small(void)
{
	host_set_thp("never");
	check_every_page_keeps_its_contents();
}

static void test_every_page_keeps_its_contents_large(void)
{
	host_set_thp("always");
	check_every_page_keeps_its_contents();
}

static void test_vcpus_see_the_same_memory(void)
{
	struct kvm_vcpu *vcpus[2];
	struct gmem_slot slot;
	struct kvm_vm *vm;

	vm = guest_vm_create(2, vcpus, DATA_SIZE, &slot);
	vm_mem_set_private(vm, GMEM_DATA_GPA, DATA_SIZE);
	guest_fill(vcpus[0], GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	guest_check(vcpus[1], GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	guest_fill(vcpus[1], GMEM_DATA_GPA, DATA_SIZE, OTHER);
	guest_check(vcpus[0], GMEM_DATA_GPA, DATA_SIZE, OTHER);
	gmem_vm_free(vm, &slot);
}

/* The guest has the code "mov $value, %eax; ret" at @gpa. */
static void guest_write_code(struct guest_fixture *f, u64 gpa, u32 value)
{
	guest_write(f->vcpu, gpa, 0xb8 | ((u64)value << 8) | (0xc3ULL << 40));
}

static u64 guest_call(struct guest_fixture *f, u64 gpa)
{
	guest_do(f->vcpu, GUEST_OP_CALL, gpa, 0, 0);
	return guest_cmd_of(f->vcpu)->value;
}

static void test_guest_executes_private_code(void)
{
	struct guest_fixture f;

	guest_start(&f, DATA_SIZE);
	guest_write_code(&f, GMEM_DATA_GPA, OTHER);
	vm_mem_set_private(f.vm, GMEM_DATA_GPA, DATA_SIZE);
	guest_write_code(&f, GMEM_DATA_GPA, PRIVATE);

	ASSERT_EQ(guest_call(&f, GMEM_DATA_GPA), (u64)PRIVATE);
	vm_mem_set_shared(f.vm, GMEM_DATA_GPA, DATA_SIZE);
	ASSERT_EQ(guest_call(&f, GMEM_DATA_GPA), (u64)OTHER);
	guest_end(&f);
}

/* Instructions that take two faults: from one page to the next. */
static void test_access_across_pages_works(void)
{
	u64 gpa = GMEM_DATA_GPA + GMEM_PAGE_SIZE - 4;
	u64 value = 0x1122334455667788ULL;
	struct guest_fixture f;

	guest_start_private(&f, DATA_SIZE);
	guest_write(f.vcpu, gpa, value);
	ASSERT_EQ(guest_read(f.vcpu, gpa), value);
	ASSERT_EQ(guest_read(f.vcpu, gpa - 4), value << 32);
	ASSERT_EQ(guest_read(f.vcpu, gpa + 4), value >> 32);
	guest_end(&f);
}

/*
 * Which page of the file
 */

/* Move the data slot to another part of the file. */
static void rebind(struct guest_fixture *f, u64 size, u64 offset)
{
	gmem_slot_delete(&f->slot);
	f->slot.size = size;
	f->slot.offset = offset;
	gmem_slot_bind(&f->slot);
}

static void check_file_offset(u64 offset)
{
	u64 size = 2 * GMEM_HUGE_SIZE, i;
	struct guest_fixture f;

	guest_start_private(&f, size);
	guest_fill(f.vcpu, GMEM_DATA_GPA, size, PRIVATE);

	/* Gpa and file offset are not congruent any more. */
	rebind(&f, size - offset, offset);
	for (i = 0; i < size - offset; i += GMEM_PAGES(1))
		ASSERT_EQ(guest_read(f.vcpu, GMEM_DATA_GPA + i),
			  guest_pattern(GMEM_DATA_GPA + i + offset, PRIVATE));
	guest_fill(f.vcpu, GMEM_DATA_GPA, size - offset, OTHER);

	rebind(&f, size, 0);
	guest_check(f.vcpu, GMEM_DATA_GPA, offset, PRIVATE);
	for (i = offset; i < size; i += GMEM_PAGES(1))
		ASSERT_EQ(guest_read(f.vcpu, GMEM_DATA_GPA + i),
			  guest_pattern(GMEM_DATA_GPA + i - offset, OTHER));

	guest_end(&f);
}

static void test_misaligned_offset_maps_the_right_page_small(void)
{
	host_set_thp("never");
	check_file_offset(GMEM_PAGES(1));
}

static void test_misaligned_offset_maps_the_right_page_large(void)
{
	host_set_thp("always");
	check_file_offset(GMEM_PAGES(1));
	check_file_offset(GMEM_PAGES(511));
	check_file_offset(GMEM_HUGE_SIZE);
}

/* A huge page in the file that reaches beyond both ends of the slot. */
static void test_slot_inside_of_a_huge_page_keeps_to_it(void)
{
	u64 first = GMEM_PAGES(100), size = GMEM_PAGES(30);
	struct guest_fixture f;

	host_set_thp("always");
	guest_start_private(&f, GMEM_HUGE_SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, GMEM_HUGE_SIZE, PRIVATE);

	gmem_slot_delete(&f.slot);
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA + first, size,
				   f.slot.hva + first, f.slot.fd, first);
	guest_check(f.vcpu, GMEM_DATA_GPA + first, size, PRIVATE);

	guest_cmd_set(f.vcpu, GUEST_OP_READ, GMEM_DATA_GPA + first - 8, 0, 0);
	guest_expect_private_fault(f.vcpu, GMEM_DATA_GPA + first - 8);

	vm_set_user_memory_region2(f.vm, OTHER_SLOT, 0, 0, 0, NULL, -1, 0);
	gmem_slot_bind(&f.slot);
	guest_cmd_finish(f.vcpu);

	guest_check(f.vcpu, GMEM_DATA_GPA, GMEM_HUGE_SIZE, PRIVATE);
	guest_end(&f);
}

static void test_slots_in_swapped_order_share_a_file(void)
{
	u64 half = GMEM_PAGES(6), size = 2 * half;
	struct guest_fixture f;

	guest_start_private(&f, size);
	guest_fill(f.vcpu, GMEM_DATA_GPA, size, PRIVATE);
	gmem_slot_delete(&f.slot);

	/* The file's second half first. */
	map_other(&f, size);
	vm_mem_set_private(f.vm, OTHER_GPA, size);
	vm_set_user_memory_region2(f.vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   OTHER_GPA, half, f.slot.hva, f.slot.fd,
				   half);
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, KVM_MEM_GUEST_MEMFD,
				   OTHER_GPA + half, half, f.slot.hva + half,
				   f.slot.fd, 0);
	ASSERT_EQ(guest_read(f.vcpu, OTHER_GPA),
		  guest_pattern(GMEM_DATA_GPA + half, PRIVATE));
	ASSERT_EQ(guest_read(f.vcpu, OTHER_GPA + half),
		  guest_pattern(GMEM_DATA_GPA, PRIVATE));
	guest_fill(f.vcpu, OTHER_GPA, size, OTHER);

	/* A hole at the front of the file is one in the second slot. */
	gmem_punch_hole(f.slot.fd, 0, GMEM_PAGES(1));
	guest_check_zero(f.vcpu, OTHER_GPA + half, GMEM_PAGES(1));
	guest_check(f.vcpu, OTHER_GPA + half + GMEM_PAGES(1), half - GMEM_PAGES(1),
		    OTHER);
	guest_check(f.vcpu, OTHER_GPA, half, OTHER);
	guest_end(&f);
}

static void test_slot_at_the_end_of_the_file_works(void)
{
	u64 file_size = DATA_SIZE + GMEM_PAGES(3);
	struct gmem_slot other;
	struct guest_fixture f;
	int fd;

	guest_start(&f, GMEM_PAGES(1));
	map_other(&f, GMEM_PAGES(2));
	vm_mem_set_private(f.vm, OTHER_GPA, GMEM_PAGES(2));

	fd = vm_create_guest_memfd(f.vm, file_size, 0);
	gmem_slot_add(&other, f.vm, OTHER_SLOT, OTHER_GPA, GMEM_PAGES(1), NULL, fd,
		      file_size - GMEM_PAGES(1));
	guest_check_zero(f.vcpu, OTHER_GPA, GMEM_PAGES(1));
	guest_fill(f.vcpu, OTHER_GPA, GMEM_PAGES(1), PRIVATE);
	guest_check(f.vcpu, OTHER_GPA, GMEM_PAGES(1), PRIVATE);

	/* Neither slot nor file go on from here. */
	guest_cmd_set(f.vcpu, GUEST_OP_READ, OTHER_GPA + GMEM_PAGES(1), 0, 0);
	guest_expect_private_fault(f.vcpu, OTHER_GPA + GMEM_PAGES(1));
	ASSERT_EQ(gmem_allocated(fd), GMEM_PAGES(1));

	guest_end(&f);
	gmem_slot_free(&other);
	close(fd);
}

static void test_sparse_access_to_a_big_slot_allocates_little(void)
{
	u64 size = 16ULL << 30, step = 1ULL << 30, n, gpa;
	struct gmem_slot other;
	struct guest_fixture f;

	host_set_thp("never");
	guest_start(&f, GMEM_PAGES(1));
	gmem_slot_add(&other, f.vm, OTHER_SLOT, OTHER_GPA, size, NULL, -1, 0);
	vm_mem_set_private(f.vm, OTHER_GPA, size);

	/* The first and the last page of each GiB. */
	for (n = 0, gpa = OTHER_GPA; gpa < OTHER_GPA + size; gpa += step) {
		virt_map(f.vm, gpa, gpa, 1);
		virt_map(f.vm, gpa + step - GMEM_PAGES(1), gpa + step - GMEM_PAGES(1), 1);
		guest_fill(f.vcpu, gpa, GMEM_PAGES(1), gpa);
		guest_fill(f.vcpu, gpa + step - GMEM_PAGES(1), GMEM_PAGES(1), gpa);
		n += 2;
	}
	for (gpa = OTHER_GPA; gpa < OTHER_GPA + size; gpa += step) {
		guest_check(f.vcpu, gpa, GMEM_PAGES(1), gpa);
		guest_check(f.vcpu, gpa + step - GMEM_PAGES(1), GMEM_PAGES(1), gpa);
	}
	ASSERT_EQ(gmem_allocated(other.fd), GMEM_PAGES(n));

	guest_end(&f);
	gmem_slot_free(&other);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_fresh_memory_reads_as_zero),
	GMEM_TEST(test_allocated_memory_reads_as_zero),
	GMEM_TEST(test_fresh_memory_reads_as_zero_small),
	GMEM_TEST(test_fresh_memory_reads_as_zero_large),
	GMEM_TEST(test_memory_of_a_closed_file_is_not_seen_again),
	GMEM_TEST(test_every_page_keeps_its_contents_small),
	GMEM_TEST(test_every_page_keeps_its_contents_large),
	GMEM_TEST(test_vcpus_see_the_same_memory),
	GMEM_TEST(test_guest_executes_private_code),
	GMEM_TEST(test_access_across_pages_works),
	GMEM_TEST(test_misaligned_offset_maps_the_right_page_small),
	GMEM_TEST(test_misaligned_offset_maps_the_right_page_large),
	GMEM_TEST(test_slot_inside_of_a_huge_page_keeps_to_it),
	GMEM_TEST(test_slots_in_swapped_order_share_a_file),
	GMEM_TEST(test_slot_at_the_end_of_the_file_works),
	GMEM_TEST(test_sparse_access_to_a_big_slot_allocates_little),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
