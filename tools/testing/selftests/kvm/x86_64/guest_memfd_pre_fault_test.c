// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_PRE_FAULT_MEMORY: what it maps, what it refuses, and what it leaves
 * alone; for private and shared memory of a software-protected VM and for the
 * memory of a VM of the default type.  Races: guest_memfd_pre_fault_race_test.c.
 *
 * That something has been mapped shows in the statistics of the vCPU: each page
 * fault that is taken counts in pf_taken, each mapping that is installed, for a
 * fault or in advance, in pf_fixed.
 */
#include <linux/sizes.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "guest_memfd_guest.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_undo.h"
#include "processor.h"
#include "svm_util.h"

#define NR_PAGES	16
#define SIZE		GMEM_PAGES(NR_PAGES)
#define HUGE_SIZE	(2 * GMEM_HUGE_SIZE)

/* Addresses without a slot on either side of the data slot. */
#define HOLE_GPA	(GMEM_DATA_GPA - GMEM_PAGE_SIZE)
#define END_GPA		(GMEM_DATA_GPA + SIZE)

#define OTHER_SLOT	(GMEM_DATA_SLOT + 1)
#define OTHER_GPA	(GMEM_DATA_GPA + SZ_1G)

#define NO_EXIT		0xdeadU

/* Tags of patterns. */
enum { SHARED = 10, PRIVATE };

enum memory {
	MEM_PRIVATE,
	MEM_SHARED,	/* of a VM that can have private memory */
	MEM_DEFAULT,	/* of a VM of the default type */
};

/*
 * Fixtures
 */

static struct kvm_vm *default_vm_create(struct kvm_vcpu **vcpu, u64 size,
					u32 ring_size)
{
	struct kvm_vm *vm;

	vm = __vm_create_type(VM_MODE_DEFAULT, 1, size / GMEM_PAGE_SIZE,
			      KVM_X86_DEFAULT_VM);
	if (ring_size)
		vm_enable_dirty_ring(vm, ring_size);
	*vcpu = vm_vcpu_add(vm, 0, guest_cmd_loop);
	guest_cmd_init(*vcpu);
	return vm;
}

static void start_default(struct guest_fixture *f, u64 size, u32 flags,
			  u32 ring_size)
{
	f->vm = default_vm_create(&f->vcpu, size, ring_size);
	f->slot = (struct gmem_slot) {
		.vm = f->vm,
		.slot = GMEM_DATA_SLOT,
		.fd = -1,
		.gpa = GMEM_DATA_GPA,
		.size = size,
		.hva = gmem_alloc_hva(GMEM_DATA_GPA, size),
		.own_hva = true,
	};
	vm_set_user_memory_region2(f->vm, GMEM_DATA_SLOT, flags, GMEM_DATA_GPA,
				   size, f->slot.hva, -1, 0);
	virt_map(f->vm, GMEM_DATA_GPA, GMEM_DATA_GPA, size / GMEM_PAGE_SIZE);
}

static void start(struct guest_fixture *f, enum memory memory, u64 size)
{
	if (memory == MEM_DEFAULT)
		start_default(f, size, 0, 0);
	else if (memory == MEM_SHARED)
		guest_start(f, size);
	else
		guest_start_private(f, size);
}

/* Nothing of the range can be mapped, and nothing happens. */
static void expect_error(struct kvm_vcpu *vcpu, u64 gpa, u64 size, int err)
{
	u64 fixed = vcpu_get_stat(vcpu, "pf_fixed");
	u64 mmio = vcpu_get_stat(vcpu, "pf_mmio_spte_created");
	u64 left;
	int ret;

	vcpu->run->exit_reason = NO_EXIT;
	ret = __vcpu_pre_fault(vcpu, gpa, size, &left);
	TEST_ASSERT(ret == -err && left == size,
		    "0x%lx + 0x%lx: %d, 0x%lx left, wanted %d", gpa, size, ret,
		    left, -err);
	ASSERT_EQ(vcpu->run->exit_reason, NO_EXIT);
	ASSERT_EQ(vcpu_get_stat(vcpu, "pf_fixed"), fixed);
	ASSERT_EQ(vcpu_get_stat(vcpu, "pf_mmio_spte_created"), mmio);
}

/*
 * Arguments
 */

