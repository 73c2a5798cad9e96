// SPDX-License-Identifier: GPL-2.0
/*
 * Nested guests in a VM to which guest_memfd is all the memory it has.
 *
 * The VM's own guest (L1) runs a nested one (L2).  All that hardware and KVM know
 * of L2 is in files: VMCS or VMCB, bitmaps, L2's page tables and the nested page
 * tables.  The latter are in the data slot at 4 GiB, one table a page, together
 * with the words that L2 counts in.
 *
 * L2 adds one to a word and calls L1, which tells the host, step by step; or L2
 * itself leaves to the host, with KVM still in L2.  Between two steps the host
 * takes away what KVM maps, shadows or has cached.
 *
 * Intel's VMX or AMD's SVM, whichever the host has; nested paging where L1 has it.
 */
#include <pthread.h>

#include "kvm_util.h"
#include "processor.h"
#include "svm_util.h"
#include "vmx.h"

#include "guest_memfd_guest.h"
#include "guest_memfd_map.h"
#include "race.h"

#define P		GMEM_PAGE_SIZE
#define NR_COUNTERS	8
#define L2_STACK	256

/* What is in the data slot, in pages. */
enum data_page {
	COUNTERS,
	TABLE_4 = COUNTERS + NR_COUNTERS,	/* the root */
	TABLE_3,
	TABLE_2_LOW,	/* all that the library allocates, in pieces of 2 MiB */
	TABLE_2_DATA,
	TABLE_1_DATA,	/* the data slot */
	MSR_LIST,	/* what VMX loads when it leaves L2 */
	NR_DATA_PAGES,
};

#define DATA_SIZE	(NR_DATA_PAGES * P)
#define DATA_PAGE(n)	(GMEM_DATA_GPA + (n) * P)
#define DATA_SLOT	1

/* What L1 tells the host, with one more number. */
enum step {
	STEP_CALL = 1,		/* L2 has called; the word that it counts in */
	STEP_VIOLATION,		/* L2 has met a hole in the nested tables; where */
	STEP_IN_L2,		/* from L2 itself; the word that it counts in */
	STEP_INVALID,		/* L2 could not be entered; the exit's reason */
};

struct nested {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	bool paging;
	int fd;			/* the VM's own memory */
	int data_fd;
	u64 *data;
	u8 tables[DATA_SIZE];	/* as they were at first */
};

/* Written by the host before the first run. */
static bool is_intel;
static u64 nested_root;		/* 0: without nested paging */
static u64 exits_in_l2;		/* L2 leaves to the host itself */
static u64 loads_msr;		/* on each exit of L2 to L1 */

/*
 * The guests
 */

/* Where L1 and L2 have the word: an address that an instruction can contain. */
#define WORD_GVA	0x40000000UL
#define WORD		READ_ONCE(*(u64 *)WORD_GVA)

static void l2_leave(void)
{
	GUEST_SYNC_ARGS(STEP_IN_L2, WORD, 0, 0, 0);
}

/*
 * Without a register: the library's L1 keeps none of L2's, wherever L2 has been
 * interrupted by a hole in its tables.
 */
static void l2_main(void)
{
	asm volatile("1:	incq %c[word]\n"
		     "	cmpq $0, %[exits]\n"
		     "	je 2f\n"
		     "	call %P[leave]\n"
		     "2:	cmpb $0, %[intel]\n"
		     "	je 3f\n"
		     "	vmcall\n"
		     "	jmp 1b\n"
		     "3:	vmmcall\n"
		     "	jmp 1b\n"
		     : : [word]"i"(WORD_GVA), [exits]"m"(exits_in_l2),
			 [leave]"i"(l2_leave), [intel]"m"(is_intel)
		     : "memory");
}

#define CALL_BYTES	3	/* of vmcall and vmmcall */

static void l1_tell(enum step step, u64 number)
{
	GUEST_SYNC_ARGS(step, number, 0, 0, 0);
}

