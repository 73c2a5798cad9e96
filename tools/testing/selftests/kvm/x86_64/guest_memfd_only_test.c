// SPDX-License-Identifier: GPL-2.0
/*
 * VMs to which guest_memfd is all the memory they have.
 *
 * An ordinary VM is built by the library, and then all of its memory, page
 * tables, code and stacks included, is moved into a file that can be mapped;
 * its slot has no userspace_addr.  A second file is the data slot at 4 GiB.
 * The host looks at both through mappings of the files.
 *
 * KVM must find everything in the files: what the guest maps, page tables that
 * it walks or shadows, operands of instructions that it emulates, and the pages
 * that it shares with the guest.
 *
 * Each test is run with the TDP MMU and with the older direct MMU.  Where KVM
 * has no two-dimensional paging, both are shadow paging.
 *
 * A shadow page that goes has KVM look up the slots of what it maps.  Lockdep
 * sees whether that is protected: run this on a debug kernel, too.
 */
#include <asm/kvm_para.h>
#include <asm/pvclock-abi.h>
#include <pthread.h>

#include "guest_memfd_emul.h"
#include "guest_memfd_map.h"
#include "race.h"

#define TDP_MMU		"tdp_mmu"

struct only {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[2];
	struct kvm_vcpu *vcpu;
	int fd;			/* the VM's own memory */
	int data_fd;
	u8 *data;
};

static void data_slot_set(struct only *o, u64 gpa, u64 size, u64 offset)
{
	vm_set_user_memory_region2(o->vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   gpa, size, NULL, o->data_fd, offset);
}

static void data_slot_delete(struct only *o)
{
	vm_set_user_memory_region2(o->vm, GMEM_DATA_SLOT, 0, GMEM_DATA_GPA, 0,
				   NULL, -1, 0);
}

static void only_start(struct only *o, u32 nr_vcpus)
{
	u32 i;

	o->vm = __vm_create_with_vcpus(VM_MODE_DEFAULT, nr_vcpus, DATA_PAGES,
				       guest_cmd_loop, o->vcpus);
	o->vcpu = o->vcpus[0];
	virt_map(o->vm, GMEM_DATA_GPA, GMEM_DATA_GPA, DATA_PAGES);
	emul_map(o->vm);
	vm_init_descriptor_tables(o->vm);
	for (i = 0; i < nr_vcpus; i++) {
		vcpu_init_descriptor_tables(o->vcpus[i]);
		guest_cmd_init(o->vcpus[i]);
	}

	o->fd = gmem_vm_to_file(o->vm);
	o->data_fd = vm_create_guest_memfd(o->vm, DATA_SIZE, GMEM_SHARED_FLAGS);
	o->data = (u8 *)gmem_mmap(o->data_fd, DATA_SIZE, 0);
	data_slot_set(o, GMEM_DATA_GPA, DATA_SIZE, 0);
}

static void only_close_data(struct only *o)
{
	munmap(o->data, DATA_SIZE);
	close(o->data_fd);
}

static void only_end(struct only *o)
{
	only_close_data(o);
	kvm_vm_free(o->vm);
	close(o->fd);
}

static void *data_hva(struct only *o, u64 gpa)
{
	return o->data + (gpa - GMEM_DATA_GPA);
}

/* Each test is run with either MMU. */
#define TDP_MMU_TEST(fn)				\
static void fn##_tdp_mmu(void)				\
{							\
	kvm_param_write(TDP_MMU, "Y");			\
	fn();						\
}

#define DIRECT_MMU_TEST(fn)				\
static void fn##_direct_mmu(void)			\
{							\
	kvm_param_write(TDP_MMU, "N");			\
	fn();						\
}

/* Guest and host see one memory. */

static void test_guest_and_host_share_memory(void)
{
	struct only o;

	only_start(&o, 1);
	TEST_ASSERT(!gmem_allocated(o.data_fd), "allocated too early");
	guest_check_zero(o.vcpu, GMEM_DATA_GPA, DATA_SIZE);
	guest_fill(o.vcpu, GMEM_DATA_GPA, DATA_SIZE, 1);
	host_check(o.data, GMEM_DATA_GPA, DATA_SIZE, 1);
	host_fill(o.data, GMEM_DATA_GPA, DATA_SIZE, 2);
	guest_check(o.vcpu, GMEM_DATA_GPA, DATA_SIZE, 2);
	TEST_ASSERT(gmem_allocated(o.data_fd) == DATA_SIZE, "0x%lx allocated",
		    gmem_allocated(o.data_fd));
	only_end(&o);
}

TDP_MMU_TEST(test_guest_and_host_share_memory)
DIRECT_MMU_TEST(test_guest_and_host_share_memory)

static void test_vcpus_share_memory(void)
{
	struct only o;

	only_start(&o, 2);
	guest_fill(o.vcpus[0], GMEM_DATA_GPA, DATA_SIZE, 1);
	guest_check(o.vcpus[1], GMEM_DATA_GPA, DATA_SIZE, 1);
	guest_fill(o.vcpus[1], GMEM_DATA_GPA, DATA_SIZE, 2);
	guest_check(o.vcpus[0], GMEM_DATA_GPA, DATA_SIZE, 2);
	only_end(&o);
}

