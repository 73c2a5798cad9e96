// SPDX-License-Identifier: GPL-2.0
/*
 * How KVM_RUN leaves when KVM itself cannot do what the guest has asked for.
 *
 * Descriptor tables and their operands, task states, and vectors of real mode, in
 * private memory that is not there, are KVM_EXIT_MEMORY_FAULT, as any other
 * access; what userspace writes to the exit reason in struct kvm_run decides
 * nothing; a hypercall has succeeded unless userspace says otherwise; an event
 * that cannot be delivered, because the IDT is no memory, is
 * KVM_INTERNAL_ERROR_DELIVERY_EV.
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

/*
 * A vCPU without long mode runs a few bytes of code.  The VM's only slot is at 0;
 * OLD_MODE_GPA, where something lies that the CPU or KVM needs, is private and in
 * no slot at first.  Interrupts in real mode and task switches are done by some
 * CPUs and left to KVM by others, and the guest sees no difference.
 */
#define OLD_MODE_SIZE	GMEM_PAGES(8)
#define OLD_MODE_GPA	0x100000
#define OLD_MODE_CODE	0x1000
#define OLD_MODE_STACK	0x2000
#define OLD_MODE_GDT	0x3000
#define OLD_MODE_IDT	0x4000
#define OLD_MODE_TSS	0x5000
#define OLD_MODE_PD	0x6000
/* Where it goes to if all is well: out %al, (%dx), with all bits of %dx set. */
#define OLD_MODE_END	0x1800
#define OLD_MODE_PORT	0xffff
#define OLD_MODE_VECTOR	0x21

#define SEL_CODE32	0x08
#define SEL_DATA32	0x10
#define SEL_TASK_A	0x18
#define SEL_TASK_B	0x20
#define DESC_CODE32	0x00cf9b000000ffffULL
#define DESC_DATA32	0x00cf93000000ffffULL
#define EFLAGS_IF	BIT(9)
#define DESC_BUSY	BIT_ULL(41)
#define DESC_TASK(base)	(DESC_TSS | (u64)(base) << 16)
#define GATE_TASK	((u64)SEL_TASK_B << 16 | 0x85ULL << 40)

/* The 32-bit task state segment, as far as it is used here. */
struct tss32 {
	u32 link, unused[6], cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp,
	    esi, edi, es, cs, ss, ds, fs, gs, ldt, trace;
};

struct old_mode {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	u8 *mem;	/* at 0 */
	u8 *hva;	/* at OLD_MODE_GPA, once it is provided */
};

static void old_mode_segment(struct kvm_segment *seg, bool protected, bool code)
{
	*seg = (struct kvm_segment) {
		.limit = protected ? 0xffffffff : 0xffff,
		.type = code && protected ? 11 : 3,
		.present = 1,
		.s = 1,
		.db = protected,
		.g = protected,
	};
	if (protected)
		seg->selector = code ? SEL_CODE32 : SEL_DATA32;
}

static void old_mode_start(struct old_mode *m, bool protected,
			   const void *code, size_t len)
{
	static const u8 end[] = { 0xee, 0xeb, 0xfd };	/* and again */
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rip = OLD_MODE_CODE,
		.rsp = OLD_MODE_STACK,
		.rflags = 0x2,
		.rdx = OLD_MODE_PORT,
	};

	alarm(LOOP_SECONDS);
	m->vm = gmem_vm_create_barebones();
	vm_ioctl(m->vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000UL);
	m->mem = gmem_alloc_hva(0, OLD_MODE_SIZE);
	m->hva = gmem_alloc_hva(OLD_MODE_GPA, GMEM_PAGE_SIZE);
	vm_set_user_memory_region2(m->vm, 0, 0, 0, OLD_MODE_SIZE, m->mem, -1, 0);
	vm_mem_set_private(m->vm, OLD_MODE_GPA, GMEM_PAGE_SIZE);
	m->vcpu = __vm_vcpu_add(m->vm, 0);

	memcpy(m->mem + OLD_MODE_CODE, code, len);
	memcpy(m->mem + OLD_MODE_END, end, sizeof(end));
	vcpu_sregs_get(m->vcpu, &sregs);
	sregs.cr0 = X86_CR0_ET | (protected ? X86_CR0_PE : 0);
	old_mode_segment(&sregs.cs, protected, true);
	old_mode_segment(&sregs.ds, protected, false);
	sregs.es = sregs.ds;
	sregs.fs = sregs.ds;
	sregs.gs = sregs.ds;
	sregs.ss = sregs.ds;
	vcpu_sregs_set(m->vcpu, &sregs);
	vcpu_regs_set(m->vcpu, &regs);
}

