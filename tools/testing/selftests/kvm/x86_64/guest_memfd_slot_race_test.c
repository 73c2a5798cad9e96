// SPDX-License-Identifier: GPL-2.0
/*
 * Slots with private memory that come and go under a running vCPU.
 *
 *	CPU 0: delete the slot		CPU 1: vCPU accesses the slot's memory
 *
 *	swap in a copy, INVALID
 *	synchronize_srcu()
 *					finds the copy, and asks whether the
 *					gfn is private
 *	swap in slots without it
 *					finds no slot: an exit
 *	create the slot again
 *					an access that succeeds
 *
 * For each way to access guest memory, and for both kinds of slots of which a
 * file says what is private or an attribute does.  A race counts if the vCPU has
 * found the slot missing and has found it there, both.
 */
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>
#include <pthread.h>

#include "guest_memfd_emul.h"
#include "race.h"

#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP	BIT_ULL(0)
#endif

#define RACE_MS		2500
/* If the guest has not found the slot by then, or not missed it. */
#define LATE_MS		60000
#define STRING_BYTES	0x80

enum slot_kind {
	CONVERTIBLE,	/* the file says what is private */
	ATTRIBUTE,	/* the attribute does */
	SHARED,		/* no file, and the attribute says that it is shared */
};

struct slot_race {
	struct guest_fixture f;
	enum slot_kind kind;
	void *hva;
	int fd;
	bool clock;
	int big_fd;
	/* What of the big slot is mapped next. */
	u64 big_offset;

	/* How often all of the memory has been made private and shared. */
	u64 changes;
	bool stop;

	/* Of the vCPU's thread: how often it left, and for lack of the slot. */
	u64 exits, missing;
};

/* In the guest's memory. */
static u64 guest_race_stop, guest_passes, guest_faults;

/* The guest's functions. */

static bool guest_goes_on(void)
{
	WRITE_ONCE(guest_passes, guest_passes + 1);
	return !READ_ONCE(guest_race_stop);
}

static u64 guest_string_out(void)
{
	u64 si, cx;

	do {
		si = DATA_PAGE(1) - STRING_BYTES / 2;
		cx = STRING_BYTES;
		asm volatile("rep outsb" : "+S"(si), "+c"(cx) : "d"(PIO_PORT) :
			     "memory");
	} while (guest_goes_on());
	return 0;
}

static u64 guest_string_in(void)
{
	u64 di, cx;

	do {
		di = DATA_PAGE(1) - STRING_BYTES / 2;
		cx = STRING_BYTES;
		asm volatile("rep insb" : "+D"(di), "+c"(cx) : "d"(PIO_PORT) :
			     "memory");
	} while (guest_goes_on());
	return 0;
}

static u64 guest_touch(void)
{
	u64 gpa;

	do {
		for (gpa = DATA_PAGE(0); gpa < DATA_PAGE(DATA_PAGES);
		     gpa += GMEM_PAGE_SIZE)
			WRITE_ONCE(*(u8 *)gpa, 1);
	} while (guest_goes_on());
	return 0;
}

static u64 guest_emulated_touch(void)
{
	u64 gpa;

	do {
		for (gpa = DATA_PAGE(0); gpa < DATA_PAGE(8);
		     gpa += GMEM_PAGE_SIZE) {
			guest_fep_write((u64 *)gpa, gpa);
			guest_fep_read((u64 *)gpa);
		}
	} while (guest_goes_on());
	return 0;
}

/* The tables that translate ALIAS_GVA are in the slot. */
static u64 guest_walk(void)
{
	u64 val;

	do {
		WRITE_ONCE(*guest_pte, DATA_PAGE(7) | PTE_PRESENT_MASK |
			   PTE_WRITABLE_MASK);
		guest_invlpg(ALIAS_GVA);
		if (guest_read_safe(guest_alias, &val))
			guest_faults++;
		asm volatile("outb %%al, %w0" : : "d"(PIO_PORT));
	} while (guest_goes_on());
	return 0;
}

/* KVM writes the time whenever it enters the guest. */
static u64 guest_pv_time(void)
{
	guest_clock_on();
	guest_steal_on();
	do {
		READ_ONCE(*(u64 *)STEAL_GPA);
		asm volatile("outb %%al, %w0" : : "d"(PIO_PORT));
	} while (guest_goes_on());
	return 0;
}

/* The host's side. */

static void slot_set(struct slot_race *r, u64 size)
{
	u32 flags = r->kind == SHARED || !size ? 0 : KVM_MEM_GUEST_MEMFD;

	vm_set_user_memory_region2(r->f.vm, GMEM_DATA_SLOT, flags,
				   GMEM_DATA_GPA, size, r->hva, r->fd, 0);
}

