// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hyper-V's isolated VMs: hypercall 0xDB and GUEST_OS_ID.
 *
 * The guest is told a list of gfns and a control word; it copies the list into a
 * page of its private memory, makes the call, and says what RAX and RCX were
 * afterwards.  What the VMM and the guest have to see follows from a model of
 * the call, in next_run().
 *
 * Memory is of two kinds: a slot with two sides, of which attributes choose one;
 * and a convertible file, in place.
 */
#define _GNU_SOURCE /* for fallocate(2) in helpers */
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>
#include <pthread.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_guest.h"
#include "hyperv.h"
#include "processor.h"
#include "race.h"

#define P		GMEM_PAGE_SIZE
#define NR_PAGES	1024
#define SIZE		GMEM_PAGES(NR_PAGES)
#define GFN(page)	((GMEM_DATA_GPA >> 12) + (page))
/* Where the list is; not among the pages that lists name, unless on purpose. */
#define LIST_PAGE	1000
#define OTHER_PAGE	1001
#define LIST_GPA(page)	(GMEM_DATA_GPA + GMEM_PAGES(page))
#define MAX_GFNS	510

#define CPUID_ISOLATION	0x4000000c
#define ISOLATION	BIT(22)		/* of HYPERV_CPUID_FEATURES.EBX */
#define TYPE_VBS	1

#define CALL		0xdbULL
#define FAST		BIT_ULL(16)
#define VARHEAD(n)	((u64)(n) << 17)
#define RESERVED	BIT_ULL(27)
#define CNT(n)		((u64)(n) << 32)
#define START(n)	((u64)(n) << 48)

#define PARTITION_SELF	(~0ULL)
#define NOT_VISIBLE	0
#define VISIBLE		3

enum hv_status {
	SUCCESS = 0,
	INVALID_CODE = 2,
	INVALID_INPUT = 3,
	INVALID_ALIGNMENT = 4,
	INVALID_PARAMETER = 5,
	ACCESS_DENIED = 6,
	OPERATION_DENIED = 8,
};

#define OS_ID		0x8100000000000001ULL

#define ENCRYPTED	(KVM_MAP_GPA_RANGE_PAGE_SZ_4K | KVM_MAP_GPA_RANGE_ENCRYPTED)
#define DECRYPTED	(KVM_MAP_GPA_RANGE_PAGE_SZ_4K | KVM_MAP_GPA_RANGE_DECRYPTED)

/*
 * The guest
 */

#define NR_VCPUS	2

struct header {
	u64 partition;
	u32 visibility;
	u32 reserved;
};

/* What a vCPU is to call, and what came of it; in memory that the host sees. */
struct call {
	u64 param;
	u64 gpa;
	bool keep;	/* what is at gpa: the list is there already */
	struct header header;
	u64 gfns[MAX_GFNS];
	u64 rax;
	u64 rcx;
};

static struct call calls[NR_VCPUS];
static bool is_intel;

static void guest_hypercall(struct call *c)
{
	u64 rax = 0, rcx = c->param;

	asm volatile("mov %[out], %%r8\n"
		     "	cmpb $0, %[intel]\n"
		     "	je 1f\n"
		     "	vmcall\n"
		     "	jmp 2f\n"
		     "1:	vmmcall\n"
		     "2:\n"
		     : "+a"(rax), "+c"(rcx)
		     : "d"(c->gpa), [out]"i"(0), [intel]"m"(is_intel)
		     : "memory", "r8");
	c->rax = rax;
	c->rcx = rcx;
}

static u64 guest_call_of(struct call *c)
{
	u64 *list = (u64 *)(c->gpa & ~7ULL);
	u64 *header = (u64 *)&c->header;
	u64 i, room = (P - ((u64)list & (P - 1))) / 8;

	for (i = 0; !c->keep && i < MAX_GFNS + 2 && i < room; i++)
		list[i] = i < 2 ? header[i] : c->gfns[i - 2];
	guest_hypercall(c);
	return 0;
}

static u64 guest_call_0(void)
{
	return guest_call_of(&calls[0]);
}

static u64 guest_call_1(void)
{
	return guest_call_of(&calls[1]);
}

static u64 guest_os_id_on(void)
{
	wrmsr(HV_X64_MSR_GUEST_OS_ID, OS_ID);
	return rdmsr(HV_X64_MSR_GUEST_OS_ID);
}

static u64 guest_os_id_off(void)
{
	wrmsr(HV_X64_MSR_GUEST_OS_ID, 0);
	return rdmsr(HV_X64_MSR_GUEST_OS_ID) + 1;
}

/*
 * The host
 */

struct hv {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct kvm_vcpu *vcpu;
	struct gmem_slot slot;
	bool in_place;
	char *mem;	/* in place: the file */
	bool private[NR_PAGES];
};