static void test_capability_is_there(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();

	ASSERT_EQ(kvm_check_cap(KVM_CAP_PRE_FAULT_MEMORY), 1);
	ASSERT_EQ(vm_check_cap(vm, KVM_CAP_PRE_FAULT_MEMORY), 1);
	kvm_vm_free(vm);
}

static void test_bad_ranges_are_refused(void)
{
	static const struct {
		u64 gpa, size;
	} bad[] = {
		{ GMEM_DATA_GPA, 0 },
		{ GMEM_DATA_GPA, 1 },
		{ GMEM_DATA_GPA, GMEM_PAGE_SIZE - 1 },
		{ GMEM_DATA_GPA, GMEM_PAGE_SIZE + 1 },
		{ GMEM_DATA_GPA, GMEM_PAGE_SIZE / 2 },
		{ GMEM_DATA_GPA + 1, GMEM_PAGE_SIZE },
		{ GMEM_DATA_GPA + GMEM_PAGE_SIZE / 2, GMEM_PAGE_SIZE },
		{ GMEM_DATA_GPA, -GMEM_DATA_GPA },
		{ GMEM_DATA_GPA, -GMEM_PAGE_SIZE },
		{ GMEM_DATA_GPA, 1 - GMEM_DATA_GPA },
		{ -GMEM_PAGE_SIZE, GMEM_PAGE_SIZE },
		{ -GMEM_PAGE_SIZE, 2 * GMEM_PAGE_SIZE },
		{ 0, -1ULL },
	};
	struct guest_fixture f;
	u32 i;

	start(&f, MEM_PRIVATE, SIZE);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		expect_error(f.vcpu, bad[i].gpa, bad[i].size, EINVAL);
	ASSERT_EQ(gmem_allocated(f.slot.fd), 0UL);
	guest_end(&f);
}

static void test_flags_and_padding_are_refused(void)
{
	struct kvm_pre_fault_memory range;
	struct guest_fixture f;
	u32 i;

	start(&f, MEM_PRIVATE, SIZE);
	for (i = 0; i < 64; i++) {
		range = (struct kvm_pre_fault_memory) {
			.gpa = GMEM_DATA_GPA,
			.size = SIZE,
			.flags = BIT_ULL(i),
		};
		ASSERT_EQ(vcpu_pre_fault_once(f.vcpu, &range), -EINVAL);
	}
	for (i = 0; i < sizeof(range.padding); i++) {
		range = (struct kvm_pre_fault_memory) {
			.gpa = GMEM_DATA_GPA,
			.size = SIZE,
		};
		((u8 *)range.padding)[i] = 1;
		ASSERT_EQ(vcpu_pre_fault_once(f.vcpu, &range), -EINVAL);
	}
	ASSERT_EQ(gmem_allocated(f.slot.fd), 0UL);
	ASSERT_EQ(vcpu_get_stat(f.vcpu, "pf_fixed"), 0UL);
	guest_end(&f);
}

static void test_bad_pointers_are_refused(void)
{
	struct kvm_pre_fault_memory *range;
	struct guest_fixture f;

	start(&f, MEM_PRIVATE, SIZE);
	GMEM_ASSERT_ERRNO(ioctl(f.vcpu->fd, KVM_PRE_FAULT_MEMORY, NULL), EFAULT,
			  "no structure");
	ASSERT_EQ(gmem_allocated(f.slot.fd), 0UL);

	/* Nothing can be written back. */
	range = gmem_alloc_hva(0, GMEM_PAGE_SIZE);
	range->gpa = GMEM_DATA_GPA;
	range->size = SIZE;
	TEST_ASSERT(!mprotect(range, GMEM_PAGE_SIZE, PROT_READ), "mprotect()");
	GMEM_ASSERT_ERRNO(ioctl(f.vcpu->fd, KVM_PRE_FAULT_MEMORY, range),
			  EFAULT, "read-only structure");
	ASSERT_EQ(range->size, SIZE);
	gmem_free_hva(range, GMEM_PAGE_SIZE);
	guest_end(&f);
}

/*
 * Where there is no memory
 */

