// SPDX-License-Identifier: GPL-2.0
/*
 * KVM's own accesses to private memory against changes of it.
 *
 * When KVM_SET_MEMORY_ATTRIBUTES has returned, no access begins on the side that
 * the range has left, and none is made through an address that KVM has kept.  An
 * access that had begun may end there, and nothing waits for it.  See
 * guest_memfd_private.h for the guest.
 */
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>
#include <asm/pvclock-abi.h>
#include <pthread.h>

#include "guest_memfd_private.h"
#include "guest_memfd_uffd.h"
#include "race.h"

#define FLIP_GPA	DATA_PAGE(33)
/* What the guest fills its pages with, next to POISON_TAG on the shared side. */
#define ELSEWHERE_TAG	0x777
#define guest_flip	((u64 *)FLIP_GPA)

#define STRESS_MS	5000

/* Put back what private_vm_end() wants to see. */
static void poison_again(struct private_vm *p, u64 gpa)
{
	host_fill(private_vm_hva(p, gpa), gpa, GMEM_PAGE_SIZE, POISON_TAG);
}

/* Accesses that have begun. */

static u64 guest_fep_write_flip(void)
{
	guest_fep_write(guest_flip, 0x1234);
	return 0;
}

static u64 guest_fep_read_flip(void)
{
	return guest_fep_read(guest_flip);
}

/*
 * KVM is in the middle of an access to the shared side, waiting for a page of
 * the host, when the gfn becomes private.  The VMM may have but one thread to
 * convert and to provide the page.
 */
static void check_conversion_does_not_wait(u64 (*fn)(void), u64 want,
					   u64 want_shared)
{
	struct missing_page missing;
	struct private_vm p;
	pthread_t vcpu;
	u64 *shared, val;

	emul_force();
	private_vm_start(&p, 1);
	guest_write(p.vcpu, FLIP_GPA, 0x7777);
	private_vm_share(&p, FLIP_GPA, GMEM_PAGE_SIZE);
	shared = private_vm_hva(&p, FLIP_GPA);
	missing_page_init(&missing, shared);

	guest_cmd_set(p.vcpu, GUEST_OP_CALL, (u64)fn, 0, 0);
	pthread_create(&vcpu, NULL, finish_thread, p.vcpu);
	missing_page_wait(&missing);
	vm_mem_set_private(p.vm, FLIP_GPA, GMEM_PAGE_SIZE);

	missing_page_provide(&missing, 0x4444);
	pthread_join(vcpu, NULL);
	/* One access is on one side. */
	TEST_ASSERT(READ_ONCE(*shared) == want_shared, "shared: 0x%lx",
		    *shared);
	val = guest_cmd_of(p.vcpu)->value;
	TEST_ASSERT(val == want, "the guest's function returns 0x%lx", val);

	val = guest_read(p.vcpu, FLIP_GPA);
	TEST_ASSERT(val == 0x7777, "private: 0x%lx", val);
	poison_again(&p, FLIP_GPA);
	private_vm_end(&p);
	emul_restore();
}

static void test_conversion_does_not_wait_for_a_write(void)
{
	check_conversion_does_not_wait(guest_fep_write_flip, 0, 0x1234);
}

static void test_conversion_does_not_wait_for_a_read(void)
{
	check_conversion_does_not_wait(guest_fep_read_flip, 0x4444, 0x4444);
}

static u64 guest_clock_clear(void)
{
	memset((void *)CLOCK_GPA, 0, sizeof(struct pvclock_vcpu_time_info));
	return 0;
}

static u64 guest_clock_version(void)
{
	return READ_ONCE(*(u32 *)CLOCK_GPA);
}