/* What the vCPU's KVM can do, less its own leaves. */
static void set_cpuid(struct kvm_vcpu *vcpu, bool isolation)
{
	const struct kvm_cpuid2 *sys = kvm_get_supported_cpuid();
	const struct kvm_cpuid2 *hv = vcpu_get_supported_hv_cpuid(vcpu);
	struct kvm_cpuid2 *all = allocate_kvm_cpuid2(sys->nent + hv->nent);
	u32 i, n = 0;

	for (i = 0; i < sys->nent; i++)
		if (sys->entries[i].function >> 8 != 0x400000)
			all->entries[n++] = sys->entries[i];
	for (i = 0; i < hv->nent; i++) {
		struct kvm_cpuid_entry2 *e = &all->entries[n++];

		*e = hv->entries[i];
		if (e->function == HYPERV_CPUID_FEATURES && !isolation)
			e->ebx &= ~ISOLATION;
	}
	all->nent = n;
	vcpu_init_cpuid(vcpu, all);
	free(all);
}

static void start_vm(struct hv *h, bool in_place, bool isolation, bool exits)
{
	u32 i;

	*h = (struct hv) { .in_place = in_place };
	h->vm = guest_vm_create(NR_VCPUS, h->vcpus, SIZE, &h->slot);
	h->vcpu = h->vcpus[0];
	if (in_place) {
		gmem_slot_delete(&h->slot);
		close(h->slot.fd);
		h->slot.fd = vm_create_guest_memfd(h->vm, SIZE,
						   GUEST_MEMFD_FLAG_MMAP);
		gmem_slot_bind(&h->slot);
		h->mem = gmem_mmap(h->slot.fd, SIZE, 0);
	} else {
		vm_mem_set_private(h->vm, GMEM_DATA_GPA, SIZE);
	}
	memset(h->private, true, sizeof(h->private));
	if (exits)
		vm_enable_cap(h->vm, KVM_CAP_EXIT_HYPERCALL,
			      BIT(KVM_HC_MAP_GPA_RANGE));
	for (i = 0; i < NR_VCPUS; i++)
		set_cpuid(h->vcpus[i], isolation);
	is_intel = is_intel_cpu();
	sync_global_to_guest(h->vm, is_intel);
}

static u64 call_guest(struct kvm_vcpu *vcpu, u64 (*fn)(void))
{
	guest_cmd_set(vcpu, GUEST_OP_CALL, (u64)fn, 0, 0);
	guest_cmd_finish(vcpu);
	return guest_cmd_of(vcpu)->value;
}

static void start(struct hv *h, bool in_place)
{
	start_vm(h, in_place, true, true);
	ASSERT_EQ(call_guest(h->vcpu, guest_os_id_on), OS_ID);
}

static void end(struct hv *h)
{
	if (h->mem)
		munmap(h->mem, SIZE);
	gmem_vm_free(h->vm, &h->slot);
}

static void convert(struct hv *h, u64 page, u64 nr, bool private)
{
	u64 i;

	if (h->in_place)
		gmem_convert(h->slot.fd, page * P, nr * P,
			     private ? GMEM_PRIVATE : GMEM_SHARED);
	else if (private)
		vm_mem_set_private(h->vm, LIST_GPA(page), nr * P);
	else
		vm_mem_set_shared(h->vm, LIST_GPA(page), nr * P);
	for (i = 0; i < nr; i++)
		h->private[page + i] = private;
}

/* A call with a list of @cnt gfns that begins at @gpa. */
static struct call *prepare(struct hv *h, u64 gpa, u32 visibility, u32 cnt)
{
	struct call *c = &calls[0];

	memset(c, 0, sizeof(*c));
	c->param = CALL | CNT(cnt);
	c->gpa = gpa;
	c->header.partition = PARTITION_SELF;
	c->header.visibility = visibility;
	return c;
}

static void begin_call(struct hv *h, int i)
{
	sync_global_to_guest(h->vm, calls);
	guest_cmd_set(h->vcpus[i], GUEST_OP_CALL,
		      (u64)(i ? guest_call_1 : guest_call_0), 0, 0);
}

/* KVM_RUN once: true if it is an exit for a run of gfns. */
static bool run_to_exit(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	/* What an earlier exit, or the VMM, may have left. */
	ASSERT_EQ(guest_cmd_run(vcpu), 0);
	if (run->exit_reason != KVM_EXIT_HYPERCALL)
		return false;
	ASSERT_EQ(run->hypercall.nr, (u64)KVM_HC_MAP_GPA_RANGE);
	ASSERT_EQ(run->hypercall.ret, 0ULL);
	ASSERT_EQ(run->hypercall.longmode, 1U);
	return true;
}

