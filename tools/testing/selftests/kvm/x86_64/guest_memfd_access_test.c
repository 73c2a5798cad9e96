// SPDX-License-Identifier: GPL-2.0
/*
 * KVM's own accesses to private memory of a software-protected VM.
 *
 * The guest's text, page tables and descriptor tables are private, and so is
 * the data slot at 4 GiB.  At userspace_addr is poison: see
 * guest_memfd_private.h.  So whatever KVM reads or writes on the guest's behalf
 * it has to read and write in the files, and private_vm_end() sees to it that
 * it has written nowhere else.
 */
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>
#include <asm/pvclock-abi.h>
#include <pthread.h>
#include <sys/mman.h>

#include "apic.h"
#include "guest_memfd_private.h"
#include "guest_memfd_uffd.h"

#ifndef KVM_FEATURE_SW_PROTECTED
#define KVM_FEATURE_SW_PROTECTED	30
#endif

/* Instructions that KVM has to fetch, at least in order to skip them. */

static u64 guest_skipped_instructions(void)
{
	u32 eax, ebx, ecx, edx;
	u64 val, i;

	for (i = 0; i < 16; i++) {
		cpuid(0x80000000, &eax, &ebx, &ecx, &edx);
		GUEST_ASSERT_1(eax >= 0x80000008, eax);

		val = rdmsr(MSR_IA32_TSC);
		GUEST_ASSERT(val <= rdmsr(MSR_IA32_TSC));
		wrmsr(MSR_STAR, i);
		GUEST_ASSERT(rdmsr(MSR_STAR) == i);

		set_cr4(get_cr4());
		asm volatile("mov %%cr3, %0; mov %0, %%cr3"
			     : "=r"(val) : : "memory");
		asm volatile("mov %%cr0, %0; mov %0, %%cr0"
			     : "=r"(val) : : "memory");
		asm volatile("wbinvd" : : : "memory");
		guest_invlpg(ALIAS_GVA);

		/* No such hypercall. */
		GUEST_ASSERT((s64)kvm_hypercall(~0u, 0, 0, 0, 0) ==
			     -KVM_ENOSYS);
	}
	return 0;
}

static void test_private_instructions_are_skipped(void)
{
	struct private_vm p;

	private_vm_start(&p, 1);
	guest_call(p.vcpu, guest_skipped_instructions);
	private_vm_end(&p);
}

static void *skip_thread(void *vcpu)
{
	guest_call(vcpu, guest_skipped_instructions);
	return NULL;
}

static void test_two_vcpus_run_from_private_memory(void)
{
	pthread_t thread;
	struct private_vm p;

	private_vm_start(&p, 2);
	pthread_create(&thread, NULL, skip_thread, p.vcpus[1]);
	guest_call(p.vcpus[0], guest_skipped_instructions);
	pthread_join(thread, NULL);
	private_vm_end(&p);
}

/* Data. */

static void test_string_instructions_of_devices(void)
{
	struct private_vm p;

	private_vm_start(&p, 1);
	emul_run_string_io(p.vcpu);
	private_vm_end(&p);
}

static void test_forced_emulation(void)
{
	struct private_vm p;

	emul_force();
	private_vm_start(&p, 1);
	guest_call(p.vcpu, guest_forced_emulation);
	private_vm_end(&p);
	emul_restore();
}

/* The two sides of two neighbours, and a word that is half in each. */
#define BORDER		DATA_PAGE(31)
#define BORDER_WORD	((u64 *)(BORDER - 4))

static u64 guest_write_border(void)
{
	guest_fep_write(BORDER_WORD, 0x1122334455667788);
	GUEST_ASSERT_1(guest_fep_read(BORDER_WORD) == 0x1122334455667788,
		       guest_fep_read(BORDER_WORD));
	return *BORDER_WORD;
}