static void l1_intel(struct vmx_pages *vmx, void *stack)
{
	bool launched = false;

	vmx->eptp_gpa = nested_root;
	GUEST_ASSERT(prepare_for_vmx_operation(vmx));
	GUEST_ASSERT(load_vmcs(vmx));
	prepare_vmcs(vmx, l2_main, stack);
	vmwrite(VM_EXIT_MSR_LOAD_ADDR, DATA_PAGE(MSR_LIST));
	vmwrite(VM_EXIT_MSR_LOAD_COUNT, loads_msr);
	for (;;) {
		u64 reason;

		if (launched ? vmresume() : vmlaunch()) {
			l1_tell(STEP_INVALID, vmreadz(VM_INSTRUCTION_ERROR));
			continue;
		}
		launched = true;
		reason = vmreadz(VM_EXIT_REASON);
		switch (reason) {
		case EXIT_REASON_VMCALL:
			vmwrite(GUEST_RIP, vmreadz(GUEST_RIP) + CALL_BYTES);
			l1_tell(STEP_CALL, WORD);
			break;
		case EXIT_REASON_EPT_VIOLATION:
			l1_tell(STEP_VIOLATION, vmreadz(GUEST_PHYSICAL_ADDRESS));
			break;
		default:
			l1_tell(STEP_INVALID, reason);
		}
	}
}

static void l1_amd(struct svm_test_data *svm, void *stack)
{
	struct vmcb *vmcb = svm->vmcb;

	generic_svm_setup(svm, l2_main, stack);
	if (nested_root) {
		vmcb->control.nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
		vmcb->control.nested_cr3 = nested_root;
	}
	for (;;) {
		run_guest(vmcb, svm->vmcb_gpa);
		switch (vmcb->control.exit_code) {
		case SVM_EXIT_VMMCALL:
			vmcb->save.rip += CALL_BYTES;
			l1_tell(STEP_CALL, WORD);
			break;
		case SVM_EXIT_NPF:
			l1_tell(STEP_VIOLATION, vmcb->control.exit_info_2);
			break;
		default:
			l1_tell(STEP_INVALID, vmcb->control.exit_code);
		}
	}
}

static void l1_main(void *structures)
{
	u64 stack[L2_STACK];

	if (is_intel)
		l1_intel(structures, &stack[L2_STACK - 16]);
	else
		l1_amd(structures, &stack[L2_STACK - 16]);
}

/*
 * The host
 */

/* Of a table that leads on, and of a leaf; accessed and dirty. */
static u64 link_bits(void)
{
	return is_intel ? 0x7 : 0x27;
}

static u64 leaf_bits(void)
{
	return is_intel ? 0x337 : 0x67;		/* EPT: write-back */
}

#define LARGE	BIT_ULL(7)

static u64 *table(struct nested *n, enum data_page page)
{
	return n->data + page * P / sizeof(u64);
}

static void build_tables(struct nested *n)
{
	u64 i;

	table(n, TABLE_4)[0] = DATA_PAGE(TABLE_3) | link_bits();
	table(n, TABLE_3)[0] = DATA_PAGE(TABLE_2_LOW) | link_bits();
	table(n, TABLE_3)[GMEM_DATA_GPA >> 30] =
		DATA_PAGE(TABLE_2_DATA) | link_bits();
	for (i = 0; i < 512; i++)
		table(n, TABLE_2_LOW)[i] = i << 21 | leaf_bits() | LARGE;
	table(n, TABLE_2_DATA)[0] = DATA_PAGE(TABLE_1_DATA) | link_bits();
	for (i = 0; i < NR_DATA_PAGES; i++)
		table(n, TABLE_1_DATA)[i] = DATA_PAGE(i) | leaf_bits();
	memcpy(n->tables, n->data, DATA_SIZE);
}

static void restore_table(struct nested *n, enum data_page page)
{
	memcpy(table(n, page), n->tables + page * P, P);
}

static void add_data_slot(struct nested *n)
{
	n->data_fd = vm_create_guest_memfd(n->vm, DATA_SIZE, GMEM_SHARED_FLAGS);
	n->data = (u64 *)gmem_mmap(n->data_fd, DATA_SIZE, 0);
	vm_set_user_memory_region2(n->vm, DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA, DATA_SIZE, NULL, n->data_fd, 0);
}

static bool has_nested_paging(struct kvm_vm *vm)
{
	return is_intel ? kvm_vm_has_ept(vm) : kvm_cpu_has(X86_FEATURE_NPT);
}

