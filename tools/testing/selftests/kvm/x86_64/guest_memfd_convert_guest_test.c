// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion in place, seen from inside the guest: a slot whose memory is a
 * convertible file, of which the guest sees all and the host what is shared.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <asm/kvm_para.h>
#include <asm/pvclock-abi.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_guest.h"
#include "guest_memfd_holder.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_task.h"
#include "processor.h"

#define P		GMEM_PAGE_SIZE
#define NR_PAGES	256
#define SIZE		GMEM_PAGES(NR_PAGES)
#define GPA(page)	(GMEM_DATA_GPA + GMEM_PAGES(page))
#define LONG		(100000 * MS)
#define AT_ONCE		(LONG / 2)

/* Tags of patterns. */
enum { FIRST = 1, SECOND, THIRD };

static void start_shared(struct gmem_conv_guest *f)
{
	gmem_conv_guest_start(f, SIZE, GMEM_SHARED_FLAGS);
}

static void test_guest_and_host_see_the_same_while_shared(void)
{
	struct gmem_conv_guest f;

	start_shared(&f);
	guest_check_zero(f.vcpu, GPA(0), SIZE);
	host_fill(f.mem, GPA(0), SIZE, FIRST);
	guest_check(f.vcpu, GPA(0), SIZE, FIRST);
	guest_fill(f.vcpu, GPA(0), SIZE, SECOND);
	host_check(f.mem, GPA(0), SIZE, SECOND);
	ASSERT_EQ(gmem_allocated(f.fd), SIZE);
	gmem_conv_guest_end(&f);
}

static void test_guest_has_private_memory_for_itself(void)
{
	struct gmem_conv_guest f;
	int i;

	gmem_conv_guest_start(&f, SIZE, GUEST_MEMFD_FLAG_MMAP);
	guest_check_zero(f.vcpu, GPA(0), SIZE);
	guest_fill(f.vcpu, GPA(0), SIZE, FIRST);
	for (i = 0; i < NR_PAGES; i += 7)
		gmem_assert_sigbus(f.mem + i * P);
	guest_check(f.vcpu, GPA(0), SIZE, FIRST);
	gmem_conv_guest_end(&f);
}

/* The host loads an image, and takes it out of its own reach. */
static void test_contents_become_private_with_the_memory(void)
{
	struct gmem_conv_guest f;

	start_shared(&f);
	host_fill(f.mem, GPA(0), SIZE, FIRST);
	guest_check(f.vcpu, GPA(0), SIZE / 2, FIRST);
	gmem_to_private(f.fd, 0, SIZE);
	/* What the guest has mapped, and what not. */
	guest_check(f.vcpu, GPA(0), SIZE, FIRST);
	gmem_assert_sigbus(f.mem);
	gmem_assert_sigbus(f.mem + SIZE - P);
	guest_fill(f.vcpu, GPA(0), SIZE, SECOND);
	guest_check(f.vcpu, GPA(0), SIZE, SECOND);
	ASSERT_EQ(gmem_allocated(f.fd), SIZE);
	gmem_conv_guest_end(&f);
}

/* What the guest had as private is gone when it is shared. */
static void test_secrets_are_gone_when_shared(void)
{
	struct gmem_conv_guest f;
	int host_first;

	for (host_first = 0; host_first < 2; host_first++) {
		gmem_conv_guest_start(&f, SIZE, GUEST_MEMFD_FLAG_MMAP);
		guest_fill(f.vcpu, GPA(0), SIZE, FIRST);
		gmem_to_shared(f.fd, P, SIZE - 2 * P);
		if (host_first)
			host_check_zero(f.mem + P, SIZE - 2 * P);
		guest_check_zero(f.vcpu, GPA(1), SIZE - 2 * P);
		host_check_zero(f.mem + P, SIZE - 2 * P);
		guest_check(f.vcpu, GPA(0), P, FIRST);
		guest_check(f.vcpu, GPA(NR_PAGES - 1), P, FIRST);
		guest_fill(f.vcpu, GPA(1), SIZE - 2 * P, SECOND);
		host_check(f.mem + P, GPA(1), SIZE - 2 * P, SECOND);
		gmem_conv_guest_end(&f);
	}
}

static void test_zeroed_before_private_again(void)
{
	struct gmem_conv_guest f;

	gmem_conv_guest_start(&f, SIZE, GUEST_MEMFD_FLAG_MMAP);
	guest_fill(f.vcpu, GPA(0), SIZE, FIRST);
	/* The test does not look while it is shared. */
	gmem_to_shared(f.fd, 0, SIZE);
	gmem_to_private(f.fd, 0, SIZE);
	guest_check_zero(f.vcpu, GPA(0), SIZE);
	gmem_conv_guest_end(&f);
}

