// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion in place and everything that the host can do with a mapping: none
 * of it reaches a page that is private, hinders a conversion for longer than it
 * lasts, or leaves anything behind that does.
 */
#define _GNU_SOURCE /* for mremap(2) and vmsplice(2) */
#include <linux/stddef.h>	/* the next one needs it */
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_task.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	GMEM_FILE_SIZE
/* The page that is private in most tests. */
#define PRIV		2

#ifndef MADV_COLD
#define MADV_COLD		20
#define MADV_PAGEOUT		21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif

/* Tags of patterns. */
enum { FIRST = 1, SECOND };

static void setup_filled(struct gmem_map *m)
{
	gmem_conv_setup(m, FILE_SIZE);
	gmem_fill(m->mem, 0, FILE_SIZE, FIRST);
}

static void setup_private(struct gmem_map *m)
{
	setup_filled(m);
	gmem_to_private(m->fd, PRIV * P, P);
}

/* What was private is still there, as far as the host can know. */
static void teardown_private(struct gmem_map *m)
{
	gmem_assert_is(m->fd, PRIV * P, P, GMEM_PRIVATE);
	gmem_assert_sigbus(m->mem + PRIV * P);
	gmem_check(m->mem, 0, PRIV * P, FIRST);
	ASSERT_EQ(gmem_allocated(m->fd), FILE_SIZE);
	gmem_to_shared(m->fd, 0, FILE_SIZE);
	gmem_check_zero(m->mem + PRIV * P, P);
	gmem_map_teardown(m);
}

static void test_system_calls_give_efault(void)
{
	struct gmem_map m;
	char buf[8];
	int fds[2];

	setup_private(&m);
	TEST_ASSERT(!pipe(fds), "pipe() failed");
	TEST_ASSERT(write(fds[1], "01234567", 8) == 8, "cannot fill the pipe");
	GMEM_ASSERT_ERRNO(read(fds[0], m.mem + PRIV * P, 8), EFAULT, "read");
	GMEM_ASSERT_ERRNO(write(fds[1], m.mem + PRIV * P, 8), EFAULT, "write");
	GMEM_ASSERT_ERRNO(vmsplice(fds[1], &(struct iovec) { m.mem + PRIV * P, 8 },
				   1, 0), EFAULT, "vmsplice");
	/* Nothing has come of it. */
	ASSERT_EQ(read(fds[0], buf, 8), 8L);
	close(fds[0]);
	close(fds[1]);
	teardown_private(&m);
}

static void test_process_vm_calls_and_proc_mem_fail(void)
{
	struct iovec local, remote;
	struct gmem_map m;
	char buf[8] = {};
	int fd;

	setup_private(&m);
	local = (struct iovec) { buf, sizeof(buf) };
	remote = (struct iovec) { m.mem + PRIV * P, sizeof(buf) };
	GMEM_ASSERT_ERRNO(process_vm_readv(getpid(), &local, 1, &remote, 1, 0),
			  EFAULT, "process_vm_readv");
	GMEM_ASSERT_ERRNO(process_vm_writev(getpid(), &local, 1, &remote, 1, 0),
			  EFAULT, "process_vm_writev");
	fd = open("/proc/self/mem", O_RDWR);
	GMEM_ASSERT_ERRNO(pread(fd, buf, 8, (uintptr_t)remote.iov_base), EIO,
			  "/proc/self/mem");
	GMEM_ASSERT_ERRNO(pwrite(fd, buf, 8, (uintptr_t)remote.iov_base), EIO,
			  "/proc/self/mem");
	/* Next to it, they work, and leave nothing that hinders. */
	remote.iov_base -= P;
	ASSERT_EQ(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), 8L);
	ASSERT_EQ(pread(fd, buf, 8, (uintptr_t)remote.iov_base), 8L);
	gmem_to_private(m.fd, (PRIV - 1) * P, P);
	gmem_to_shared(m.fd, (PRIV - 1) * P, P);
	gmem_fill(m.mem + (PRIV - 1) * P, (PRIV - 1) * P, P, FIRST);
	close(fd);
	teardown_private(&m);
}