static void start(struct nested *n, bool paging)
{
	vm_vaddr_t structures;

	is_intel = kvm_cpu_has(X86_FEATURE_VMX);
	if (!is_intel && !kvm_cpu_has(X86_FEATURE_SVM))
		gmem_skip("no nested virtualization");
	n->paging = paging;
	n->vm = vm_create_with_one_vcpu(&n->vcpu, l1_main);
	if (paging && !has_nested_paging(n->vm))
		gmem_skip("no nested paging");
	virt_map(n->vm, GMEM_DATA_GPA, GMEM_DATA_GPA, NR_DATA_PAGES);
	virt_map(n->vm, WORD_GVA, DATA_PAGE(COUNTERS), 1);
	if (is_intel)
		vcpu_alloc_vmx(n->vm, &structures);
	else
		vcpu_alloc_svm(n->vm, &structures);
	vcpu_args_set(n->vcpu, 1, structures);

	nested_root = paging ? DATA_PAGE(TABLE_4) : 0;
	exits_in_l2 = 0;
	loads_msr = 0;
	sync_global_to_guest(n->vm, is_intel);
	sync_global_to_guest(n->vm, nested_root);
	sync_global_to_guest(n->vm, exits_in_l2);
	sync_global_to_guest(n->vm, loads_msr);

	n->fd = gmem_vm_to_file(n->vm);
	add_data_slot(n);
	build_tables(n);
}

static void end_data(struct nested *n)
{
	munmap(n->data, DATA_SIZE);
	close(n->data_fd);
}

static void end(struct nested *n)
{
	end_data(n);
	kvm_vm_free(n->vm);
	close(n->fd);
}

/* To the next step; return its number. */
static u64 run(struct nested *n, enum step want)
{
	struct ucall uc;

	vcpu_run(n->vcpu);
	switch (get_ucall(n->vcpu, &uc)) {
	case UCALL_SYNC:
		TEST_ASSERT(uc.args[1] == want, "step %lu (0x%lx) instead of %d",
			    uc.args[1], uc.args[2], want);
		return uc.args[2];
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
	default:
		TEST_FAIL("exit %u, ucall %lu", n->vcpu->run->exit_reason, uc.cmd);
	}
}

/* L2 counts from @from to @to, and all three see it. */
static void count(struct nested *n, u64 from, u64 to)
{
	u64 i;

	for (i = from + 1; i <= to; i++) {
		ASSERT_EQ(run(n, STEP_CALL), i);
		ASSERT_EQ(*n->data, i);
	}
}

/* L2, and not L1 in its place. */
static void assert_nested(struct nested *n)
{
	TEST_ASSERT(vcpu_get_stat(n->vcpu, "nested_run") > 0, "no nested guest");
}

static void check_counts(bool paging)
{
	struct nested n;

	start(&n, paging);
	count(&n, 0, 20);
	*n.data = 1000;
	count(&n, 1000, 1020);
	assert_nested(&n);
	end(&n);
}

static void test_nested_guest_counts(void)
{
	check_counts(false);
}

static void test_nested_guest_counts_with_nested_paging(void)
{
	check_counts(true);
}

/* What L2 had there is gone for L1, L2 and the host. */
static void check_punched_data(bool paging)
{
	struct nested n;

	start(&n, paging);
	count(&n, 0, 5);
	gmem_punch_hole(n.data_fd, COUNTERS, P);
	count(&n, 0, 5);
	gmem_punch_hole(n.data_fd, COUNTERS, P);
	ASSERT_EQ(*n.data, 0UL);
	count(&n, 0, 5);
	end(&n);
}

static void test_punched_page_of_a_nested_guest_is_new(void)
{
	check_punched_data(false);
}

static void test_punched_page_of_a_nested_guest_is_new_with_nested_paging(void)
{
	check_punched_data(true);
}

/* Nobody flushes anything: what KVM made of a table has gone with it. */
static void test_punched_nested_table_is_empty(void)
{
	static const enum data_page tables[] = {
		TABLE_4, TABLE_3, TABLE_2_DATA, TABLE_1_DATA,
	};
	struct nested n;
	u64 done = 0, gpa;
	int i;

	start(&n, true);
	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		count(&n, done, done + 3);
		done += 3;
		gmem_punch_hole(n.data_fd, tables[i] * P, P);
		/* Code or page tables of L2, or the word. */
		gpa = run(&n, STEP_VIOLATION);
		if (tables[i] == TABLE_1_DATA || tables[i] == TABLE_2_DATA)
			ASSERT_EQ(gpa & ~(P - 1), DATA_PAGE(COUNTERS));
		ASSERT_EQ(*n.data, done);
		/* As often as it tries. */
		run(&n, STEP_VIOLATION);
		restore_table(&n, tables[i]);
	}
	count(&n, done, done + 3);
	end(&n);
}

