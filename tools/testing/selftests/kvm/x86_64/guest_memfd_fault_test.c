// SPDX-License-Identifier: GPL-2.0
/*
 * How KVM_RUN leaves when there is no memory for an access of the guest, and
 * how the guest goes on when there is.
 *
 * A private access that cannot be served is KVM_EXIT_MEMORY_FAULT, with -1
 * and EFAULT from KVM_RUN, and never MMIO.  The instruction has not been
 * executed: once the VMM has dealt with it, the next KVM_RUN repeats it.
 */
#include "guest_memfd_guest.h"
#include "processor.h"

/* A huge page and a bit, so that there is an edge inside of the slot. */
#define DATA_SIZE	(GMEM_HUGE_SIZE + GMEM_PAGE_SIZE)
/* An address that the guest can reach and that no slot covers at first. */
#define OTHER_GPA	(GMEM_DATA_GPA + BIT_ULL(30))
#define OTHER_SLOT	(GMEM_DATA_SLOT + 1)

/* Tags of patterns. */
enum { SHARED = 1, PRIVATE, OTHER };

/* Make @size bytes at OTHER_GPA reachable for the guest, without a slot. */
static void map_other(struct guest_fixture *f, u64 size)
{
	virt_map(f->vm, OTHER_GPA, OTHER_GPA, size / GMEM_PAGE_SIZE);
}

/* The guest has the code "mov $value, %eax; ret" at @gpa. */
static void guest_write_code(struct guest_fixture *f, u64 gpa, u32 value)
{
	guest_write(f->vcpu, gpa, 0xb8 | ((u64)value << 8) | (0xc3ULL << 40));
}

/*
 * Exits
 */

static void expect_private_fault_twice(struct guest_fixture *f,
				       enum guest_op op, u64 gpa)
{
	guest_cmd_set(f->vcpu, op, gpa, 0, 0);
	guest_cmd_of(f->vcpu)->value = 0x55aa;
	guest_expect_private_fault(f->vcpu, gpa);
	/* And again: the exit does not consume anything. */
	guest_expect_private_fault(f->vcpu, gpa);
}

static void check_slot_without_guest_memfd(enum guest_op op)
{
	u64 gpa = OTHER_GPA + GMEM_PAGES(2);
	struct guest_fixture f;
	void *hva;

	guest_start(&f, GMEM_PAGES(1));
	map_other(&f, GMEM_PAGES(4));
	hva = gmem_alloc_hva(OTHER_GPA, GMEM_PAGES(4));
	host_fill(hva, OTHER_GPA, GMEM_PAGES(4), SHARED);
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, 0, OTHER_GPA, GMEM_PAGES(4),
				   hva, -1, 0);
	vm_mem_set_private(f.vm, gpa, GMEM_PAGES(1));

	expect_private_fault_twice(&f, op, gpa);
	host_check(hva, OTHER_GPA, GMEM_PAGES(4), SHARED);

	/* The access is repeated, and now goes through. */
	vm_mem_set_shared(f.vm, gpa, GMEM_PAGES(1));
	guest_cmd_finish(f.vcpu);
	ASSERT_EQ(*(u64 *)(hva + GMEM_PAGES(2)), guest_cmd_of(f.vcpu)->value);

	guest_end(&f);
	gmem_free_hva(hva, GMEM_PAGES(4));
}

static void test_private_read_without_guest_memfd_exits(void)
{
	check_slot_without_guest_memfd(GUEST_OP_READ);
}

static void test_private_write_without_guest_memfd_exits(void)
{
	check_slot_without_guest_memfd(GUEST_OP_WRITE);
}

static void check_private_access_without_slot(enum guest_op op, u64 want)
{
	struct gmem_slot other;
	struct guest_fixture f;

	guest_start(&f, GMEM_PAGES(1));
	map_other(&f, GMEM_PAGES(1));
	vm_mem_set_private(f.vm, OTHER_GPA, GMEM_PAGES(1));
	expect_private_fault_twice(&f, op, OTHER_GPA);

	/* A slot makes it good. */
	gmem_slot_add(&other, f.vm, OTHER_SLOT, OTHER_GPA, GMEM_PAGES(1), NULL, -1,
		      0);
	guest_cmd_finish(f.vcpu);
	ASSERT_EQ(guest_read(f.vcpu, OTHER_GPA), want);

	guest_end(&f);
	gmem_slot_free(&other);
}

static void test_private_read_without_slot_exits(void)
{
	check_private_access_without_slot(GUEST_OP_READ, 0);
}

static void test_private_write_without_slot_exits(void)
{
	check_private_access_without_slot(GUEST_OP_WRITE, 0x55aa);
}