TDP_MMU_TEST(test_vcpus_share_memory)
DIRECT_MMU_TEST(test_vcpus_share_memory)

/* What is at userspace_addr has no meaning. */
static void test_userspace_addr_is_ignored(void)
{
	void *hva = gmem_alloc_hva(0, DATA_SIZE + GMEM_PAGE_SIZE);
	struct only o;

	only_start(&o, 1);
	memset(hva, 0x5a, DATA_SIZE + GMEM_PAGE_SIZE);
	data_slot_delete(&o);
	vm_set_user_memory_region2(o.vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA, DATA_SIZE,
				   hva + GMEM_PAGE_SIZE, o.data_fd, 0);
	guest_check_zero(o.vcpu, GMEM_DATA_GPA, DATA_SIZE);
	guest_fill(o.vcpu, GMEM_DATA_GPA, DATA_SIZE, 1);
	/* Nor what happens to it. */
	gmem_free_hva(hva, DATA_SIZE + GMEM_PAGE_SIZE);
	guest_check(o.vcpu, GMEM_DATA_GPA, DATA_SIZE, 1);
	host_check(o.data, GMEM_DATA_GPA, DATA_SIZE, 1);
	only_end(&o);
}

TDP_MMU_TEST(test_userspace_addr_is_ignored)
DIRECT_MMU_TEST(test_userspace_addr_is_ignored)

/* A file that cannot be mapped is for private memory, and here there is none. */
static void test_file_without_mmap_is_idle(void)
{
	void *hva = gmem_alloc_hva(GMEM_DATA_GPA, DATA_SIZE);
	struct only o;
	int fd;

	only_start(&o, 1);
	data_slot_delete(&o);
	fd = vm_create_guest_memfd(o.vm, DATA_SIZE, 0);
	vm_set_user_memory_region2(o.vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA, DATA_SIZE, hva, fd, 0);
	guest_fill(o.vcpu, GMEM_DATA_GPA, DATA_SIZE, 1);
	host_check(hva, GMEM_DATA_GPA, DATA_SIZE, 1);
	TEST_ASSERT(!gmem_allocated(fd), "0x%lx allocated", gmem_allocated(fd));
	close(fd);
	guest_check(o.vcpu, GMEM_DATA_GPA, DATA_SIZE, 1);
	only_end(&o);
	gmem_free_hva(hva, DATA_SIZE);
}

TDP_MMU_TEST(test_file_without_mmap_is_idle)
DIRECT_MMU_TEST(test_file_without_mmap_is_idle)

/* Slots and files come and go. */

static void test_slot_can_be_deleted_and_made_again(void)
{
	const u64 half = DATA_SIZE / 2;
	struct only o;

	only_start(&o, 1);
	guest_fill(o.vcpu, GMEM_DATA_GPA, DATA_SIZE, 1);

	/* The same memory once more. */
	data_slot_delete(&o);
	data_slot_set(&o, GMEM_DATA_GPA, DATA_SIZE, 0);
	guest_check(o.vcpu, GMEM_DATA_GPA, DATA_SIZE, 1);

	/* The file's second half, at the slot's beginning. */
	host_fill(o.data + half, GMEM_DATA_GPA, half, 2);
	data_slot_delete(&o);
	data_slot_set(&o, GMEM_DATA_GPA, half, half);
	guest_check(o.vcpu, GMEM_DATA_GPA, half, 2);
	host_check(o.data, GMEM_DATA_GPA, half, 1);
	only_end(&o);
}

TDP_MMU_TEST(test_slot_can_be_deleted_and_made_again)
DIRECT_MMU_TEST(test_slot_can_be_deleted_and_made_again)

static void test_closed_file_is_a_memory_fault(void)
{
	struct only o;

	only_start(&o, 1);
	guest_fill(o.vcpu, GMEM_DATA_GPA, DATA_SIZE, 1);
	only_close_data(&o);

	guest_cmd_set(o.vcpu, GUEST_OP_READ, DATA_PAGE(3), 0, 0);
	gmem_vcpu_run_memory_fault(o.vcpu, EFAULT, 0, DATA_PAGE(3),
				   GMEM_PAGE_SIZE);

	/* Another file repairs it. */
	data_slot_delete(&o);
	o.data_fd = vm_create_guest_memfd(o.vm, DATA_SIZE, GMEM_SHARED_FLAGS);
	o.data = (u8 *)gmem_mmap(o.data_fd, DATA_SIZE, 0);
	data_slot_set(&o, GMEM_DATA_GPA, DATA_SIZE, 0);
	*(u64 *)data_hva(&o, DATA_PAGE(3)) = 0x1234;
	guest_cmd_finish(o.vcpu);
	TEST_ASSERT(guest_cmd_of(o.vcpu)->value == 0x1234, "read 0x%lx",
		    guest_cmd_of(o.vcpu)->value);
	only_end(&o);
}

