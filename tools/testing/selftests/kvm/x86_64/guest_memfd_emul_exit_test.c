// SPDX-License-Identifier: GPL-2.0
/*
 * How KVM_RUN leaves when KVM itself cannot do what the guest has asked for.
 *
 * Descriptor tables and their operands in private memory that is not there are
 * KVM_EXIT_MEMORY_FAULT, as any other access; what userspace writes to the exit
 * reason in struct kvm_run decides nothing; a hypercall has succeeded unless
 * userspace says otherwise; an event that cannot be delivered, because the IDT is
 * no memory, is KVM_INTERNAL_ERROR_DELIVERY_EV.
 */
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>
#include <pthread.h>

#include "guest_memfd_emul.h"

/* An address that the guest can reach and that no slot covers at first. */
#define OTHER_GPA	(GMEM_DATA_GPA + BIT_ULL(30))
#define OTHER_SLOT	(GMEM_DATA_SLOT + 1)

/* What used to be an endless loop in the kernel. */
#define LOOP_SECONDS	40

/*
 * A page of OTHER_GPA: an operand of LGDT or LIDT at its beginning, where a GDT
 * has no descriptor, and descriptors.
 */
#define SEL_LDT		0x40
#define SEL_TSS		0x50
#define SEL_DATA	0x60
#define DESC_LDT	0x000082000000ffffULL
#define DESC_TSS	0x0000890000000067ULL
#define DESC_TSS_BUSY	0x00008b0000000067ULL
/* Not accessed, so that loading it writes. */
#define DESC_DATA	0x00cf92000000ffffULL
#define DESC_DATA_ACCESSED 0x00cf93000000ffffULL

#define OPERAND_LIMIT	0xabc
#define OPERAND_BASE	0x12345000ULL

static void fill_other(void *page)
{
	u64 *desc = page;

	*(u16 *)page = OPERAND_LIMIT;
	*(u64 *)(page + 2) = OPERAND_BASE;
	desc[SEL_LDT / 8] = DESC_LDT;
	desc[SEL_TSS / 8] = DESC_TSS;
	desc[SEL_DATA / 8] = DESC_DATA;
}

static u64 guest_lgdt(void)
{
	asm volatile(KVM_FEP "lgdt (%0)" : : "r"(OTHER_GPA) : "memory");
	return 1;
}

static u64 guest_lidt(void)
{
	asm volatile(KVM_FEP "lidt (%0)" : : "r"(OTHER_GPA) : "memory");
	return 1;
}

static u64 guest_sgdt(void)
{
	asm volatile(KVM_FEP "sgdt (%0)" : : "r"(OTHER_GPA) : "memory");
	return 1;
}

static u64 guest_sidt(void)
{
	asm volatile(KVM_FEP "sidt (%0)" : : "r"(OTHER_GPA) : "memory");
	return 1;
}

/*
 * With a selector from a device the CPU cannot do it, so that KVM reads, and to
 * set a bit writes, the descriptor.
 */
static u64 guest_lldt(void)
{
	asm volatile("lldt (%0)" : : "r"(MMIO_GPA) : "memory");
	return 1;
}

static u64 guest_ltr(void)
{
	asm volatile("ltr (%0)" : : "r"(MMIO_GPA) : "memory");
	return 1;
}

static u64 guest_load_fs(void)
{
	asm volatile("movw (%0), %%fs" : : "r"(MMIO_GPA) : "memory");
	return 1;
}

static u64 guest_lfs(void)
{
	asm volatile("lfs (%0), %%eax" : : "r"(MMIO_GPA) : "memory", "eax");
	return 1;
}

/* What the device answers: a selector, perhaps after an offset of 32 bits. */
static u64 device_answer(u64 (*fn)(void))
{
	if (fn == guest_lldt)
		return SEL_LDT;
	if (fn == guest_ltr)
		return SEL_TSS;
	return fn == guest_lfs ? (u64)SEL_DATA << 32 : SEL_DATA;
}

static void run_device(struct kvm_vcpu *vcpu, u64 val)
{
	struct kvm_run *run = vcpu->run;

	ASSERT_EQ(guest_cmd_run(vcpu), 0);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write &&
		    run->mmio.phys_addr == MMIO_GPA, "exit reason %u (%s)",
		    run->exit_reason, exit_reason_str(run->exit_reason));
	memcpy(run->mmio.data, &val, sizeof(val));
}

