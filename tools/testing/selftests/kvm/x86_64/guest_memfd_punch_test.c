// SPDX-License-Identifier: GPL-2.0
/*
 * Take private memory away from vCPUs that are using it.
 *
 * Guest: each vCPU owns one word in every page of a window.  It walks the
 * window over and over, compares each word with what it wrote last, and
 * writes something new.
 *
 * Host: punches holes, deletes slots, changes attributes, closes the file.
 * A word may turn to zero, if and only if its page was taken away after the
 * word had been written.  It must never show anything older: that would be a
 * mapping of memory which has been freed.
 *
 * To decide that without stopping the guest, the host numbers what it takes
 * away from a page: "begun" is raised before and "ended" after.  With
 *
 *	write: ended_before = ended; word = new; begun_after = begun
 *	read:  ended_now = ended; value = word; begun_now = begun
 *
 * the word has been lost for certain if ended_now > begun_after, and may have
 * been lost only if begun_now > ended_before.
 */
#include <pthread.h>

#include "guest_memfd_guest.h"
#include "processor.h"
#include "race.h"

#define NR_VCPUS	2
/* Two huge pages, so that holes have both kinds of neighbours. */
#define WINDOW_SIZE	(2 * GMEM_HUGE_SIZE)
/* The guest walks two groups of pages of it, or a pass takes too long. */
#define WALK_PAGES	24
#define NR_WALKED	(2 * WALK_PAGES)

#define ROUNDS		150
#define MIN_ROUNDS	10
#define MAX_MS		8000
#define WAIT_MS		60000

struct word {
	u64 value;
	u64 ended_before;
	u64 begun_after;
};

/* In guest memory; the host uses it through "shared" below. */
static struct state {
	u64 begun[NR_WALKED];
	u64 ended[NR_WALKED];
	u64 passes[NR_VCPUS];
	u64 stop;
	struct word words[NR_VCPUS][NR_WALKED];
} state;

struct host {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	u32 nr_vcpus;
	pthread_t threads[NR_VCPUS];
	struct gmem_slot slot;
	struct state *state;
	struct race_rng rng;
	u64 deadline;

	/* KVM_EXIT_MEMORY_FAULTs of all vCPUs, and whether they are allowed. */
	u64 faults;
	bool may_fault;
};

/* One half around the edge between the huge pages, one inside of the second. */
static inline u64 walked_gpa(u64 i)
{
	u64 first = i < WALK_PAGES ? GMEM_HUGE_SIZE : 3 * GMEM_HUGE_SIZE / 2;

	first -= GMEM_PAGES(WALK_PAGES / 2);
	return GMEM_DATA_GPA + first + GMEM_PAGES(i % WALK_PAGES);
}

/*
 * The guest
 */

static void guest_visit(u64 id, u64 i, u64 new)
{
	struct word *word = &state.words[id][i];
	u64 *p = (u64 *)walked_gpa(i) + id;
	u64 ended, value, begun;

	ended = READ_ONCE(state.ended[i]);
	value = READ_ONCE(*p);
	begun = READ_ONCE(state.begun[i]);

	GUEST_ASSERT_4(!value || value == word->value, i, value, word->value,
		       new);
	/* Lost for certain, and yet here: a stale mapping. */
	GUEST_ASSERT_4(!value || ended <= word->begun_after, i, value, ended,
		       word->begun_after);
	/* Lost without a reason. */
	GUEST_ASSERT_4(value == word->value || begun > word->ended_before, i,
		       word->value, begun, word->ended_before);

	word->value = new;
	word->ended_before = READ_ONCE(state.ended[i]);
	WRITE_ONCE(*p, new);
	/* The store must be visible before "begun" is read. */
	asm volatile("mfence" ::: "memory");
	word->begun_after = READ_ONCE(state.begun[i]);
}

static void guest_code(u64 id)
{
	u64 new = 0;
	u64 i;

	while (!READ_ONCE(state.stop)) {
		for (i = 0; i < NR_WALKED; i++)
			guest_visit(id, i, ++new * NR_VCPUS + id + 1);
		WRITE_ONCE(state.passes[id], state.passes[id] + 1);
	}
	GUEST_DONE();
}

/*
 * The host's vCPU threads
 */

static struct host host;

static u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

static void check_memory_fault(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	TEST_ASSERT(errno == EFAULT &&
		    run->exit_reason == KVM_EXIT_MEMORY_FAULT,
		    "KVM_RUN: errno %d, exit reason %u", errno,
		    run->exit_reason);
	TEST_ASSERT(run->memory_fault.flags == KVM_MEMORY_EXIT_FLAG_PRIVATE &&
		    run->memory_fault.size == GMEM_PAGE_SIZE &&
		    run->memory_fault.gpa - GMEM_DATA_GPA < WINDOW_SIZE,
		    "flags 0x%llx, gpa 0x%llx, size 0x%llx",
		    run->memory_fault.flags, run->memory_fault.gpa,
		    run->memory_fault.size);
	TEST_ASSERT(__atomic_load_n(&host.may_fault, __ATOMIC_ACQUIRE),
		    "exit at 0x%llx for no reason", run->memory_fault.gpa);

	__atomic_add_fetch(&host.faults, 1, __ATOMIC_RELEASE);
	usleep(1000);
}