TDP_MMU_TEST(test_closed_file_is_a_memory_fault)
DIRECT_MMU_TEST(test_closed_file_is_a_memory_fault)

/* Holes. */

static void test_punched_page_is_new_for_all(void)
{
	struct only o;
	u64 i;

	only_start(&o, 1);
	guest_fill(o.vcpu, GMEM_DATA_GPA, DATA_SIZE, 1);
	for (i = 0; i < DATA_PAGES; i += 2) {
		gmem_punch_hole(o.data_fd, GMEM_PAGES(i), GMEM_PAGE_SIZE);
		guest_check_zero(o.vcpu, DATA_PAGE(i), GMEM_PAGE_SIZE);
		guest_write(o.vcpu, DATA_PAGE(i), i + 1);
		TEST_ASSERT(*(u64 *)data_hva(&o, DATA_PAGE(i)) == i + 1,
			    "page %lu: host sees 0x%lx", i,
			    *(u64 *)data_hva(&o, DATA_PAGE(i)));
		guest_check(o.vcpu, DATA_PAGE(i + 1), GMEM_PAGE_SIZE, 1);
	}
	only_end(&o);
}

TDP_MMU_TEST(test_punched_page_is_new_for_all)
DIRECT_MMU_TEST(test_punched_page_is_new_for_all)

/* Wait for the guest's next write to reach the file's present page. */
static void wait_for_count(struct only *o, u64 above)
{
	u64 *counter = data_hva(o, COUNTER_GPA);
	u64 until = now_ms() + 60000;

	while (READ_ONCE(*counter) <= above)
		TEST_ASSERT(now_ms() < until, "the guest's writes are lost");
}

static void test_punch_under_running_vcpu(void)
{
	pthread_t thread;
	struct only o;
	u64 count = 0;
	int i;

	only_start(&o, 1);
	guest_cmd_set(o.vcpu, GUEST_OP_CALL, (u64)guest_count, 0, 0);
	pthread_create(&thread, NULL, finish_thread, o.vcpu);
	for (i = 0; i < 100; i++) {
		wait_for_count(&o, count);
		count = READ_ONCE(*(u64 *)data_hva(&o, COUNTER_GPA));
		gmem_punch_hole(o.data_fd, COUNTER_GPA - GMEM_DATA_GPA,
				GMEM_PAGE_SIZE);
	}
	wait_for_count(&o, count);
	guest_count_stop(o.vm);
	pthread_join(thread, NULL);
	only_end(&o);
}

TDP_MMU_TEST(test_punch_under_running_vcpu)
DIRECT_MMU_TEST(test_punch_under_running_vcpu)

/* Page tables in the data slot. */

static u64 *table_of(struct only *o, u64 entry)
{
	u64 gpa = entry & PHYSICAL_PAGE_MASK;

	return gpa >= GMEM_DATA_GPA ? data_hva(o, gpa) :
				      addr_gpa2hva(o->vm, gpa);
}

static u64 *entry_of(struct only *o, u64 parent, u64 gva, int level)
{
	return table_of(o, parent) + ((gva >> (12 + 9 * (level - 1))) & 511);
}

static void move_table(struct only *o, u64 *entry, u64 gpa)
{
	memcpy(data_hva(o, gpa), table_of(o, *entry), GMEM_PAGE_SIZE);
	*entry = (*entry & ~PHYSICAL_PAGE_MASK) | gpa;
}

/* Have the tables of ALIAS_GVA in the data slot.  Before the first run. */
static void alias_setup(struct only *o)
{
	u64 *pml4e = entry_of(o, o->vm->pgd, ALIAS_GVA, 4);
	u64 *pdpe = entry_of(o, *pml4e, ALIAS_GVA, 3);

	move_table(o, pdpe, DATA_PAGE(PD_PAGE));
	move_table(o, entry_of(o, *pdpe, ALIAS_GVA, 2), DATA_PAGE(PT_PAGE));
}

static u64 guest_alias_vector(void)
{
	u64 val;

	return guest_read_safe(guest_alias, &val);
}

static void test_punched_page_table_is_empty(void)
{
	static const u64 tables[] = { PT_PAGE, PD_PAGE };
	struct only o;
	int i;

	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		only_start(&o, 1);
		alias_setup(&o);
		TEST_ASSERT(!guest_call(o.vcpu, guest_alias_vector),
			    "the tables are wrong");
		gmem_punch_hole(o.data_fd, GMEM_PAGES(tables[i]),
				GMEM_PAGE_SIZE);
		/* Without a flush by the guest. */
		TEST_ASSERT(guest_call(o.vcpu, guest_alias_vector) == PF_VECTOR,
			    "a table that has gone is still in use");
		only_end(&o);
	}
}

TDP_MMU_TEST(test_punched_page_table_is_empty)
DIRECT_MMU_TEST(test_punched_page_table_is_empty)