static void gdt_at_other(struct kvm_vcpu *vcpu)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.gdt.base = OTHER_GPA;
	sregs.gdt.limit = GMEM_PAGE_SIZE - 1;
	vcpu_sregs_set(vcpu, &sregs);
}

static void check_loaded(struct kvm_dtable *dt)
{
	TEST_ASSERT(dt->limit == OPERAND_LIMIT && dt->base == OPERAND_BASE,
		    "limit 0x%x base 0x%llx", dt->limit, dt->base);
}

/* The instruction was executed, once there was memory to execute it with. */
static void check_result(struct kvm_vcpu *vcpu, u64 (*fn)(void), void *page)
{
	u64 *desc = page;
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	if (fn == guest_lgdt)
		check_loaded(&sregs.gdt);
	else if (fn == guest_lidt)
		check_loaded(&sregs.idt);
	else if (fn == guest_sgdt)
		ASSERT_EQ(*(u64 *)(page + 2), sregs.gdt.base);
	else if (fn == guest_sidt)
		ASSERT_EQ(*(u64 *)(page + 2), sregs.idt.base);
	else if (fn == guest_lldt)
		ASSERT_EQ(sregs.ldt.selector, SEL_LDT);
	else if (fn == guest_ltr)
		ASSERT_EQ(desc[SEL_TSS / 8], DESC_TSS_BUSY);
	else
		ASSERT_EQ(desc[SEL_DATA / 8], DESC_DATA_ACCESSED);
}

static void descriptor_start(struct guest_fixture *f, void *hva)
{
	alarm(LOOP_SECONDS);
	guest_start(f, GMEM_PAGES(1));
	virt_map(f->vm, OTHER_GPA, OTHER_GPA, 1);
	emul_map(f->vm);
	fill_other(hva);
	vm_set_user_memory_region2(f->vm, OTHER_SLOT, 0, OTHER_GPA,
				   GMEM_PAGE_SIZE, hva, -1, 0);
	vm_mem_set_private(f->vm, OTHER_GPA, GMEM_PAGE_SIZE);
	guest_do(f->vcpu, GUEST_OP_NOP, 0, 0, 0);
}

static void descriptor_end(struct guest_fixture *f, u64 (*fn)(void), void *hva)
{
	guest_cmd_finish(f->vcpu);
	ASSERT_EQ(guest_cmd_of(f->vcpu)->value, 1);
	check_result(f->vcpu, fn, hva);
	guest_end(f);
	gmem_free_hva(hva, GMEM_PAGE_SIZE);
}

static void check_operand(u64 (*fn)(void))
{
	void *hva = gmem_alloc_hva(OTHER_GPA, GMEM_PAGE_SIZE);
	struct guest_fixture f;

	emul_force();
	descriptor_start(&f, hva);
	guest_cmd_set(f.vcpu, GUEST_OP_CALL, (u64)fn, 0, 0);
	guest_expect_private_fault(f.vcpu, OTHER_GPA);
	guest_expect_private_fault(f.vcpu, OTHER_GPA);

	vm_mem_set_shared(f.vm, OTHER_GPA, GMEM_PAGE_SIZE);
	descriptor_end(&f, fn, hva);
	emul_restore();
}

static void check_descriptor(u64 (*fn)(void))
{
	void *hva = gmem_alloc_hva(OTHER_GPA, GMEM_PAGE_SIZE);
	struct guest_fixture f;
	int i;

	descriptor_start(&f, hva);
	gdt_at_other(f.vcpu);
	guest_cmd_set(f.vcpu, GUEST_OP_CALL, (u64)fn, 0, 0);
	for (i = 0; i < 2; i++) {
		run_device(f.vcpu, device_answer(fn));
		guest_expect_private_fault(f.vcpu, OTHER_GPA);
	}

	/* The guest starts over. */
	vm_mem_set_shared(f.vm, OTHER_GPA, GMEM_PAGE_SIZE);
	run_device(f.vcpu, device_answer(fn));
	descriptor_end(&f, fn, hva);
}