static void check_border(u64 shared, int offset, u32 half)
{
	u32 *hva_half;
	struct private_vm p;
	u64 val;

	private_vm_start(&p, 1);
	private_vm_share(&p, shared, GMEM_PAGE_SIZE);
	hva_half = private_vm_hva(&p, BORDER - 4) + offset;
	val = guest_call(p.vcpu, guest_write_border);
	TEST_ASSERT(val == 0x1122334455667788, "the guest sees 0x%lx", val);
	TEST_ASSERT(*hva_half == half, "the host sees 0x%x", *hva_half);
	/* Puts the poison back for private_vm_end(). */
	private_vm_unshare(&p, shared, GMEM_PAGE_SIZE);
	private_vm_end(&p);
}

static void test_access_can_be_on_both_sides(void)
{
	emul_force();
	check_border(BORDER, 4, 0x11223344);
	check_border(BORDER - GMEM_PAGE_SIZE, 0, 0x55667788);
	emul_restore();
}

#define FLIP_GPA	DATA_PAGE(33)

static u64 guest_fep_flip(void)
{
	u64 val = guest_fep_read((u64 *)FLIP_GPA);

	guest_fep_write((u64 *)FLIP_GPA, val + 1);
	return val;
}

static void test_access_follows_the_attribute(void)
{
	struct private_vm p;
	u64 *shared, val, i;

	emul_force();
	private_vm_start(&p, 1);
	shared = private_vm_hva(&p, FLIP_GPA);
	for (i = 0; i < 8; i++) {
		val = guest_call(p.vcpu, guest_fep_flip);
		TEST_ASSERT(val == i, "private: 0x%lx, wanted %lu", val, i);

		private_vm_share(&p, FLIP_GPA, GMEM_PAGE_SIZE);
		*shared = 0x1000 * i;
		val = guest_call(p.vcpu, guest_fep_flip);
		TEST_ASSERT(val == 0x1000 * i, "shared: 0x%lx, wanted 0x%lx",
			    val, 0x1000 * i);
		TEST_ASSERT(*shared == 0x1000 * i + 1, "shared is 0x%lx",
			    *shared);
		private_vm_unshare(&p, FLIP_GPA, GMEM_PAGE_SIZE);
	}
	private_vm_end(&p);
	emul_restore();
}

#define HOLE_GPA	DATA_PAGE(35)

static u64 guest_fep_read_hole(void)
{
	return guest_fep_read((u64 *)HOLE_GPA);
}

static u64 guest_fep_write_hole(void)
{
	guest_fep_write((u64 *)HOLE_GPA, 0x1234);
	return *(u64 *)HOLE_GPA;
}

/* A hole reads as zeros, and is filled by a write and not before. */
static void test_hole_is_filled_by_writes(void)
{
	struct private_vm p;
	u64 before, val;

	emul_force();
	private_vm_start(&p, 1);
	before = gmem_allocated(p.slot.fd);
	val = guest_call(p.vcpu, guest_fep_read_hole);
	TEST_ASSERT(!val, "read 0x%lx", val);
	TEST_ASSERT(gmem_allocated(p.slot.fd) == before, "allocated by a read");
	val = guest_call(p.vcpu, guest_fep_write_hole);
	TEST_ASSERT(val == 0x1234, "read 0x%lx", val);
	TEST_ASSERT(gmem_allocated(p.slot.fd) == before + GMEM_PAGE_SIZE,
		    "not allocated by a write");

	gmem_slot_punch_hole(&p.slot, HOLE_GPA, GMEM_PAGE_SIZE);
	val = guest_call(p.vcpu, guest_fep_read_hole);
	TEST_ASSERT(!val, "read 0x%lx after a punch", val);
	private_vm_end(&p);
	emul_restore();
}

/* Page tables. */