static void test_ptrace_gives_eio(void)
{
	struct gmem_map m;
	int status;
	pid_t pid;

	setup_private(&m);
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	GMEM_ASSERT_ERRNO(ptrace(PTRACE_PEEKDATA, pid, m.mem + PRIV * P, 0),
			  EIO, "peek");
	GMEM_ASSERT_ERRNO(ptrace(PTRACE_POKEDATA, pid, m.mem + PRIV * P, 0),
			  EIO, "poke");
	errno = 0;
	ASSERT_EQ((u64)ptrace(PTRACE_PEEKDATA, pid, m.mem, 0),
		  gmem_pattern(0, FIRST));
	ASSERT_EQ(errno, 0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	teardown_private(&m);
}

static int futex(void *addr, int op, u32 val)
{
	struct timespec timeout = { .tv_nsec = 1000000 };

	return syscall(SYS_futex, addr, op, val, &timeout, NULL, 0);
}

static void test_futex_gives_efault(void)
{
	struct gmem_map m;
	u32 *word;

	setup_private(&m);
	word = (u32 *)(m.mem + PRIV * P);
	GMEM_ASSERT_ERRNO(futex(word, FUTEX_WAIT, 0), EFAULT, "wait");
	GMEM_ASSERT_ERRNO(futex(word, FUTEX_WAKE, 1), EFAULT, "wake");
	GMEM_ASSERT_ERRNO(futex(word, FUTEX_LOCK_PI, 0), EFAULT, "lock");
	/* Of a shared page it works, and the page is not kept by a waiter. */
	word = (u32 *)m.mem;
	ASSERT_EQ(futex(word, FUTEX_WAKE, 1), 0);
	GMEM_ASSERT_ERRNO(futex(word, FUTEX_WAIT, *word), ETIMEDOUT, "shared");
	teardown_private(&m);
}

struct futex_waiter {
	u32 *word;
	u32 val;
	int ret;
	bool done;
	pid_t tid;
};

static void *futex_thread(void *arg)
{
	struct futex_waiter *w = arg;

	__atomic_store_n(&w->tid, gmem_gettid(), __ATOMIC_RELEASE);
	w->ret = errno_of(syscall(SYS_futex, w->word, FUTEX_WAIT, w->val, NULL,
				  NULL, 0));
	__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void no_action(int sig)
{
}

static void test_futex_waiter_does_not_hinder(void)
{
	struct sigaction act = { .sa_handler = no_action };
	struct futex_waiter w;
	struct gmem_map m;
	pthread_t thread;

	sigaction(SIGUSR1, &act, NULL);
	setup_filled(&m);
	w = (struct futex_waiter) { (u32 *)m.mem, *(u32 *)m.mem };
	pthread_create(&thread, NULL, futex_thread, &w);
	gmem_assert_blocks(&w.tid, SYS_futex, &w.done);
	gmem_to_private(m.fd, 0, P);
	gmem_assert_sigbus(m.mem);
	/* It cannot be woken through memory that is private now. */
	gmem_assert_blocks(&w.tid, SYS_futex, &w.done);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	ASSERT_EQ(w.ret, -EINTR);
	gmem_map_teardown(&m);
}

static void test_userfaultfd_gives_einval(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct gmem_map m;
	int uffd;

	uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (uffd < 0)
		gmem_skip("no userfaultfd, errno %d", errno);
	TEST_ASSERT(!ioctl(uffd, UFFDIO_API, &api), "errno %d", errno);
	setup_private(&m);
	reg.range.start = (uintptr_t)m.mem;
	reg.range.len = FILE_SIZE;
	GMEM_ASSERT_ERRNO(ioctl(uffd, UFFDIO_REGISTER, &reg), EINVAL,
			  "register");
	close(uffd);
	teardown_private(&m);
}

static void test_io_uring_fixed_buffers_give_eopnotsupp(void)
{
	struct io_uring_params params = {};
	struct gmem_map m;
	struct iovec iov;
	int ring;

	ring = syscall(__NR_io_uring_setup, 4, &params);
	if (ring < 0)
		gmem_skip("no io_uring, errno %d", errno);
	setup_private(&m);
	iov = (struct iovec) { m.mem, P };
	GMEM_ASSERT_ERRNO(syscall(__NR_io_uring_register, ring,
				  IORING_REGISTER_BUFFERS, &iov, 1),
			  EOPNOTSUPP, "shared");
	iov.iov_base = m.mem + PRIV * P;
	GMEM_ASSERT_ERRNO(syscall(__NR_io_uring_register, ring,
				  IORING_REGISTER_BUFFERS, &iov, 1),
			  EOPNOTSUPP, "private");
	close(ring);
	teardown_private(&m);
}

static void test_locked_memory_is_converted(void)
{
	struct gmem_map m;
	int i;

	setup_filled(&m);
	/* Each time, references are left behind in what mlock() batches. */
	for (i = 0; i < 20; i++) {
		TEST_ASSERT(!mlock(m.mem, FILE_SIZE), "errno %d", errno);
		gmem_to_private(m.fd, 0, FILE_SIZE);
		TEST_ASSERT(!gmem_is_mapped(m.mem), "mapped");
		gmem_assert_sigbus(m.mem);
		gmem_to_shared(m.fd, 0, FILE_SIZE);
		gmem_fill(m.mem, 0, FILE_SIZE, SECOND);
		munlock(m.mem, FILE_SIZE);
		gmem_to_private(m.fd, 0, FILE_SIZE);
		gmem_to_shared(m.fd, 0, FILE_SIZE);
	}
	gmem_to_private(m.fd, PRIV * P, P);
	GMEM_ASSERT_ERRNO(mlock(m.mem, FILE_SIZE), ENOMEM, "private");
	munlock(m.mem, FILE_SIZE);
	gmem_map_teardown(&m);
}

/* Many of them, at other addresses, in other processes, of parts. */
static void test_every_mapping_is_removed(void)
{
	char *other, *part, *alias;
	struct gmem_map m;
	int fds[2][2], status;
	char c = 0;
	pid_t pid;

	setup_filled(&m);
	other = gmem_mmap(m.fd, FILE_SIZE, 0);
	part = gmem_mmap(m.fd, P, PRIV * P);
	gmem_check(other, 0, FILE_SIZE, FIRST);
	gmem_check(part, PRIV * P, P, FIRST);
	alias = mremap(part, 0, P, MREMAP_MAYMOVE);
	TEST_ASSERT(alias != MAP_FAILED, "mremap: errno %d", errno);
	gmem_check(alias, PRIV * P, P, FIRST);
	TEST_ASSERT(!pipe(fds[0]) && !pipe(fds[1]), "pipe() failed");
	pid = fork();
	if (!pid) {
		gmem_check(m.mem, 0, FILE_SIZE, FIRST);
		ASSERT_EQ(write(fds[0][1], &c, 1), 1L);
		ASSERT_EQ(read(fds[1][0], &c, 1), 1L);
		gmem_assert_sigbus(m.mem + PRIV * P);
		gmem_assert_sigbus(part);
		gmem_check(m.mem, 0, PRIV * P, FIRST);
		_exit(0);
	}
	ASSERT_EQ(read(fds[0][0], &c, 1), 1L);
	gmem_to_private(m.fd, PRIV * P, P);
	gmem_assert_sigbus(m.mem + PRIV * P);
	gmem_assert_sigbus(other + PRIV * P);
	gmem_assert_sigbus(part);
	gmem_assert_sigbus(alias);
	ASSERT_EQ(write(fds[1][1], &c, 1), 1L);
	waitpid(pid, &status, 0);
	ASSERT_EQ(status, 0);
	/* New ones do not help, however they are made. */
	alias = mremap(alias, P, P, MREMAP_MAYMOVE | MREMAP_FIXED,
		       gmem_alloc_hva(0, P));
	TEST_ASSERT(alias != MAP_FAILED, "mremap: errno %d", errno);
	gmem_assert_sigbus(alias);
	gmem_assert_sigbus(gmem_mmap(m.fd, P, PRIV * P));
	gmem_check(other, 0, PRIV * P, FIRST);
	teardown_private(&m);
}

static void test_mappings_that_are_refused(void)
{
	struct gmem_map m;

	setup_private(&m);
	TEST_ASSERT(mmap(NULL, P, PROT_READ, MAP_PRIVATE, m.fd, 0) ==
		    MAP_FAILED && errno == EINVAL, "private: errno %d", errno);
	TEST_ASSERT(mmap(NULL, P, PROT_EXEC, MAP_SHARED, m.fd, 0) ==
		    MAP_FAILED && errno == EPERM, "exec: errno %d", errno);
	GMEM_ASSERT_ERRNO(mprotect(m.mem, P, PROT_READ | PROT_EXEC), EACCES,
			  "exec");
	TEST_ASSERT(!mprotect(m.mem, FILE_SIZE, PROT_READ), "errno %d", errno);
	TEST_ASSERT(gmem_touch(m.mem + PRIV * P, false) == SIGBUS, "read");
	TEST_ASSERT(!mprotect(m.mem, FILE_SIZE, PROT_READ | PROT_WRITE),
		    "errno %d", errno);
	teardown_private(&m);
}

static void test_advice_does_not_reach_private_memory(void)
{
	static const int advice[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
		MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, MADV_HUGEPAGE,
	};
	struct gmem_map m;
	int i;

	setup_private(&m);
	for (i = 0; i < ARRAY_SIZE(advice); i++) {
		madvise(m.mem, FILE_SIZE, advice[i]);
		gmem_assert_sigbus(m.mem + PRIV * P);
		gmem_check(m.mem, 0, PRIV * P, FIRST);
	}
	GMEM_ASSERT_ERRNO(madvise(m.mem, FILE_SIZE, MADV_POPULATE_READ), EFAULT,
			  "populate");
	GMEM_ASSERT_ERRNO(madvise(m.mem, FILE_SIZE, MADV_POPULATE_WRITE),
			  EFAULT, "populate");
	teardown_private(&m);
}

/* No fault maps more than its page: neighbours may be private soon. */
static void test_faults_map_one_page(void)
{
	struct gmem_map m;

	setup_filled(&m);
	madvise(m.mem, FILE_SIZE, MADV_DONTNEED);
	TEST_ASSERT(!gmem_touch(m.mem + 4 * P, false), "not shared");
	TEST_ASSERT(gmem_is_mapped(m.mem + 4 * P), "not mapped");
	TEST_ASSERT(!gmem_is_mapped(m.mem + 3 * P) &&
		    !gmem_is_mapped(m.mem + 5 * P), "neighbours mapped");
	gmem_map_teardown(&m);
}

/* A page that is lost hinders no conversion: it is of no use to its holders. */
static void test_poisoned_page_is_converted(void)
{
	struct gmem_map m;
	u64 pfn;

	setup_filled(&m);
	pfn = pfn_at(m.mem + P);
	if (madvise(m.mem + P, P, MADV_HWPOISON))
		gmem_skip("no MADV_HWPOISON, errno %d", errno);
	poison_remember(pfn);
	gmem_to_private(m.fd, 0, FILE_SIZE);
	gmem_to_shared(m.fd, 0, FILE_SIZE);
	ASSERT_EQ(gmem_touch(m.mem + P, false), SIGBUS);
	ASSERT_EQ(gmem_touch_code(), BUS_MCEERR_AR);
	gmem_check_zero(m.mem, P);
	gmem_punch_hole(m.fd, P, P);
	gmem_check_zero(m.mem + P, P);
	gmem_map_teardown(&m);
}

/* File, VM, and mapping go in any order. */
static void test_state_goes_with_the_file(void)
{
	struct gmem_map m;
	int i;

	for (i = 0; i < 3; i++) {
		setup_private(&m);
		if (i == 0)
			close(m.fd);
		kvm_vm_free(m.vm);
		if (i == 1)
			close(m.fd);
		gmem_assert_sigbus(m.mem + PRIV * P);
		gmem_check(m.mem, 0, P, FIRST);
		if (i == 2) {
			gmem_to_shared(m.fd, PRIV * P, P);
			gmem_check_zero(m.mem + PRIV * P, P);
			close(m.fd);
		}
		munmap(m.mem, FILE_SIZE);
	}
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_system_calls_give_efault),
	GMEM_TEST(test_process_vm_calls_and_proc_mem_fail),
	GMEM_TEST(test_ptrace_gives_eio),
	GMEM_TEST(test_futex_gives_efault),
	GMEM_TEST(test_futex_waiter_does_not_hinder),
	GMEM_TEST(test_userfaultfd_gives_einval),
	GMEM_TEST(test_io_uring_fixed_buffers_give_eopnotsupp),
	GMEM_TEST(test_locked_memory_is_converted),
	GMEM_TEST(test_every_mapping_is_removed),
	GMEM_TEST(test_mappings_that_are_refused),
	GMEM_TEST(test_advice_does_not_reach_private_memory),
	GMEM_TEST(test_faults_map_one_page),
	GMEM_TEST(test_poisoned_page_is_converted),
	GMEM_TEST(test_state_goes_with_the_file),
};

int main(int argc, char *argv[])
{
	setbuf(stdout, NULL);
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