/* Return: false when the guest's function has ended. */
static bool race_exit(struct slot_race *r, int ret)
{
	struct kvm_run *run = r->f.vcpu->run;

	r->exits++;
	if (ret) {
		TEST_ASSERT(errno == EFAULT || errno == EINTR ||
			    errno == EAGAIN, "KVM_RUN, errno %d", errno);
		r->missing += errno == EFAULT;
		return true;
	}
	if (run->exit_reason == KVM_EXIT_MMIO) {
		TEST_ASSERT(run->mmio.phys_addr - GMEM_DATA_GPA < DATA_SIZE,
			    "MMIO at 0x%llx", run->mmio.phys_addr);
		r->missing++;
		return true;
	}
	TEST_ASSERT(run->exit_reason == KVM_EXIT_IO, "exit reason %u (%s)",
		    run->exit_reason, exit_reason_str(run->exit_reason));
	return run->io.port == PIO_PORT;
}

/*
 * Behind the data slot, memory that is not changed by one piece: a slot that
 * stays, mapped in huge pages.
 */
#define BIG_SLOT	25
#define BIG_GPA		(GMEM_DATA_GPA + GMEM_HUGE_SIZE)
#define BIG_SIZE	(64ULL << 20)

static void big_slot_add(struct slot_race *r)
{
	int fd = vm_create_guest_memfd(r->f.vm, BIG_SIZE,
				       GUEST_MEMFD_FLAG_HUGEPAGE);

	vm_set_user_memory_region2(r->f.vm, BIG_SLOT, KVM_MEM_GUEST_MEMFD,
				   BIG_GPA, BIG_SIZE,
				   gmem_alloc_hva(BIG_GPA, BIG_SIZE), fd, 0);
	gmem_allocate(fd, 0, BIG_SIZE);
	r->big_fd = fd;
}

/* A huge page of it: all of it takes as long as many rounds. */
static void big_slot_map(struct slot_race *r)
{
	struct kvm_pre_fault_memory range = {
		.gpa = BIG_GPA + r->big_offset,
		.size = GMEM_HUGE_SIZE,
	};

	__vcpu_ioctl(r->f.vcpu, KVM_PRE_FAULT_MEMORY, &range);
	r->big_offset = (r->big_offset + GMEM_HUGE_SIZE) % BIG_SIZE;
}

static void *race_thread(void *arg)
{
	struct slot_race *r = arg;

	while (race_exit(r, __vcpu_run(r->f.vcpu))) {
		if (r->clock)
			__vcpu_ioctl(r->f.vcpu, KVM_KVMCLOCK_CTRL, NULL);
		if (r->big_fd >= 0)
			big_slot_map(r);
	}
	return NULL;
}

static bool race_has_met(struct slot_race *r)
{
	sync_global_from_guest(r->f.vm, guest_passes);
	return guest_passes && READ_ONCE(r->missing);
}

static void race_delete_and_create(struct slot_race *r)
{
	struct race_rng rng = { .state = race_seed() };
	u64 end = now_ms() + race_ms(RACE_MS), late = now_ms() + LATE_MS, rounds;

	for (rounds = 0; now_ms() < end || (!race_has_met(r) && now_ms() < late);
	     rounds++) {
		usleep(race_random_below(&rng, 3000));
		slot_set(r, 0);
		if (race_random_below(&rng, 2))
			usleep(race_random_below(&rng, 500));
		slot_set(r, DATA_SIZE);
	}
	pr_info("%lu rounds, seed 0x%lx\n", rounds, race_seed());
}

/* The last table for ALIAS_GVA is PT_PAGE of the data slot. */
static void alias_in_data_slot(struct kvm_vm *vm)
{
	u64 *entry = addr_gpa2hva(vm, vm->pgd);
	int level;

	for (level = 4; level > 2; level--) {
		entry += (ALIAS_GVA >> (12 + 9 * (level - 1))) & 511;
		entry = addr_gpa2hva(vm, *entry & PHYSICAL_PAGE_MASK);
	}
	entry += (ALIAS_GVA >> 21) & 511;
	*entry = (*entry & ~PHYSICAL_PAGE_MASK) | DATA_PAGE(PT_PAGE);
}

static void slot_race_start(struct slot_race *r, enum slot_kind kind)
{
	memset(r, 0, sizeof(*r));
	r->big_fd = -1;
	guest_start(&r->f, DATA_SIZE);
	emul_map(r->f.vm);
	alias_in_data_slot(r->f.vm);
	vm_init_descriptor_tables(r->f.vm);
	vcpu_init_descriptor_tables(r->f.vcpu);

	/* The library's slot has an attribute and a file; make it another. */
	gmem_slot_delete(&r->f.slot);
	r->kind = kind;
	r->fd = r->f.slot.fd;
	r->hva = r->f.slot.hva;
	if (kind == CONVERTIBLE) {
		r->fd = vm_create_guest_memfd(r->f.vm, DATA_SIZE,
					      GUEST_MEMFD_FLAG_MMAP);
		r->hva = NULL;
	}
	if (kind == ATTRIBUTE)
		vm_mem_set_private(r->f.vm, GMEM_DATA_GPA, DATA_SIZE);
	slot_set(r, DATA_SIZE);
}