/*
 * The same while another slot comes and goes: what the shadow page of a table
 * has been for is looked up in slots that are just being replaced.
 */

#define RACE_LOOPS	300
#define RACE_MS		4000
#define RACE_SLOT	(GMEM_DATA_SLOT + 1)
#define RACE_GPA	(GMEM_DATA_GPA + BIT_ULL(30))
#define NR_TABLES	2

struct table_race {
	struct only o;
	u8 tables[NR_TABLES * GMEM_PAGE_SIZE];
	void *hva;
	int a, b;
};

static void setup_tables(void *ctx)
{
	struct table_race *r = ctx;

	memcpy(data_hva(&r->o, DATA_PAGE(PD_PAGE)), r->tables,
	       sizeof(r->tables));
	TEST_ASSERT(!guest_call(r->o.vcpu, guest_alias_vector),
		    "the tables are wrong");
}

static void a_punch_tables(void *ctx)
{
	struct table_race *r = ctx;

	r->a = errno_of(__gmem_punch_hole(r->o.data_fd, GMEM_PAGES(PD_PAGE),
					  sizeof(r->tables)));
}

static void b_change_slots(void *ctx)
{
	struct table_race *r = ctx;

	r->b = errno_of(__vm_set_user_memory_region2(r->o.vm, RACE_SLOT, 0,
						     RACE_GPA, GMEM_PAGE_SIZE,
						     r->hva, -1, 0));
	if (!r->b)
		r->b = errno_of(__vm_set_user_memory_region2(r->o.vm, RACE_SLOT,
							     0, RACE_GPA, 0,
							     NULL, -1, 0));
}

static bool check_tables(void *ctx)
{
	struct table_race *r = ctx;
	u64 vector = guest_call(r->o.vcpu, guest_alias_vector);

	if (!r->a && !r->b && vector == PF_VECTOR)
		return true;
	ksft_print_msg("A = %d, B = %d, vector %lu\n", r->a, r->b, vector);
	return false;
}

static void test_punched_page_table_against_changes_of_slots(void)
{
	static const struct race_ops ops = {
		.name = "punch tables, change slots",
		.setup = setup_tables,
		.run_a = a_punch_tables,
		.run_b = b_change_slots,
		.check = check_tables,
	};
	static struct table_race r;
	struct race_stats stats;

	only_start(&r.o, 1);
	alias_setup(&r.o);
	memcpy(r.tables, data_hva(&r.o, DATA_PAGE(PD_PAGE)), sizeof(r.tables));
	r.hva = gmem_alloc_hva(RACE_GPA, GMEM_PAGE_SIZE);
	TEST_ASSERT(race_run(&ops, &r, RACE_LOOPS, RACE_MS, &stats),
		    "they never met, or loop %u", stats.failed_at);
	gmem_free_hva(r.hva, GMEM_PAGE_SIZE);
	only_end(&r.o);
}

TDP_MMU_TEST(test_punched_page_table_against_changes_of_slots)
DIRECT_MMU_TEST(test_punched_page_table_against_changes_of_slots)

static u64 guest_edit_ptes(void)
{
	const u64 flags = PTE_PRESENT_MASK | PTE_WRITABLE_MASK;
	u64 i;

	for (i = 0; i < 3 * PD_PAGE; i++) {
		u64 gpa = DATA_PAGE(i % PD_PAGE);

		WRITE_ONCE(*guest_pte, gpa | flags);
		guest_invlpg(ALIAS_GVA);
		GUEST_ASSERT_3(READ_ONCE(*guest_alias) == *(u64 *)gpa, i,
			       *guest_alias, *(u64 *)gpa);
		WRITE_ONCE(*guest_alias, i + 1);
		GUEST_ASSERT_2(*(u64 *)gpa == i + 1, i, *(u64 *)gpa);
	}
	return i;
}

static void test_guest_edits_its_ptes(void)
{
	struct only o;

	only_start(&o, 1);
	alias_setup(&o);
	guest_fill(o.vcpu, GMEM_DATA_GPA, GMEM_PAGES(PD_PAGE), 1);
	guest_call(o.vcpu, guest_edit_ptes);
	only_end(&o);
}

TDP_MMU_TEST(test_guest_edits_its_ptes)
DIRECT_MMU_TEST(test_guest_edits_its_ptes)