static void *vcpu_thread(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;
	int ret;

	for (;;) {
		ret = __vcpu_run(vcpu);
		if (ret && errno == EINTR)
			continue;
		if (ret) {
			check_memory_fault(vcpu);
			continue;
		}

		switch (get_ucall(vcpu, &uc)) {
		case UCALL_DONE:
			return NULL;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT_4(uc, "page %lu: 0x%lx 0x%lx 0x%lx");
			break;
		default:
			TEST_FAIL("exit reason %u (%s)", vcpu->run->exit_reason,
				  exit_reason_str(vcpu->run->exit_reason));
		}
	}
}

static void start(u32 nr_vcpus)
{
	u64 seed = race_seed();
	int ret;
	u32 i;

	ksft_print_msg("RACE_SEED=0x%lx\n", seed);
	memset(&host, 0, sizeof(host));
	host.rng.state = seed;
	host.nr_vcpus = nr_vcpus;
	host.vm = gmem_vm_create(nr_vcpus, host.vcpus, guest_code, WINDOW_SIZE,
				 &host.slot);
	host.state = addr_gva2hva(host.vm, (vm_vaddr_t)&state);
	vm_mem_set_private(host.vm, GMEM_DATA_GPA, WINDOW_SIZE);
	host.deadline = now_ms() + MAX_MS;

	for (i = 0; i < nr_vcpus; i++) {
		vcpu_args_set(host.vcpus[i], 1, (u64)i);
		ret = pthread_create(&host.threads[i], NULL, vcpu_thread,
				     host.vcpus[i]);
		TEST_ASSERT(!ret, "pthread_create() failed: %d", ret);
	}
}

/* Every vCPU has begun and ended @nr passes since this call. */
static void wait_for_passes(u64 nr)
{
	u64 end = now_ms() + WAIT_MS;
	u64 goal[NR_VCPUS];
	u32 i;

	for (i = 0; i < host.nr_vcpus; i++)
		goal[i] = READ_ONCE(host.state->passes[i]) + nr + 1;

	for (i = 0; i < host.nr_vcpus; i++)
		while (READ_ONCE(host.state->passes[i]) < goal[i]) {
			TEST_ASSERT(now_ms() < end, "vCPU %u is stuck", i);
			usleep(100);
		}
}

static void wait_for_faults(u64 goal)
{
	u64 end = now_ms() + WAIT_MS;

	while (__atomic_load_n(&host.faults, __ATOMIC_ACQUIRE) < goal) {
		TEST_ASSERT(now_ms() < end, "no vCPU reports a fault");
		usleep(100);
	}
}

static void end(u32 rounds)
{
	u32 i;

	/* All that was promised must also hold in peace. */
	wait_for_passes(2);
	WRITE_ONCE(host.state->stop, 1);
	for (i = 0; i < host.nr_vcpus; i++)
		pthread_join(host.threads[i], NULL);

	ksft_print_msg("%u rounds, %lu passes of vCPU 0, %lu faults\n", rounds,
		       host.state->passes[0], host.faults);
	gmem_vm_free(host.vm, &host.slot);
}

/* However slow the machine is, a few rounds are made. */
static bool time_is_up(u32 round)
{
	return round >= MIN_ROUNDS && now_ms() > host.deadline;
}

/* Count up "begun" or "ended" of the walked pages in a range. */
static void count(u64 *counter, u64 gpa, u64 size)
{
	u64 i;

	for (i = 0; i < NR_WALKED; i++)
		if (walked_gpa(i) - gpa < size)
			__atomic_add_fetch(&counter[i], 1, __ATOMIC_SEQ_CST);
}

static void punch(u64 gpa, u64 size)
{
	count(host.state->begun, gpa, size);
	gmem_slot_punch_hole(&host.slot, gpa, size);
	count(host.state->ended, gpa, size);
}

/* Let the guest run for a moment, mostly a short one. */
static void pause_host(void)
{
	if (race_random_below(&host.rng, 4))
		usleep(race_random_below(&host.rng, 2000));
	else
		wait_for_passes(1);
}

/* A few pages near those that the guest walks. */
static void random_range(u64 *gpa, u64 *size)
{
	u64 pages = 1 + race_random_below(&host.rng, WALK_PAGES);

	*gpa = walked_gpa(race_random_below(&host.rng, NR_WALKED));
	*size = GMEM_PAGES(pages);
}

/*
 * The tests
 */

static void check_punching(u32 nr_vcpus, bool allocate)
{
	u64 gpa, size;
	u32 i;

	start(nr_vcpus);
	for (i = 0; i < ROUNDS && !time_is_up(i); i++) {
		pause_host();
		random_range(&gpa, &size);
		punch(gpa, size);
		if (allocate)
			gmem_slot_allocate(&host.slot, gpa, size);
	}
	end(i);
}