static u64 guest_emulated_accessed_dirty(void)
{
	u64 i, pte = DATA_PAGE(7) | PTE_PRESENT_MASK | PTE_WRITABLE_MASK;

	for (i = 1; i < 8; i++) {
		WRITE_ONCE(*guest_pte, pte);
		guest_invlpg(ALIAS_GVA);
		guest_fep_read(guest_alias);
		GUEST_ASSERT_1(READ_ONCE(*guest_pte) == (pte | PTE_ACCESSED_MASK),
			       *guest_pte);
		guest_fep_write(guest_alias, i);
		GUEST_ASSERT_1(READ_ONCE(*guest_pte) ==
			       (pte | PTE_ACCESSED_MASK | PTE_DIRTY_MASK),
			       *guest_pte);
		GUEST_ASSERT(*(u64 *)DATA_PAGE(7) == i);
	}
	return 0;
}

/* The last table for ALIAS_GVA is PT_PAGE of the data slot, still empty. */
static void alias_in_data_slot(struct private_vm *p)
{
	u64 *entry = addr_gpa2hva(p->vm, p->vm->pgd);
	int level;

	for (level = 4; level > 2; level--) {
		entry += (ALIAS_GVA >> (12 + 9 * (level - 1))) & 511;
		entry = addr_gpa2hva(p->vm, *entry & PHYSICAL_PAGE_MASK);
	}
	entry += (ALIAS_GVA >> 21) & 511;
	*entry = (*entry & ~PHYSICAL_PAGE_MASK) | DATA_PAGE(PT_PAGE);
}

static void test_walks_set_accessed_and_dirty_bits(void)
{
	struct private_vm p;

	emul_force();
	private_vm_create(&p, 1);
	alias_in_data_slot(&p);
	private_vm_lock(&p);
	guest_call(p.vcpu, guest_emulated_accessed_dirty);
	private_vm_end(&p);
	emul_restore();
}

static void test_translate_walks_private_tables(void)
{
	struct kvm_translation t = { .linear_address = DATA_PAGE(3) + 5 };
	struct private_vm p;

	private_vm_start(&p, 1);
	vcpu_ioctl(p.vcpu, KVM_TRANSLATE, &t);
	TEST_ASSERT(t.valid && t.physical_address == DATA_PAGE(3) + 5,
		    "valid %u, 0x%llx", t.valid, t.physical_address);
	private_vm_end(&p);
}

/* No memory, and MMIO. */

#define OTHER_GPA	(GMEM_DATA_GPA + BIT_ULL(30))
#define OTHER_SLOT	(GMEM_DATA_SLOT + 1)

/* From a device, so that KVM has to emulate the store. */
static u64 guest_store_from_device(void)
{
	u64 si = MMIO_GPA, di = OTHER_GPA, cx = 1;

	asm volatile("rep movsq" : "+S"(si), "+D"(di), "+c"(cx) : : "memory");
	return 0;
}

static void expect_mmio_read(struct kvm_vcpu *vcpu, u64 gpa, u64 val)
{
	struct kvm_run *run = vcpu->run;

	TEST_ASSERT(!guest_cmd_run(vcpu), "KVM_RUN, errno %d", errno);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write &&
		    run->mmio.phys_addr == gpa, "exit reason %u (%s)",
		    run->exit_reason, exit_reason_str(run->exit_reason));
	memcpy(run->mmio.data, &val, sizeof(val));
}

/*
 * A private gfn without a file has no memory for KVM either, whatever there is
 * at userspace_addr, and is never MMIO.
 */