static void test_single_pages_and_holes(void)
{
	struct gmem_conv_guest f;
	int i;

	start_shared(&f);
	host_fill(f.mem, GPA(0), SIZE, FIRST);
	for (i = 1; i < NR_PAGES; i += 2)
		gmem_to_private(f.fd, i * P, P);
	for (i = 0; i < NR_PAGES; i++) {
		guest_check(f.vcpu, GPA(i), P, FIRST);
		if (i & 1)
			gmem_assert_sigbus(f.mem + i * P);
		else
			host_check(f.mem + i * P, GPA(i), P, FIRST);
	}
	gmem_punch_hole(f.fd, 0, SIZE);
	guest_check_zero(f.vcpu, GPA(0), SIZE);
	guest_fill(f.vcpu, GPA(0), SIZE, SECOND);
	for (i = 0; i < NR_PAGES; i += 2)
		host_check(f.mem + i * P, GPA(i), P, SECOND);
	gmem_assert_sigbus(f.mem + P);
	gmem_conv_guest_end(&f);
}

static void test_attributes_of_the_vm_have_no_effect(void)
{
	struct gmem_conv_guest f;

	start_shared(&f);
	host_fill(f.mem, GPA(0), SIZE, FIRST);
	vm_mem_set_private(f.vm, GPA(0), SIZE);
	guest_check(f.vcpu, GPA(0), SIZE, FIRST);
	host_check(f.mem, GPA(0), SIZE, FIRST);
	gmem_to_private(f.fd, 0, SIZE);
	vm_mem_set_shared(f.vm, GPA(0), SIZE);
	gmem_assert_sigbus(f.mem);
	guest_check(f.vcpu, GPA(0), SIZE, FIRST);
	gmem_conv_guest_end(&f);
}

static void test_slot_comes_and_goes_and_the_state_stays(void)
{
	struct gmem_conv_guest f;

	start_shared(&f);
	host_fill(f.mem, GPA(0), SIZE, FIRST);
	gmem_to_private(f.fd, 0, SIZE / 2);
	guest_check(f.vcpu, GPA(0), SIZE, FIRST);
	vm_set_user_memory_region2(f.vm, GMEM_DATA_SLOT, 0, GMEM_DATA_GPA, 0,
				   NULL, -1, 0);
	gmem_to_private(f.fd, SIZE / 2, P);
	gmem_assert_sigbus(f.mem);
	/* The other way round: second half first. */
	vm_set_user_memory_region2(f.vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA, SIZE / 2, NULL, f.fd,
				   SIZE / 2);
	guest_cmd_set(f.vcpu, GUEST_OP_READ, GPA(3), 0, 0);
	guest_cmd_finish(f.vcpu);
	ASSERT_EQ(guest_cmd_of(f.vcpu)->value,
		  guest_pattern(GPA(3 + NR_PAGES / 2), FIRST));
	vm_set_user_memory_region2(f.vm, GMEM_DATA_SLOT, 0, GMEM_DATA_GPA, 0,
				   NULL, -1, 0);
	vm_set_user_memory_region2(f.vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA, SIZE, NULL, f.fd, 0);
	guest_check(f.vcpu, GPA(0), SIZE, FIRST);
	gmem_assert_is(f.fd, 0, SIZE / 2 + P, GMEM_PRIVATE);
	gmem_conv_guest_end(&f);
}

static void test_memory_is_mapped_in_advance_either_way(void)
{
	struct gmem_conv_guest f;

	start_shared(&f);
	host_fill(f.mem, GPA(0), SIZE, FIRST);
	gmem_to_private(f.fd, 0, SIZE / 2);
	vcpu_pre_fault(f.vcpu, GPA(0), SIZE);
	guest_check(f.vcpu, GPA(0), SIZE, FIRST);
	gmem_to_shared(f.fd, 0, SIZE / 2);
	vcpu_pre_fault(f.vcpu, GPA(0), SIZE);
	guest_check_zero(f.vcpu, GPA(0), SIZE / 2);
	host_check_zero(f.mem, SIZE / 2);
	gmem_conv_guest_end(&f);
}

/*
 * KVM keeps the page of the guest's clock (a gfn_to_pfn_cache).  It must write to
 * the guest's page whatever that is, and to no other.
 */
static void run_clock(struct gmem_conv_guest *f)
{
	struct kvm_clock_data data = {};

	/* The page is updated before the vCPU runs next. */
	vm_ioctl(f->vm, KVM_GET_CLOCK, &data);
	data.flags = 0;
	vm_ioctl(f->vm, KVM_SET_CLOCK, &data);
	guest_do(f->vcpu, GUEST_OP_NOP, 0, 0, 0);
}