static void finish_call(struct hv *h, int i)
{
	guest_cmd_complete(h->vcpus[i]);
	sync_global_from_guest(h->vm, calls);
}

static void assert_result(const struct call *c, enum hv_status status, u64 done,
			  const char *what)
{
	u64 want = status | CNT(done);

	TEST_ASSERT(c->rax == want, "%s: RAX is 0x%lx, wanted 0x%lx", what,
		    c->rax, want);
}

/* The call as it is must fail without an exit. */
static void assert_refused(struct hv *h, enum hv_status status, const char *what)
{
	struct call *c = &calls[0];

	begin_call(h, 0);
	TEST_ASSERT(!run_to_exit(h->vcpu), "%s: exit for gpa 0x%llx", what,
		    h->vcpu->run->hypercall.args[0]);
	finish_call(h, 0);
	assert_result(c, status, 0, what);
	ASSERT_EQ(c->rcx, c->param);
}

static void with_both(void (*fn)(struct hv *h))
{
	struct hv h;
	int in_place;

	for (in_place = 0; in_place < 2; in_place++) {
		start(&h, in_place);
		fn(&h);
		end(&h);
	}
}

/*
 * Who can have it
 */

static bool has_leaf(struct kvm_vcpu *vcpu, u32 *nent, u32 *ebx)
{
	const struct kvm_cpuid2 *hv = vcpu_get_supported_hv_cpuid(vcpu);
	bool found = false;
	u32 i;

	*nent = hv->nent;
	for (i = 0; i < hv->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &hv->entries[i];

		if (e->function == HYPERV_CPUID_FEATURES)
			*ebx = e->ebx;
		if (e->function != CPUID_ISOLATION)
			continue;
		found = true;
		ASSERT_EQ(e->ebx, TYPE_VBS);
		ASSERT_EQ(e->eax | e->ecx | e->edx, 0);
	}
	return found;
}

static void test_vms_with_private_memory_can_be_isolated(void)
{
	struct kvm_vcpu *vcpu;
	u32 nent, other, ebx;
	struct kvm_vm *vm;

	vm = __vm_create_type(VM_MODE_DEFAULT, 1, 0, KVM_X86_DEFAULT_VM);
	vcpu = vm_vcpu_add(vm, 0, guest_cmd_loop);
	ASSERT_EQ(gmem_check_cap(vm->fd, KVM_CAP_HYPERV_ISOLATION), 0);
	TEST_ASSERT(!has_leaf(vcpu, &other, &ebx) && !(ebx & ISOLATION),
		    "a default VM has the leaf");
	kvm_vm_free(vm);

	vm = __vm_create_type(VM_MODE_DEFAULT, 1, 0, KVM_X86_SW_PROTECTED_VM);
	vcpu = vm_vcpu_add(vm, 0, guest_cmd_loop);
	ASSERT_EQ(gmem_check_cap(vm->fd, KVM_CAP_HYPERV_ISOLATION), 1);
	TEST_ASSERT(has_leaf(vcpu, &nent, &ebx) && ebx & ISOLATION, "no leaf");
	ASSERT_EQ(nent, other + 1);
	kvm_vm_free(vm);
	ASSERT_EQ(kvm_check_cap(KVM_CAP_HYPERV_ISOLATION), 0);
}

static void test_what_is_missing_makes_it_an_unknown_call(void)
{
	static const bool cases[][2] = { { false, true }, { true, false } };
	struct call *c;
	struct hv h;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		start_vm(&h, true, cases[i][0], cases[i][1]);
		ASSERT_EQ(call_guest(h.vcpu, guest_os_id_on), OS_ID);
		c = prepare(&h, LIST_GPA(LIST_PAGE), VISIBLE, 1);
		c->gfns[0] = GFN(1);
		assert_refused(&h, INVALID_CODE, i ? "no exit" : "not in CPUID");
		/* Whatever else is wrong. */
		c->param |= FAST;
		assert_refused(&h, INVALID_CODE, "and fast");
		end(&h);
	}
}

/*
 * What is refused
 */

static void do_bad_forms(struct hv *h)
{
	static const struct {
		const char *what;
		u64 set;
		u64 clear;
	} cases[] = {
		{ "fast", FAST, 0 },
		{ "variable header", VARHEAD(1), 0 },
		{ "reserved bit", RESERVED, 0 },
		{ "reserved bit 63", BIT_ULL(63), 0 },
		{ "no repetitions", 0, CNT(0xfff) },
	};
	struct call *c;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		c = prepare(h, LIST_GPA(LIST_PAGE), VISIBLE, 1);
		c->gfns[0] = GFN(1);
		c->param = (c->param | cases[i].set) & ~cases[i].clear;
		assert_refused(h, INVALID_INPUT, cases[i].what);
	}
	for (i = 3; i < 0xfff; i += 1021) {
		c = prepare(h, LIST_GPA(LIST_PAGE), VISIBLE, 3);
		c->param |= START(i);
		begin_call(h, 0);
		TEST_ASSERT(!run_to_exit(h->vcpu), "starts at %d of 3", i);
		finish_call(h, 0);
		ASSERT_EQ(c->rax & 0xffff, (u64)INVALID_INPUT);
	}
}

