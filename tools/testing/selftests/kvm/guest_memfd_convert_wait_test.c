// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens while a conversion is pending: which calls wait with it, which
 * are refused, and that no other call notices.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/uio.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_holder.h"
#include "guest_memfd_task.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	GMEM_FILE_SIZE
/* The page that is held, and what is converted. */
#define HELD		8
#define START		4
#define NR		8
/* Longer than any test. */
#define LONG		(100000 * MS)
/* What takes less has not waited, even on a slow machine. */
#define AT_ONCE		(LONG / 2)

/* Tags of patterns. */
enum { FIRST = 1, SECOND };

/* A file of which pages START... are pending. */
struct pending {
	struct gmem_map m;
	struct gmem_holder *holder;
	struct gmem_conv_thread conv;
};

static void pending_start(struct pending *p, u64 timeout_ns)
{
	gmem_conv_setup(&p->m, FILE_SIZE);
	gmem_fill(p->m.mem, 0, FILE_SIZE, FIRST);
	p->holder = gmem_hold(GMEM_HOLD_PIPE, p->m.mem + HELD * P, P);
	gmem_conv_start(&p->conv, p->m.fd, START * P, NR * P, timeout_ns);
	ASSERT_EQ(gmem_fdinfo(p->m.fd, "gmem-pending"), NR * P);
}

static void assert_pending(struct pending *p)
{
	ASSERT_EQ(gmem_fdinfo(p->m.fd, "gmem-pending"), NR * P);
	TEST_ASSERT(!__atomic_load_n(&p->conv.done, __ATOMIC_ACQUIRE),
		    "over: %d", p->conv.ret);
}

/* Let the conversion succeed. */
static void pending_succeed(struct pending *p)
{
	gmem_release(p->holder);
	ASSERT_EQ(gmem_conv_join(&p->conv), 0);
	gmem_assert_is(p->m.fd, START * P, NR * P, GMEM_PRIVATE);
}

/* The same, and the host gets SIGBUS; not while another thread awaits one. */
static void pending_finish(struct pending *p)
{
	pending_succeed(p);
	gmem_assert_sigbus(p->m.mem + START * P);
}

static void pending_teardown(struct pending *p)
{
	gmem_map_teardown(&p->m);
}

/* An access to memory by another thread. */
struct toucher {
	char *addr;
	bool write;
	int sig;
	bool done;
	pid_t tid;
	pthread_t thread;
};

static __thread sigjmp_buf touch_env;

static void touch_handler(int sig, siginfo_t *info, void *ucontext)
{
	siglongjmp(touch_env, sig);
}