/* Under shadow paging, writes to tables above the last are emulated. */
static u64 guest_edit_pde(void)
{
	u64 val, old, i;
	u8 done;

	for (i = 0; i < 16; i++) {
		GUEST_ASSERT(!guest_read_safe(guest_alias, &val));

		old = READ_ONCE(*guest_pde);
		val = 0;
		asm volatile("lock; cmpxchgq %3, %1; setz %0"
			     : "=q"(done), "+m"(*guest_pde), "+a"(val)
			     : "r"(~0ull) : "memory", "cc");
		GUEST_ASSERT_2(!done && val == old, val, old);
		GUEST_ASSERT(READ_ONCE(*guest_pde) == old);

		asm volatile("lock; cmpxchgq %3, %1; setz %0"
			     : "=q"(done), "+m"(*guest_pde), "+a"(val)
			     : "r"(old & ~PTE_PRESENT_MASK) : "memory", "cc");
		GUEST_ASSERT(done);
		guest_invlpg(ALIAS_GVA);
		GUEST_ASSERT(guest_read_safe(guest_alias, &val) == PF_VECTOR);

		asm volatile("lock; btsl $0, %0" : "+m"(*(u32 *)guest_pde)
			     : : "memory", "cc");
		GUEST_ASSERT(!guest_read_safe(guest_alias, &val));

		val = 0;
		asm volatile("xchgq %0, %1" : "+r"(val), "+m"(*guest_pde)
			     : : "memory");
		guest_invlpg(ALIAS_GVA);
		GUEST_ASSERT(guest_read_safe(guest_alias, &old) == PF_VECTOR);
		WRITE_ONCE(*guest_pde, val);
	}
	return 0;
}

static void test_guest_edits_its_pde(void)
{
	struct only o;

	only_start(&o, 1);
	alias_setup(&o);
	guest_call(o.vcpu, guest_edit_pde);
	only_end(&o);
}

TDP_MMU_TEST(test_guest_edits_its_pde)
DIRECT_MMU_TEST(test_guest_edits_its_pde)

static u64 guest_accessed_dirty(void)
{
	u64 i, pte = DATA_PAGE(7) | PTE_PRESENT_MASK | PTE_WRITABLE_MASK;

	for (i = 0; i < 8; i++) {
		WRITE_ONCE(*guest_pte, pte);
		guest_invlpg(ALIAS_GVA);
		READ_ONCE(*guest_alias);
		GUEST_ASSERT_1(READ_ONCE(*guest_pte) == (pte | PTE_ACCESSED_MASK),
			       *guest_pte);
		WRITE_ONCE(*guest_alias, i);
		GUEST_ASSERT_1(READ_ONCE(*guest_pte) ==
			       (pte | PTE_ACCESSED_MASK | PTE_DIRTY_MASK),
			       *guest_pte);
	}
	return 0;
}

static void test_accessed_and_dirty_bits_are_set(void)
{
	struct only o;

	only_start(&o, 1);
	alias_setup(&o);
	guest_call(o.vcpu, guest_accessed_dirty);
	only_end(&o);
}

TDP_MMU_TEST(test_accessed_and_dirty_bits_are_set)
DIRECT_MMU_TEST(test_accessed_and_dirty_bits_are_set)

/* What KVM emulates. */

/*
 * The stack for exceptions of user mode is in a page that once was a page table, so
 * that KVM has it write-protected, if it shadows page tables.  The CPU pushes with
 * the rights of the kernel, although it is user mode that it leaves.
 */
#define USER_CS		0x2b
#define USER_DS		0x33
/* Of the 64-bit TSS. */
#define TSS_RSP0	4
#define PTE_USER	BIT_ULL(2)

static u64 other_cr3, user_stack;

static void guest_user_code(void)
{
	asm volatile("ud2");
}

static u64 guest_enter_user_mode(void)
{
	u64 cr3 = get_cr3();

	/* As the root of another address space, and back. */
	asm volatile("mov %0, %%cr3" : : "r"(other_cr3) : "memory");
	asm volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
	asm volatile("pushq %[ss]\n"
		     "pushq %[sp]\n"
		     "pushq $2\n"
		     "pushq %[cs]\n"
		     "pushq %[ip]\n"
		     "iretq\n"
		     : : [ss]"i"(USER_DS), [sp]"r"(user_stack),
			 [cs]"i"(USER_CS), [ip]"r"(guest_user_code) : "memory");
	return 0;
}

static void guest_ud_handler(struct ex_regs *regs)
{
	GUEST_SYNC_ARGS(1, regs->cs, regs->rip == (u64)guest_user_code, 0, 0);
}

/* Let user mode have a page, at each level. */
static void map_for_user(struct kvm_vm *vm, u64 gva)
{
	u64 *table = addr_gpa2hva(vm, vm->pgd);
	int shift;

	for (shift = 39; ; shift -= 9) {
		u64 *pte = &table[gva >> shift & 511];

		*pte |= PTE_USER;
		if (shift == 12)
			return;
		table = addr_gpa2hva(vm, *pte & GENMASK_ULL(51, 12));
	}
}

static void set_up_user_mode(struct only *o, u64 stack)
{
	struct kvm_sregs sregs;
	u64 *gdt;
	void *tss;

	vm_install_exception_handler(o->vm, UD_VECTOR, guest_ud_handler);
	vcpu_sregs_get(o->vcpu, &sregs);
	gdt = addr_gva2hva(o->vm, sregs.gdt.base);
	gdt[USER_CS / 8] = 0x00affa000000ffffULL;
	gdt[USER_DS / 8] = 0x00cff2000000ffffULL;
	tss = addr_gva2hva(o->vm, sregs.tr.base);
	memcpy(tss + TSS_RSP0, &stack, sizeof(stack));
	map_for_user(o->vm, (u64)guest_user_code);
}