static void test_bad_forms_of_the_call(void)
{
	with_both(do_bad_forms);
}

static void do_bad_places(struct hv *h)
{
	u64 list = LIST_GPA(LIST_PAGE);
	int i;

	for (i = 1; i < 8; i++) {
		prepare(h, list + i, VISIBLE, 1)->gfns[0] = GFN(1);
		assert_refused(h, INVALID_ALIGNMENT, "not aligned");
	}
	/* The header, and the last gfn, cross the end of the page. */
	prepare(h, list + P - 8, VISIBLE, 1);
	assert_refused(h, INVALID_ALIGNMENT, "header crosses");
	prepare(h, list + P - 16, VISIBLE, 1);
	assert_refused(h, INVALID_ALIGNMENT, "list crosses");
	prepare(h, list, VISIBLE, MAX_GFNS + 1);
	assert_refused(h, INVALID_ALIGNMENT, "too long");
	prepare(h, list + 8, VISIBLE, MAX_GFNS);
	assert_refused(h, INVALID_ALIGNMENT, "too long for its place");
	prepare(h, list, VISIBLE, 0xfff);
	assert_refused(h, INVALID_ALIGNMENT, "as long as can be said");
}

static void test_bad_places_of_the_list(void)
{
	with_both(do_bad_places);
}

static void do_bad_contents(struct hv *h)
{
	static const u32 visibilities[] = { 1, 2, 4, 7, BIT(2) | 3, BIT(31) };
	u64 list = LIST_GPA(LIST_PAGE);
	struct call *c;
	int i;

	c = prepare(h, list, VISIBLE, 1);
	c->gfns[0] = GFN(1);
	c->header.partition = 0;
	assert_refused(h, INVALID_PARAMETER, "partition 0");
	c->header.partition = PARTITION_SELF - 1;
	assert_refused(h, INVALID_PARAMETER, "another partition");
	c->header.partition = PARTITION_SELF;
	c->header.reserved = 1;
	assert_refused(h, INVALID_PARAMETER, "reserved");
	c->header.reserved = 0;
	for (i = 0; i < ARRAY_SIZE(visibilities); i++) {
		c->header.visibility = visibilities[i];
		assert_refused(h, INVALID_PARAMETER, "visibility");
	}
	c->header.visibility = VISIBLE;
	for (i = 40; i < 64; i++) {
		c->gfns[0] = BIT_ULL(i);
		assert_refused(h, INVALID_PARAMETER, "gfn");
	}

	/* There is no memory, there is no slot, it is shared. */
	c = prepare(h, list, VISIBLE, 1);
	c->keep = true;
	gmem_punch_hole(h->slot.fd, LIST_PAGE * P, P);
	assert_refused(h, INVALID_PARAMETER, "hole");
	c->gpa = BIT_ULL(39);
	assert_refused(h, INVALID_PARAMETER, "no slot");
	c->gpa = 0x1000;
	assert_refused(h, INVALID_PARAMETER, "ordinary memory");
	c->gpa = BIT_ULL(62);
	assert_refused(h, INVALID_PARAMETER, "no address");
	c->keep = false;
	c->gpa = list;
	convert(h, LIST_PAGE, 1, false);
	assert_refused(h, INVALID_PARAMETER, "shared");
	convert(h, LIST_PAGE, 1, true);
}

static void test_bad_contents_of_the_list(void)
{
	with_both(do_bad_contents);
}

/*
 * The model: what a vCPU that makes the call with repetition @idx as the first one
 * leads to.  Returns the number of gfns of the next exit, or 0 and the result.
 */
static u32 next_run(const struct hv *h, const struct call *c, u32 idx,
		    enum hv_status *status)
{
	u32 cnt = c->param >> 32 & 0xfff, n = 0;

	*status = INVALID_PARAMETER;
	if (!h->private[(c->gpa - GMEM_DATA_GPA) / P])
		return 0;
	while (idx + n < cnt && c->gfns[idx + n] < BIT_ULL(36) &&
	       c->gfns[idx + n] == c->gfns[idx] + n)
		n++;
	return n;
}

/* The VMM's part of a call: @answer is given for run @at, counted from 0. */
struct vmm {
	s64 answer;
	int at;
	bool forge;	/* the numbers of the exit */
};