static void test_punched_pages_never_show_old_data_small(void)
{
	host_set_thp("never");
	check_punching(1, false);
}

static void test_punched_pages_never_show_old_data_large(void)
{
	host_set_thp("always");
	check_punching(1, false);
}

static void test_two_vcpus_agree_on_punched_pages_small(void)
{
	host_set_thp("never");
	check_punching(2, false);
}

static void test_two_vcpus_agree_on_punched_pages_large(void)
{
	host_set_thp("always");
	check_punching(2, false);
}

static void test_pages_allocated_again_are_zero(void)
{
	check_punching(2, true);
}

static void check_punching_the_whole_file(void)
{
	u32 i;

	start(2);
	for (i = 0; i < ROUNDS && !time_is_up(i); i++) {
		pause_host();
		punch(GMEM_DATA_GPA, WINDOW_SIZE);
	}
	end(i);
}

static void test_whole_file_can_be_punched_small(void)
{
	host_set_thp("never");
	check_punching_the_whole_file();
}

static void test_whole_file_can_be_punched_large(void)
{
	host_set_thp("always");
	check_punching_the_whole_file();
}

static void test_slot_recreation_keeps_contents(void)
{
	u64 faults;
	u32 i;

	start(2);
	host.may_fault = true;
	for (i = 0; i < ROUNDS && !time_is_up(i); i++) {
		pause_host();
		gmem_slot_delete(&host.slot);
		/* Only what happens from now on is due to the deletion. */
		faults = __atomic_load_n(&host.faults, __ATOMIC_ACQUIRE);
		wait_for_faults(faults + 1);
		gmem_slot_bind(&host.slot);
	}
	end(i);
}

/* Flip every page next to a walked range, and pages between such ranges. */
static void check_flipping_neighbours(void)
{
	u64 before = walked_gpa(0) - GMEM_PAGE_SIZE;
	u64 after = walked_gpa(WALK_PAGES - 1) + GMEM_PAGE_SIZE;
	u64 size = walked_gpa(WALK_PAGES) - after;
	u32 i;

	start(2);
	for (i = 0; i < ROUNDS && !time_is_up(i); i++) {
		vm_mem_set_shared(host.vm, before, GMEM_PAGE_SIZE);
		vm_mem_set_shared(host.vm, after, size);
		pause_host();
		vm_mem_set_private(host.vm, before, GMEM_PAGE_SIZE);
		vm_mem_set_private(host.vm, after, size);
		pause_host();
	}
	end(i);
}

static void test_attributes_of_neighbours_do_not_matter_small(void)
{
	host_set_thp("never");
	check_flipping_neighbours();
}

static void test_attributes_of_neighbours_do_not_matter_large(void)
{
	host_set_thp("always");
	check_flipping_neighbours();
}

/* To memory that is not taken away, setting the same again means nothing. */
static void test_setting_the_same_attribute_keeps_contents(void)
{
	u64 gpa, size;
	u32 i;

	start(2);
	for (i = 0; i < ROUNDS && !time_is_up(i); i++) {
		random_range(&gpa, &size);
		vm_mem_set_private(host.vm, gpa, size);
		pause_host();
	}
	end(i);
}

/* The file is gone, and with it the contents; a new file takes its place. */
static void test_closed_file_can_be_replaced(void)
{
	u64 faults;
	u32 i;

	start(2);
	host.may_fault = true;
	for (i = 0; i < ROUNDS / 3 && !time_is_up(i); i++) {
		pause_host();
		count(host.state->begun, GMEM_DATA_GPA, WINDOW_SIZE);
		close(host.slot.fd);
		faults = __atomic_load_n(&host.faults, __ATOMIC_ACQUIRE);
		wait_for_faults(faults + 1);

		gmem_slot_delete(&host.slot);
		host.slot.fd = vm_create_guest_memfd(host.vm, WINDOW_SIZE, 0);
		gmem_slot_bind(&host.slot);
		count(host.state->ended, GMEM_DATA_GPA, WINDOW_SIZE);
	}
	end(i);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_punched_pages_never_show_old_data_small),
	GMEM_TEST(test_punched_pages_never_show_old_data_large),
	GMEM_TEST(test_two_vcpus_agree_on_punched_pages_small),
	GMEM_TEST(test_two_vcpus_agree_on_punched_pages_large),
	GMEM_TEST(test_pages_allocated_again_are_zero),
	GMEM_TEST(test_whole_file_can_be_punched_small),
	GMEM_TEST(test_whole_file_can_be_punched_large),
	GMEM_TEST(test_slot_recreation_keeps_contents),
	GMEM_TEST(test_attributes_of_neighbours_do_not_matter_small),
	GMEM_TEST(test_attributes_of_neighbours_do_not_matter_large),
	GMEM_TEST(test_setting_the_same_attribute_keeps_contents),
	GMEM_TEST(test_closed_file_can_be_replaced),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