/* L1 has another page in that place now, without a flush by the host. */
static void test_host_edits_nested_table_of_punched_page(void)
{
	struct nested n;

	start(&n, true);
	count(&n, 0, 3);
	n.data[P / sizeof(u64)] = 50;
	gmem_punch_hole(n.data_fd, TABLE_1_DATA * P, P);
	restore_table(&n, TABLE_1_DATA);
	table(&n, TABLE_1_DATA)[COUNTERS] = DATA_PAGE(COUNTERS + 1) | leaf_bits();
	/* L1 itself reads the first page. */
	ASSERT_EQ(run(&n, STEP_CALL), 3UL);
	ASSERT_EQ(n.data[P / sizeof(u64)], 51UL);
	end(&n);
}

/*
 * KVM is in L2, with bitmaps and other pages mapped for itself: all of the
 * slot's pages but code, stack and page tables can go without harm to the host.
 */
static void set_exits_in_l2(struct nested *n, u64 value)
{
	exits_in_l2 = value;
	sync_global_to_guest(n->vm, exits_in_l2);
}

static u64 structure_gpa(struct nested *n, int i)
{
	struct kvm_regs regs;
	u64 gva;

	/* The library's structures are pages in a row; the first describes them. */
	vcpu_regs_get(n->vcpu, &regs);
	gva = regs.rdi + (i + 1) * P;
	return addr_gva2gpa(n->vm, gva);
}

static void check_punched_structures(bool paging)
{
	/* VMXON region, VMCS, MSR bitmap, ...; VMCB, save area, bitmap. */
	int nr, i;
	u64 gpas[6];
	struct nested n;
	s64 files = gmem_nr_files();

	start(&n, paging);
	nr = is_intel ? 6 : 3;
	for (i = 0; i < nr; i++)
		gpas[i] = structure_gpa(&n, i);
	set_exits_in_l2(&n, 1);
	ASSERT_EQ(run(&n, STEP_IN_L2), 1UL);
	for (i = 0; i < nr; i++)
		gmem_punch_hole(n.fd, gpas[i], P);
	/* On in L2; the exit to L1 is written to where its structures were. */
	ASSERT_EQ(run(&n, STEP_CALL), 1UL);
	set_exits_in_l2(&n, 0);
	/* Whatever the next entry makes of zeros: it is the guest's affair. */
	vcpu_run(n.vcpu);
	assert_nested(&n);
	end(&n);
	gmem_assert_files_returned(files);
}

static void test_punched_structures_of_a_nested_guest(void)
{
	check_punched_structures(false);
}

static void test_punched_structures_of_a_nested_guest_with_nested_paging(void)
{
	check_punched_structures(true);
}

/* In L2, into files of another VM. */
static void check_snapshot(bool paging)
{
	struct kvm_x86_state *state;
	u8 data[DATA_SIZE];
	struct nested n;
	int fd;

	start(&n, paging);
	set_exits_in_l2(&n, 1);
	ASSERT_EQ(run(&n, STEP_IN_L2), 1UL);
	ASSERT_EQ(run(&n, STEP_CALL), 1UL);
	ASSERT_EQ(run(&n, STEP_IN_L2), 2UL);

	state = vcpu_save_state(n.vcpu);
	memcpy(data, n.data, DATA_SIZE);
	end_data(&n);
	/* Its slot 0 maps the old file, as the library does. */
	kvm_vm_release(n.vm);
	n.vcpu = vm_recreate_with_one_vcpu(n.vm);
	fd = gmem_vm_to_file(n.vm);
	close(n.fd);
	n.fd = fd;
	add_data_slot(&n);
	memcpy(n.data, data, DATA_SIZE);
	vcpu_load_state(n.vcpu, state);
	kvm_x86_state_cleanup(state);

	ASSERT_EQ(run(&n, STEP_CALL), 2UL);
	ASSERT_EQ(run(&n, STEP_IN_L2), 3UL);
	ASSERT_EQ(*n.data, 3UL);
	end(&n);
}