static enum hv_status status_of(s64 answer)
{
	switch (answer) {
	case 0:
		return SUCCESS;
	case -EINVAL:
		return INVALID_PARAMETER;
	case -EPERM:
		return ACCESS_DENIED;
	default:
		return OPERATION_DENIED;
	}
}

static void check_call(struct hv *h, const struct vmm *vmm)
{
	struct call *c = &calls[0];
	u32 cnt = c->param >> 32 & 0xfff, idx = c->param >> 48 & 0xfff, nr;
	bool private = c->header.visibility == NOT_VISIBLE;
	struct kvm_run *run = h->vcpu->run;
	enum hv_status status;
	int runs;

	begin_call(h, 0);
	for (runs = 0; idx < cnt; runs++) {
		nr = next_run(h, c, idx, &status);
		if (!nr) {
			TEST_ASSERT(!run_to_exit(h->vcpu), "exit for 0x%llx",
				    run->hypercall.args[0]);
			goto result;
		}
		TEST_ASSERT(run_to_exit(h->vcpu), "no exit at %u of %u", idx, cnt);
		ASSERT_EQ(run->hypercall.args[0], c->gfns[idx] << 12);
		ASSERT_EQ(run->hypercall.args[1], (u64)nr);
		ASSERT_EQ(run->hypercall.args[2],
			  (u64)(private ? ENCRYPTED : DECRYPTED));
		run->hypercall.ret = runs == vmm->at ? vmm->answer : 0;
		if (vmm->forge) {
			run->hypercall.args[0] = 0x12345000;
			run->hypercall.args[1] = 1 + runs;
			run->hypercall.args[2] = ~0ULL;
			run->hypercall.nr = 99;
		}
		if (run->hypercall.ret) {
			status = status_of(vmm->answer);
			goto finish;
		}
		if (c->gfns[idx] >= GFN(0) && c->gfns[idx] + nr <= GFN(NR_PAGES))
			convert(h, c->gfns[idx] - GFN(0), nr, private);
		idx += nr;
	}
	status = SUCCESS;
finish:
	TEST_ASSERT(!run_to_exit(h->vcpu), "exit for 0x%llx behind the last one",
		    run->hypercall.args[0]);
result:
	finish_call(h, 0);
	assert_result(c, status, status ? idx : cnt, "call");
}

static void do_runs(struct hv *h)
{
	const struct vmm good = { .at = -1 };
	struct call *c;
	u32 i;

	/* All of it as one run, to the end of the page, and back. */
	c = prepare(h, LIST_GPA(LIST_PAGE), VISIBLE, MAX_GFNS);
	for (i = 0; i < MAX_GFNS; i++)
		c->gfns[i] = GFN(i);
	check_call(h, &good);
	c->header.visibility = NOT_VISIBLE;
	check_call(h, &good);

	/* Single pages, downwards, twice the same. */
	c = prepare(h, LIST_GPA(LIST_PAGE) + 64, VISIBLE, 9);
	for (i = 0; i < 9; i++)
		c->gfns[i] = GFN(100 - i - (i > 4));
	c->gfns[5] = c->gfns[4];
	check_call(h, &good);
	/* What is so already. */
	check_call(h, &good);
	/* From the middle on. */
	c->header.visibility = NOT_VISIBLE;
	c->param |= START(5);
	check_call(h, &good);
	c->param &= ~START(0xfff);
	check_call(h, &good);

	/* A bad one behind good ones; and what is in no slot, which the VMM decides. */
	c = prepare(h, LIST_GPA(LIST_PAGE), VISIBLE, 5);
	c->gfns[0] = GFN(7);
	c->gfns[1] = GFN(8);
	c->gfns[2] = BIT_ULL(60);
	check_call(h, &good);
	c->gfns[2] = BIT_ULL(27);
	c->gfns[3] = BIT_ULL(27) + 1;
	c->gfns[4] = GFN(9);
	check_call(h, &good);
	convert(h, 0, LIST_PAGE, true);
}

static void test_each_run_is_an_exit(void)
{
	with_both(do_runs);
}

static void do_answers(struct hv *h)
{
	static const s64 answers[] = { -EINVAL, -EPERM, -EAGAIN, -ENOMEM, 1, EINVAL,
				       LLONG_MIN };
	struct vmm vmm;
	struct call *c;
	int i, n;

	for (i = 0; i < ARRAY_SIZE(answers); i++) {
		for (n = 0; n < 5; n++) {
			c = prepare(h, LIST_GPA(LIST_PAGE), VISIBLE, 5);
			for (int k = 0; k < 5; k++)
				c->gfns[k] = GFN(20 + 2 * k);
			vmm = (struct vmm) { .answer = answers[i], .at = n,
					     .forge = n & 1 };
			check_call(h, &vmm);
			convert(h, 0, LIST_PAGE, true);
		}
	}
}

