// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_MEMORY_ATTRIBUTES and the capabilities around it.
 *
 * Here: which arguments are accepted and which refused, that time and memory
 * depend on the number of ranges and not on their size, that the memory comes
 * back, and that look-ups find what a model says, also while attributes change.
 * Which memory the guest sees is tested elsewhere, and the map of attributes as
 * such in range_map_test.c: that finds what seldom fails here.
 *
 * There is no ioctl to read attributes back.  A look-up is an access by a guest
 * to a gfn without a slot, see lookup().
 *
 * Environment: RACE_SEED; RACE_MS and RACE_LOOPS for each race.
 */
#include <time.h>

#include "guest_memfd_util.h"
#include "processor.h"
#include "race.h"

#define P		GMEM_PAGE_SIZE
#define GPA		GMEM_DATA_GPA
#define PRIVATE		KVM_MEMORY_ATTRIBUTE_PRIVATE
#define WHOLE_SPACE	(-P)		/* all but the last page */
#define GIB		BIT_ULL(30)
#define TIB		BIT_ULL(40)

/* Of one call on a range of any size; emulated CPUs are slow. */
#define MAX_CALL_NS	50000000L
/* How often a call is measured that takes longer, see time_of(). */
#define MAX_CALLS	200

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

/* CPU time of this thread: others do not add to it when they preempt it. */
static s64 cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return timespec_to_ns(ts);
}

/*
 * The best of at least ten calls: private and back to shared.  Interrupts, and
 * a machine below this one, can make each single call look slow, but not all of
 * them: go on until one takes less than @enough.
 */
static s64 time_of(struct kvm_vm *vm, u64 gpa, u64 size, s64 enough)
{
	s64 start, ns, best = INT64_MAX;
	int i;

	for (i = 0; i < 10 || (best >= enough && i < MAX_CALLS); i++) {
		start = cpu_ns();
		vm_mem_set_private(vm, gpa, size);
		vm_mem_set_shared(vm, gpa, size);
		ns = cpu_ns() - start;
		/* The clock of an emulated CPU may be set back, and stop. */
		if (ns > 0)
			best = min(best, ns);
		else
			usleep(10000);
	}
	return best;
}