static void check_no_slot(enum memory memory)
{
	const u64 gpas[] = {
		HOLE_GPA, END_GPA, BIT_ULL(39), BIT_ULL(40), BIT_ULL(47),
		BIT_ULL(48), BIT_ULL(48) | GMEM_DATA_GPA, BIT_ULL(51),
		BIT_ULL(52), BIT_ULL(57), BIT_ULL(63), -2 * GMEM_PAGE_SIZE,
	};
	struct guest_fixture f;
	u32 i;

	start(&f, memory, SIZE);
	for (i = 0; i < ARRAY_SIZE(gpas); i++) {
		if (memory == MEM_PRIVATE)
			vm_mem_set_private(f.vm, gpas[i], GMEM_PAGE_SIZE);
		expect_error(f.vcpu, gpas[i], GMEM_PAGE_SIZE, ENOENT);
	}
	guest_end(&f);
}

static void test_no_slot_is_enoent_private(void)
{
	check_no_slot(MEM_PRIVATE);
}

static void test_no_slot_is_enoent_shared(void)
{
	check_no_slot(MEM_SHARED);
}

static void test_no_slot_is_enoent_default(void)
{
	check_no_slot(MEM_DEFAULT);
}

static void test_private_without_file_is_efault(void)
{
	struct guest_fixture f;
	void *hva;

	start(&f, MEM_PRIVATE, SIZE);
	hva = gmem_alloc_hva(OTHER_GPA, SIZE);
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, 0, OTHER_GPA, SIZE, hva,
				   -1, 0);
	vm_mem_set_private(f.vm, OTHER_GPA, SIZE);
	expect_error(f.vcpu, OTHER_GPA, SIZE, EFAULT);

	vm_mem_set_shared(f.vm, OTHER_GPA, SIZE);
	vcpu_pre_fault(f.vcpu, OTHER_GPA, SIZE);
	guest_end(&f);
	gmem_free_hva(hva, SIZE);
}

static void test_closed_file_is_efault(void)
{
	struct guest_fixture f;

	start(&f, MEM_PRIVATE, SIZE);
	vcpu_pre_fault(f.vcpu, GMEM_DATA_GPA, SIZE);
	close(f.slot.fd);
	f.slot.own_fd = false;
	expect_error(f.vcpu, GMEM_DATA_GPA, SIZE, EFAULT);
	guest_end(&f);
}

static void test_unmapped_host_memory_is_efault(void)
{
	struct guest_fixture f;

	start(&f, MEM_DEFAULT, SIZE);
	TEST_ASSERT(!mprotect(f.slot.hva, GMEM_PAGE_SIZE, PROT_NONE),
		    "mprotect()");
	expect_error(f.vcpu, GMEM_DATA_GPA, SIZE, EFAULT);
	vcpu_pre_fault(f.vcpu, GMEM_DATA_GPA + GMEM_PAGE_SIZE,
		       SIZE - GMEM_PAGE_SIZE);
	guest_end(&f);
}

/* An access would be answered with SIGBUS, which ends the test. */
static void test_poisoned_host_memory_is_ehwpoison(void)
{
	u64 bad = GMEM_DATA_GPA + GMEM_PAGE_SIZE;
	struct guest_fixture f;
	u64 left, pfn;

	host_set_thp("never");
	start(&f, MEM_DEFAULT, SIZE);
	host_fill(f.slot.hva, GMEM_DATA_GPA, SIZE, SHARED);
	pfn = pfn_at(f.slot.hva + GMEM_PAGE_SIZE);
	if (madvise(f.slot.hva + GMEM_PAGE_SIZE, GMEM_PAGE_SIZE,
		    MADV_HWPOISON))
		gmem_skip("MADV_HWPOISON: errno %d", errno);
	poison_remember(pfn);

	ASSERT_EQ(__vcpu_pre_fault(f.vcpu, GMEM_DATA_GPA, SIZE, &left), -EHWPOISON);
	ASSERT_EQ(left, SIZE - GMEM_PAGE_SIZE);
	expect_error(f.vcpu, bad, GMEM_PAGE_SIZE, EHWPOISON);
	vcpu_pre_fault(f.vcpu, bad + GMEM_PAGE_SIZE, SIZE - GMEM_PAGES(2));
	guest_end(&f);
}

/*
 * Progress
 */