static void test_what_the_vmm_answers_is_the_result(void)
{
	with_both(do_answers);
}

/* The list's own page becomes shared: what is behind it is not the guest's word. */
static void do_own_page(struct hv *h)
{
	const struct vmm good = { .at = -1 };
	struct call *c;
	int at, i;

	for (at = 0; at < 5; at++) {
		c = prepare(h, LIST_GPA(LIST_PAGE), VISIBLE, 5);
		for (i = 0; i < 5; i++)
			c->gfns[i] = GFN(30 + 2 * i);
		c->gfns[at] = GFN(LIST_PAGE);
		check_call(h, &good);
		sync_global_from_guest(h->vm, calls);
		ASSERT_EQ(c->rax, at == 4 ? CNT(5) :
			  (u64)INVALID_PARAMETER | CNT(at + 1));
		convert(h, 0, NR_PAGES, true);
	}
}

static void test_a_list_that_names_its_own_page(void)
{
	with_both(do_own_page);
}

/* Random lists, places, states and answers against the model. */

#define NR_RANDOM	400

static void do_random(struct hv *h)
{
	static const s64 answers[] = { 0, 0, 0, -EINVAL, -EPERM, -EBUSY };
	u32 rounds, i, cnt, done = 0;
	struct call *c;

	for (rounds = 0; rounds < NR_RANDOM; rounds++) {
		struct vmm vmm = {
			.at = rand() % 4,
			.answer = answers[rand() % ARRAY_SIZE(answers)],
			.forge = rand() & 1,
		};
		u64 gfn = GFN(rand() % LIST_PAGE);

		cnt = 1 + rand() % (rand() & 1 ? 8 : 200);
		c = prepare(h, LIST_GPA(LIST_PAGE) + rand() % 64 * 8,
			    rand() & 1 ? VISIBLE : NOT_VISIBLE, cnt);
		for (i = 0; i < cnt; i++) {
			c->gfns[i] = gfn++;
			if (!(rand() % 20) || gfn >= GFN(LIST_PAGE))
				gfn = GFN(rand() % LIST_PAGE);
			if (!(rand() % 400))
				c->gfns[i] = GFN(LIST_PAGE);
			if (!(rand() % 400))
				c->gfns[i] = BIT_ULL(37 + rand() % 27);
		}
		if (!(rand() % 4))
			c->param |= START(rand() % cnt);
		check_call(h, &vmm);
		done += !(c->rax & 0xffff);
		if (!h->private[LIST_PAGE])
			convert(h, LIST_PAGE, 1, true);
	}
	ksft_print_msg("%u calls, %u of them successful\n", rounds, done);
	TEST_ASSERT(done && done < rounds, "that is no choice");
}

static void test_random_calls(void)
{
	srand(1);
	with_both(do_random);
}

/*
 * What the VMM does to a vCPU between exit and entry
 */

static void prepare_two_runs(struct hv *h)
{
	struct call *c = prepare(h, LIST_GPA(LIST_PAGE), VISIBLE, 2);

	c->gfns[0] = GFN(3);
	c->gfns[1] = GFN(9);
	begin_call(h, 0);
	TEST_ASSERT(run_to_exit(h->vcpu), "no exit");
}

static void test_immediate_exit_between_runs(void)
{
	struct kvm_regs before, after;
	struct hv h;

	start(&h, true);
	prepare_two_runs(&h);
	vcpu_regs_get(h.vcpu, &before);
	convert(&h, 3, 1, false);
	vcpu_run_complete_io(h.vcpu);
	/* The first one is done, and the call is to be made again. */
	vcpu_regs_get(h.vcpu, &after);
	ASSERT_EQ(after.rip, before.rip);
	ASSERT_EQ(after.rcx, before.rcx | START(1));
	ASSERT_EQ(after.rax, before.rax);
	TEST_ASSERT(run_to_exit(h.vcpu), "no exit");
	ASSERT_EQ(h.vcpu->run->hypercall.args[0], GFN(9) << 12);
	TEST_ASSERT(!run_to_exit(h.vcpu), "one more exit");
	finish_call(&h, 0);
	assert_result(&calls[0], SUCCESS, 2, "call");
	end(&h);
}

/* As QEMU does at the end of a reset: other registers, and no trace of the call. */
static void test_vcpu_that_is_elsewhere_after_the_exit(void)
{
	struct kvm_regs regs, after;
	struct hv h;

	start(&h, true);
	prepare_two_runs(&h);
	vcpu_regs_get(h.vcpu, &regs);
	regs.rip = (u64)guest_hypercall;
	regs.rax = 0x1111;
	regs.rcx = 0x2222;
	vcpu_regs_set(h.vcpu, &regs);
	vcpu_run_complete_io(h.vcpu);
	vcpu_regs_get(h.vcpu, &after);
	ASSERT_EQ(after.rip, regs.rip);
	ASSERT_EQ(after.rax, regs.rax);
	ASSERT_EQ(after.rcx, regs.rcx);
	end(&h);
}