/* Twice: it starts over, and has done nothing. */
static void old_mode_expect_fault(struct old_mode *m, u64 rip)
{
	struct kvm_regs regs;
	int i;

	for (i = 0; i < 2; i++) {
		guest_expect_private_fault(m->vcpu, OLD_MODE_GPA);
		vcpu_regs_get(m->vcpu, &regs);
		ASSERT_EQ(regs.rip, rip);
		ASSERT_EQ(regs.rsp, OLD_MODE_STACK);
	}
}

/* With its memory, the guest comes to OLD_MODE_END. */
static void old_mode_run(struct old_mode *m)
{
	struct kvm_run *run = m->vcpu->run;

	vm_set_user_memory_region2(m->vm, 1, 0, OLD_MODE_GPA, GMEM_PAGE_SIZE,
				   m->hva, -1, 0);
	vm_mem_set_shared(m->vm, OLD_MODE_GPA, GMEM_PAGE_SIZE);
	ASSERT_EQ(guest_cmd_run(m->vcpu), 0);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_IO &&
		    run->io.port == OLD_MODE_PORT, "exit reason %u (%s)",
		    run->exit_reason, exit_reason_str(run->exit_reason));
}

static void old_mode_end(struct old_mode *m)
{
	kvm_vm_free(m->vm);
	gmem_free_hva(m->mem, OLD_MODE_SIZE);
	gmem_free_hva(m->hva, GMEM_PAGE_SIZE);
}

/* Paging is turned on; KVM loads the four entries of the first table. */
static void test_page_directory_pointers_exit(void)
{
	static const u8 code[] = {
		0x0f, 0x20, 0xc0,			/* mov %cr0, %eax */
		0x0d, 0x00, 0x00, 0x00, 0x80,		/* or $X86_CR0_PG, %eax */
		0x0f, 0x22, 0xc0,			/* mov %eax, %cr0 */
		0xe9, 0xf0, 0x07, 0x00, 0x00,		/* jmp OLD_MODE_END */
	};
	struct kvm_sregs sregs;
	struct old_mode m;

	old_mode_start(&m, true, code, sizeof(code));
	vcpu_sregs_get(m.vcpu, &sregs);
	sregs.cr3 = OLD_MODE_GPA;
	sregs.cr4 |= X86_CR4_PAE;
	vcpu_sregs_set(m.vcpu, &sregs);
	*(u64 *)m.hva = OLD_MODE_PD | PTE_PRESENT_MASK;
	*(u64 *)(m.mem + OLD_MODE_PD) = PTE_PRESENT_MASK | PTE_WRITABLE_MASK |
					PTE_LARGE_MASK;

	old_mode_expect_fault(&m, OLD_MODE_CODE + 8);
	vcpu_sregs_get(m.vcpu, &sregs);
	TEST_ASSERT(!(sregs.cr0 & X86_CR0_PG), "paging is on");
	old_mode_run(&m);
	vcpu_sregs_get(m.vcpu, &sregs);
	TEST_ASSERT(sregs.cr0 & X86_CR0_PG, "paging is off");
	old_mode_end(&m);
}