static void test_nested_guest_goes_on_in_other_files(void)
{
	check_snapshot(false);
}

static void test_nested_guest_goes_on_in_other_files_with_nested_paging(void)
{
	check_snapshot(true);
}

/*
 * A VM that goes away in the middle of L2: KVM leaves that, and so looks at what L1
 * has in memory to be loaded then.
 */
static void test_vm_is_closed_in_the_nested_guest(void)
{
	struct nested n;

	start(&n, false);
	exits_in_l2 = 1;
	loads_msr = 1;
	sync_global_to_guest(n.vm, exits_in_l2);
	sync_global_to_guest(n.vm, loads_msr);
	n.data[MSR_LIST * P / sizeof(u64)] = MSR_TSC_AUX;
	ASSERT_EQ(run(&n, STEP_IN_L2), 1ULL);
	ASSERT_EQ(run(&n, STEP_CALL), 1ULL);
	ASSERT_EQ(run(&n, STEP_IN_L2), 2ULL);
	assert_nested(&n);
	/* The files first. */
	end_data(&n);
	close(n.fd);
	kvm_vm_free(n.vm);
}

/* Tables that go and come back while L2 runs: no count is lost or doubled. */

#define RACE_MS		2000

struct punching {
	struct nested n;
	bool stop;
	u64 rounds;
};

static void *punch_tables(void *arg)
{
	struct punching *p = arg;
	u64 i;

	for (i = 0; !READ_ONCE(p->stop); i++) {
		enum data_page page = TABLE_4 + i % (TABLE_1_DATA - TABLE_4 + 1);

		gmem_punch_hole(p->n.data_fd, page * P, P);
		restore_table(&p->n, page);
		p->rounds++;
		/* Or L2 does not get through on a slow emulator. */
		usleep(1000);
	}
	return NULL;
}

static u64 ms_since(struct timespec begin)
{
	struct timespec ts = timespec_elapsed(begin);

	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void test_nested_tables_punched_under_the_nested_guest(void)
{
	struct punching p = {};
	u64 counted = 0, violations = 0;
	struct timespec begin;
	struct ucall uc;
	pthread_t thread;

	start(&p.n, true);
	count(&p.n, 0, 1);
	counted = 1;
	pthread_create(&thread, NULL, punch_tables, &p);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	while (ms_since(begin) < race_ms(RACE_MS) || !violations || counted < 3) {
		vcpu_run(p.n.vcpu);
		ASSERT_EQ(get_ucall(p.n.vcpu, &uc), (u64)UCALL_SYNC);
		if (uc.args[1] == STEP_VIOLATION) {
			violations++;
			continue;
		}
		ASSERT_EQ(uc.args[1], (u64)STEP_CALL);
		ASSERT_EQ(uc.args[2], ++counted);
		TEST_ASSERT(ms_since(begin) < 60000,
			    "%lu rounds, %lu counts, and no violation", p.rounds,
			    counted);
	}
	WRITE_ONCE(p.stop, true);
	pthread_join(thread, NULL);
	ksft_print_msg("%lu rounds, %lu counts, %lu violations\n", p.rounds,
		       counted, violations);
	end(&p.n);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_nested_guest_counts),
	GMEM_TEST(test_nested_guest_counts_with_nested_paging),
	GMEM_TEST(test_punched_page_of_a_nested_guest_is_new),
	GMEM_TEST(test_punched_page_of_a_nested_guest_is_new_with_nested_paging),
	GMEM_TEST(test_punched_nested_table_is_empty),
	GMEM_TEST(test_host_edits_nested_table_of_punched_page),
	GMEM_TEST(test_punched_structures_of_a_nested_guest),
	GMEM_TEST(test_punched_structures_of_a_nested_guest_with_nested_paging),
	GMEM_TEST(test_nested_guest_goes_on_in_other_files),
	GMEM_TEST(test_nested_guest_goes_on_in_other_files_with_nested_paging),
	GMEM_TEST(test_vm_is_closed_in_the_nested_guest),
	GMEM_TEST(test_nested_tables_punched_under_the_nested_guest),
};

int main(void)
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