static void check_no_memory(bool slot)
{
	u64 *hva = gmem_alloc_hva(OTHER_GPA, GMEM_PAGE_SIZE);
	struct private_vm p;

	private_vm_create(&p, 1);
	virt_map(p.vm, OTHER_GPA, OTHER_GPA, 1);
	private_vm_lock(&p);
	*hva = 0x5555;
	if (slot)
		vm_set_user_memory_region2(p.vm, OTHER_SLOT, 0, OTHER_GPA,
					   GMEM_PAGE_SIZE, hva, -1, 0);
	vm_mem_set_private(p.vm, OTHER_GPA, GMEM_PAGE_SIZE);

	guest_cmd_set(p.vcpu, GUEST_OP_CALL, (u64)guest_store_from_device, 0, 0);
	expect_mmio_read(p.vcpu, MMIO_GPA, 0x1234);
	guest_expect_private_fault(p.vcpu, OTHER_GPA);
	TEST_ASSERT(*hva == 0x5555, "0x%lx at userspace_addr", *hva);

	/* The guest starts over. */
	vm_mem_set_shared(p.vm, OTHER_GPA, GMEM_PAGE_SIZE);
	if (!slot)
		vm_set_user_memory_region2(p.vm, OTHER_SLOT, 0, OTHER_GPA,
					   GMEM_PAGE_SIZE, hva, -1, 0);
	expect_mmio_read(p.vcpu, MMIO_GPA, 0x4321);
	guest_cmd_finish(p.vcpu);
	TEST_ASSERT(*hva == 0x4321, "0x%lx at userspace_addr", *hva);
	private_vm_end(&p);
	gmem_free_hva(hva, GMEM_PAGE_SIZE);
}

static void test_private_memory_without_file_is_an_exit(void)
{
	check_no_memory(true);
}

static void test_private_memory_without_slot_is_an_exit(void)
{
	check_no_memory(false);
}

static u64 guest_fep_read_other(void)
{
	return guest_fep_read((u64 *)OTHER_GPA);
}

/* What KVM remembers as MMIO is of no effect once it is private memory. */
static void test_former_mmio_is_private_memory(void)
{
	struct private_vm p;
	struct gmem_slot other;
	u64 val;

	emul_force();
	private_vm_create(&p, 1);
	virt_map(p.vm, OTHER_GPA, OTHER_GPA, 1);
	private_vm_lock(&p);

	guest_cmd_set(p.vcpu, GUEST_OP_READ, OTHER_GPA, 0, 0);
	expect_mmio_read(p.vcpu, OTHER_GPA, 0x1234);
	guest_cmd_finish(p.vcpu);
	guest_cmd_set(p.vcpu, GUEST_OP_CALL, (u64)guest_fep_read_other, 0, 0);
	expect_mmio_read(p.vcpu, OTHER_GPA, 0x1234);
	guest_cmd_finish(p.vcpu);

	vm_mem_set_private(p.vm, OTHER_GPA, GMEM_PAGE_SIZE);
	guest_cmd_set(p.vcpu, GUEST_OP_CALL, (u64)guest_fep_read_other, 0, 0);
	guest_expect_private_fault(p.vcpu, OTHER_GPA);

	gmem_slot_add(&other, p.vm, OTHER_SLOT, OTHER_GPA, GMEM_PAGE_SIZE, NULL,
		      -1, 0);
	guest_cmd_finish(p.vcpu);
	val = guest_cmd_of(p.vcpu)->value;
	TEST_ASSERT(!val, "read 0x%lx", val);
	private_vm_end(&p);
	gmem_slot_free(&other);
	emul_restore();
}

/* Pages that KVM shares with the guest. */

static struct pvclock_vcpu_time_info guest_clock_copy;
static struct pvclock_wall_clock guest_wall_copy;

static u64 guest_copy_clock(void)
{
	memcpy(&guest_clock_copy, (void *)CLOCK_GPA, sizeof(guest_clock_copy));
	memcpy(&guest_wall_copy, (void *)WALL_GPA, sizeof(guest_wall_copy));
	return 0;
}

static u64 guest_clear_clock(void)
{
	memset((void *)CLOCK_GPA, 0, sizeof(guest_clock_copy));
	return 0;
}

static void check_clock(const struct pvclock_vcpu_time_info *clock,
			const char *when)
{
	TEST_ASSERT(clock->version && !(clock->version & 1) &&
		    clock->tsc_to_system_mul,
		    "%s: version %u, mul %u", when, clock->version,
		    clock->tsc_to_system_mul);
}