static void check_partial(enum memory memory)
{
	struct kvm_pre_fault_memory range = {
		.gpa = GMEM_DATA_GPA + GMEM_PAGES(2),
		.size = SIZE,
	};
	struct guest_fixture f;

	start(&f, memory, SIZE);
	/* Not interrupted: one call gets to the end of the slot. */
	ASSERT_EQ(vcpu_pre_fault_once(f.vcpu, &range), 0);
	ASSERT_EQ(range.gpa, END_GPA);
	ASSERT_EQ(range.size, GMEM_PAGES(2));
	ASSERT_EQ(vcpu_pre_fault_once(f.vcpu, &range), -ENOENT);
	if (memory == MEM_PRIVATE)
		ASSERT_EQ(gmem_allocated(f.slot.fd), SIZE - GMEM_PAGES(2));
	guest_end(&f);
}

static void test_slot_end_is_partial_progress_private(void)
{
	check_partial(MEM_PRIVATE);
}

static void test_slot_end_is_partial_progress_shared(void)
{
	check_partial(MEM_SHARED);
}

static void test_slot_end_is_partial_progress_default(void)
{
	check_partial(MEM_DEFAULT);
}

/* What one call installs, in mappings. */
static void expect_mappings(struct guest_fixture *f, u64 offset, u64 size,
			    u64 nr)
{
	u64 before = vcpu_get_stat(f->vcpu, "pf_fixed");

	vcpu_pre_fault(f->vcpu, GMEM_DATA_GPA + offset, size);
	ASSERT_EQ(vcpu_get_stat(f->vcpu, "pf_fixed") - before, nr);
}

static void test_huge_mapping_counts_to_its_end(void)
{
	struct guest_fixture f;

	host_set_thp("always");
	start(&f, MEM_DEFAULT, HUGE_SIZE + GMEM_HUGE_SIZE);
	host_fill(f.slot.hva, GMEM_DATA_GPA, f.slot.size, SHARED);

	/* From the middle of one to the first page of the next. */
	expect_mappings(&f, GMEM_HUGE_SIZE / 2,
			GMEM_HUGE_SIZE / 2 + GMEM_PAGE_SIZE, 2);
	/* Both are there as a whole. */
	expect_mappings(&f, 0, HUGE_SIZE, 0);
	expect_mappings(&f, HUGE_SIZE - GMEM_PAGE_SIZE, GMEM_PAGES(2), 1);
	guest_end(&f);
}

static void test_existing_mappings_stay(void)
{
	struct guest_fixture f;

	host_set_thp("never");
	start(&f, MEM_PRIVATE, SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, GMEM_PAGES(3), PRIVATE);
	expect_mappings(&f, 0, SIZE, NR_PAGES - 3);
	expect_mappings(&f, 0, SIZE, 0);
	guest_check(f.vcpu, GMEM_DATA_GPA, GMEM_PAGES(3), PRIVATE);
	guest_end(&f);
}

/*
 * Signals
 */

static unsigned int nr_signals;

static void count_signal(int sig)
{
	nr_signals++;
}

static timer_t start_signals(long interval_ns)
{
	struct sigaction sa = { .sa_handler = count_signal };
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGUSR1,
	};
	struct itimerspec spec = {
		.it_interval.tv_nsec = interval_ns,
		.it_value.tv_nsec = interval_ns,
	};
	timer_t timer;

	sigaction(SIGUSR1, &sa, NULL);
	TEST_ASSERT(!timer_create(CLOCK_MONOTONIC, &event, &timer) &&
		    !timer_settime(timer, 0, &spec, NULL), "no timer");
	return timer;
}

static void test_signals_interrupt_a_large_range(void)
{
	u64 size = SZ_64M, mapped;
	struct kvm_pre_fault_memory range = {
		.gpa = OTHER_GPA,
		.size = size,
	};
	unsigned int partial = 0;
	struct guest_fixture f;
	struct gmem_slot slot;
	timer_t timer;
	int ret;

	host_set_thp("never");
	start(&f, MEM_PRIVATE, SIZE);
	gmem_slot_add(&slot, f.vm, OTHER_SLOT, OTHER_GPA, size, NULL, -1, 0);
	vm_mem_set_private(f.vm, OTHER_GPA, size);

	timer = start_signals(5000000);
	while (range.size) {
		ret = vcpu_pre_fault_once(f.vcpu, &range);
		TEST_ASSERT(!ret || ret == -EINTR, "result %d", ret);
		partial += !ret && range.size;
		/* No more than what is reported, no less. */
		mapped = range.gpa - OTHER_GPA;
		ASSERT_EQ(gmem_allocated(slot.fd), mapped);
	}
	timer_delete(timer);

	ksft_print_msg("%u signals, %u partial results\n", nr_signals, partial);
	TEST_ASSERT(nr_signals && partial, "the call was not interrupted");
	ASSERT_EQ(vcpu_get_stat(f.vcpu, "pf_fixed"), size / GMEM_PAGE_SIZE);
	guest_end(&f);
	gmem_slot_free(&slot);
}