static void *touch_thread(void *arg)
{
	struct toucher *t = arg;

	__atomic_store_n(&t->tid, gmem_gettid(), __ATOMIC_RELEASE);
	t->sig = sigsetjmp(touch_env, 1);
	if (!t->sig) {
		if (t->write)
			WRITE_ONCE(*t->addr, 0x5a);
		else
			(void)READ_ONCE(*t->addr);
	}
	__atomic_store_n(&t->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void touch_start(struct toucher *t, char *addr, bool write)
{
	struct sigaction act = {
		.sa_sigaction = touch_handler,
		.sa_flags = SA_SIGINFO,
	};

	sigaction(SIGBUS, &act, NULL);
	sigaction(SIGUSR1, &act, NULL);
	*t = (struct toucher) { .addr = addr, .write = write };
	TEST_ASSERT(!pthread_create(&t->thread, NULL, touch_thread, t),
		    "no thread");
}

static void assert_touching(struct toucher *t)
{
	gmem_assert_blocks(&t->tid, GMEM_IN_FAULT, &t->done);
}

/* Return: 0, or the signal that ended the access. */
static int touch_join(struct toucher *t)
{
	pthread_join(t->thread, NULL);
	return t->sig;
}

static void test_user_access_waits_and_gets_sigbus(void)
{
	struct toucher t[2];
	struct pending p;

	pending_start(&p, LONG);
	touch_start(&t[0], p.m.mem + START * P, false);
	touch_start(&t[1], p.m.mem + HELD * P, true);
	assert_touching(&t[0]);
	assert_touching(&t[1]);
	assert_pending(&p);
	pending_succeed(&p);
	ASSERT_EQ(touch_join(&t[0]), SIGBUS);
	ASSERT_EQ(touch_join(&t[1]), SIGBUS);
	gmem_assert_sigbus(p.m.mem + START * P);
	pending_teardown(&p);
}

static void no_action(int sig)
{
}

static void test_user_access_goes_on_if_the_conversion_fails(void)
{
	struct sigaction act = { .sa_handler = no_action };
	struct toucher t[2];
	struct pending p;

	sigaction(SIGUSR2, &act, NULL);
	pending_start(&p, LONG);
	touch_start(&t[0], p.m.mem + START * P, false);
	touch_start(&t[1], p.m.mem + HELD * P, false);
	assert_touching(&t[0]);
	assert_touching(&t[1]);
	/* A timeout might be over before they are there. */
	pthread_kill(p.conv.thread, SIGUSR2);
	ASSERT_EQ(gmem_conv_join(&p.conv), -EINTR);
	ASSERT_EQ(touch_join(&t[0]), 0);
	ASSERT_EQ(touch_join(&t[1]), 0);
	gmem_check(p.m.mem, 0, FILE_SIZE, FIRST);
	gmem_release(p.holder);
	pending_teardown(&p);
}

static void test_signal_gets_a_user_access_out(void)
{
	struct toucher t;
	struct pending p;
	u64 start;

	pending_start(&p, LONG);
	touch_start(&t, p.m.mem + START * P, true);
	assert_touching(&t);
	start = gmem_now();
	pthread_kill(t.thread, SIGUSR1);
	ASSERT_EQ(touch_join(&t), SIGUSR1);
	TEST_ASSERT(gmem_now() - start < AT_ONCE, "late");
	assert_pending(&p);
	pending_finish(&p);
	pending_teardown(&p);
}

/* mmap_lock is not held: the mapping can be changed under the waiter. */
static void test_mappings_can_be_changed_under_a_user_access(void)
{
	struct toucher t;
	struct pending p;
	u64 start;
	char *mem;

	pending_start(&p, LONG);
	touch_start(&t, p.m.mem + START * P, true);
	assert_touching(&t);
	start = gmem_now();
	mem = mmap(p.m.mem + START * P, P, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	TEST_ASSERT(mem == p.m.mem + START * P, "errno %d", errno);
	TEST_ASSERT(gmem_now() - start < AT_ONCE, "mmap() waited");
	gmem_release(p.holder);
	ASSERT_EQ(gmem_conv_join(&p.conv), 0);
	ASSERT_EQ(touch_join(&t), 0);
	ASSERT_EQ(*mem, 0x5a);
	pending_teardown(&p);
}

static void test_system_calls_fail_at_once(void)
{
	struct iovec local, remote;
	char buf[8] = {};
	struct pending p;
	int fds[2], mem;
	char *addr;
	u64 start;

	pending_start(&p, LONG);
	addr = p.m.mem + START * P;
	start = gmem_now();
	TEST_ASSERT(!pipe(fds), "pipe() failed");
	TEST_ASSERT(write(fds[1], "01234567", 8) == 8, "cannot fill the pipe");
	GMEM_ASSERT_ERRNO(read(fds[0], addr, 8), EFAULT, "read");
	GMEM_ASSERT_ERRNO(write(fds[1], addr, 8), EFAULT, "write");
	GMEM_ASSERT_ERRNO(vmsplice(fds[1], &(struct iovec) { addr, 8 }, 1, 0),
			  EFAULT, "vmsplice");
	local = (struct iovec) { buf, sizeof(buf) };
	remote = (struct iovec) { addr, sizeof(buf) };
	GMEM_ASSERT_ERRNO(process_vm_readv(getpid(), &local, 1, &remote, 1, 0),
			  EFAULT, "process_vm_readv");
	mem = open("/proc/self/mem", O_RDWR);
	GMEM_ASSERT_ERRNO(pread(mem, buf, 8, (uintptr_t)addr), EIO, "mem");
	GMEM_ASSERT_ERRNO(pwrite(mem, buf, 8, (uintptr_t)addr), EIO, "mem");
	GMEM_ASSERT_ERRNO(mlock(addr, P), ENOMEM, "mlock");
	TEST_ASSERT(gmem_now() - start < AT_ONCE, "took %lu ns",
		    gmem_now() - start);
	assert_pending(&p);
	close(mem);
	close(fds[0]);
	close(fds[1]);
	pending_finish(&p);
	pending_teardown(&p);
}

static void test_overlapping_conversion_gives_eagain(void)
{
	static const struct {
		u64 first, nr, at;
	} overlaps[] = {
		{ START, NR, START }, { 0, GMEM_FILE_PAGES, START },
		{ 0, START + 1, START }, { START + 2, 1, START + 2 },
		{ START + NR - 1, 4, START + NR - 1 },
	};
	struct gmem_conv c;
	struct pending p;
	int i, shared, ret;

	pending_start(&p, LONG);
	for (i = 0; i < ARRAY_SIZE(overlaps); i++) {
		for (shared = 0; shared < 2; shared++) {
			ret = __gmem_convert(p.m.fd, overlaps[i].first * P,
					     overlaps[i].nr * P,
					     shared ? GMEM_SHARED : GMEM_PRIVATE,
					     GMEM_WAIT, LONG, &c);
			TEST_ASSERT(ret == -EAGAIN &&
				    c.error_offset == overlaps[i].at * P &&
				    c.reason == KVM_GMEM_BUSY_PENDING &&
				    c.ns < AT_ONCE,
				    "%d, %s: %d, offset 0x%lx, reason %lu, %lu ns",
				    i, shared ? "shared" : "private", ret,
				    c.error_offset, c.reason, c.ns);
		}
	}
	assert_pending(&p);
	gmem_assert_is(p.m.fd, 0, FILE_SIZE, GMEM_SHARED);
	pending_finish(&p);
	pending_teardown(&p);
}

/* One holder blocks its page, not the one next to it. */
static void test_neighbours_are_not_affected(void)
{
	struct toucher t;
	struct pending p;
	u64 start, ns;

	pending_start(&p, LONG);
	start = gmem_now();
	gmem_check(p.m.mem, 0, START * P, FIRST);
	madvise(p.m.mem, START * P, MADV_DONTNEED);
	touch_start(&t, p.m.mem + P, true);
	ASSERT_EQ(touch_join(&t), 0);
	gmem_to_private(p.m.fd, 0, 2 * P);
	gmem_to_shared(p.m.fd, 0, P);
	gmem_to_private(p.m.fd, (START + NR) * P, P);
	gmem_punch_hole(p.m.fd, 2 * P, P);
	gmem_allocate(p.m.fd, 0, FILE_SIZE);
	ns = gmem_now() - start;
	TEST_ASSERT(ns < AT_ONCE, "took %lu ns", ns);
	assert_pending(&p);
	pending_finish(&p);
	pending_teardown(&p);
}

/* The longest of many, each with the conversion polling. */
static void test_slots_and_files_do_not_wait(void)
{
	u64 longest = 0, start, ns;
	struct pending p;
	int i, fd;

	pending_start(&p, LONG);
	fd = vm_create_guest_memfd(p.m.vm, FILE_SIZE, 0);
	for (i = 0; i < 50; i++) {
		start = gmem_now();
		/* Of the file itself, of the pending range, and of another. */
		vm_set_user_memory_region2(p.m.vm, 0, KVM_MEM_GUEST_MEMFD, 0,
					   FILE_SIZE, NULL, p.m.fd, 0);
		vm_set_user_memory_region2(p.m.vm, 1, KVM_MEM_GUEST_MEMFD,
					   BIT_ULL(32), FILE_SIZE, NULL, fd, 0);
		vm_mem_set_private(p.m.vm, 0, FILE_SIZE);
		vm_mem_set_shared(p.m.vm, 0, FILE_SIZE);
		vm_set_user_memory_region2(p.m.vm, 0, 0, 0, 0, NULL, -1, 0);
		vm_set_user_memory_region2(p.m.vm, 1, 0, BIT_ULL(32), 0, NULL,
					   -1, 0);
		gmem_punch_hole(p.m.fd, 0, P);
		ns = gmem_now() - start;
		longest = longest < ns ? ns : longest;
	}
	pr_info("# longest of 50 slot updates: %lu us\n", longest / 1000);
	TEST_ASSERT(longest < AT_ONCE, "took %lu ns", longest);
	assert_pending(&p);
	close(fd);
	pending_finish(&p);
	pending_teardown(&p);
}

/* Many at a time, each with its own page, released in any order. */
static void test_disjoint_conversions_wait_independently(void)
{
	struct gmem_conv_thread t[8];
	struct gmem_holder *h[8];
	struct gmem_map m;
	int i;

	gmem_conv_setup(&m, FILE_SIZE);
	gmem_fill(m.mem, 0, FILE_SIZE, FIRST);
	for (i = 0; i < 8; i++) {
		h[i] = gmem_hold(GMEM_HOLD_PIPE, m.mem + 2 * i * P, P);
		t[i] = (struct gmem_conv_thread) {};
	}
	for (i = 0; i < 8; i++) {
		gmem_conv_start(&t[i], m.fd, 2 * i * P, P, LONG);
		while (gmem_fdinfo(m.fd, "gmem-pending") != (i + 1) * P)
			usleep(100);
	}
	for (i = 7; i >= 0; i--) {
		gmem_release(h[i]);
		ASSERT_EQ(gmem_conv_join(&t[i]), 0);
		ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-pending"), i * P);
		gmem_assert_is(m.fd, 2 * i * P, P, GMEM_PRIVATE);
		gmem_check(m.mem + (2 * i + 1) * P, (2 * i + 1) * P, P, FIRST);
	}
	gmem_map_teardown(&m);
}

/* As a VMM does it: the same struct again, until it works. */
static void test_call_is_repeated_with_what_it_has_answered(void)
{
	struct kvm_memory_attributes2 attrs = {
		.size = FILE_SIZE,
		.attributes = GMEM_PRIVATE,
		.flags = GMEM_WAIT,
		.timeout_ns = MS,
	};
	struct gmem_holder *h;
	struct gmem_map m;
	int i;

	gmem_conv_setup(&m, FILE_SIZE);
	gmem_fill(m.mem, 0, FILE_SIZE, FIRST);
	h = gmem_hold(GMEM_HOLD_PIPE, m.mem + HELD * P, P);
	for (i = 0; i < 3; i++) {
		GMEM_ASSERT_ERRNO(ioctl(m.fd, KVM_SET_MEMORY_ATTRIBUTES2, &attrs),
				  EAGAIN, "held, %d", i);
		ASSERT_EQ(attrs.reason, (u64)KVM_GMEM_BUSY_OTHER);
		ASSERT_EQ(attrs.error_offset, HELD * P);
	}
	gmem_release(h);
	TEST_ASSERT(!ioctl(m.fd, KVM_SET_MEMORY_ATTRIBUTES2, &attrs),
		    "errno %d", errno);
	gmem_assert_is(m.fd, 0, FILE_SIZE, GMEM_PRIVATE);

	attrs.flags = 0;
	attrs.timeout_ns = 0;
	TEST_ASSERT(attrs.reason, "the answer is gone");
	GMEM_ASSERT_ERRNO(ioctl(m.fd, KVM_SET_MEMORY_ATTRIBUTES2, &attrs), EINVAL,
			  "reserved without WAIT");
	gmem_map_teardown(&m);
}

static void test_batch_waits_and_says_where_it_stopped(void)
{
	struct kvm_gmem_range ranges[] = {
		{ 0, P }, { 2 * P, P }, { HELD * P, P }, { 10 * P, P },
	};
	struct kvm_gmem_attributes_vec vec = {
		.ranges = (uintptr_t)ranges,
		.nr = ARRAY_SIZE(ranges),
		.attributes = GMEM_PRIVATE,
		.flags = GMEM_WAIT,
		.timeout_ns = 300 * MS,
	};
	struct gmem_holder *h;
	struct gmem_map m;
	u64 start;

	gmem_conv_setup(&m, FILE_SIZE);
	gmem_fill(m.mem, 0, FILE_SIZE, FIRST);
	h = gmem_hold(GMEM_HOLD_PIPE, m.mem + HELD * P, P);
	start = gmem_now();
	GMEM_ASSERT_ERRNO(ioctl(m.fd, KVM_GMEM_SET_ATTRIBUTES_VEC, &vec),
			  EAGAIN, "held");
	TEST_ASSERT(gmem_now() - start >= 300 * MS, "did not wait");
	ASSERT_EQ(vec.done, 2ULL);
	ASSERT_EQ(vec.error_offset, HELD * P);
	ASSERT_EQ(vec.reason, (u64)KVM_GMEM_BUSY_OTHER);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-private"), 2 * P);
	gmem_release(h);

	/* Go on where it stopped. */
	vec.ranges += vec.done * sizeof(ranges[0]);
	vec.nr -= vec.done;
	TEST_ASSERT(!ioctl(m.fd, KVM_GMEM_SET_ATTRIBUTES_VEC, &vec),
		    "errno %d", errno);
	ASSERT_EQ(vec.done, 2ULL);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-private"), 4 * P);
	gmem_map_teardown(&m);
}

/*
 * A gigabyte in one call, and what others notice of it.  A call that needs the
 * file waits for one conversion, which is as long as it is; no other call does.
 */
#define LARGE_SIZE	BIT_ULL(30)

/* Without any during the two calls, it would be one or two. */
#define MIN_TURNS	8

struct large {
	struct gmem_map m;
	bool done;
};

static void use_one_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus),
		    "sched_setaffinity(), errno %d", errno);
}