/* The same with an address that KVM is about to keep, which must not stay. */
static void test_kept_address_does_not_survive(void)
{
	struct missing_page missing;
	struct private_vm p;
	pthread_t vcpu;
	u64 version;
	void *shared;

	private_vm_start(&p, 1);
	guest_call(p.vcpu, guest_clock_on);
	guest_call(p.vcpu, guest_clock_clear);
	private_vm_share(&p, CLOCK_GPA, GMEM_PAGE_SIZE);
	shared = private_vm_hva(&p, CLOCK_GPA);
	missing_page_init(&missing, shared);

	vcpu_ioctl(p.vcpu, KVM_KVMCLOCK_CTRL, NULL);
	guest_cmd_set(p.vcpu, GUEST_OP_NOP, 0, 0, 0);
	pthread_create(&vcpu, NULL, finish_thread, p.vcpu);
	missing_page_wait(&missing);
	vm_mem_set_private(p.vm, CLOCK_GPA, GMEM_PAGE_SIZE);
	missing_page_provide(&missing, 0);
	pthread_join(vcpu, NULL);

	host_check_zero(shared, GMEM_PAGE_SIZE);
	version = guest_call(p.vcpu, guest_clock_version);
	TEST_ASSERT(version && !(version & 1), "version %lu", version);
	poison_again(&p, CLOCK_GPA);
	private_vm_end(&p);
}

/* At full speed. */

static u64 guest_stress_stop, guest_stress_epoch, guest_stress_seen;

static void stress_stop(struct private_vm *p)
{
	guest_stress_stop = 1;
	sync_global_to_guest(p->vm, guest_stress_stop);
}

static u64 guest_stress_write(void)
{
	u64 n = 0;

	while (!READ_ONCE(guest_stress_stop))
		guest_fep_write(guest_flip, ++n);
	return n;
}

/* One write may have begun before the conversion, and no more than one. */
static void test_writes_stop_at_a_conversion(void)
{
	u64 until, seen, now, late, nr_late = 0, rounds = 0;
	struct private_vm p;
	pthread_t vcpu;
	u64 *shared;
	int i;

	emul_force();
	private_vm_start(&p, 1);
	shared = private_vm_hva(&p, FLIP_GPA);
	guest_cmd_set(p.vcpu, GUEST_OP_CALL, (u64)guest_stress_write, 0, 0);
	pthread_create(&vcpu, NULL, finish_thread, p.vcpu);
	for (until = now_ms() + STRESS_MS; now_ms() < until; rounds++) {
		WRITE_ONCE(*shared, 0);
		private_vm_share(&p, FLIP_GPA, GMEM_PAGE_SIZE);
		while (!READ_ONCE(*shared))
			TEST_ASSERT(now_ms() < until + 60000, "no write comes");
		vm_mem_set_private(p.vm, FLIP_GPA, GMEM_PAGE_SIZE);
		seen = READ_ONCE(*shared);
		for (i = 0, late = 0; i < 1000; i++, seen = now) {
			now = READ_ONCE(*shared);
			late += now != seen;
			TEST_ASSERT(late <= 1,
				    "begun after the conversion, round %lu",
				    rounds);
		}
		nr_late += late;
	}
	stress_stop(&p);
	pthread_join(vcpu, NULL);
	poison_again(&p, FLIP_GPA);
	private_vm_end(&p);
	emul_restore();
	ksft_print_msg("%lu rounds, %lu late writes\n", rounds, nr_late);
}

/*
 * Epochs that are 0 modulo 4 are shared, 2 modulo 4 private, and between them a
 * conversion is under way.  Shared memory has ~0, private memory 0x7777.
 */
static u64 guest_stress_read(void)
{
	u64 epoch, val, n = 0;

	while (!READ_ONCE(guest_stress_stop)) {
		epoch = READ_ONCE(guest_stress_epoch);
		val = guest_fep_read(guest_flip);
		GUEST_ASSERT_1(val == 0x7777 || val == ~0ull, val);
		if ((epoch & 1) || READ_ONCE(guest_stress_epoch) != epoch)
			continue;
		WRITE_ONCE(guest_stress_seen, ++n);
		GUEST_ASSERT_2(val == (epoch & 2 ? 0x7777 : ~0ull), val, epoch);
	}
	return n;
}