static void test_exception_of_user_mode_on_a_page_table(void)
{
	struct only o;
	struct ucall uc;
	u64 gva, *root;

	/* What it is about is a loop in the kernel. */
	alarm(60);
	only_start(&o, 1);
	gva = vm_vaddr_alloc_page(o.vm);
	root = addr_gva2hva(o.vm, gva);
	set_up_user_mode(&o, gva + GMEM_PAGE_SIZE);
	memcpy(root, addr_gpa2hva(o.vm, o.vm->pgd), GMEM_PAGE_SIZE);
	other_cr3 = addr_gva2gpa(o.vm, gva);
	user_stack = gva + GMEM_PAGE_SIZE;
	sync_global_to_guest(o.vm, other_cr3);
	sync_global_to_guest(o.vm, user_stack);

	guest_cmd_set(o.vcpu, GUEST_OP_CALL, (u64)guest_enter_user_mode, 0, 0);
	ASSERT_EQ(guest_cmd_run(o.vcpu), 0);
	ASSERT_EQ(get_ucall(o.vcpu, &uc), (u64)UCALL_SYNC);
	ASSERT_EQ(uc.args[2], (u64)USER_CS);
	ASSERT_EQ(uc.args[3], 1ULL);
	/* It has pushed there. */
	ASSERT_EQ(root[511], (u64)USER_DS);
	only_end(&o);
}

TDP_MMU_TEST(test_exception_of_user_mode_on_a_page_table)
DIRECT_MMU_TEST(test_exception_of_user_mode_on_a_page_table)

static void test_string_instructions_of_devices(void)
{
	struct only o;

	only_start(&o, 1);
	emul_run_string_io(o.vcpu);
	TEST_ASSERT(guest_string_is_right(data_hva(&o, STRING_GPA)),
		    "the host reads something else");
	only_end(&o);
}

TDP_MMU_TEST(test_string_instructions_of_devices)
DIRECT_MMU_TEST(test_string_instructions_of_devices)

static void test_forced_emulation(void)
{
	struct only o;

	emul_force();
	only_start(&o, 1);
	/* Half of it in a hole, which the emulated store must fill. */
	guest_call(o.vcpu, guest_forced_emulation);
	TEST_ASSERT(*(u64 *)data_hva(&o, FORCED_GPA) == FORCED_RESULT,
		    "the host sees 0x%lx", *(u64 *)data_hva(&o, FORCED_GPA));
	only_end(&o);
	emul_restore();
}

TDP_MMU_TEST(test_forced_emulation)
DIRECT_MMU_TEST(test_forced_emulation)

/* Pages that KVM shares with the guest. */

static void check_clock(struct only *o, const char *when)
{
	struct pvclock_vcpu_time_info *clock = data_hva(o, CLOCK_GPA);

	TEST_ASSERT(clock->version && !(clock->version & 1) &&
		    clock->tsc_to_system_mul,
		    "%s: version %u, mul %u", when, clock->version,
		    clock->tsc_to_system_mul);
}

static void test_clock_is_in_the_file(void)
{
	struct pvclock_wall_clock *wall;
	struct only o;
	int i;

	only_start(&o, 1);
	wall = data_hva(&o, WALL_GPA);
	guest_call(o.vcpu, guest_clock_on);
	/* The clock is updated before the next entry. */
	guest_do(o.vcpu, GUEST_OP_NOP, 0, 0, 0);
	check_clock(&o, "set");
	TEST_ASSERT(wall->version && !(wall->version & 1) && wall->sec,
		    "wall clock: version %u, sec %u", wall->version, wall->sec);

	/* KVM must not go on with a page that is no longer the file's. */
	for (i = 0; i < 16; i++) {
		gmem_punch_hole(o.data_fd, CLOCK_GPA - GMEM_DATA_GPA,
				GMEM_PAGE_SIZE);
		vcpu_ioctl(o.vcpu, KVM_KVMCLOCK_CTRL, NULL);
		guest_do(o.vcpu, GUEST_OP_NOP, 0, 0, 0);
		check_clock(&o, "punched");
	}

	/* Nor with one that is no longer the slot's. */
	data_slot_delete(&o);
	data_slot_set(&o, GMEM_DATA_GPA, DATA_SIZE / 2, DATA_SIZE / 2);
	memset(data_hva(&o, CLOCK_GPA), 0, GMEM_PAGE_SIZE);
	vcpu_ioctl(o.vcpu, KVM_KVMCLOCK_CTRL, NULL);
	guest_do(o.vcpu, GUEST_OP_NOP, 0, 0, 0);
	host_check_zero(data_hva(&o, CLOCK_GPA), GMEM_PAGE_SIZE);
	o.data += DATA_SIZE / 2;
	check_clock(&o, "moved");
	o.data -= DATA_SIZE / 2;
	only_end(&o);
}

TDP_MMU_TEST(test_clock_is_in_the_file)
DIRECT_MMU_TEST(test_clock_is_in_the_file)