/*
 * What the guest notices: no faults, and the right memory
 */

/* Map all that the guest needs to run and to walk its page tables. */
static void warm_up(struct guest_fixture *f)
{
	struct userspace_mem_region *region = memslot2region(f->vm, 0);

	vcpu_pre_fault(f->vcpu, region->region.guest_phys_addr,
		       region->region.memory_size);
	guest_check_zero(f->vcpu, GMEM_DATA_GPA + f->slot.size - GMEM_PAGE_SIZE,
			 GMEM_PAGE_SIZE);
}

static u64 faults_of(struct guest_fixture *f, enum guest_op op, u64 gpa,
		     u64 size, u64 tag)
{
	u64 before = vcpu_get_stat(f->vcpu, "pf_taken");

	guest_do(f->vcpu, op, gpa, size, tag);
	return vcpu_get_stat(f->vcpu, "pf_taken") - before;
}

/* The second half shows that faults would be noticed. */
static void check_no_faults(enum memory memory)
{
	u64 middle = GMEM_DATA_GPA + SIZE / 2;
	struct guest_fixture f;

	host_set_thp("never");
	start(&f, memory, SIZE + GMEM_PAGE_SIZE);
	warm_up(&f);

	vcpu_pre_fault(f.vcpu, GMEM_DATA_GPA, SIZE / 2);
	if (memory == MEM_PRIVATE)
		ASSERT_EQ(gmem_allocated(f.slot.fd),
			  SIZE / 2 + GMEM_PAGE_SIZE);
	ASSERT_EQ(faults_of(&f, GUEST_OP_CHECK_ZERO, GMEM_DATA_GPA, SIZE / 2,
			    0), 0UL);
	TEST_ASSERT(faults_of(&f, GUEST_OP_CHECK_ZERO, middle, SIZE / 2, 0) >=
		    NR_PAGES / 2, "page faults are not counted");

	/* Private pages are not shared: they are mapped writable. */
	if (memory == MEM_PRIVATE)
		ASSERT_EQ(faults_of(&f, GUEST_OP_FILL, GMEM_DATA_GPA, SIZE / 2,
				    PRIVATE), 0UL);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, SHARED);
	guest_check(f.vcpu, GMEM_DATA_GPA, SIZE, SHARED);
	guest_end(&f);
}

static void test_guest_needs_no_faults_private(void)
{
	check_no_faults(MEM_PRIVATE);
}

static void test_guest_needs_no_faults_shared(void)
{
	check_no_faults(MEM_SHARED);
}

static void test_guest_needs_no_faults_default(void)
{
	check_no_faults(MEM_DEFAULT);
}

#define TDP_MMU	"/sys/module/kvm/parameters/tdp_mmu"

/* VMs that are created from now on use the other code for TDP. */
static void tdp_mmu_off(void)
{
	gmem_setting_write(TDP_MMU, "N");
}

static void test_guest_needs_no_faults_legacy_mmu(void)
{
	tdp_mmu_off();
	check_no_faults(MEM_DEFAULT);
}

static void test_legacy_mmu_maps_like_the_tdp_mmu(void)
{
	tdp_mmu_off();
	ASSERT_EQ(kvm_check_cap(KVM_CAP_PRE_FAULT_MEMORY), 1);
	check_partial(MEM_DEFAULT);
	check_no_slot(MEM_DEFAULT);
	test_huge_mapping_counts_to_its_end();
}

static void test_contents_stay(void)
{
	struct guest_fixture f;

	start(&f, MEM_PRIVATE, SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, PRIVATE);
	/* Unmap all without changing any of it. */
	vm_mem_set_shared(f.vm, GMEM_DATA_GPA, SIZE);
	host_fill(f.slot.hva, GMEM_DATA_GPA, SIZE, SHARED);
	vcpu_pre_fault(f.vcpu, GMEM_DATA_GPA, SIZE);
	guest_check(f.vcpu, GMEM_DATA_GPA, SIZE, SHARED);

	vm_mem_set_private(f.vm, GMEM_DATA_GPA, SIZE);
	vcpu_pre_fault(f.vcpu, GMEM_DATA_GPA, SIZE);
	guest_check(f.vcpu, GMEM_DATA_GPA, SIZE, PRIVATE);
	guest_end(&f);
}