static void test_time_does_not_grow_with_the_size(void)
{
	static const u64 sizes[] = {
		64 * GIB, TIB, BIT_ULL(52), WHOLE_SPACE - GPA,
	};
	struct kvm_vm *vm = gmem_vm_create_barebones();
	s64 one_page, ns, most;
	int i;

	one_page = time_of(vm, GPA, P, MAX_CALL_NS);
	most = min(MAX_CALL_NS, 20 * one_page + 5000000);
	ksft_print_msg("4 KiB: %ld us of CPU time\n", one_page / 1000);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		ns = time_of(vm, GPA, sizes[i], most);
		ksft_print_msg("0x%lx bytes: %ld us\n", sizes[i], ns / 1000);
		TEST_ASSERT(ns < most,
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
	one_page = time_of(vm, GPA, P, MAX_CALL_NS);
	ns = time_of(vm, GPA, 64 * GIB, MAX_CALL_NS);
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

/*
 * Look-ups
 */

/* A VM whose guest reads where it is told to, and what its attributes are. */
struct model {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct kvm_regs start;
	u64 *guest_gpa;

	struct race_rng rng;
	u64 seed;
	u64 base;
	u64 nr_gfns;
	u8 *attributes;

	/* No look-ups here, but for the edges of it that are outside. */
	struct gmem_slot *slot;
};

static u64 lookup_gpa;

static void guest_code(void)
{
	for (;;)
		READ_ONCE(*(u64 *)READ_ONCE(lookup_gpa));
}

/* The guest can reach @nr_gfns at @base, where there is no slot. */
static void model_init(struct model *m, u64 base, u64 nr_gfns, u64 seed)
{
	*m = (struct model) {
		.rng.state = seed,
		.seed = seed,
		.base = base,
		.nr_gfns = nr_gfns,
	};
	m->attributes = calloc(1, nr_gfns);
	TEST_ASSERT(m->attributes, "no memory");
	m->vm = __vm_create_type(VM_MODE_DEFAULT, 1, nr_gfns,
				 KVM_X86_SW_PROTECTED_VM);
	m->vcpu = vm_vcpu_add(m->vm, 0, guest_code);
	virt_map(m->vm, base, base, nr_gfns);
	m->guest_gpa = addr_gva2hva(m->vm, (vm_vaddr_t)&lookup_gpa);
	vcpu_regs_get(m->vcpu, &m->start);
}

static void model_free(struct model *m)
{
	kvm_vm_free(m->vm);
	free(m->attributes);
}

/*
 * What KVM finds for a gfn.  There is no slot, so that each access is looked up
 * anew: private memory is missing, and anything else is MMIO.
 */
static u64 lookup(struct model *m, u64 gpa)
{
	struct kvm_run *run = m->vcpu->run;
	int ret;

	WRITE_ONCE(*m->guest_gpa, gpa);
	do {
		ret = __vcpu_run(m->vcpu);
	} while (ret && errno == EINTR);

	if (!ret && run->exit_reason == KVM_EXIT_MMIO) {
		TEST_ASSERT(run->mmio.phys_addr == gpa && !run->mmio.is_write,
			    "MMIO at 0x%llx, wanted 0x%lx",
			    run->mmio.phys_addr, gpa);
		return 0;
	}

	TEST_ASSERT(ret && errno == EFAULT &&
		    run->exit_reason == KVM_EXIT_MEMORY_FAULT,
		    "0x%lx: KVM_RUN = %d, errno %d, exit reason %u (%s)", gpa,
		    ret, errno, run->exit_reason,
		    exit_reason_str(run->exit_reason));
	TEST_ASSERT(run->memory_fault.flags == KVM_MEMORY_EXIT_FLAG_PRIVATE &&
		    run->memory_fault.gpa == gpa &&
		    run->memory_fault.size == P,
		    "flags 0x%llx gpa 0x%llx size 0x%llx, wanted private 0x%lx",
		    run->memory_fault.flags, run->memory_fault.gpa,
		    run->memory_fault.size, gpa);
	/* The guest would read there again. */
	run->s.regs.regs = m->start;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	return PRIVATE;
}

static bool model_has_slot_at(struct model *m, u64 gpa)
{
	return m->slot && gpa >= m->slot->gpa &&
	       gpa - m->slot->gpa < m->slot->size;
}

/* Compare what is in the window and in no slot. */
static void model_check_gfn(struct model *m, u64 i)
{
	u64 gpa = m->base + i * P, found;

	if (i >= m->nr_gfns || model_has_slot_at(m, gpa))
		return;

	found = lookup(m, gpa);
	TEST_ASSERT(found == (m->attributes[i] ? PRIVATE : 0),
		    "RACE_SEED=0x%lx: gfn 0x%lx of 0x%lx is %s", m->seed, i,
		    m->nr_gfns, found ? "private" : "shared");
}

static void model_check_all(struct model *m)
{
	u64 i;

	for (i = 0; i < m->nr_gfns; i++)
		model_check_gfn(m, i);
}

static void model_set(struct model *m, u64 first, u64 nr, bool private)
{
	vm_set_memory_attributes(m->vm, m->base + first * P, nr * P,
				 private ? PRIVATE : 0);
	memset(m->attributes + first, private, nr);
}

/* One of the edges of a change, from both sides. */
static void model_check(struct model *m, u64 first, u64 nr)
{
	u64 edge = race_random_below(&m->rng, 2) ? first : first + nr;

	model_check_gfn(m, edge - 1);
	model_check_gfn(m, edge);
}

/* Mostly short ranges; now and then a long one. */
static void model_random_range(struct model *m, u64 *first, u64 *nr)
{
	*first = race_random_below(&m->rng, m->nr_gfns);
	*nr = 1 + race_random_below(&m->rng, m->nr_gfns - *first);
	if (race_random_below(&m->rng, 4))
		*nr = min(*nr, 8UL);
}

/* Random calls over a small window, with slots coming and going. */
static void test_random_ranges(void)
{
	const u64 nr_gfns = 4096;
	u64 first, nr, before, seed = race_seed();
	struct gmem_slot slot;
	struct model m;
	int i;

	ksft_print_msg("RACE_SEED=0x%lx\n", seed);
	before = gmem_free_kb();
	model_init(&m, GPA - nr_gfns / 2 * P, nr_gfns, seed);
	gmem_slot_add(&slot, m.vm, GMEM_DATA_SLOT, GPA, nr_gfns / 4 * P, NULL,
		      -1, 0);
	m.slot = &slot;
	for (i = 0; i < 10000; i++) {
		model_random_range(&m, &first, &nr);
		model_set(&m, first, nr, race_random_below(&m.rng, 2));
		model_check(&m, first, nr);
		if (i % 1000)
			continue;
		gmem_slot_delete(&slot);
		m.slot = NULL;
		model_check_all(&m);
		slot.gpa = m.base + (first / 2) * P;
		gmem_slot_bind(&slot);
		m.slot = &slot;
	}
	gmem_slot_delete(&slot);
	m.slot = NULL;
	model_check_all(&m);
	model_free(&m);
	gmem_slot_free(&slot);
	gmem_assert_mem_returned(before, SLACK_KB);
}

/* Change one of the VMs; look there, and at the same gfns of another. */
static void change_one_of(struct model *models, int nr_models)
{
	int i = race_random_below(&models[0].rng, nr_models);
	struct model *m = &models[i];
	u64 first, nr;

	model_random_range(m, &first, &nr);
	model_set(m, first, nr, race_random_below(&m->rng, 2));
	model_check(m, first, nr);
	model_check(&models[(i + 1) % nr_models], first, nr);
}

static void test_attributes_are_per_vm(void)
{
	u64 before = gmem_free_kb(), seed = race_seed();
	struct model models[8];
	const int nr = ARRAY_SIZE(models);
	int i, j;

	ksft_print_msg("RACE_SEED=0x%lx\n", seed);
	for (i = 0; i < nr; i++)
		model_init(&models[i], GPA, 2048, seed + i);
	for (j = 0; j < 4096; j++)
		change_one_of(models, nr);
	/* Many ranges in each of them, and in each others. */
	for (i = 0; i < nr; i++)
		for (j = 0; j < 512; j++)
			model_set(&models[i], 4 * j + i / 2, 1 + i % 2, j % 4);
	/* Freeing one leaves the others' trees alone. */
	for (i = 0; i < nr; i++) {
		model_check_all(&models[i]);
		model_free(&models[i]);
		for (j = 0; i + 1 < nr && j < 64; j++)
			change_one_of(models + i + 1, nr - i - 1);
	}
	gmem_assert_mem_returned(before, SLACK_KB);
}

/*
 * Look-ups that race with changes
 */

/* The gfn that is looked up, in the middle of a window; it never changes. */
#define RACE_GFNS	256
#define RACE_GFN	(RACE_GFNS / 2)
#define RACE_GPA	(GPA + RACE_GFN * P)
#define RACE_CHANGES	32
/* In a loop of a race: a guest takes much longer than KVM_PRE_FAULT_MEMORY. */
#define RACE_GUEST	64
#define RACE_PRE_FAULT	4096
/* Other ranges, on either side of the window. */
#define RACE_RANGES	2048

struct lookup_race {
	struct model m;
	void (*change)(struct lookup_race *r, int i);
	u64 (*lookup)(struct model *m, u64 gpa);
	int nr_in_loop;
	/* Odd while a change is under way. */
	u64 count;
	bool end;
	u64 nr_lookups;
	u64 nr_met;
	u64 nr_wrong;
};

static void race_set(struct lookup_race *r, u64 first, u64 nr, bool private)
{
	TEST_ASSERT(first > RACE_GFN || first + nr <= RACE_GFN,
		    "0x%lx + 0x%lx changes what must not change", first, nr);
	__atomic_add_fetch(&r->count, 1, __ATOMIC_SEQ_CST);
	model_set(&r->m, first, nr, private);
	__atomic_add_fetch(&r->count, 1, __ATOMIC_SEQ_CST);
}

static void race_setup(void *ctx)
{
	struct lookup_race *r = ctx;

	r->end = false;
}

/* As long as there are look-ups, too. */
static void race_run_changes(void *ctx)
{
	struct lookup_race *r = ctx;
	int i;

	for (i = 0; i < RACE_CHANGES || !READ_ONCE(r->end); i++)
		r->change(r, i);
}

static void race_run_lookups(void *ctx)
{
	struct lookup_race *r = ctx;
	u64 want = r->m.attributes[RACE_GFN] ? PRIVATE : 0;
	u64 before, after, found;
	int i;

	for (i = 0; i < r->nr_in_loop; i++) {
		before = __atomic_load_n(&r->count, __ATOMIC_SEQ_CST);
		found = r->lookup(&r->m, RACE_GPA);
		after = __atomic_load_n(&r->count, __ATOMIC_SEQ_CST);
		r->nr_lookups++;
		r->nr_met += before != after || before & 1;
		r->nr_wrong += found != want;
	}
	WRITE_ONCE(r->end, true);
}

static bool race_check(void *ctx)
{
	struct lookup_race *r = ctx;

	return !r->nr_wrong;
}

static bool race_met(void *ctx)
{
	return ((struct lookup_race *)ctx)->nr_met;
}

static void race_run_all(struct lookup_race *r, bool private)
{
	static const struct race_ops ops = {
		.name = "look-up",
		.setup = race_setup,
		.run_a = race_run_changes,
		.run_b = race_run_lookups,
		.check = race_check,
		.met = race_met,
	};
	struct race_stats stats;
	bool ok = race_run(&ops, r, 1000000, 3000, &stats);

	ksft_print_msg("%lu changes, %lu look-ups, %lu met a change\n",
		       r->count / 2, r->nr_lookups, r->nr_met);
	TEST_ASSERT(!r->nr_wrong,
		    "RACE_SEED=0x%lx: %lu of %lu look-ups found a %s gfn %s",
		    stats.seed, r->nr_wrong, r->nr_lookups,
		    private ? "private" : "shared",
		    private ? "shared" : "private");
	TEST_ASSERT(ok, "no look-up met a change");
}

/* All of the window is private at first, or nothing; the guest accesses it. */
static void race_guest(bool private,
		       void (*change)(struct lookup_race *r, int i))
{
	struct lookup_race r = {
		.change = change,
		.lookup = lookup,
		.nr_in_loop = RACE_GUEST,
	};

	model_init(&r.m, GPA, RACE_GFNS, race_seed());
	model_set(&r.m, 0, RACE_GFNS, private);
	race_run_all(&r, private);
	model_check_all(&r.m);
	model_free(&r.m);
}

/*
 * What KVM finds for a gfn in a slot without a file.  That is many times as fast
 * as the guest.  But memory that is shared is mapped then, and not looked up any
 * more until it becomes private.
 */
static u64 lookup_in_slot(struct model *m, u64 gpa)
{
	struct kvm_pre_fault_memory range = { .gpa = gpa, .size = P };
	int ret;

	do {
		ret = vcpu_pre_fault_once(m->vcpu, &range);
	} while (ret == -EINTR);

	TEST_ASSERT(!ret || ret == -EFAULT, "KVM_PRE_FAULT_MEMORY: %d", ret);
	return ret ? PRIVATE : 0;
}

/*
 * Around the window, from the inside to the outside, so that its range is near
 * the root of the tree.  A look-up that has come by there has a long way to go
 * until it finds that the gfn is in no other range: time for a change.
 */
static void race_add_ranges(struct kvm_vm *vm)
{
	u64 i;

	for (i = 1; i <= RACE_RANGES; i++) {
		vm_mem_set_private(vm, GPA - 2 * i * P, P);
		vm_mem_set_private(vm, GPA + (RACE_GFNS + 2 * i - 1) * P, P);
	}
}

static void race_pre_fault(void (*change)(struct lookup_race *r, int i))
{
	struct lookup_race r = {
		.change = change,
		.lookup = lookup_in_slot,
		.nr_in_loop = RACE_PRE_FAULT,
	};
	void *hva = gmem_alloc_hva(RACE_GPA, P);

	model_init(&r.m, GPA, RACE_GFNS, race_seed());
	vm_set_user_memory_region(r.m.vm, GMEM_DATA_SLOT, 0, RACE_GPA, P, hva);
	ASSERT_EQ(lookup_in_slot(&r.m, RACE_GPA), 0UL);
	model_set(&r.m, 0, RACE_GFNS, true);
	race_add_ranges(r.m.vm);
	race_run_all(&r, true);
	vm_set_user_memory_region(r.m.vm, GMEM_DATA_SLOT, 0, RACE_GPA, 0, hva);
	model_check_all(&r.m);
	model_free(&r.m);
	gmem_free_hva(hva, P);
}

/* Cut the private range, of which the gfn is the rear part, and mend it. */
static void change_before_gfn(struct lookup_race *r, int i)
{
	race_set(r, RACE_GFN - 8, 4, i % 2);
}

static void change_behind_gfn(struct lookup_race *r, int i)
{
	race_set(r, RACE_GFN + 4, 4, i % 2);
}

/* Each range that goes is used again for the one that comes. */
static void change_both_neighbours(struct lookup_race *r, int i)
{
	race_set(r, i & 2 ? RACE_GFN + 1 : RACE_GFN - 1, 1, !(i % 2));
}

/* Either below the gfn or above it. */
static void change_at_random(struct lookup_race *r, int i)
{
	u64 first = 1 + race_random_below(&r->m.rng, RACE_GFN - 1);
	u64 nr = 1 + race_random_below(&r->m.rng, RACE_GFN - first);

	if (race_random_below(&r->m.rng, 4))
		nr = min(nr, 2UL);
	if (race_random_below(&r->m.rng, 2))
		first = 2 * RACE_GFN - (first + nr - 1);
	race_set(r, first, nr, race_random_below(&r->m.rng, 2));
}

static void test_lookup_of_private_gfn_behind_changes(void)
{
	race_pre_fault(change_before_gfn);
}

static void test_lookup_of_private_gfn_before_changes(void)
{
	race_pre_fault(change_behind_gfn);
}

static void test_lookup_of_private_gfn_amid_random_changes(void)
{
	race_pre_fault(change_at_random);
}

static void test_guest_sees_private_gfn_behind_changes(void)
{
	race_guest(true, change_before_gfn);
}

static void test_guest_sees_private_gfn_amid_random_changes(void)
{
	race_guest(true, change_at_random);
}

static void test_guest_sees_shared_gfn_amid_changes(void)
{
	race_guest(false, change_both_neighbours);
}

static void test_guest_sees_shared_gfn_amid_random_changes(void)
{
	race_guest(false, change_at_random);
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
	GMEM_TEST(test_lookup_of_private_gfn_behind_changes),
	GMEM_TEST(test_lookup_of_private_gfn_before_changes),
	GMEM_TEST(test_lookup_of_private_gfn_amid_random_changes),
	GMEM_TEST(test_guest_sees_private_gfn_behind_changes),
	GMEM_TEST(test_guest_sees_private_gfn_amid_random_changes),
	GMEM_TEST(test_guest_sees_shared_gfn_amid_changes),
	GMEM_TEST(test_guest_sees_shared_gfn_amid_random_changes),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