static void test_reads_follow_a_conversion(void)
{
	u64 until, *shared, *epoch, *seen;
	struct private_vm p;
	pthread_t vcpu;

	emul_force();
	private_vm_start(&p, 1);
	guest_write(p.vcpu, FLIP_GPA, 0x7777);
	shared = private_vm_hva(&p, FLIP_GPA);
	*shared = ~0ull;
	epoch = addr_gva2hva(p.vm, (vm_vaddr_t)&guest_stress_epoch);
	*epoch = 2;
	guest_cmd_set(p.vcpu, GUEST_OP_CALL, (u64)guest_stress_read, 0, 0);
	pthread_create(&vcpu, NULL, finish_thread, p.vcpu);
	seen = addr_gva2hva(p.vm, (vm_vaddr_t)&guest_stress_seen);
	until = now_ms() + STRESS_MS;
	while (now_ms() < until || !READ_ONCE(*seen)) {
		TEST_ASSERT(now_ms() < until + 60000, "no read within an epoch");
		WRITE_ONCE(*epoch, *epoch + 1);
		vm_set_memory_attributes(p.vm, FLIP_GPA, GMEM_PAGE_SIZE,
					 *epoch & 2 ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE);
		WRITE_ONCE(*epoch, *epoch + 1);
		usleep(race_random_below(&(struct race_rng){ *epoch }, 500));
	}
	stress_stop(&p);
	pthread_join(vcpu, NULL);
	ksft_print_msg("%lu epochs, %lu reads\n", *epoch,
		       guest_cmd_of(p.vcpu)->value);
	vm_mem_set_private(p.vm, FLIP_GPA, GMEM_PAGE_SIZE);
	poison_again(&p, FLIP_GPA);
	private_vm_end(&p);
	emul_restore();
}

static u64 guest_stress_run(void)
{
	u64 n = 0;

	while (!READ_ONCE(guest_stress_stop)) {
		rdmsr(MSR_IA32_TSC);
		n++;
	}
	return n;
}

static void set_clock(struct private_vm *p)
{
	struct kvm_clock_data data = { .clock = 1000000000 };

	vm_ioctl(p->vm, KVM_SET_CLOCK, &data);
}

/* KVM writes the clock of a running vCPU each time it is set. */
static void test_clock_stops_at_a_conversion(void)
{
	u64 until, rounds = 0;
	struct private_vm p;
	pthread_t vcpu;
	u32 *shared;
	u32 seen;

	private_vm_start(&p, 1);
	shared = private_vm_hva(&p, CLOCK_GPA);
	guest_call(p.vcpu, guest_clock_on);
	guest_cmd_set(p.vcpu, GUEST_OP_CALL, (u64)guest_stress_run, 0, 0);
	pthread_create(&vcpu, NULL, finish_thread, p.vcpu);
	for (until = now_ms() + STRESS_MS; now_ms() < until; rounds++) {
		WRITE_ONCE(*shared, 0);
		private_vm_share(&p, CLOCK_GPA, GMEM_PAGE_SIZE);
		set_clock(&p);
		while (!READ_ONCE(*shared))
			TEST_ASSERT(now_ms() < until + 60000, "no update comes");
		set_clock(&p);
		vm_mem_set_private(p.vm, CLOCK_GPA, GMEM_PAGE_SIZE);
		seen = READ_ONCE(*shared);
		set_clock(&p);
		usleep(500);
		TEST_ASSERT(READ_ONCE(*shared) == seen,
			    "written after the conversion, round %lu", rounds);
	}
	stress_stop(&p);
	pthread_join(vcpu, NULL);
	poison_again(&p, CLOCK_GPA);
	private_vm_end(&p);
	ksft_print_msg("%lu rounds\n", rounds);
}

/*
 * Holes while the guest accesses the page both ways, directly and by emulation:
 * it reads what it has written, or zeros if the hole came in between.  Return:
 * how often it did.
 */
static u64 guest_stress_holes(void)
{
	u64 a, b, n = 0, lost = 0;

	while (!READ_ONCE(guest_stress_stop)) {
		guest_fep_write(guest_flip, ++n);
		a = READ_ONCE(*guest_flip);
		b = guest_fep_read(guest_flip);
		GUEST_ASSERT_3((a == n || !a) && (b == a || !b), a, b, n);
		lost += !b;

		WRITE_ONCE(*guest_flip, ++n);
		a = guest_fep_read(guest_flip);
		b = READ_ONCE(*guest_flip);
		GUEST_ASSERT_3((a == n || !a) && (b == a || !b), a, b, n);
		lost += !b;
		WRITE_ONCE(guest_stress_seen, lost);
	}
	return lost;
}