static void test_lgdt_operand_exits(void)
{
	check_operand(guest_lgdt);
}

static void test_lidt_operand_exits(void)
{
	check_operand(guest_lidt);
}

static void test_sgdt_operand_exits(void)
{
	check_operand(guest_sgdt);
}

static void test_sidt_operand_exits(void)
{
	check_operand(guest_sidt);
}

static void test_ldt_descriptor_exits(void)
{
	check_descriptor(guest_lldt);
}

static void test_tss_descriptor_exits(void)
{
	check_descriptor(guest_ltr);
}

static void test_segment_descriptor_exits(void)
{
	check_descriptor(guest_load_fs);
}

static void test_far_pointer_descriptor_exits(void)
{
	check_descriptor(guest_lfs);
}

/* Page tables: the guest's own access never gets that far, only KVM's. */

static u64 guest_out_alias(void)
{
	u64 si = ALIAS_GVA;

	asm volatile("outsb" : "+S"(si) : "d"(PIO_PORT) : "memory");
	return 1;
}

static void expect_io(struct kvm_vcpu *vcpu, u32 count)
{
	struct kvm_run *run = vcpu->run;

	ASSERT_EQ(guest_cmd_run(vcpu), 0);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_IO && run->io.port == PIO_PORT &&
		    run->io.size * run->io.count == count,
		    "exit reason %u (%s)", run->exit_reason,
		    exit_reason_str(run->exit_reason));
}

static void test_page_table_exits(void)
{
	void *hva = gmem_alloc_hva(OTHER_GPA, GMEM_PAGE_SIZE);
	struct guest_fixture f;
	u64 *entry;
	int level;

	alarm(LOOP_SECONDS);
	guest_start(&f, GMEM_PAGES(1));
	emul_map(f.vm);
	entry = addr_gpa2hva(f.vm, f.vm->pgd);
	for (level = 4; level > 2; level--) {
		entry += (ALIAS_GVA >> (12 + 9 * (level - 1))) & 511;
		entry = addr_gpa2hva(f.vm, *entry & PHYSICAL_PAGE_MASK);
	}
	entry += (ALIAS_GVA >> 21) & 511;
	/* The last table is moved to where no slot is. */
	memcpy(hva, addr_gpa2hva(f.vm, *entry & PHYSICAL_PAGE_MASK),
	       GMEM_PAGE_SIZE);
	*entry = (*entry & ~PHYSICAL_PAGE_MASK) | OTHER_GPA;
	vm_mem_set_private(f.vm, OTHER_GPA, GMEM_PAGE_SIZE);
	guest_do(f.vcpu, GUEST_OP_NOP, 0, 0, 0);

	guest_cmd_set(f.vcpu, GUEST_OP_CALL, (u64)guest_out_alias, 0, 0);
	guest_expect_private_fault(f.vcpu, OTHER_GPA);
	guest_expect_private_fault(f.vcpu, OTHER_GPA);

	vm_set_user_memory_region2(f.vm, OTHER_SLOT, 0, OTHER_GPA,
				   GMEM_PAGE_SIZE, hva, -1, 0);
	vm_mem_set_shared(f.vm, OTHER_GPA, GMEM_PAGE_SIZE);
	expect_io(f.vcpu, 1);
	guest_cmd_finish(f.vcpu);
	ASSERT_EQ(guest_cmd_of(f.vcpu)->value, 1);
	guest_end(&f);
	gmem_free_hva(hva, GMEM_PAGE_SIZE);
}

/*
 * Where KVM can have a slot of its own, for the page of the local APIC.  No guest
 * has seen that page, and what is private is not in it.
 */
#define APIC_GPA	0xfee00000ULL

static u64 guest_out_apic(void)
{
	u64 si = APIC_GPA + 0x20;

	asm volatile("outsb" : "+S"(si) : "d"(PIO_PORT) : "memory");
	return 1;
}

static u64 guest_in_apic(void)
{
	u64 di = APIC_GPA + 0x20, cx = 4;

	asm volatile("rep insb" : "+D"(di), "+c"(cx) : "d"(PIO_PORT) : "memory");
	return 1;
}