static void check_guest_clock(struct private_vm *p, const char *when)
{
	guest_call(p->vcpu, guest_copy_clock);
	sync_global_from_guest(p->vm, guest_clock_copy);
	check_clock(&guest_clock_copy, when);
}

static void update_clock(struct private_vm *p)
{
	vcpu_ioctl(p->vcpu, KVM_KVMCLOCK_CTRL, NULL);
	guest_do(p->vcpu, GUEST_OP_NOP, 0, 0, 0);
}

static void test_clock_is_in_private_memory(void)
{
	struct pvclock_wall_clock *wall = &guest_wall_copy;
	struct private_vm p;

	private_vm_start(&p, 1);
	guest_call(p.vcpu, guest_clock_on);
	update_clock(&p);
	check_guest_clock(&p, "set");
	sync_global_from_guest(p.vm, guest_wall_copy);
	TEST_ASSERT(wall->version && !(wall->version & 1) && wall->sec,
		    "wall clock: version %u, sec %u", wall->version, wall->sec);

	gmem_slot_punch_hole(&p.slot, CLOCK_GPA, GMEM_PAGE_SIZE);
	update_clock(&p);
	check_guest_clock(&p, "punched");
	private_vm_end(&p);
}

/* KVM keeps an address of the page, which is good for one side only. */
static void test_clock_follows_the_attribute(void)
{
	struct pvclock_vcpu_time_info *shared;
	struct private_vm p;
	int i;

	private_vm_start(&p, 1);
	shared = private_vm_hva(&p, CLOCK_GPA);
	guest_call(p.vcpu, guest_clock_on);
	for (i = 0; i < 8; i++) {
		guest_call(p.vcpu, guest_clear_clock);
		update_clock(&p);
		check_guest_clock(&p, "private");
		private_vm_check(&p);

		private_vm_share(&p, CLOCK_GPA, GMEM_PAGE_SIZE);
		memset(shared, 0, sizeof(*shared));
		update_clock(&p);
		check_clock(shared, "shared");
		private_vm_unshare(&p, CLOCK_GPA, GMEM_PAGE_SIZE);
	}
	private_vm_end(&p);
}

/* Written by the guest, in memory that the host sees. */
static u64 guest_steal_version, guest_steal_preempted, guest_steal_stop;
static u64 guest_steal_steal;

static u64 guest_watch_steal(void)
{
	struct kvm_steal_time *st = (void *)STEAL_GPA;

	while (!READ_ONCE(guest_steal_stop)) {
		if (READ_ONCE(st->preempted) & KVM_VCPU_PREEMPTED)
			WRITE_ONCE(guest_steal_preempted, 1);
		WRITE_ONCE(guest_steal_version, READ_ONCE(st->version));
		WRITE_ONCE(guest_steal_steal, READ_ONCE(st->steal));
	}
	return 0;
}

static u64 *of_guest(struct private_vm *p, u64 *var)
{
	return addr_gva2hva(p->vm, (vm_vaddr_t)var);
}