/* A vCPU that must share its CPU is preempted, and the guest can see that. */
static void test_steal_time_is_in_the_file(void)
{
	struct kvm_steal_time *st;
	pthread_t vcpu, other;
	u64 until, writes;
	u32 compete = 1;
	struct only o;

	only_start(&o, 1);
	st = data_hva(&o, STEAL_GPA);
	guest_call(o.vcpu, guest_steal_on);
	guest_do(o.vcpu, GUEST_OP_NOP, 0, 0, 0);
	TEST_ASSERT(st->version && !(st->version & 1), "version %u",
		    st->version);

	pin_to_cpu(1);
	guest_cmd_set(o.vcpu, GUEST_OP_CALL, (u64)guest_count, 0, 0);
	pthread_create(&other, NULL, compete_thread, &compete);
	pthread_create(&vcpu, NULL, finish_on_cpu0_thread, o.vcpu);
	until = now_ms() + 60000;
	while (!(READ_ONCE(st->preempted) & KVM_VCPU_PREEMPTED))
		TEST_ASSERT(now_ms() < until, "never marked as preempted");
	while (READ_ONCE(st->preempted) || !READ_ONCE(st->steal))
		TEST_ASSERT(now_ms() < until, "preempted for ever");

	/* And on with the page that takes its place. */
	writes = READ_ONCE(st->version);
	gmem_punch_hole(o.data_fd, STEAL_GPA - GMEM_DATA_GPA, GMEM_PAGE_SIZE);
	while (!READ_ONCE(st->version))
		TEST_ASSERT(now_ms() < until, "no update since %lu", writes);

	guest_count_stop(o.vm);
	pthread_join(vcpu, NULL);
	WRITE_ONCE(compete, 0);
	pthread_join(other, NULL);
	only_end(&o);
}

TDP_MMU_TEST(test_steal_time_is_in_the_file)
DIRECT_MMU_TEST(test_steal_time_is_in_the_file)

static void test_pv_eoi_is_in_the_file(void)
{
	struct only o;

	only_start(&o, 1);
	emul_run_pv_eoi(o.vcpu);
	only_end(&o);
}

TDP_MMU_TEST(test_pv_eoi_is_in_the_file)
DIRECT_MMU_TEST(test_pv_eoi_is_in_the_file)

/* System management mode has an address space of its own. */

#define SMRAM_GPA	0x30000ULL
#define SMRAM_SIZE	0x10000ULL
#define SMRAM_SLOT	((1 << 16) | 1)
#define SMRAM_HANDLER	0x8000
#define SMRAM_COUNTER	0x9000

static void smram_create(struct only *o, int fd, u8 *smram)
{
	/* incl %cs:SMRAM_COUNTER; rsm; in 16-bit code */
	static const u8 handler[] = {
		0x2e, 0x66, 0xff, 0x06, 0x00, 0x90, 0x0f, 0xaa,
	};

	memcpy(smram + SMRAM_HANDLER, handler, sizeof(handler));
	vm_set_user_memory_region2(o->vm, SMRAM_SLOT, KVM_MEM_GUEST_MEMFD,
				   SMRAM_GPA, SMRAM_SIZE, NULL, fd, 0);
}

static void run_smi(struct only *o)
{
	vcpu_ioctl(o->vcpu, KVM_SMI, NULL);
	guest_do(o->vcpu, GUEST_OP_NOP, 0, 0, 0);
}

static void test_smm_memory_is_in_a_file(void)
{
	struct only o;
	u32 *counter;
	u8 *smram;
	int fd, i;

	TEST_ASSERT(kvm_check_cap(KVM_CAP_X86_SMM), "no SMM");
	only_start(&o, 1);
	fd = vm_create_guest_memfd(o.vm, SMRAM_SIZE, GMEM_SHARED_FLAGS);
	smram = (u8 *)gmem_mmap(fd, SMRAM_SIZE, 0);
	counter = (u32 *)(smram + SMRAM_COUNTER);
	smram_create(&o, fd, smram);
	guest_fill(o.vcpu, GMEM_DATA_GPA, DATA_SIZE, 1);

	for (i = 1; i <= 4; i++) {
		run_smi(&o);
		TEST_ASSERT(*counter == i, "%u after %d", *counter, i);
	}

	/* Mappings of the other address space go, those of this one stay. */
	gmem_punch_hole(fd, SMRAM_COUNTER, GMEM_PAGE_SIZE);
	run_smi(&o);
	TEST_ASSERT(*counter == 1, "%u in a new page", *counter);
	guest_check(o.vcpu, GMEM_DATA_GPA, DATA_SIZE, 1);

	munmap(smram, SMRAM_SIZE);
	only_end(&o);
	close(fd);
}

TDP_MMU_TEST(test_smm_memory_is_in_a_file)
DIRECT_MMU_TEST(test_smm_memory_is_in_a_file)

/*
 * In a VM with private memory the attributes choose between the file and
 * userspace_addr, unless the file can be mapped.
 */