static void test_attribute_decides_what_is_mapped(void)
{
	u8 sides[NR_PAGES];
	struct guest_fixture f;
	u64 i;

	start(&f, MEM_PRIVATE, SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, PRIVATE);
	host_fill(f.slot.hva, GMEM_DATA_GPA, SIZE, PRIVATE - 1);
	for (i = 0; i < NR_PAGES; i++) {
		sides[i] = i % 3 ? GUEST_SIDE_PRIVATE : GUEST_SIDE_SHARED;
		if (sides[i] == GUEST_SIDE_SHARED)
			vm_mem_set_shared(f.vm, GMEM_DATA_GPA + GMEM_PAGES(i),
					  GMEM_PAGE_SIZE);
	}
	vcpu_pre_fault(f.vcpu, GMEM_DATA_GPA, SIZE);
	guest_check_sides(f.vcpu, GMEM_DATA_GPA, sides, NR_PAGES, PRIVATE - 1);
	guest_end(&f);
}

static void test_hole_is_zero_after_pre_fault(void)
{
	u64 size = GMEM_PAGES(5), gpa = GMEM_DATA_GPA + GMEM_PAGES(3);
	struct guest_fixture f;

	start(&f, MEM_PRIVATE, SIZE);
	vcpu_pre_fault(f.vcpu, GMEM_DATA_GPA, SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, PRIVATE);
	gmem_slot_punch_hole(&f.slot, gpa, size);
	ASSERT_EQ(gmem_allocated(f.slot.fd), SIZE - size);
	guest_check_zero(f.vcpu, gpa, size);

	gmem_slot_punch_hole(&f.slot, gpa, size);
	vcpu_pre_fault(f.vcpu, GMEM_DATA_GPA, SIZE);
	ASSERT_EQ(gmem_allocated(f.slot.fd), SIZE);
	guest_check_zero(f.vcpu, gpa, size);
	guest_check(f.vcpu, GMEM_DATA_GPA, gpa - GMEM_DATA_GPA, PRIVATE);
	guest_check(f.vcpu, gpa + size, END_GPA - gpa - size, PRIVATE);
	guest_end(&f);
}

static u64 own_anon_kb(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	u64 kb = 0;
	bool found = false;

	TEST_ASSERT(f, "no /proc/self/status, errno %d", errno);
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "RssAnon: %lu", &kb) == 1;
	fclose(f);
	TEST_ASSERT(found, "no RssAnon");
	return kb;
}

/* A read would not break copy-on-write. */
static void test_zero_page_is_not_copied(void)
{
	u64 anon_kb, size = SZ_64M;
	struct guest_fixture f;
	void *hva;

	host_set_thp("never");
	start(&f, MEM_DEFAULT, SIZE);
	hva = gmem_alloc_hva(OTHER_GPA, size);
	vm_set_user_memory_region2(f.vm, OTHER_SLOT, 0, OTHER_GPA, size, hva,
				   -1, 0);
	anon_kb = own_anon_kb();
	vcpu_pre_fault(f.vcpu, OTHER_GPA, size);
	TEST_ASSERT(own_anon_kb() < anon_kb + size / 2048,
		    "the pages have been allocated");
	guest_end(&f);
	gmem_free_hva(hva, size);
}

static void test_read_only_slot_is_mapped(void)
{
	struct guest_fixture f;

	start_default(&f, SIZE, KVM_MEM_READONLY, 0);
	host_fill(f.slot.hva, GMEM_DATA_GPA, SIZE, SHARED);
	expect_mappings(&f, 0, SIZE, NR_PAGES);
	guest_check(f.vcpu, GMEM_DATA_GPA, SIZE, SHARED);
	guest_end(&f);
}

/*
 * Nothing has been written
 */