/* One vCPU shares its CPU with a thread, the other one looks. */
static void test_steal_time_is_in_private_memory(void)
{
	u64 *version, *preempted, *steal;
	pthread_t vcpu, watch, other;
	struct private_vm p;
	u32 compete = 1;
	u64 until;

	private_vm_start(&p, 2);
	version = of_guest(&p, &guest_steal_version);
	preempted = of_guest(&p, &guest_steal_preempted);
	steal = of_guest(&p, &guest_steal_steal);
	guest_call(p.vcpus[0], guest_steal_on);

	pin_to_cpu(1);
	guest_cmd_set(p.vcpus[0], GUEST_OP_CALL, (u64)guest_count, 0, 0);
	guest_cmd_set(p.vcpus[1], GUEST_OP_CALL, (u64)guest_watch_steal, 0, 0);
	pthread_create(&watch, NULL, finish_thread, p.vcpus[1]);
	pthread_create(&other, NULL, compete_thread, &compete);
	pthread_create(&vcpu, NULL, finish_on_cpu0_thread, p.vcpus[0]);

	until = now_ms() + 100000;
	while (!READ_ONCE(*preempted) || !READ_ONCE(*steal) ||
	       !READ_ONCE(*version)) {
		TEST_ASSERT(now_ms() < until,
			    "preempted %lu, steal %lu, version %lu",
			    *preempted, *steal, *version);
		usleep(1000);
	}

	guest_count_stop(p.vm);
	*of_guest(&p, &guest_steal_stop) = 1;
	pthread_join(vcpu, NULL);
	pthread_join(watch, NULL);
	WRITE_ONCE(compete, 0);
	pthread_join(other, NULL);
	private_vm_end(&p);
}

/* Where it is shared, the usual way works as ever. */
static void test_steal_time_follows_the_attribute(void)
{
	struct kvm_steal_time *shared;
	struct private_vm p;
	u32 version = 0;
	int i;

	private_vm_start(&p, 1);
	shared = private_vm_hva(&p, STEAL_GPA);
	guest_call(p.vcpu, guest_steal_on);
	for (i = 0; i < 8; i++) {
		guest_do(p.vcpu, GUEST_OP_NOP, 0, 0, 0);
		private_vm_check(&p);

		private_vm_share(&p, STEAL_GPA, GMEM_PAGE_SIZE);
		memset(shared, 0, sizeof(*shared));
		/* Updated when the vCPU comes back to a CPU. */
		sched_yield();
		guest_call(p.vcpu, guest_steal_on);
		guest_do(p.vcpu, GUEST_OP_NOP, 0, 0, 0);
		version = shared->version;
		TEST_ASSERT(version && !(version & 1), "version %u", version);
		private_vm_unshare(&p, STEAL_GPA, GMEM_PAGE_SIZE);
	}
	private_vm_end(&p);
}

static void test_pv_eoi_is_in_private_memory(void)
{
	struct private_vm p;

	private_vm_start(&p, 1);
	emul_run_pv_eoi(p.vcpu);
	private_vm_end(&p);
}

/*
 * Asynchronous page faults: the guest reads a page that the host lacks, is told
 * so by a #PF, waits, and is told that it is there by an interrupt.
 */
#define APF_GPA		DATA_PAGE(24)
#define guest_apf	((struct kvm_vcpu_pv_apf_data *)APF_GPA)

static u64 guest_apf_token, guest_apf_ready;

/* All that have been told of a page may look, when this is switched on. */
#define APF_WAKE_ALL	~0u

static void guest_apf_irq(struct ex_regs *regs)
{
	u32 token = guest_apf->token;

	if (token != APF_WAKE_ALL) {
		GUEST_ASSERT_2(token == guest_apf_token, token, guest_apf_token);
		guest_apf_ready = 1;
	}
	guest_apf->token = 0;
	wrmsr(MSR_KVM_ASYNC_PF_ACK, 1);
	x2apic_write_reg(APIC_EOI, 0);
}

static void guest_apf_fault(struct ex_regs *regs)
{
	GUEST_ASSERT_1(guest_apf->flags == KVM_PV_REASON_PAGE_NOT_PRESENT,
		       guest_apf->flags);
	asm volatile("mov %%cr2, %0" : "=r"(guest_apf_token));
	guest_apf->flags = 0;

	asm volatile("sti" : : : "memory");
	while (!READ_ONCE(guest_apf_ready))
		cpu_relax();
	asm volatile("cli" : : : "memory");
}