static void test_file_of_vm_with_private_memory_is_private(void)
{
	struct kvm_vcpu *vcpu;
	struct gmem_slot slot;
	struct kvm_vm *vm;
	int fd;

	/* Each test is a process that finds the setting as it was at first. */
	if (!(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM)))
		gmem_skip("no VMs with private memory");

	vm = guest_vm_create(1, &vcpu, DATA_SIZE, &slot);
	gmem_slot_delete(&slot);
	fd = vm_create_guest_memfd(vm, DATA_SIZE, GUEST_MEMFD_FLAG_INIT_SHARED);
	vm_set_user_memory_region2(vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA, DATA_SIZE, slot.hva, fd, 0);

	guest_fill(vcpu, GMEM_DATA_GPA, DATA_SIZE, 1);
	host_check(slot.hva, GMEM_DATA_GPA, DATA_SIZE, 1);
	TEST_ASSERT(!gmem_allocated(fd), "shared memory in the file");
	vm_mem_set_private(vm, GMEM_DATA_GPA, DATA_SIZE);
	guest_check_zero(vcpu, GMEM_DATA_GPA, DATA_SIZE);
	guest_fill(vcpu, GMEM_DATA_GPA, DATA_SIZE, 2);
	host_check(slot.hva, GMEM_DATA_GPA, DATA_SIZE, 1);
	TEST_ASSERT(gmem_allocated(fd) == DATA_SIZE, "0x%lx allocated",
		    gmem_allocated(fd));
	gmem_vm_free(vm, &slot);
	close(fd);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_guest_and_host_share_memory_tdp_mmu),
	GMEM_TEST(test_guest_and_host_share_memory_direct_mmu),
	GMEM_TEST(test_vcpus_share_memory_tdp_mmu),
	GMEM_TEST(test_vcpus_share_memory_direct_mmu),
	GMEM_TEST(test_userspace_addr_is_ignored_tdp_mmu),
	GMEM_TEST(test_userspace_addr_is_ignored_direct_mmu),
	GMEM_TEST(test_file_without_mmap_is_idle_tdp_mmu),
	GMEM_TEST(test_file_without_mmap_is_idle_direct_mmu),
	GMEM_TEST(test_slot_can_be_deleted_and_made_again_tdp_mmu),
	GMEM_TEST(test_slot_can_be_deleted_and_made_again_direct_mmu),
	GMEM_TEST(test_closed_file_is_a_memory_fault_tdp_mmu),
	GMEM_TEST(test_closed_file_is_a_memory_fault_direct_mmu),
	GMEM_TEST(test_punched_page_is_new_for_all_tdp_mmu),
	GMEM_TEST(test_punched_page_is_new_for_all_direct_mmu),
	GMEM_TEST(test_punch_under_running_vcpu_tdp_mmu),
	GMEM_TEST(test_punch_under_running_vcpu_direct_mmu),
	GMEM_TEST(test_punched_page_table_is_empty_tdp_mmu),
	GMEM_TEST(test_punched_page_table_is_empty_direct_mmu),
	GMEM_TEST(test_punched_page_table_against_changes_of_slots_tdp_mmu),
	GMEM_TEST(test_punched_page_table_against_changes_of_slots_direct_mmu),
	GMEM_TEST(test_guest_edits_its_ptes_tdp_mmu),
	GMEM_TEST(test_guest_edits_its_ptes_direct_mmu),
	GMEM_TEST(test_guest_edits_its_pde_tdp_mmu),
	GMEM_TEST(test_guest_edits_its_pde_direct_mmu),
	GMEM_TEST(test_accessed_and_dirty_bits_are_set_tdp_mmu),
	GMEM_TEST(test_accessed_and_dirty_bits_are_set_direct_mmu),
	GMEM_TEST(test_exception_of_user_mode_on_a_page_table_tdp_mmu),
	GMEM_TEST(test_exception_of_user_mode_on_a_page_table_direct_mmu),
	GMEM_TEST(test_string_instructions_of_devices_tdp_mmu),
	GMEM_TEST(test_string_instructions_of_devices_direct_mmu),
	GMEM_TEST(test_forced_emulation_tdp_mmu),
	GMEM_TEST(test_forced_emulation_direct_mmu),
	GMEM_TEST(test_clock_is_in_the_file_tdp_mmu),
	GMEM_TEST(test_clock_is_in_the_file_direct_mmu),
	GMEM_TEST(test_steal_time_is_in_the_file_tdp_mmu),
	GMEM_TEST(test_steal_time_is_in_the_file_direct_mmu),
	GMEM_TEST(test_pv_eoi_is_in_the_file_tdp_mmu),
	GMEM_TEST(test_pv_eoi_is_in_the_file_direct_mmu),
	GMEM_TEST(test_smm_memory_is_in_a_file_tdp_mmu),
	GMEM_TEST(test_smm_memory_is_in_a_file_direct_mmu),
	GMEM_TEST(test_file_of_vm_with_private_memory_is_private),
};

int main(void)
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