static void check_private_apic(u64 (*fn)(void))
{
	struct guest_fixture f;

	alarm(LOOP_SECONDS);
	guest_start(&f, GMEM_PAGES(1));
	virt_map(f.vm, APIC_GPA, APIC_GPA, 1);
	vm_mem_set_private(f.vm, APIC_GPA, GMEM_PAGE_SIZE);
	guest_do(f.vcpu, GUEST_OP_NOP, 0, 0, 0);
	guest_cmd_set(f.vcpu, GUEST_OP_CALL, (u64)fn, 0, 0);
	if (fn == guest_in_apic)
		expect_io(f.vcpu, 4);
	guest_expect_private_fault(f.vcpu, APIC_GPA);
	guest_end(&f);
}

static void test_private_apic_page_is_not_read(void)
{
	check_private_apic(guest_out_apic);
}

static void test_private_apic_page_is_not_written(void)
{
	check_private_apic(guest_in_apic);
}

/* The library's, of the guest's code. */
#define GUEST_CODE_SELECTOR	8
/* KVM_FEP, which KVM has skipped. */
#define FEP_LEN			5

/*
 * An instruction that has written to a device before it finds private memory
 * missing: the call pushes twice, in two pages.
 */
static u64 guest_call_far(void)
{
	struct {
		u32 offset;
		u16 selector;
	} __packed target = { .selector = GUEST_CODE_SELECTOR };
	u64 sp = MMIO_GPA + 4;

	asm volatile("mov %%rsp, %%rbx\n\t"
		     "movl $1f, (%0)\n\t"
		     "mov %1, %%rsp\n\t"
		     KVM_FEP "lcall *(%0)\n"
		     "1: mov %%rbx, %%rsp"
		     : : "r"(&target), "r"(sp) : "rbx", "memory");
	return 1;
}

static void test_device_before_a_private_fault(void)
{
	const u64 gpa = MMIO_GPA - GMEM_PAGE_SIZE;
	void *hva = gmem_alloc_hva(gpa, GMEM_PAGE_SIZE);
	struct guest_fixture f;
	struct kvm_regs regs;
	struct kvm_run *run;
	int i;

	emul_force();
	alarm(LOOP_SECONDS);
	guest_start(&f, GMEM_PAGES(1));
	emul_map(f.vm);
	virt_map(f.vm, gpa, gpa, 1);
	vm_mem_set_private(f.vm, gpa, GMEM_PAGE_SIZE);
	guest_do(f.vcpu, GUEST_OP_NOP, 0, 0, 0);
	run = f.vcpu->run;

	guest_cmd_set(f.vcpu, GUEST_OP_CALL, (u64)guest_call_far, 0, 0);
	/* Always by KVM: what emulates this CPU uses 16 bits of the stack pointer. */
	for (i = 0; i < 3; i++) {
		guest_expect_private_fault(f.vcpu, gpa);
		vcpu_regs_get(f.vcpu, &regs);
		regs.rip -= FEP_LEN;
		vcpu_regs_set(f.vcpu, &regs);
	}
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, 0, gpa, GMEM_PAGE_SIZE, hva,
				   -1, 0);
	vm_mem_set_shared(f.vm, gpa, GMEM_PAGE_SIZE);
	ASSERT_EQ(guest_cmd_run(f.vcpu), 0);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_MMIO && run->mmio.is_write &&
		    run->mmio.phys_addr == MMIO_GPA, "exit reason %u (%s)",
		    run->exit_reason, exit_reason_str(run->exit_reason));
	guest_cmd_finish(f.vcpu);
	ASSERT_EQ(guest_cmd_of(f.vcpu)->value, 1);
	guest_end(&f);
	gmem_free_hva(hva, GMEM_PAGE_SIZE);
	emul_restore();
}

/* The exit reason is userspace's, and no memory of KVM's. */

#define SCRIBBLE_EXITS	20000

static u64 guest_out(void)
{
	u64 i;

	for (i = 0; i < SCRIBBLE_EXITS; i++)
		asm volatile("outb %%al, %w0" : : "d"(PIO_PORT));
	return 1;
}

struct scribbler {
	struct kvm_run *run;
	bool stop;
};