static u64 guest_async_pf(void)
{
	u64 val;

	x2apic_enable();
	wrmsr(MSR_KVM_ASYNC_PF_INT, IRQ_VECTOR);
	wrmsr(MSR_KVM_ASYNC_PF_EN, APF_GPA | KVM_ASYNC_PF_ENABLED |
	      KVM_ASYNC_PF_SEND_ALWAYS | KVM_ASYNC_PF_DELIVERY_AS_INT);
	asm volatile("sti" : : : "memory");
	val = READ_ONCE(*(u64 *)OTHER_GPA);
	asm volatile("cli" : : : "memory");
	GUEST_ASSERT(guest_apf_ready);
	return val;
}

static void test_async_pf_is_in_private_memory(void)
{
	void *hva = gmem_alloc_hva(OTHER_GPA, GMEM_PAGE_SIZE);
	struct missing_page missing;
	struct private_vm p;
	u64 val, *token, until;
	pthread_t vcpu;

	private_vm_create(&p, 1);
	virt_map(p.vm, OTHER_GPA, OTHER_GPA, 1);
	vm_install_exception_handler(p.vm, PF_VECTOR, guest_apf_fault);
	vm_install_exception_handler(p.vm, IRQ_VECTOR, guest_apf_irq);
	private_vm_lock(&p);
	vm_set_user_memory_region2(p.vm, OTHER_SLOT, 0, OTHER_GPA,
				   GMEM_PAGE_SIZE, hva, -1, 0);

	missing_page_init(&missing, hva);
	guest_cmd_set(p.vcpu, GUEST_OP_CALL, (u64)guest_async_pf, 0, 0);
	pthread_create(&vcpu, NULL, finish_thread, p.vcpu);
	missing_page_wait(&missing);
	/* Let the guest learn of it first. */
	token = of_guest(&p, &guest_apf_token);
	until = now_ms() + 100000;
	while (!READ_ONCE(*token)) {
		TEST_ASSERT(now_ms() < until, "the guest is not told");
		usleep(1000);
	}
	missing_page_provide(&missing, 0x1234);
	pthread_join(vcpu, NULL);
	val = guest_cmd_of(p.vcpu)->value;
	TEST_ASSERT(val == 0x1234, "read 0x%lx", val);
	private_vm_end(&p);
	gmem_free_hva(hva, GMEM_PAGE_SIZE);
}

/*
 * The last close of a file does not wait for a vCPU that is in a page fault, which may
 * be waiting for the thread that closes.
 */
struct provider {
	struct missing_page missing;
	bool closed;
};

static void *provide_late(void *arg)
{
	struct provider *p = arg;
	u64 until = now_ms() + 20000;

	while (!READ_ONCE(p->closed) && now_ms() < until)
		usleep(1000);
	missing_page_provide(&p->missing, 0x1234);
	return NULL;
}

static void test_close_does_not_wait_for_a_fault(void)
{
	void *hva = gmem_alloc_hva(OTHER_GPA, GMEM_PAGE_SIZE);
	struct provider p = {};
	struct guest_fixture f;
	pthread_t vcpu, late;
	u64 start;

	guest_start_private(&f, GMEM_PAGES(4));
	virt_map(f.vm, OTHER_GPA, OTHER_GPA, 1);
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, 0, OTHER_GPA,
				   GMEM_PAGE_SIZE, hva, -1, 0);
	guest_fill(f.vcpu, GMEM_DATA_GPA, GMEM_PAGES(4), 1);
	missing_page_init(&p.missing, hva);
	/* The guest takes no interrupts: the vCPU waits itself. */
	guest_cmd_set(f.vcpu, GUEST_OP_READ, OTHER_GPA, 0, 0);
	pthread_create(&vcpu, NULL, finish_thread, f.vcpu);
	missing_page_wait(&p.missing);

	pthread_create(&late, NULL, provide_late, &p);
	start = now_ms();
	close(f.slot.fd);
	start = now_ms() - start;
	WRITE_ONCE(p.closed, true);
	pthread_join(late, NULL);
	pthread_join(vcpu, NULL);
	TEST_ASSERT(start < 10000, "closed after %lu ms", start);
	ASSERT_EQ(guest_cmd_of(f.vcpu)->value, 0x1234ULL);
	/* The file's memory has gone, and the slot is still there. */
	guest_cmd_set(f.vcpu, GUEST_OP_READ, GMEM_DATA_GPA, 0, 0);
	guest_expect_private_fault(f.vcpu, GMEM_DATA_GPA);
	f.slot.own_fd = false;
	guest_end(&f);
	gmem_free_hva(hva, GMEM_PAGE_SIZE);
}