static u64 clock_word(struct gmem_conv_guest *f, u64 gpa)
{
	/* tsc_timestamp, and not the version, which can be read half way. */
	return guest_read(f->vcpu, gpa + 8);
}

static void test_clock_follows_conversions(void)
{
	struct gmem_conv_guest f;
	u64 before;

	start_shared(&f);
	vcpu_set_msr(f.vcpu, MSR_KVM_SYSTEM_TIME_NEW, GPA(5) | 1);
	run_clock(&f);
	before = READ_ONCE(*(u64 *)(f.mem + 5 * P + 8));
	TEST_ASSERT(before, "no clock while shared");

	gmem_to_private(f.fd, 0, SIZE);
	run_clock(&f);
	TEST_ASSERT(clock_word(&f, GPA(5)) != before,
		    "no clock while private");
	gmem_assert_sigbus(f.mem + 5 * P);

	gmem_to_shared(f.fd, 0, SIZE);
	host_check_zero(f.mem + 5 * P, P);
	run_clock(&f);
	TEST_ASSERT(READ_ONCE(*(u64 *)(f.mem + 5 * P + 8)),
		    "no clock, shared again");

	/* Another page has come to this place. */
	gmem_punch_hole(f.fd, 5 * P, P);
	gmem_to_private(f.fd, 5 * P, P);
	run_clock(&f);
	TEST_ASSERT(clock_word(&f, GPA(5)), "no clock after a hole");
	vcpu_set_msr(f.vcpu, MSR_KVM_SYSTEM_TIME_NEW, 0);
	gmem_conv_guest_end(&f);
}

/*
 * Pending
 */

struct runner {
	struct kvm_vcpu *vcpu;
	int ret;
	bool done;
	pid_t tid;
	pthread_t thread;
};

static void no_action(int sig)
{
}

/* KVM_RUN once: a signal ends it. */
static void *runner_thread(void *arg)
{
	struct runner *r = arg;

	__atomic_store_n(&r->tid, gmem_gettid(), __ATOMIC_RELEASE);
	r->ret = errno_of(__vcpu_run(r->vcpu));
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void runner_start(struct runner *r, struct kvm_vcpu *vcpu)
{
	struct sigaction act = { .sa_handler = no_action };

	sigaction(SIGUSR1, &act, NULL);
	*r = (struct runner) { .vcpu = vcpu };
	TEST_ASSERT(!pthread_create(&r->thread, NULL, runner_thread, r),
		    "no thread");
}

/* A vCPU that waits for a page, which waits for a pipe to be emptied. */
struct waiting {
	struct gmem_conv_thread t;
	struct gmem_holder *h;
	struct gmem_conv_guest f;
	struct runner r;
};

static void start_waiting(struct waiting *w)
{
	start_shared(&w->f);
	host_fill(w->f.mem, GPA(0), SIZE, FIRST);
	w->h = gmem_hold(GMEM_HOLD_PIPE, w->f.mem + 5 * P, P);
	gmem_conv_start(&w->t, w->f.fd, 0, SIZE / 2, LONG);

	guest_cmd_set(w->f.vcpu, GUEST_OP_CHECK, GPA(3), P, FIRST);
	runner_start(&w->r, w->f.vcpu);
	gmem_assert_blocks(&w->r.tid, SYS_ioctl, &w->r.done);
}

static void end_wait(struct waiting *w)
{
	gmem_release(w->h);
	ASSERT_EQ(gmem_conv_join(&w->t), 0);
}

static void test_vcpu_waits_for_a_pending_page(void)
{
	struct waiting w;
	u64 now;

	start_waiting(&w);
	/* Nothing waits for the vCPU; this needs that it is out of srcu. */
	now = gmem_now();
	vm_set_user_memory_region2(w.f.vm, 20, KVM_MEM_GUEST_MEMFD, BIT_ULL(37),
				   P, NULL, w.f.slot.fd, 0);
	vm_set_user_memory_region2(w.f.vm, 20, 0, BIT_ULL(37), 0, NULL, -1, 0);
	TEST_ASSERT(gmem_now() - now < AT_ONCE, "slot update waited");

	end_wait(&w);
	pthread_join(w.r.thread, NULL);
	ASSERT_EQ(w.r.ret, 0);
	guest_cmd_complete(w.f.vcpu);
	ASSERT_EQ(guest_cmd_of(w.f.vcpu)->nr_bad, 0ULL);
	gmem_conv_guest_end(&w.f);
}

static void test_signal_gets_a_vcpu_out(void)
{
	struct waiting w;
	u64 now;

	start_waiting(&w);
	now = gmem_now();
	pthread_kill(w.r.thread, SIGUSR1);
	pthread_join(w.r.thread, NULL);
	ASSERT_EQ(w.r.ret, -EINTR);
	TEST_ASSERT(gmem_now() - now < AT_ONCE, "late");

	end_wait(&w);
	guest_cmd_finish(w.f.vcpu);
	gmem_conv_guest_end(&w.f);
}

/* The guest goes on with what it has mapped, and next to what is pending. */
static void test_vcpu_is_not_disturbed_by_pending_pages(void)
{
	struct gmem_conv_thread t;
	struct gmem_holder *h;
	struct gmem_conv_guest f;
	u64 now;

	start_shared(&f);
	host_fill(f.mem, GPA(0), SIZE, FIRST);
	h = gmem_hold(GMEM_HOLD_PIPE, f.mem + 5 * P, P);
	guest_check(f.vcpu, GPA(0), P, FIRST);
	/* The first look for users does not take its mappings. */
	gmem_conv_start(&t, f.fd, 0, SIZE / 2, LONG);
	now = gmem_now();
	guest_check(f.vcpu, GPA(0), P, FIRST);
	guest_check(f.vcpu, GPA(NR_PAGES / 2), SIZE / 2, FIRST);
	TEST_ASSERT(gmem_now() - now < AT_ONCE, "waited");
	gmem_release(h);
	ASSERT_EQ(gmem_conv_join(&t), 0);
	guest_check(f.vcpu, GPA(0), SIZE, FIRST);
	gmem_conv_guest_end(&f);
}

static void test_pre_fault_of_a_pending_page_gives_eagain(void)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA(3), .size = P };
	struct gmem_conv_thread t;
	struct gmem_holder *h;
	struct gmem_conv_guest f;

	start_shared(&f);
	host_fill(f.mem, GPA(0), SIZE, FIRST);
	h = gmem_hold(GMEM_HOLD_PIPE, f.mem + 5 * P, P);
	gmem_conv_start(&t, f.fd, 0, SIZE / 2, LONG);
	ASSERT_EQ(vcpu_pre_fault_once(f.vcpu, &range), -EAGAIN);
	gmem_release(h);
	ASSERT_EQ(gmem_conv_join(&t), 0);
	vcpu_pre_fault(f.vcpu, GPA(3), P);
	gmem_conv_guest_end(&f);
}