static void *large_thread(void *arg)
{
	struct large *l = arg;

	gmem_to_private(l->m.fd, P, LARGE_SIZE - P);
	gmem_to_shared(l->m.fd, P, LARGE_SIZE - P);
	__atomic_store_n(&l->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* On the CPU of the conversion, others get their turns. */
static void test_much_at_once_stalls_nobody(void)
{
	u64 start, ns, total, fault = 0, sleep = 0, turns = 0;
	struct large l = {};
	pthread_t thread;
	u64 offset;

	/* With lockdep and KASAN, on a busy machine, this is minutes. */
	alarm(2 * GMEM_TEST_TIMEOUT);
	gmem_conv_setup(&l.m, LARGE_SIZE);
	for (offset = 0; offset < LARGE_SIZE; offset += P)
		WRITE_ONCE(l.m.mem[offset], 1);
	use_one_cpu();
	total = gmem_now();
	TEST_ASSERT(!pthread_create(&thread, NULL, large_thread, &l),
		    "no thread");
	while (!__atomic_load_n(&l.done, __ATOMIC_ACQUIRE)) {
		/* For the processor ... */
		start = gmem_now();
		usleep(1000);
		turns++;
		ns = gmem_now() - start;
		sleep = sleep < ns ? ns : sleep;
		/* ... and for the file. */
		start = gmem_now();
		madvise(l.m.mem, P, MADV_DONTNEED);
		(void)READ_ONCE(l.m.mem[0]);
		ns = gmem_now() - start;
		fault = fault < ns ? ns : fault;
	}
	pthread_join(thread, NULL);
	pr_info("# 1 GiB to private and back: %lu ms, %lu turns, longest fault %lu ms, longest sleep %lu ms\n",
		(gmem_now() - total) / MS, turns, fault / MS, sleep / MS);
	TEST_ASSERT(turns >= MIN_TURNS, "%lu turns", turns);
	gmem_check_zero(l.m.mem + P, 64 * P);
	ASSERT_EQ(gmem_allocated(l.m.fd), LARGE_SIZE);
	gmem_map_teardown(&l.m);
}

/* Of this thread, in ns. */
static u64 cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* And what is not there costs nothing. */
static void test_a_huge_hole_is_converted_at_once(void)
{
	const u64 size = BIT_ULL(46);
	struct gmem_map m;
	u64 start;

	gmem_conv_setup(&m, size);
	WRITE_ONCE(m.mem[size / 2], 1);
	start = cpu_time();
	gmem_to_private(m.fd, 0, size);
	gmem_assert_sigbus(m.mem + size / 2);
	gmem_to_shared(m.fd, 0, size);
	gmem_check_zero(m.mem + size / 2, P);
	TEST_ASSERT(cpu_time() - start < AT_ONCE, "took %lu ns",
		    cpu_time() - start);
	gmem_map_teardown(&m);
}

/*
 * A CPU collects pages of locked mappings, with a reference to each, for as long as
 * it has nothing else to do with such.
 */
static void *lock_page_on_cpu(void *arg)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(1, &set);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(set), &set), "errno %d", errno);
	WRITE_ONCE(*(char *)arg, 1);
	return NULL;
}