static void test_pages_stay_clean_in_the_dirty_log(void)
{
	unsigned long bitmap[DIV_ROUND_UP(NR_PAGES, 64)] = {};
	struct guest_fixture f;

	host_set_thp("never");
	start_default(&f, SIZE, KVM_MEM_LOG_DIRTY_PAGES, 0);
	host_fill(f.slot.hva, GMEM_DATA_GPA, SIZE, SHARED);
	expect_mappings(&f, 0, SIZE, NR_PAGES);
	kvm_vm_get_dirty_log(f.vm, GMEM_DATA_SLOT, bitmap);
	ASSERT_EQ(bitmap[0], 0UL);

	/* What is written is still noticed. */
	guest_write(f.vcpu, GMEM_DATA_GPA + GMEM_PAGES(5), 1);
	kvm_vm_get_dirty_log(f.vm, GMEM_DATA_SLOT, bitmap);
	ASSERT_EQ(bitmap[0], BIT(5));
	guest_end(&f);
}

static void test_dirty_ring_stays_empty(void)
{
	u64 nr = 2048, ring_size = nr / 2 * sizeof(struct kvm_dirty_gfn);
	struct kvm_dirty_gfn *ring;
	struct guest_fixture f;

	host_set_thp("never");
	start_default(&f, GMEM_PAGES(nr), KVM_MEM_LOG_DIRTY_PAGES, ring_size);
	ring = vcpu_map_dirty_ring(f.vcpu);
	host_fill(f.slot.hva, GMEM_DATA_GPA, f.slot.size, SHARED);
	/* More than the ring can hold. */
	expect_mappings(&f, 0, f.slot.size, nr);
	ASSERT_EQ(READ_ONCE(ring->flags), 0U);

	guest_write(f.vcpu, GMEM_DATA_GPA + GMEM_PAGES(5), 1);
	ASSERT_EQ(READ_ONCE(ring->flags), KVM_DIRTY_GFN_F_DIRTY);
	ASSERT_EQ(ring->offset, 5ULL);
	guest_end(&f);
}

/*
 * States of the vCPU
 */

/* Put the vCPU into a nested guest; nested paging makes KVM shadow tables. */
static void enter_nested_guest(struct kvm_vcpu *vcpu, bool nested_paging)
{
	struct {
		struct kvm_nested_state state;
		u8 data[KVM_STATE_NESTED_SVM_VMCB_SIZE];
	} nested = {};
	struct vmcb *vmcb = (struct vmcb *)nested.data;
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.efer |= EFER_SVME;
	vcpu_sregs_set(vcpu, &sregs);

	vmcb->control.intercept = BIT_ULL(INTERCEPT_VMRUN);
	vmcb->control.asid = 1;
	if (nested_paging) {
		vmcb->control.nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
		vmcb->control.nested_cr3 = sregs.cr3;
	}
	vmcb->save.efer = sregs.efer;
	vmcb->save.cr0 = sregs.cr0;
	vmcb->save.cr3 = sregs.cr3;
	vmcb->save.cr4 = sregs.cr4;

	nested.state.flags = KVM_STATE_NESTED_GUEST_MODE |
			     KVM_STATE_NESTED_GIF_SET;
	nested.state.format = KVM_STATE_NESTED_FORMAT_SVM;
	nested.state.size = sizeof(nested);
	nested.state.hdr.svm.vmcb_pa = GMEM_DATA_GPA;
	vcpu_nested_state_set(vcpu, &nested.state);
}

static void leave_nested_guest(struct kvm_vcpu *vcpu)
{
	struct kvm_nested_state state = {
		.flags = KVM_STATE_NESTED_GIF_SET,
		.format = KVM_STATE_NESTED_FORMAT_SVM,
		.size = sizeof(state),
	};

	vcpu_nested_state_set(vcpu, &state);
}

static void check_nested(bool nested_paging, int err)
{
	struct guest_fixture f;

	if (!kvm_cpu_has(X86_FEATURE_SVM))
		gmem_skip("no nested SVM");

	host_set_thp("never");
	start(&f, MEM_DEFAULT, SIZE);
	enter_nested_guest(f.vcpu, nested_paging);
	if (err)
		expect_error(f.vcpu, GMEM_DATA_GPA, SIZE, err);
	else
		expect_mappings(&f, 0, SIZE, NR_PAGES);

	leave_nested_guest(f.vcpu);
	vcpu_pre_fault(f.vcpu, GMEM_DATA_GPA, SIZE);
	ASSERT_EQ(vcpu_get_stat(f.vcpu, "pf_fixed"), NR_PAGES);
	guest_end(&f);
}