static void test_private_fetch_without_slot_exits(void)
{
	struct guest_fixture f;

	guest_start(&f, GMEM_PAGES(1));
	map_other(&f, GMEM_PAGES(1));
	guest_write_code(&f, GMEM_DATA_GPA, OTHER);
	vm_mem_set_private(f.vm, OTHER_GPA, GMEM_PAGES(1));
	expect_private_fault_twice(&f, GUEST_OP_CALL, OTHER_GPA);

	/* Put the shared page with the code there. */
	vm_mem_set_shared(f.vm, OTHER_GPA, GMEM_PAGES(1));
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, 0, OTHER_GPA, GMEM_PAGES(1),
				   f.slot.hva, -1, 0);
	guest_cmd_finish(f.vcpu);
	ASSERT_EQ(guest_cmd_of(f.vcpu)->value, (u64)OTHER);
	guest_end(&f);
}

static void test_exit_reports_the_page_of_the_access(void)
{
	static const u64 offset[] = { 0, 8, 0xff8 };
	struct guest_fixture f;
	u64 page;
	void *hva;
	int i;

	guest_start(&f, GMEM_PAGES(1));
	map_other(&f, GMEM_PAGES(4));
	hva = gmem_alloc_hva(OTHER_GPA, GMEM_PAGES(4));
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, 0, OTHER_GPA,
				   GMEM_PAGES(4), hva, -1, 0);

	for (page = OTHER_GPA; page < OTHER_GPA + GMEM_PAGES(4);
	     page += GMEM_PAGE_SIZE) {
		for (i = 0; i < ARRAY_SIZE(offset); i++) {
			vm_mem_set_private(f.vm, OTHER_GPA, GMEM_PAGES(4));
			guest_cmd_set(f.vcpu, GUEST_OP_READ, page + offset[i],
				      0, 0);
			guest_expect_private_fault(f.vcpu, page);

			vm_mem_set_shared(f.vm, OTHER_GPA, GMEM_PAGES(4));
			guest_cmd_finish(f.vcpu);
		}
	}
	guest_end(&f);
	gmem_free_hva(hva, GMEM_PAGES(4));
}

static void test_shared_access_without_slot_is_mmio(void)
{
	u64 gpa = OTHER_GPA + 0x10, value = 0x1234567890abcdefULL;
	struct kvm_run *run;
	struct guest_fixture f;

	guest_start(&f, GMEM_PAGES(1));
	map_other(&f, GMEM_PAGES(1));
	run = f.vcpu->run;

	guest_cmd_set(f.vcpu, GUEST_OP_READ, gpa, 0, 0);
	ASSERT_EQ(guest_cmd_run(f.vcpu), 0);
	ASSERT_EQ(run->exit_reason, KVM_EXIT_MMIO);
	ASSERT_EQ(run->mmio.phys_addr, gpa);
	ASSERT_EQ(run->mmio.len, 8);
	ASSERT_EQ(run->mmio.is_write, 0);
	memcpy(run->mmio.data, &value, sizeof(value));
	guest_cmd_finish(f.vcpu);
	ASSERT_EQ(guest_cmd_of(f.vcpu)->value, value);

	guest_cmd_set(f.vcpu, GUEST_OP_WRITE, gpa, 0, 0);
	guest_cmd_of(f.vcpu)->value = ~value;
	ASSERT_EQ(guest_cmd_run(f.vcpu), 0);
	ASSERT_EQ(run->exit_reason, KVM_EXIT_MMIO);
	ASSERT_EQ(run->mmio.is_write, 1);
	ASSERT_EQ(*(u64 *)run->mmio.data, ~value);
	guest_cmd_finish(f.vcpu);
	guest_end(&f);
}

/* First MMIO, so that KVM may remember the gfn as such; then private. */
static void check_private_access_after_mmio(enum guest_op op)
{
	struct guest_fixture f;

	guest_start(&f, GMEM_PAGES(1));
	map_other(&f, GMEM_PAGES(1));
	guest_cmd_set(f.vcpu, op, OTHER_GPA, 0, 0);
	ASSERT_EQ(guest_cmd_run(f.vcpu), 0);
	ASSERT_EQ(f.vcpu->run->exit_reason, KVM_EXIT_MMIO);
	guest_cmd_finish(f.vcpu);

	vm_mem_set_private(f.vm, OTHER_GPA, GMEM_PAGES(1));
	expect_private_fault_twice(&f, op, OTHER_GPA);
	guest_end(&f);
}