/* CPUID. */

static u64 guest_kvm_features(void)
{
	u32 eax, ebx, ecx, edx;

	cpuid(KVM_CPUID_FEATURES, &eax, &ebx, &ecx, &edx);
	return eax;
}

static u64 features_of(u64 type, bool set)
{
	struct kvm_cpuid_entry2 *entry;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	u64 eax;

	vm = __vm_create_type(VM_MODE_DEFAULT, 1, 0, type);
	vcpu = vm_vcpu_add(vm, 0, guest_cmd_loop);
	guest_cmd_init(vcpu);
	entry = vcpu_get_cpuid_entry(vcpu, KVM_CPUID_FEATURES);
	entry->eax &= ~BIT(KVM_FEATURE_SW_PROTECTED);
	if (set)
		entry->eax |= BIT(KVM_FEATURE_SW_PROTECTED);
	vcpu_set_cpuid(vcpu);
	eax = guest_call(vcpu, guest_kvm_features);
	kvm_vm_free(vm);
	return eax;
}

static void test_cpuid_tells_the_type_of_the_vm(void)
{
	const struct kvm_cpuid_entry2 *entry;
	int set;

	entry = get_cpuid_entry(kvm_get_supported_cpuid(), KVM_CPUID_FEATURES, 0);
	TEST_ASSERT(!(entry->eax & BIT(KVM_FEATURE_SW_PROTECTED)),
		    "supported in any VM");
	for (set = 0; set < 2; set++) {
		TEST_ASSERT(features_of(KVM_X86_SW_PROTECTED_VM, set) &
			    BIT(KVM_FEATURE_SW_PROTECTED),
			    "not visible, %d", set);
		TEST_ASSERT(!(features_of(KVM_X86_DEFAULT_VM, set) &
			      BIT(KVM_FEATURE_SW_PROTECTED)),
			    "visible in an ordinary VM, %d", set);
	}
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_private_instructions_are_skipped),
	GMEM_TEST(test_two_vcpus_run_from_private_memory),
	GMEM_TEST(test_string_instructions_of_devices),
	GMEM_TEST(test_forced_emulation),
	GMEM_TEST(test_access_can_be_on_both_sides),
	GMEM_TEST(test_access_follows_the_attribute),
	GMEM_TEST(test_hole_is_filled_by_writes),
	GMEM_TEST(test_walks_set_accessed_and_dirty_bits),
	GMEM_TEST(test_translate_walks_private_tables),
	GMEM_TEST(test_private_memory_without_file_is_an_exit),
	GMEM_TEST(test_private_memory_without_slot_is_an_exit),
	GMEM_TEST(test_former_mmio_is_private_memory),
	GMEM_TEST(test_clock_is_in_private_memory),
	GMEM_TEST(test_clock_follows_the_attribute),
	GMEM_TEST(test_steal_time_is_in_private_memory),
	GMEM_TEST(test_steal_time_follows_the_attribute),
	GMEM_TEST(test_pv_eoi_is_in_private_memory),
	GMEM_TEST(test_async_pf_is_in_private_memory),
	GMEM_TEST(test_close_does_not_wait_for_a_fault),
	GMEM_TEST(test_cpuid_tells_the_type_of_the_vm),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