/*
 * A list that the VMM could write is none, however it changes: what is asked for is
 * never what only the VMM has written.
 */

#define TWIST_MS	3000

struct twister {
	struct hv *h;
	bool stop;
	u64 rounds;
};

static void *twist(void *arg)
{
	struct twister *t = arg;
	u64 *list = (u64 *)(t->h->mem + LIST_PAGE * P);
	int fd = t->h->slot.fd;

	while (!READ_ONCE(t->stop)) {
		gmem_to_shared(fd, LIST_PAGE * P, P);
		list[0] = PARTITION_SELF;
		list[1] = VISIBLE;
		list[2] = GFN(OTHER_PAGE);
		/* What is shared now is empty again when it is private. */
		gmem_to_shared(fd, LIST_PAGE * P, P);
		gmem_punch_hole(fd, LIST_PAGE * P, P);
		gmem_to_private(fd, LIST_PAGE * P, P);
		t->rounds++;
	}
	return NULL;
}

static void test_the_vmm_rewrites_the_list(void)
{
	u64 until, refused = 0, exits = 0;
	struct twister t = {};
	pthread_t thread;
	struct call *c;
	struct hv h;

	start(&h, true);
	t.h = &h;
	pthread_create(&thread, NULL, twist, &t);
	until = gmem_now() + race_ms(TWIST_MS) * MS;
	while (gmem_now() < until || !refused) {
		c = prepare(&h, LIST_GPA(LIST_PAGE), VISIBLE, 1);
		c->keep = true;
		begin_call(&h, 0);
		while (run_to_exit(h.vcpu)) {
			TEST_ASSERT(h.vcpu->run->hypercall.args[0] !=
				    GFN(OTHER_PAGE) << 12, "the VMM's word");
			exits++;
		}
		finish_call(&h, 0);
		refused += (c->rax & 0xffff) == INVALID_PARAMETER;
	}
	WRITE_ONCE(t.stop, true);
	pthread_join(thread, NULL);
	ksft_print_msg("%lu changes, %lu calls refused, %lu exits\n", t.rounds,
		       refused, exits);
	TEST_ASSERT(t.rounds > 10 && !exits, "they hardly met");
	end(&h);
}

/*
 * Two vCPUs in opposite directions
 */

#define NR_OPPOSITE	200

struct caller {
	struct hv *h;
	int i;
	u64 exits;
	pthread_t thread;
};

static void *call_and_convert(void *arg)
{
	struct caller *c = arg;
	struct kvm_vcpu *vcpu = c->h->vcpus[c->i];
	struct kvm_run *run = vcpu->run;
	int n;

	for (n = 0; n < NR_OPPOSITE; n++) {
		guest_cmd_set(vcpu, GUEST_OP_CALL,
			      (u64)(c->i ? guest_call_1 : guest_call_0), 0, 0);
		while (run_to_exit(vcpu)) {
			u64 offset = run->hypercall.args[0] - GMEM_DATA_GPA;

			gmem_convert(c->h->slot.fd, offset,
				     run->hypercall.args[1] * P,
				     c->i ? GMEM_PRIVATE : GMEM_SHARED);
			c->exits++;
		}
		guest_cmd_complete(vcpu);
	}
	return NULL;
}

static void test_two_vcpus_in_opposite_directions(void)
{
	struct caller callers[NR_VCPUS];
	struct hv h;
	u64 i, k;

	start(&h, true);
	for (i = 0; i < NR_VCPUS; i++) {
		struct call *c = &calls[i];

		memset(c, 0, sizeof(*c));
		c->param = CALL | CNT(32);
		c->gpa = LIST_GPA(LIST_PAGE + i);
		c->header.partition = PARTITION_SELF;
		c->header.visibility = i ? NOT_VISIBLE : VISIBLE;
		for (k = 0; k < 32; k++)
			c->gfns[k] = GFN(2 * (i ? 31 - k : k));
	}
	sync_global_to_guest(h.vm, calls);
	for (i = 0; i < NR_VCPUS; i++) {
		callers[i] = (struct caller) { .h = &h, .i = i };
		pthread_create(&callers[i].thread, NULL, call_and_convert,
			       &callers[i]);
	}
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(callers[i].thread, NULL);
	sync_global_from_guest(h.vm, calls);
	for (i = 0; i < NR_VCPUS; i++) {
		assert_result(&calls[i], SUCCESS, 32, "call");
		ASSERT_EQ(callers[i].exits, 32ULL * NR_OPPOSITE);
	}
	end(&h);
}