static void test_private_access_after_mmio_is_not_mmio(void)
{
	check_private_access_after_mmio(GUEST_OP_READ);
	check_private_access_after_mmio(GUEST_OP_WRITE);
}

static void test_access_after_slot_deletion_exits(void)
{
	struct guest_fixture f;

	guest_start_private(&f, DATA_SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	gmem_slot_delete(&f.slot);
	expect_private_fault_twice(&f, GUEST_OP_READ, GMEM_DATA_GPA);

	gmem_slot_bind(&f.slot);
	guest_cmd_finish(f.vcpu);
	guest_check(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	guest_end(&f);
}

static void check_access_after_close(bool mapped)
{
	struct guest_fixture f;

	guest_start_private(&f, DATA_SIZE);
	if (mapped)
		guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);

	close(f.slot.fd);
	expect_private_fault_twice(&f, GUEST_OP_READ, GMEM_DATA_GPA);
	/* The slot is still there, and in the way. */
	TEST_ASSERT(!gmem_gpa_is_free(f.vm, GMEM_DATA_GPA, DATA_SIZE),
		    "closing the file removed the slot");

	gmem_slot_delete(&f.slot);
	f.slot.fd = vm_create_guest_memfd(f.vm, DATA_SIZE, 0);
	gmem_slot_bind(&f.slot);
	guest_cmd_finish(f.vcpu);
	guest_check_zero(f.vcpu, GMEM_DATA_GPA, DATA_SIZE);
	guest_end(&f);
}

static void test_access_after_close_exits(void)
{
	check_access_after_close(false);
	check_access_after_close(true);
}

/* The shared side does not depend on the file. */
static void test_shared_access_after_close_works(void)
{
	struct guest_fixture f;

	guest_start(&f, DATA_SIZE);
	host_fill(f.slot.hva, GMEM_DATA_GPA, DATA_SIZE, SHARED);
	close(f.slot.fd);
	f.slot.own_fd = false;
	guest_check(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, SHARED);
	guest_end(&f);
}

static void test_immediate_exit_is_not_a_memory_fault(void)
{
	struct guest_fixture f;

	guest_start(&f, GMEM_PAGES(1));
	map_other(&f, GMEM_PAGES(1));
	vm_mem_set_private(f.vm, OTHER_GPA, GMEM_PAGES(1));
	expect_private_fault_twice(&f, GUEST_OP_READ, OTHER_GPA);

	/* MEMORY_FAULT means something with EFAULT and EHWPOISON only. */
	f.vcpu->run->immediate_exit = 1;
	GMEM_ASSERT_ERRNO(__vcpu_run(f.vcpu), EINTR, "immediate_exit");
	f.vcpu->run->immediate_exit = 0;
	guest_expect_private_fault(f.vcpu, OTHER_GPA);
	guest_end(&f);
}

/*
 * KVM_RUN fails with EFAULT for another reason, a hole in the host's address
 * space: what the last MEMORY_FAULT left in kvm_run must not pass for this.
 */
static void test_other_efault_is_not_taken_for_the_last_exit(void)
{
	struct kvm_run *run;
	struct guest_fixture f;

	guest_start(&f, GMEM_PAGES(2));
	map_other(&f, GMEM_PAGES(1));
	run = f.vcpu->run;
	vm_mem_set_private(f.vm, OTHER_GPA, GMEM_PAGES(1));
	expect_private_fault_twice(&f, GUEST_OP_READ, OTHER_GPA);

	/* End the pending access, and forge the exit reason once more. */
	vm_mem_set_shared(f.vm, OTHER_GPA, GMEM_PAGES(1));
	ASSERT_EQ(guest_cmd_run(f.vcpu), 0);
	guest_cmd_finish(f.vcpu);
	munmap(f.slot.hva, GMEM_PAGES(2));
	f.slot.own_hva = false;
	run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	run->memory_fault.gpa = OTHER_GPA;

	guest_cmd_set(f.vcpu, GUEST_OP_READ, GMEM_DATA_GPA, 0, 0);
	GMEM_ASSERT_ERRNO(__vcpu_run(f.vcpu), EFAULT, "unmapped hva");
	TEST_ASSERT(run->exit_reason != KVM_EXIT_MEMORY_FAULT ||
		    (run->memory_fault.gpa == GMEM_DATA_GPA &&
		     !run->memory_fault.flags), "stale exit, gpa 0x%llx",
		    run->memory_fault.gpa);
	guest_end(&f);
}

/*
 * What a VM with private memory does not have
 */

static void test_there_is_one_address_space(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	void *hva = gmem_alloc_hva(0, GMEM_PAGES(1));

	ASSERT_EQ(gmem_check_cap(vm->fd, KVM_CAP_MULTI_ADDRESS_SPACE), 1);
	GMEM_ASSERT_ERRNO(__vm_set_user_memory_region2(vm, 1 << 16, 0, 0,
						       GMEM_PAGES(1), hva, -1, 0),
			  EINVAL, "address space 1");
	TEST_ASSERT(gmem_gpa_is_free(vm, 0, GMEM_PAGES(1)), "slot was created");
	gmem_free_hva(hva, GMEM_PAGES(1));
	kvm_vm_free(vm);
}

static void test_there_is_no_smm(void)
{
	struct kvm_vcpu_events events;
	struct guest_fixture f;

	guest_start_private(&f, GMEM_PAGES(1));
	ASSERT_EQ(gmem_check_cap(f.vm->fd, KVM_CAP_X86_SMM), 0);
	GMEM_ASSERT_ERRNO(__vcpu_ioctl(f.vcpu, KVM_SMI, NULL), EINVAL,
			  "KVM_SMI");

	vcpu_events_get(f.vcpu, &events);
	events.flags |= KVM_VCPUEVENT_VALID_SMM;
	events.smi.pending = 1;
	GMEM_ASSERT_ERRNO(__vcpu_ioctl(f.vcpu, KVM_SET_VCPU_EVENTS, &events),
			  EINVAL, "pending SMI");

	/* No SMI is pending: the guest goes on as before. */
	vcpu_events_get(f.vcpu, &events);
	ASSERT_EQ(events.smi.pending, 0);
	guest_check_zero(f.vcpu, GMEM_DATA_GPA, GMEM_PAGES(1));
	guest_end(&f);
}

static void check_sregs_refused(struct kvm_vcpu *vcpu, u64 efer, u64 cr4)
{
	struct kvm_sregs old, new;

	vcpu_sregs_get(vcpu, &old);
	new = old;
	new.efer |= efer;
	new.cr4 |= cr4;
	GMEM_ASSERT_ERRNO(_vcpu_sregs_set(vcpu, &new), EINVAL,
			  "EFER 0x%llx, CR4 0x%llx", new.efer, new.cr4);

	vcpu_sregs_get(vcpu, &new);
	TEST_ASSERT(!memcmp(&old, &new, sizeof(old)), "sregs have changed");
}

static void test_there_is_no_nested_virtualization(void)
{
	struct guest_fixture f;
	u64 efer;

	if (!kvm_cpu_has(X86_FEATURE_SVM) && !kvm_cpu_has(X86_FEATURE_VMX))
		gmem_skip("nested virtualization is off anyway");

	guest_start_private(&f, GMEM_PAGES(1));
	TEST_ASSERT(!kvm_cpuid_has(f.vcpu->cpuid, X86_FEATURE_SVM) &&
		    !kvm_cpuid_has(f.vcpu->cpuid, X86_FEATURE_VMX),
		    "the guest has SVM or VMX");

	/* 0 of 1 MSRs are set. */
	efer = vcpu_get_msr(f.vcpu, MSR_EFER);
	ASSERT_EQ(_vcpu_set_msr(f.vcpu, MSR_EFER, efer | EFER_SVME), 0);
	ASSERT_EQ(vcpu_get_msr(f.vcpu, MSR_EFER), efer);
	check_sregs_refused(f.vcpu, EFER_SVME, 0);
	check_sregs_refused(f.vcpu, 0, X86_CR4_VMXE);
	guest_check_zero(f.vcpu, GMEM_DATA_GPA, GMEM_PAGES(1));
	guest_end(&f);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_private_read_without_guest_memfd_exits),
	GMEM_TEST(test_private_write_without_guest_memfd_exits),
	GMEM_TEST(test_private_read_without_slot_exits),
	GMEM_TEST(test_private_write_without_slot_exits),
	GMEM_TEST(test_private_fetch_without_slot_exits),
	GMEM_TEST(test_exit_reports_the_page_of_the_access),
	GMEM_TEST(test_shared_access_without_slot_is_mmio),
	GMEM_TEST(test_private_access_after_mmio_is_not_mmio),
	GMEM_TEST(test_access_after_slot_deletion_exits),
	GMEM_TEST(test_access_after_close_exits),
	GMEM_TEST(test_shared_access_after_close_works),
	GMEM_TEST(test_immediate_exit_is_not_a_memory_fault),
	GMEM_TEST(test_other_efault_is_not_taken_for_the_last_exit),
	GMEM_TEST(test_there_is_one_address_space),
	GMEM_TEST(test_there_is_no_smm),
	GMEM_TEST(test_there_is_no_nested_virtualization),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