/* An interrupt whose vector, or whose stack, is not there. */
static void check_real_mode_interrupt(bool stack)
{
	static const u8 code[] = { 0xeb, 0xfe };
	struct kvm_interrupt irq = { .irq = OLD_MODE_VECTOR };
	u16 *frame, *vector;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct old_mode m;
	int i;

	old_mode_start(&m, false, code, sizeof(code));
	vcpu_sregs_get(m.vcpu, &sregs);
	vcpu_regs_get(m.vcpu, &regs);
	regs.rflags |= EFLAGS_IF;
	sregs.idt.limit = 0x3ff;
	if (stack) {
		/* The last bytes that a segment in real mode reaches. */
		sregs.ss.base = OLD_MODE_GPA - 0xf000;
		sregs.ss.selector = sregs.ss.base >> 4;
		regs.rsp = 0xfff0;
		frame = (u16 *)(m.hva + 0xfff0 - 0xf000 - 6);
		vector = (u16 *)m.mem;
	} else {
		sregs.idt.base = OLD_MODE_GPA;
		frame = (u16 *)(m.mem + OLD_MODE_STACK - 6);
		vector = (u16 *)m.hva;
	}
	vector[2 * OLD_MODE_VECTOR] = OLD_MODE_END;
	vcpu_sregs_set(m.vcpu, &sregs);
	vcpu_regs_set(m.vcpu, &regs);
	vcpu_ioctl(m.vcpu, KVM_INTERRUPT, &irq);
	for (i = 0; i < 2; i++)
		guest_expect_private_fault(m.vcpu, OLD_MODE_GPA);
	old_mode_run(&m);
	TEST_ASSERT(frame[0] == OLD_MODE_CODE && !frame[1] &&
		    (frame[2] & EFLAGS_IF), "pushed 0x%x 0x%x 0x%x",
		    frame[0], frame[1], frame[2]);
	vcpu_regs_get(m.vcpu, &regs);
	TEST_ASSERT(!(regs.rflags & EFLAGS_IF) &&
		    regs.rsp == (stack ? 0xfff0 : OLD_MODE_STACK) - 6,
		    "rflags 0x%llx rsp 0x%llx", regs.rflags, regs.rsp);
	old_mode_end(&m);
}

static void test_real_mode_vector_exits(void)
{
	check_real_mode_interrupt(false);
}

static void test_real_mode_stack_exits(void)
{
	check_real_mode_interrupt(true);
}

/*
 * From task A to task B; B's state is not there, or A's, or both.  As a jump, or
 * as an interrupt by the instruction for it, which links B to A.
 */
static void check_task_switch(bool gate, bool old, bool new)
{
	static const u8 jump[] = {
		0xea, 0, 0, 0, 0, SEL_TASK_B, 0,	/* ljmp $SEL_TASK_B, $0 */
		0xeb, 0xfe,
	};
	static const u8 interrupt[] = { 0xcd, OLD_MODE_VECTOR, 0xeb, 0xfe };
	u64 a_gpa = old ? OLD_MODE_GPA : OLD_MODE_TSS;
	u64 b_gpa = (new ? OLD_MODE_GPA : OLD_MODE_TSS) + 0x800;
	struct kvm_sregs sregs;
	struct tss32 *a, *b;
	struct old_mode m;
	u64 *gdt;

	if (gate)
		old_mode_start(&m, true, interrupt, sizeof(interrupt));
	else
		old_mode_start(&m, true, jump, sizeof(jump));
	gdt = (u64 *)(m.mem + OLD_MODE_GDT);
	gdt[SEL_CODE32 / 8] = DESC_CODE32;
	gdt[SEL_DATA32 / 8] = DESC_DATA32;
	gdt[SEL_TASK_A / 8] = DESC_TASK(a_gpa) | DESC_BUSY;
	gdt[SEL_TASK_B / 8] = DESC_TASK(b_gpa);
	((u64 *)(m.mem + OLD_MODE_IDT))[OLD_MODE_VECTOR] = GATE_TASK;
	a = (struct tss32 *)(old ? m.hva : m.mem + OLD_MODE_TSS);
	b = (struct tss32 *)((new ? m.hva : m.mem + OLD_MODE_TSS) + 0x800);
	*b = (struct tss32) {
		.eip = OLD_MODE_END, .eflags = 0x2, .edx = OLD_MODE_PORT,
		.esp = OLD_MODE_STACK, .cs = SEL_CODE32, .ss = SEL_DATA32,
		.ds = SEL_DATA32, .es = SEL_DATA32, .fs = SEL_DATA32,
		.gs = SEL_DATA32,
	};

	vcpu_sregs_get(m.vcpu, &sregs);
	sregs.gdt.base = OLD_MODE_GDT;
	sregs.gdt.limit = SEL_TASK_B + 7;
	sregs.idt.base = OLD_MODE_IDT;
	sregs.idt.limit = 8 * OLD_MODE_VECTOR + 7;
	sregs.tr = (struct kvm_segment) {
		.base = a_gpa, .limit = 0x67, .selector = SEL_TASK_A,
		.type = 11, .present = 1,
	};
	vcpu_sregs_set(m.vcpu, &sregs);

	old_mode_expect_fault(&m, OLD_MODE_CODE);
	vcpu_sregs_get(m.vcpu, &sregs);
	ASSERT_EQ(sregs.tr.selector, SEL_TASK_A);
	/* What A had may be saved already, and is once more. */
	TEST_ASSERT(!(gdt[SEL_TASK_B / 8] & DESC_BUSY), "half a switch");

	old_mode_run(&m);
	vcpu_sregs_get(m.vcpu, &sregs);
	ASSERT_EQ(sregs.tr.selector, SEL_TASK_B);
	ASSERT_EQ(a->eip, OLD_MODE_CODE + (gate ? 2 : 7));
	ASSERT_EQ(b->link, gate ? SEL_TASK_A : 0);
	TEST_ASSERT(!(gdt[SEL_TASK_A / 8] & DESC_BUSY) == !gate &&
		    gdt[SEL_TASK_B / 8] & DESC_BUSY, "tasks 0x%lx 0x%lx",
		    gdt[SEL_TASK_A / 8], gdt[SEL_TASK_B / 8]);
	old_mode_end(&m);
}