static void *scribble_thread(void *arg)
{
	struct scribbler *s = arg;

	while (!READ_ONCE(s->stop))
		WRITE_ONCE(s->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	return NULL;
}

static void test_exit_reason_is_not_read_back(void)
{
	struct guest_fixture f;
	struct scribbler s = {};
	u64 i, met = 0;
	pthread_t thread;

	guest_start(&f, GMEM_PAGES(1));
	guest_cmd_set(f.vcpu, GUEST_OP_CALL, (u64)guest_out, 0, 0);
	s.run = f.vcpu->run;
	pthread_create(&thread, NULL, scribble_thread, &s);
	for (i = 0; i < SCRIBBLE_EXITS ||
	     (!met && i < 100 * SCRIBBLE_EXITS); i++) {
		int ret = __vcpu_run(f.vcpu);

		TEST_ASSERT(!ret, "KVM_RUN %lu = %d, errno %d", i, ret, errno);
		met += READ_ONCE(s.run->exit_reason) == KVM_EXIT_MEMORY_FAULT;
	}
	WRITE_ONCE(s.stop, true);
	pthread_join(thread, NULL);
	TEST_ASSERT(met, "nothing was written in %lu exits", i);
	pr_info("%lu of %lu exits met a write\n", met, i);

	guest_cmd_finish(f.vcpu);
	guest_end(&f);
}

/* Hypercalls. */

static u64 guest_map_gpa_range(void)
{
	return kvm_hypercall(KVM_HC_MAP_GPA_RANGE, GMEM_DATA_GPA, 1,
			     KVM_MAP_GPA_RANGE_ENCRYPTED, 0);
}

static u64 map_gpa_range(struct guest_fixture *f, const u64 *answer)
{
	struct kvm_run *run = f->vcpu->run;

	guest_cmd_set(f->vcpu, GUEST_OP_CALL, (u64)guest_map_gpa_range, 0, 0);
	/* What an earlier exit may have left. */
	memset(&run->hw, 0x5a, sizeof(run->padding));
	ASSERT_EQ(guest_cmd_run(f->vcpu), 0);
	ASSERT_EQ(run->exit_reason, KVM_EXIT_HYPERCALL);
	ASSERT_EQ(run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
	ASSERT_EQ(run->hypercall.args[0], GMEM_DATA_GPA);
	ASSERT_EQ(run->hypercall.ret, 0);
	if (answer)
		run->hypercall.ret = *answer;
	guest_cmd_finish(f->vcpu);
	return guest_cmd_of(f->vcpu)->value;
}

static void test_hypercall_has_succeeded(void)
{
	const u64 refused = -KVM_EINVAL;
	struct guest_fixture f;

	guest_start(&f, GMEM_PAGES(1));
	vm_enable_cap(f.vm, KVM_CAP_EXIT_HYPERCALL,
		      BIT(KVM_HC_MAP_GPA_RANGE));
	ASSERT_EQ(map_gpa_range(&f, NULL), 0);
	ASSERT_EQ(map_gpa_range(&f, &refused), refused);
	ASSERT_EQ(map_gpa_range(&f, NULL), 0);
	guest_end(&f);
}

/* Events that cannot be delivered. */

static u64 guest_ud(void)
{
	asm volatile("ud2");
	return 1;
}

static u64 guest_gp(void)
{
	WRITE_ONCE(*(u64 *)0xaaaaaaaaaaaaaaaaULL, 1);
	return 1;
}

static u64 guest_pf(void)
{
	return READ_ONCE(*(u64 *)0xdead000ULL);
}

static u64 guest_int(void)
{
	asm volatile("int $0x21");
	return 1;
}

static void idt_at_other(struct kvm_vcpu *vcpu)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.idt.base = OTHER_GPA;
	sregs.idt.limit = GMEM_PAGE_SIZE - 1;
	vcpu_sregs_set(vcpu, &sregs);
}

static void check_no_delivery(u64 (*fn)(void), u8 vector)
{
	u64 gpa = OTHER_GPA + vector * sizeof(struct idt_entry);
	struct guest_fixture f;
	struct kvm_run *run;

	alarm(LOOP_SECONDS);
	guest_start(&f, GMEM_PAGES(1));
	virt_map(f.vm, OTHER_GPA, OTHER_GPA, 1);
	guest_do(f.vcpu, GUEST_OP_NOP, 0, 0, 0);
	idt_at_other(f.vcpu);
	run = f.vcpu->run;

	guest_cmd_set(f.vcpu, GUEST_OP_CALL, (u64)fn, 0, 0);
	ASSERT_EQ(guest_cmd_run(f.vcpu), 0);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_INTERNAL_ERROR,
		    "exit reason %u (%s)", run->exit_reason,
		    exit_reason_str(run->exit_reason));
	ASSERT_EQ(run->internal.suberror, KVM_INTERNAL_ERROR_DELIVERY_EV);
	ASSERT_EQ(run->internal.ndata, 5);
	ASSERT_EQ(run->internal.data[3], gpa);
	guest_end(&f);
}