static void test_a_page_that_a_cpu_collects_has_no_user(void)
{
	const u64 timeouts[] = { 0, 1000, 10 * MS };
	struct gmem_holder *holder;
	struct gmem_conv conv;
	struct gmem_map m;
	pthread_t thread;
	cpu_set_t set;
	int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		gmem_skip("one CPU");
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(set), &set), "errno %d", errno);

	gmem_conv_setup(&m, FILE_SIZE);
	TEST_ASSERT(!mlock2(m.mem, FILE_SIZE, MLOCK_ONFAULT), "errno %d", errno);
	for (i = 0; i < ARRAY_SIZE(timeouts); i++) {
		pthread_create(&thread, NULL, lock_page_on_cpu, m.mem + i * P);
		pthread_join(thread, NULL);
		ASSERT_EQ(__gmem_convert(m.fd, i * P, P, GMEM_PRIVATE, GMEM_WAIT,
					 timeouts[i], &conv), 0);
	}
	/* And one that has a user is refused as ever. */
	holder = gmem_hold(GMEM_HOLD_PIPE, m.mem + HELD * P, P);
	ASSERT_EQ(__gmem_convert(m.fd, HELD * P, P, GMEM_PRIVATE, GMEM_WAIT, 0,
				 &conv), -EAGAIN);
	ASSERT_EQ(conv.reason, 3ULL);
	gmem_release(holder);
	gmem_map_teardown(&m);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_a_page_that_a_cpu_collects_has_no_user),
	GMEM_TEST(test_user_access_waits_and_gets_sigbus),
	GMEM_TEST(test_user_access_goes_on_if_the_conversion_fails),
	GMEM_TEST(test_signal_gets_a_user_access_out),
	GMEM_TEST(test_mappings_can_be_changed_under_a_user_access),
	GMEM_TEST(test_system_calls_fail_at_once),
	GMEM_TEST(test_overlapping_conversion_gives_eagain),
	GMEM_TEST(test_neighbours_are_not_affected),
	GMEM_TEST(test_slots_and_files_do_not_wait),
	GMEM_TEST(test_disjoint_conversions_wait_independently),
	GMEM_TEST(test_call_is_repeated_with_what_it_has_answered),
	GMEM_TEST(test_batch_waits_and_says_where_it_stopped),
	GMEM_TEST(test_much_at_once_stalls_nobody),
	GMEM_TEST(test_a_huge_hole_is_converted_at_once),
};

int main(int argc, char *argv[])
{
	setbuf(stdout, NULL);
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