static void test_lost_page_is_reported_as_what_it_is(void)
{
	struct gmem_conv_guest f;
	u64 pfn;

	start_shared(&f);
	host_fill(f.mem, GPA(0), SIZE, FIRST);
	pfn = pfn_at(f.mem + 3 * P);
	if (madvise(f.mem + 3 * P, P, MADV_HWPOISON))
		gmem_skip("no MADV_HWPOISON, errno %d", errno);
	poison_remember(pfn);
	guest_cmd_set(f.vcpu, GUEST_OP_READ, GPA(3), 0, 0);
	gmem_vcpu_run_memory_fault(f.vcpu, EHWPOISON, 0, GPA(3), P);
	gmem_to_private(f.fd, 0, SIZE);
	gmem_vcpu_run_memory_fault(f.vcpu, EHWPOISON,
				   KVM_MEMORY_EXIT_FLAG_PRIVATE, GPA(3), P);
	gmem_punch_hole(f.fd, 3 * P, P);
	guest_cmd_finish(f.vcpu);
	ASSERT_EQ(guest_cmd_of(f.vcpu)->value, 0ULL);
	gmem_conv_guest_end(&f);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_guest_and_host_see_the_same_while_shared),
	GMEM_TEST(test_guest_has_private_memory_for_itself),
	GMEM_TEST(test_contents_become_private_with_the_memory),
	GMEM_TEST(test_secrets_are_gone_when_shared),
	GMEM_TEST(test_zeroed_before_private_again),
	GMEM_TEST(test_single_pages_and_holes),
	GMEM_TEST(test_attributes_of_the_vm_have_no_effect),
	GMEM_TEST(test_slot_comes_and_goes_and_the_state_stays),
	GMEM_TEST(test_memory_is_mapped_in_advance_either_way),
	GMEM_TEST(test_clock_follows_conversions),
	GMEM_TEST(test_vcpu_waits_for_a_pending_page),
	GMEM_TEST(test_signal_gets_a_vcpu_out),
	GMEM_TEST(test_vcpu_is_not_disturbed_by_pending_pages),
	GMEM_TEST(test_pre_fault_of_a_pending_page_gives_eagain),
	GMEM_TEST(test_lost_page_is_reported_as_what_it_is),
};

int main(int argc, char *argv[])
{
	setbuf(stdout, NULL);
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