static void test_ud_is_not_delivered(void)
{
	check_no_delivery(guest_ud, UD_VECTOR);
}

static void test_gp_is_not_delivered(void)
{
	check_no_delivery(guest_gp, GP_VECTOR);
}

static void test_pf_is_not_delivered(void)
{
	check_no_delivery(guest_pf, PF_VECTOR);
}

static void test_int_is_not_delivered(void)
{
	check_no_delivery(guest_int, 0x21);
}

/* An IDT in private memory that is not there is not MMIO; the event waits. */
static void test_private_idt_is_a_memory_fault(void)
{
	void *hva = gmem_alloc_hva(OTHER_GPA, GMEM_PAGE_SIZE);
	struct guest_fixture f;

	alarm(LOOP_SECONDS);
	guest_start(&f, GMEM_PAGES(1));
	virt_map(f.vm, OTHER_GPA, OTHER_GPA, 1);
	vm_init_descriptor_tables(f.vm);
	vcpu_init_descriptor_tables(f.vcpu);
	memcpy(hva, addr_gva2hva(f.vm, f.vm->idt), GMEM_PAGE_SIZE);
	guest_do(f.vcpu, GUEST_OP_NOP, 0, 0, 0);
	idt_at_other(f.vcpu);
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, 0, OTHER_GPA,
				   GMEM_PAGE_SIZE, hva, -1, 0);
	vm_mem_set_private(f.vm, OTHER_GPA, GMEM_PAGE_SIZE);

	guest_cmd_set(f.vcpu, GUEST_OP_CALL, (u64)guest_int, 0, 0);
	guest_expect_private_fault(f.vcpu, OTHER_GPA);
	vm_mem_set_shared(f.vm, OTHER_GPA, GMEM_PAGE_SIZE);
	/* The library reports a vector without a handler. */
	ASSERT_EQ(guest_cmd_run(f.vcpu), 0);
	ASSERT_EQ(get_ucall(f.vcpu, NULL), UCALL_UNHANDLED);

	guest_end(&f);
	gmem_free_hva(hva, GMEM_PAGE_SIZE);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_lgdt_operand_exits),
	GMEM_TEST(test_lidt_operand_exits),
	GMEM_TEST(test_sgdt_operand_exits),
	GMEM_TEST(test_sidt_operand_exits),
	GMEM_TEST(test_ldt_descriptor_exits),
	GMEM_TEST(test_tss_descriptor_exits),
	GMEM_TEST(test_segment_descriptor_exits),
	GMEM_TEST(test_far_pointer_descriptor_exits),
	GMEM_TEST(test_page_table_exits),
	GMEM_TEST(test_private_apic_page_is_not_read),
	GMEM_TEST(test_private_apic_page_is_not_written),
	GMEM_TEST(test_device_before_a_private_fault),
	GMEM_TEST(test_exit_reason_is_not_read_back),
	GMEM_TEST(test_hypercall_has_succeeded),
	GMEM_TEST(test_ud_is_not_delivered),
	GMEM_TEST(test_gp_is_not_delivered),
	GMEM_TEST(test_pf_is_not_delivered),
	GMEM_TEST(test_int_is_not_delivered),
	GMEM_TEST(test_private_idt_is_a_memory_fault),
};

int main(void)
{
	int ret;

	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	ret = gmem_run_tests(tests, ARRAY_SIZE(tests));
	emul_restore();
	return ret;
}