/*
 * GUEST_OS_ID
 */

/* Have the guest write 0, and convert what the exits name; returns their number. */
static u64 kernel_ends(struct hv *h)
{
	struct kvm_run *run = h->vcpu->run;
	u64 exits = 0;

	guest_cmd_set(h->vcpu, GUEST_OP_CALL, (u64)guest_os_id_off, 0, 0);
	while (run_to_exit(h->vcpu)) {
		u64 page = (run->hypercall.args[0] - GMEM_DATA_GPA) / P, i;
		u64 nr = run->hypercall.args[1];

		ASSERT_EQ(run->hypercall.args[2], (u64)ENCRYPTED);
		TEST_ASSERT(page + nr <= NR_PAGES, "0x%llx, %lu pages",
			    run->hypercall.args[0], nr);
		for (i = page; i < page + nr; i++)
			TEST_ASSERT(!h->private[i], "page %lu is private", i);
		/* Not written yet, and the answer does not matter. */
		ASSERT_EQ(vcpu_get_msr(h->vcpu, HV_X64_MSR_GUEST_OS_ID), OS_ID);
		run->hypercall.ret = -EINVAL;
		if (exits++ % 3 != 2)
			convert(h, page, nr, true);
	}
	guest_cmd_complete(h->vcpu);
	ASSERT_EQ(guest_cmd_of(h->vcpu)->value, 1ULL);
	ASSERT_EQ(vcpu_get_msr(h->vcpu, HV_X64_MSR_GUEST_OS_ID), 0ULL);
	return exits;
}

static void do_kernel_ends(struct hv *h)
{
	int i;

	ASSERT_EQ(kernel_ends(h), 0ULL);
	/* It is 0 already: no matter what is shared. */
	convert(h, 5, 3, false);
	ASSERT_EQ(kernel_ends(h), 0ULL);

	ASSERT_EQ(call_guest(h->vcpu, guest_os_id_on), OS_ID);
	convert(h, 0, 1, false);
	for (i = 20; i < 40; i += 2)
		convert(h, i, 1, false);
	convert(h, NR_PAGES - 2, 2, false);
	TEST_ASSERT(kernel_ends(h) >= 13, "few exits");
	for (i = 0; i < NR_PAGES; i++)
		TEST_ASSERT(h->private[i], "page %d is shared", i);

	/* Another value is no end, and the host's write is not the guest's. */
	ASSERT_EQ(call_guest(h->vcpu, guest_os_id_on), OS_ID);
	convert(h, 7, 1, false);
	ASSERT_EQ(call_guest(h->vcpu, guest_os_id_on), OS_ID);
	vcpu_set_msr(h->vcpu, HV_X64_MSR_GUEST_OS_ID, 0);
	guest_do(h->vcpu, GUEST_OP_NOP, 0, 0, 0);
	ASSERT_EQ(vcpu_get_msr(h->vcpu, HV_X64_MSR_GUEST_OS_ID), 0ULL);
	ASSERT_EQ(h->private[7], false);
}

static void test_a_kernel_that_ends_leaves_all_private(void)
{
	with_both(do_kernel_ends);
}

static void test_other_guests_just_write(void)
{
	struct hv h;

	start_vm(&h, true, false, true);
	ASSERT_EQ(call_guest(h.vcpu, guest_os_id_on), OS_ID);
	convert(&h, 7, 1, false);
	ASSERT_EQ(call_guest(h.vcpu, guest_os_id_off), 1ULL);
	end(&h);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_vms_with_private_memory_can_be_isolated),
	GMEM_TEST(test_what_is_missing_makes_it_an_unknown_call),
	GMEM_TEST(test_bad_forms_of_the_call),
	GMEM_TEST(test_bad_places_of_the_list),
	GMEM_TEST(test_bad_contents_of_the_list),
	GMEM_TEST(test_each_run_is_an_exit),
	GMEM_TEST(test_what_the_vmm_answers_is_the_result),
	GMEM_TEST(test_a_list_that_names_its_own_page),
	GMEM_TEST(test_random_calls),
	GMEM_TEST(test_immediate_exit_between_runs),
	GMEM_TEST(test_vcpu_that_is_elsewhere_after_the_exit),
	GMEM_TEST(test_the_vmm_rewrites_the_list),
	GMEM_TEST(test_two_vcpus_in_opposite_directions),
	GMEM_TEST(test_a_kernel_that_ends_leaves_all_private),
	GMEM_TEST(test_other_guests_just_write),
};

int main(int argc, char *argv[])
{
	setbuf(stdout, NULL);
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