static void test_nested_guest_without_nested_paging_is_mapped(void)
{
	check_nested(false, 0);
}

static void test_nested_paging_is_eopnotsupp(void)
{
	check_nested(true, EOPNOTSUPP);
}

/* Page tables go with CPUID; before and after it, the call works. */
static void test_vcpu_without_cpuid_can_pre_fault(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct kvm_vcpu *vcpu = __vm_vcpu_add(vm, 0);
	struct gmem_slot slot;

	gmem_slot_add(&slot, vm, GMEM_DATA_SLOT, GMEM_DATA_GPA, SIZE, NULL, -1,
		      0);
	vm_mem_set_private(vm, GMEM_DATA_GPA, SIZE);
	vcpu_pre_fault(vcpu, GMEM_DATA_GPA, SIZE);
	vcpu_init_cpuid(vcpu, kvm_get_supported_cpuid());
	vcpu_pre_fault(vcpu, GMEM_DATA_GPA, SIZE);
	ASSERT_EQ(gmem_allocated(slot.fd), SIZE);
	gmem_vm_free(vm, &slot);
}

/* After a slot has gone, roots of page tables are obsolete until reloaded. */
static void test_pre_fault_alone_follows_changes_of_slots(void)
{
	struct guest_fixture f;
	u32 i;

	start(&f, MEM_PRIVATE, SIZE);
	for (i = 0; i < 50; i++) {
		vcpu_pre_fault(f.vcpu, GMEM_DATA_GPA, SIZE);
		gmem_slot_delete(&f.slot);
		expect_error(f.vcpu, GMEM_DATA_GPA, SIZE, ENOENT);
		gmem_slot_bind(&f.slot);
	}
	vcpu_pre_fault(f.vcpu, GMEM_DATA_GPA, SIZE);
	guest_check_zero(f.vcpu, GMEM_DATA_GPA, SIZE);
	guest_end(&f);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_capability_is_there),
	GMEM_TEST(test_bad_ranges_are_refused),
	GMEM_TEST(test_flags_and_padding_are_refused),
	GMEM_TEST(test_bad_pointers_are_refused),
	GMEM_TEST(test_no_slot_is_enoent_private),
	GMEM_TEST(test_no_slot_is_enoent_shared),
	GMEM_TEST(test_no_slot_is_enoent_default),
	GMEM_TEST(test_private_without_file_is_efault),
	GMEM_TEST(test_closed_file_is_efault),
	GMEM_TEST(test_unmapped_host_memory_is_efault),
	GMEM_TEST(test_poisoned_host_memory_is_ehwpoison),
	GMEM_TEST(test_slot_end_is_partial_progress_private),
	GMEM_TEST(test_slot_end_is_partial_progress_shared),
	GMEM_TEST(test_slot_end_is_partial_progress_default),
	GMEM_TEST(test_huge_mapping_counts_to_its_end),
	GMEM_TEST(test_existing_mappings_stay),
	GMEM_TEST(test_signals_interrupt_a_large_range),
	GMEM_TEST(test_guest_needs_no_faults_private),
	GMEM_TEST(test_guest_needs_no_faults_shared),
	GMEM_TEST(test_guest_needs_no_faults_default),
	GMEM_TEST(test_guest_needs_no_faults_legacy_mmu),
	GMEM_TEST(test_legacy_mmu_maps_like_the_tdp_mmu),
	GMEM_TEST(test_contents_stay),
	GMEM_TEST(test_attribute_decides_what_is_mapped),
	GMEM_TEST(test_hole_is_zero_after_pre_fault),
	GMEM_TEST(test_zero_page_is_not_copied),
	GMEM_TEST(test_read_only_slot_is_mapped),
	GMEM_TEST(test_pages_stay_clean_in_the_dirty_log),
	GMEM_TEST(test_dirty_ring_stays_empty),
	GMEM_TEST(test_nested_guest_without_nested_paging_is_mapped),
	GMEM_TEST(test_nested_paging_is_eopnotsupp),
	GMEM_TEST(test_vcpu_without_cpuid_can_pre_fault),
	GMEM_TEST(test_pre_fault_alone_follows_changes_of_slots),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_PRE_FAULT_MEMORY));

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