static void *change_attributes(void *arg)
{
	u64 size = BIG_GPA + BIG_SIZE - GMEM_DATA_GPA;
	struct slot_race *r = arg;

	while (!READ_ONCE(r->stop)) {
		vm_mem_set_private(r->f.vm, GMEM_DATA_GPA, size);
		/* Let it be mapped. */
		usleep(1000);
		vm_mem_set_shared(r->f.vm, GMEM_DATA_GPA, size);
		usleep(1000);
		r->changes++;
	}
	return NULL;
}

static void slot_race_end(struct slot_race *r)
{
	if (r->kind == CONVERTIBLE)
		close(r->fd);
	if (r->big_fd >= 0)
		close(r->big_fd);
	guest_end(&r->f);
}

static void __check_race(enum slot_kind kind, u64 (*fn)(void), bool change)
{
	pthread_t thread, changer;
	struct slot_race r;

	emul_force();
	slot_race_start(&r, kind);
	r.clock = fn == guest_pv_time;
	guest_cmd_set(r.f.vcpu, GUEST_OP_CALL, (u64)fn, 0, 0);
	if (change)
		big_slot_add(&r);
	pthread_create(&thread, NULL, race_thread, &r);
	if (change)
		pthread_create(&changer, NULL, change_attributes, &r);
	race_delete_and_create(&r);

	if (change) {
		WRITE_ONCE(r.stop, true);
		pthread_join(changer, NULL);
		pr_info("all private and shared again %lu times\n", r.changes);
		TEST_ASSERT(r.changes, "attributes never changed");
	}
	guest_race_stop = 1;
	sync_global_to_guest(r.f.vm, guest_race_stop);
	pthread_join(thread, NULL);
	guest_cmd_complete(r.f.vcpu);

	sync_global_from_guest(r.f.vm, guest_passes);
	sync_global_from_guest(r.f.vm, guest_faults);
	pr_info("%lu exits, %lu passes; slot missing in %lu, walk failed in %lu\n",
		r.exits, guest_passes, r.missing, guest_faults);
	TEST_ASSERT(guest_passes, "the guest never saw the slot");
	TEST_ASSERT(r.missing, "the guest never missed the slot");
	slot_race_end(&r);
	emul_restore();
}

static void check_race(enum slot_kind kind, u64 (*fn)(void))
{
	__check_race(kind, fn, false);
}

/*
 *	CPU 0: change of attributes	CPU 1: slot	CPU 2: vCPU, in srcu
 *
 *	begin: its clock is invalid
 *					slots_lock	clock: waits for the end
 *					waits for srcu
 *	must wait for neither
 */
static void test_attributes_change_beside_slot_and_clock(void)
{
	__check_race(ATTRIBUTE, guest_pv_time, true);
}

#define RACE_TEST(access)					\
static void test_convertible_slot_##access(void)		\
{								\
	check_race(CONVERTIBLE, guest_##access);		\
}								\
								\
static void test_attribute_slot_##access(void)			\
{								\
	check_race(ATTRIBUTE, guest_##access);			\
}								\
								\
static void test_shared_slot_##access(void)			\
{								\
	check_race(SHARED, guest_##access);			\
}

RACE_TEST(string_out)
RACE_TEST(string_in)
RACE_TEST(touch)
RACE_TEST(emulated_touch)
RACE_TEST(walk)
RACE_TEST(pv_time)

static const struct gmem_test tests[] = {
	GMEM_TEST(test_convertible_slot_string_out),
	GMEM_TEST(test_attribute_slot_string_out),
	GMEM_TEST(test_shared_slot_string_out),
	GMEM_TEST(test_convertible_slot_string_in),
	GMEM_TEST(test_attribute_slot_string_in),
	GMEM_TEST(test_shared_slot_string_in),
	GMEM_TEST(test_convertible_slot_touch),
	GMEM_TEST(test_attribute_slot_touch),
	GMEM_TEST(test_shared_slot_touch),
	GMEM_TEST(test_convertible_slot_emulated_touch),
	GMEM_TEST(test_attribute_slot_emulated_touch),
	GMEM_TEST(test_shared_slot_emulated_touch),
	GMEM_TEST(test_convertible_slot_walk),
	GMEM_TEST(test_attribute_slot_walk),
	GMEM_TEST(test_shared_slot_walk),
	GMEM_TEST(test_convertible_slot_pv_time),
	GMEM_TEST(test_attribute_slot_pv_time),
	GMEM_TEST(test_shared_slot_pv_time),
	GMEM_TEST(test_attributes_change_beside_slot_and_clock),
};

int main(void)
{
	int ret;

	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	ret = gmem_run_tests(tests, ARRAY_SIZE(tests));
	emul_restore();
	return ret;
}