static void test_jump_to_a_missing_task_exits(void)
{
	check_task_switch(false, false, true);
}

static void test_jump_from_a_missing_task_exits(void)
{
	check_task_switch(false, true, false);
}

static void test_interrupt_by_a_missing_task_exits(void)
{
	check_task_switch(true, false, true);
}

static void test_interrupt_of_a_missing_task_exits(void)
{
	check_task_switch(true, true, true);
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
	for (i = 0; i < SCRIBBLE_EXITS; i++) {
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

static void idt_at(struct kvm_vcpu *vcpu, u64 base)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.idt.base = base;
	sregs.idt.limit = GMEM_PAGE_SIZE - 1;
	vcpu_sregs_set(vcpu, &sregs);
}

static void check_no_delivery_at(u64 base, u64 (*fn)(void), u8 vector)
{
	u64 gpa = base + vector * sizeof(struct idt_entry);
	struct guest_fixture f;
	struct kvm_run *run;

	alarm(LOOP_SECONDS);
	guest_start(&f, GMEM_PAGES(1));
	virt_map(f.vm, base, base, 1);
	guest_do(f.vcpu, GUEST_OP_NOP, 0, 0, 0);
	idt_at(f.vcpu, base);
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

static void check_no_delivery(u64 (*fn)(void), u8 vector)
{
	check_no_delivery_at(OTHER_GPA, fn, vector);
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

/* KVM's own page there, of VMX without APICv, is no memory for an IDT either. */
static void test_idt_at_the_apic_exits(void)
{
	check_no_delivery_at(0xfee00000, guest_ud, UD_VECTOR);
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
	idt_at(f.vcpu, OTHER_GPA);
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
	GMEM_TEST(test_page_directory_pointers_exit),
	GMEM_TEST(test_real_mode_vector_exits),
	GMEM_TEST(test_real_mode_stack_exits),
	GMEM_TEST(test_jump_to_a_missing_task_exits),
	GMEM_TEST(test_jump_from_a_missing_task_exits),
	GMEM_TEST(test_interrupt_by_a_missing_task_exits),
	GMEM_TEST(test_interrupt_of_a_missing_task_exits),
	GMEM_TEST(test_exit_reason_is_not_read_back),
	GMEM_TEST(test_hypercall_has_succeeded),
	GMEM_TEST(test_ud_is_not_delivered),
	GMEM_TEST(test_gp_is_not_delivered),
	GMEM_TEST(test_pf_is_not_delivered),
	GMEM_TEST(test_int_is_not_delivered),
	GMEM_TEST(test_idt_at_the_apic_exits),
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