static void test_holes_take_effect_for_all(void)
{
	u64 until, rounds = 0, *lost;
	struct private_vm p;
	pthread_t vcpu;

	emul_force();
	private_vm_start(&p, 1);
	lost = addr_gva2hva(p.vm, (vm_vaddr_t)&guest_stress_seen);
	guest_cmd_set(p.vcpu, GUEST_OP_CALL, (u64)guest_stress_holes, 0, 0);
	pthread_create(&vcpu, NULL, finish_thread, p.vcpu);
	until = now_ms() + STRESS_MS;
	for (; now_ms() < until || !READ_ONCE(*lost); rounds++) {
		TEST_ASSERT(now_ms() < until + 60000, "no hole is seen");
		gmem_slot_punch_hole(&p.slot, FLIP_GPA, GMEM_PAGE_SIZE);
		usleep(race_random_below(&(struct race_rng){ rounds }, 200));
	}
	stress_stop(&p);
	pthread_join(vcpu, NULL);
	ksft_print_msg("%lu holes, %lu seen\n", rounds,
		       guest_cmd_of(p.vcpu)->value);
	/* What a hole has taken is lost once. */
	TEST_ASSERT(guest_cmd_of(p.vcpu)->value <= rounds, "too many");
	private_vm_end(&p);
	emul_restore();
}

/*
 * Both vCPUs run from private memory while attributes of other pages change
 * all the time: what they need never looks shared.
 */
static void test_changes_elsewhere_do_not_disturb(void)
{
	u64 until, rounds = 0, i;
	pthread_t vcpu[2];
	struct private_vm p;

	private_vm_start(&p, 2);
	guest_fill(p.vcpu, GMEM_DATA_GPA, DATA_SIZE, ELSEWHERE_TAG);
	for (i = 0; i < 2; i++) {
		guest_cmd_set(p.vcpus[i], GUEST_OP_CALL, (u64)guest_stress_run,
			      0, 0);
		pthread_create(&vcpu[i], NULL, finish_thread, p.vcpus[i]);
	}
	for (until = now_ms() + STRESS_MS; now_ms() < until; rounds++) {
		u64 gpa = DATA_PAGE(rounds % DATA_PAGES);

		private_vm_share(&p, gpa, GMEM_PAGE_SIZE);
		/* Text and tables included, which are private already. */
		for (i = 0; i < p.size / GMEM_PAGE_SIZE; i++) {
			if (p.is_private[i] && i % 64 == rounds % 64)
				vm_mem_set_private(p.vm, GMEM_PAGES(i),
						   GMEM_PAGE_SIZE);
		}
		vm_mem_set_private(p.vm, GMEM_DATA_GPA, DATA_SIZE);
	}
	stress_stop(&p);
	for (i = 0; i < 2; i++)
		pthread_join(vcpu[i], NULL);
	ksft_print_msg("%lu rounds\n", rounds);

	/* All is private again, and what it was; so is the other side. */
	guest_check(p.vcpu, GMEM_DATA_GPA, DATA_SIZE, ELSEWHERE_TAG);
	for (i = 0; i < DATA_PAGES; i++) {
		private_vm_share(&p, DATA_PAGE(i), GMEM_PAGE_SIZE);
		guest_check(p.vcpu, DATA_PAGE(i), GMEM_PAGE_SIZE, POISON_TAG);
		vm_mem_set_private(p.vm, DATA_PAGE(i), GMEM_PAGE_SIZE);
	}
	guest_check(p.vcpu, GMEM_DATA_GPA, DATA_SIZE, ELSEWHERE_TAG);
	private_vm_end(&p);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_conversion_does_not_wait_for_a_write),
	GMEM_TEST(test_conversion_does_not_wait_for_a_read),
	GMEM_TEST(test_kept_address_does_not_survive),
	GMEM_TEST(test_writes_stop_at_a_conversion),
	GMEM_TEST(test_reads_follow_a_conversion),
	GMEM_TEST(test_clock_stops_at_a_conversion),
	GMEM_TEST(test_holes_take_effect_for_all),
	GMEM_TEST(test_changes_elsewhere_do_not_disturb),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
