// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of guest_memfd files in the hands of the kernel: get_user_pages() in
 * its forms, and what is built on it.  A page that is held when a hole
 * takes it from the file stays as it is for the holder, is given to no other
 * user, and is freed in the end.
 *
 * Long-term pins are taken through the kernel's gup_test, which gives them up
 * again before it returns.  To hold a page across a hole: a pipe, which has a
 * plain reference (as has O_DIRECT), and process_vm_readv(), which has a pin
 * and can be stopped half way by a userfaultfd on the memory it copies to.
 */
#define _GNU_SOURCE /* for vmsplice(2) and O_DIRECT */
#include <linux/stddef.h>	/* the next one needs it, and has types.h only */
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "../../../../mm/gup_test.h"
#include "guest_memfd_map.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	GMEM_FILE_SIZE
#define DISK_SIZE	BIT_ULL(20)
#define NR_PIPES	16
#define PIPE_SIZE	BIT_ULL(20)
#define PINNED_SIZE	(4ULL << 20)

/* From include/linux/mm.h of the kernel. */
#define FOLL_WRITE	0x01
#define FOLL_LONGTERM	0x10000

/* Tags of patterns. */
enum { FIRST = 1, SECOND, THIRD };

static void setup_filled(struct gmem_map *m, u64 size)
{
	gmem_map_setup(m, size);
	gmem_fill(m->mem, 0, size, FIRST);
}

/*
 * get_user_pages()
 */

static const struct {
	unsigned long cmd;
	u32 flags;
	const char *name;
} gups[] = {
	{ GUP_FAST_BENCHMARK, 0, "fast get" },
	{ GUP_FAST_BENCHMARK, FOLL_WRITE, "fast get for writing" },
	{ PIN_FAST_BENCHMARK, 0, "fast pin" },
	{ PIN_FAST_BENCHMARK, FOLL_WRITE, "fast pin for writing" },
	{ PIN_FAST_BENCHMARK, FOLL_LONGTERM, "fast long-term pin" },
	{ PIN_FAST_BENCHMARK, FOLL_LONGTERM | FOLL_WRITE,
	  "fast long-term pin for writing" },
	{ GUP_BASIC_TEST, 0, "get" },
	{ GUP_BASIC_TEST, FOLL_WRITE, "get for writing" },
	{ PIN_BASIC_TEST, 0, "pin" },
	{ PIN_BASIC_TEST, FOLL_WRITE, "pin for writing" },
	{ PIN_LONGTERM_BENCHMARK, 0, "long-term pin" },
	{ PIN_LONGTERM_BENCHMARK, FOLL_WRITE, "long-term pin for writing" },
};

/* Return: how many bytes could be had, and have been given back. */
static u64 do_gup(int i, void *mem, u64 size, u32 pages_per_call)
{
	struct gup_test args = {
		.addr = (uintptr_t)mem,
		.size = size,
		.nr_pages_per_call = pages_per_call,
		.gup_flags = gups[i].flags,
	};
	int fd = open("/sys/kernel/debug/gup_test", O_RDWR);

	if (fd < 0)
		gmem_skip("no gup_test in debugfs, errno %d", errno);
	TEST_ASSERT(!ioctl(fd, gups[i].cmd, &args), "%s: errno %d",
		    gups[i].name, errno);
	close(fd);
	return args.size;
}

static void test_gup_gets_shared_pages(void)
{
	struct gmem_map m;
	int i;

	for (i = 0; i < ARRAY_SIZE(gups); i++) {
		/* From nothing; from the file; from the page table. */
		gmem_map_setup(&m, FILE_SIZE);
		TEST_ASSERT(do_gup(i, m.mem, FILE_SIZE, 1) == FILE_SIZE,
			    "%s: new pages", gups[i].name);
		ASSERT_EQ(gmem_allocated(m.fd), FILE_SIZE);
		gmem_check_zero(m.mem, FILE_SIZE);
		gmem_fill(m.mem, 0, FILE_SIZE, FIRST);
		madvise(m.mem, FILE_SIZE, MADV_DONTNEED);
		TEST_ASSERT(do_gup(i, m.mem, FILE_SIZE, GMEM_FILE_PAGES) ==
			    FILE_SIZE, "%s: unmapped pages", gups[i].name);
		TEST_ASSERT(do_gup(i, m.mem, FILE_SIZE, GMEM_FILE_PAGES) ==
			    FILE_SIZE, "%s: mapped pages", gups[i].name);
		gmem_check(m.mem, 0, FILE_SIZE, FIRST);
		gmem_map_teardown(&m);
	}
}

static void test_gup_gets_nothing_of_what_is_not_shared(void)
{
	struct gmem_map m;
	int i;

	__gmem_map_setup(&m, KVM_X86_DEFAULT_VM, FILE_SIZE,
			 GUEST_MEMFD_FLAG_MMAP);
	gmem_allocate(m.fd, 0, P);
	for (i = 0; i < ARRAY_SIZE(gups); i++)
		TEST_ASSERT(do_gup(i, m.mem, FILE_SIZE, 1) == 0, "%s",
			    gups[i].name);
	ASSERT_EQ(gmem_allocated(m.fd), P);
	gmem_map_teardown(&m);
}

static void test_gup_stops_at_the_end_of_the_file(void)
{
	struct gmem_map m;
	char *mem;
	int i;

	setup_filled(&m, FILE_SIZE);
	mem = gmem_mmap(m.fd, 2 * FILE_SIZE, 0);
	for (i = 0; i < ARRAY_SIZE(gups); i++)
		TEST_ASSERT(do_gup(i, mem, 2 * FILE_SIZE, 1) == FILE_SIZE,
			    "%s", gups[i].name);
	munmap(mem, 2 * FILE_SIZE);
	gmem_map_teardown(&m);
}

/* The address stays: nothing was moved out of the way of a long-term pin. */
static void test_longterm_pin_does_not_move_pages(void)
{
	u64 pfns[GMEM_FILE_PAGES];
	struct gmem_map m;
	int i;

	setup_filled(&m, FILE_SIZE);
	for (i = 0; i < GMEM_FILE_PAGES; i++)
		pfns[i] = gmem_mapped_pfn(m.mem + i * P);
	for (i = 0; i < ARRAY_SIZE(gups); i++)
		do_gup(i, m.mem, FILE_SIZE, GMEM_FILE_PAGES);
	for (i = 0; i < GMEM_FILE_PAGES; i++)
		ASSERT_EQ(gmem_mapped_pfn(m.mem + i * P), pfns[i]);
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	gmem_map_teardown(&m);
}

/*
 * I/O
 */

static void test_o_direct_reads_and_writes_shared_memory(void)
{
	struct gmem_map m;
	int fd;

	fd = open("/dev/ram0", O_RDWR | O_DIRECT);
	if (fd < 0)
		gmem_skip("no /dev/ram0, errno %d", errno);
	setup_filled(&m, DISK_SIZE);
	ASSERT_EQ(pwrite(fd, m.mem, DISK_SIZE, 0), (ssize_t)DISK_SIZE);
	gmem_punch_hole(m.fd, 0, DISK_SIZE);
	ASSERT_EQ(pread(fd, m.mem, DISK_SIZE, 0), (ssize_t)DISK_SIZE);
	gmem_check(m.mem, 0, DISK_SIZE, FIRST);
	ASSERT_EQ(gmem_allocated(m.fd), DISK_SIZE);
	gmem_map_teardown(&m);

	__gmem_map_setup(&m, KVM_X86_DEFAULT_VM, DISK_SIZE,
			 GUEST_MEMFD_FLAG_MMAP);
	GMEM_ASSERT_ERRNO(pread(fd, m.mem, DISK_SIZE, 0), EFAULT, "not shared");
	GMEM_ASSERT_ERRNO(pwrite(fd, m.mem, DISK_SIZE, 0), EFAULT, "not shared");
	ASSERT_EQ(gmem_allocated(m.fd), 0ULL);
	gmem_map_teardown(&m);
	close(fd);
}

static void test_process_vm_calls_reach_shared_memory_only(void)
{
	char buf[FILE_SIZE];
	struct iovec local = { buf, FILE_SIZE }, remote;
	struct gmem_map m;

	setup_filled(&m, FILE_SIZE);
	remote = (struct iovec) { m.mem, FILE_SIZE };
	ASSERT_EQ(process_vm_readv(getpid(), &local, 1, &remote, 1, 0),
		  (ssize_t)FILE_SIZE);
	gmem_check(buf, 0, FILE_SIZE, FIRST);
	gmem_fill(buf, 0, FILE_SIZE, SECOND);
	ASSERT_EQ(process_vm_writev(getpid(), &local, 1, &remote, 1, 0),
		  (ssize_t)FILE_SIZE);
	gmem_check(m.mem, 0, FILE_SIZE, SECOND);
	gmem_map_teardown(&m);

	__gmem_map_setup(&m, KVM_X86_DEFAULT_VM, FILE_SIZE,
			 GUEST_MEMFD_FLAG_MMAP);
	remote.iov_base = m.mem;
	GMEM_ASSERT_ERRNO(process_vm_readv(getpid(), &local, 1, &remote, 1, 0),
			  EFAULT, "read");
	GMEM_ASSERT_ERRNO(process_vm_writev(getpid(), &local, 1, &remote, 1, 0),
			  EFAULT, "write");
	ASSERT_EQ(gmem_allocated(m.fd), 0ULL);
	gmem_map_teardown(&m);
}

/* 6.1 has fixed buffers in anonymous memory, shmem and hugetlb only. */
static void test_io_uring_fixed_buffers_give_eopnotsupp(void)
{
	struct io_uring_params params = {};
	struct iovec iov;
	struct gmem_map m;
	void *anon;
	int ring;

	ring = syscall(__NR_io_uring_setup, 4, &params);
	if (ring < 0)
		gmem_skip("no io_uring, errno %d", errno);
	anon = gmem_alloc_hva(0, P);
	iov = (struct iovec) { anon, P };
	TEST_ASSERT(!syscall(__NR_io_uring_register, ring,
			     IORING_REGISTER_BUFFERS, &iov, 1) &&
		    !syscall(__NR_io_uring_register, ring,
			     IORING_UNREGISTER_BUFFERS, NULL, 0),
		    "anonymous memory: errno %d", errno);

	setup_filled(&m, FILE_SIZE);
	iov = (struct iovec) { m.mem, FILE_SIZE };
	GMEM_ASSERT_ERRNO(syscall(__NR_io_uring_register, ring,
				  IORING_REGISTER_BUFFERS, &iov, 1),
			  EOPNOTSUPP, "shared");
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	gmem_map_teardown(&m);

	__gmem_map_setup(&m, KVM_X86_DEFAULT_VM, FILE_SIZE,
			 GUEST_MEMFD_FLAG_MMAP);
	iov = (struct iovec) { m.mem, FILE_SIZE };
	GMEM_ASSERT_ERRNO(syscall(__NR_io_uring_register, ring,
				  IORING_REGISTER_BUFFERS, &iov, 1),
			  EFAULT, "not shared");
	gmem_map_teardown(&m);
	close(ring);
}

/*
 * Pages that are held while a hole takes them from the file
 */

static void make_pipe(int *fds)
{
	TEST_ASSERT(!pipe(fds), "pipe() failed, errno %d", errno);
	TEST_ASSERT(fcntl(fds[0], F_SETPIPE_SZ, (int)PIPE_SIZE) >= (int)PIPE_SIZE,
		    "F_SETPIPE_SZ: errno %d", errno);
}

/* Fill a pipe with references to pages. */
static void hold_in_pipe(int *fds, void *mem, u64 size)
{
	struct iovec iov = { mem, size };

	ASSERT_EQ(vmsplice(fds[1], &iov, 1, 0), (ssize_t)size);
}

static void read_all(int fd, char *buf, u64 size)
{
	ssize_t n;

	while (size) {
		n = read(fd, buf, size);
		TEST_ASSERT(n > 0, "read() = %ld, errno %d", n, errno);
		buf += n;
		size -= n;
	}
}

static void test_pipe_keeps_pages_that_were_punched(void)
{
	char *buf = gmem_alloc_hva(0, PIPE_SIZE);
	struct gmem_map m;
	u64 pfn;
	int fds[2];

	make_pipe(fds);
	setup_filled(&m, PIPE_SIZE);
	hold_in_pipe(fds, m.mem, PIPE_SIZE);
	pfn = gmem_mapped_pfn(m.mem);

	gmem_punch_hole(m.fd, 0, PIPE_SIZE);
	ASSERT_EQ(gmem_allocated(m.fd), 0ULL);
	gmem_check_zero(m.mem, PIPE_SIZE);
	TEST_ASSERT(gmem_mapped_pfn(m.mem) != pfn, "the same page again");
	gmem_fill(m.mem, 0, PIPE_SIZE, SECOND);
	read_all(fds[0], buf, PIPE_SIZE);
	gmem_check(buf, 0, PIPE_SIZE, FIRST);
	gmem_check(m.mem, 0, PIPE_SIZE, SECOND);
	close(fds[0]);
	close(fds[1]);
	gmem_free_hva(buf, PIPE_SIZE);
	gmem_map_teardown(&m);
}

/* Held pages are freed when the last holder lets go, not before. */
static void check_held_pages_are_freed(bool close_file)
{
	u64 before = gmem_free_kb(), kb = NR_PIPES * PIPE_SIZE / 1024;
	int fds[NR_PIPES][2], i;
	struct gmem_map m;

	setup_filled(&m, NR_PIPES * PIPE_SIZE);
	for (i = 0; i < NR_PIPES; i++) {
		make_pipe(fds[i]);
		hold_in_pipe(fds[i], m.mem + i * PIPE_SIZE, PIPE_SIZE);
	}
	if (close_file) {
		munmap(m.mem, m.size);
		close(m.fd);
		kvm_vm_free(m.vm);
	} else {
		gmem_punch_hole(m.fd, 0, m.size);
		ASSERT_EQ(gmem_allocated(m.fd), 0ULL);
	}
	TEST_ASSERT(gmem_free_kb() + kb / 2 < before, "freed under the holder");
	for (i = 0; i < NR_PIPES; i++) {
		close(fds[i][0]);
		close(fds[i][1]);
	}
	gmem_assert_mem_returned(before, kb / 8);
	if (!close_file)
		gmem_map_teardown(&m);
}

static void test_punched_pages_are_freed_when_the_pipe_goes(void)
{
	check_held_pages_are_freed(false);
}

static void test_pages_of_a_closed_file_are_freed_when_the_pipe_goes(void)
{
	check_held_pages_are_freed(true);
}

/* process_vm_readv() from shared memory into a userfaultfd: stops with pins. */
struct pinner {
	pthread_t thread;
	struct iovec local, remote;
	int uffd;
};

static void *pinner_thread(void *arg)
{
	struct pinner *p = arg;

	ASSERT_EQ(process_vm_readv(getpid(), &p->local, 1, &p->remote, 1, 0),
		  (ssize_t)p->remote.iov_len);
	return NULL;
}

static void pinner_register(struct pinner *p)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = {
			.start = (uintptr_t)p->local.iov_base,
			.len = p->local.iov_len,
		},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	p->uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	TEST_ASSERT(p->uffd >= 0 && !ioctl(p->uffd, UFFDIO_API, &api) &&
		    !ioctl(p->uffd, UFFDIO_REGISTER, &reg),
		    "userfaultfd: errno %d", errno);
}

/* When this returns, the first pages at @mem are pinned. */
static void pinner_start(struct pinner *p, void *mem, u64 size)
{
	struct uffd_msg msg;

	p->local = (struct iovec) { gmem_alloc_hva(0, size), size };
	p->remote = (struct iovec) { mem, size };
	pinner_register(p);
	TEST_ASSERT(!pthread_create(&p->thread, NULL, pinner_thread, p),
		    "pthread_create() failed");
	ASSERT_EQ(read(p->uffd, &msg, sizeof(msg)), (ssize_t)sizeof(msg));
	ASSERT_EQ((int)msg.event, UFFD_EVENT_PAGEFAULT);
}

/* Let it copy. What it copied is in p->local. */
static void pinner_finish(struct pinner *p)
{
	struct uffdio_range range = {
		.start = (uintptr_t)p->local.iov_base,
		.len = p->local.iov_len,
	};

	TEST_ASSERT(!ioctl(p->uffd, UFFDIO_UNREGISTER, &range),
		    "unregister: errno %d", errno);
	pthread_join(p->thread, NULL);
	close(p->uffd);
}

static void test_pin_keeps_pages_that_were_punched(void)
{
	struct gmem_map m;
	struct pinner p;
	u64 pfn;

	setup_filled(&m, FILE_SIZE);
	pfn = gmem_mapped_pfn(m.mem);
	pinner_start(&p, m.mem, FILE_SIZE);

	gmem_punch_hole(m.fd, 0, FILE_SIZE);
	ASSERT_EQ(gmem_allocated(m.fd), 0ULL);
	gmem_check_zero(m.mem, FILE_SIZE);
	TEST_ASSERT(gmem_mapped_pfn(m.mem) != pfn, "the same page again");
	gmem_fill(m.mem, 0, FILE_SIZE, SECOND);

	pinner_finish(&p);
	gmem_check(p.local.iov_base, 0, FILE_SIZE, FIRST);
	gmem_check(m.mem, 0, FILE_SIZE, SECOND);
	gmem_free_hva(p.local.iov_base, FILE_SIZE);
	gmem_map_teardown(&m);
}

static void test_pages_are_freed_after_the_last_pin(void)
{
	u64 before = gmem_free_kb(), kb = PINNED_SIZE / 1024;
	struct gmem_map m;
	struct pinner p;
	int i;

	/* Sixteen pages at a time: make a leak of them visible. */
	for (i = 0; i < PINNED_SIZE / FILE_SIZE; i++) {
		setup_filled(&m, FILE_SIZE);
		pinner_start(&p, m.mem, FILE_SIZE);
		if (i & 1)
			gmem_punch_hole(m.fd, 0, FILE_SIZE);
		gmem_map_teardown(&m);
		pinner_finish(&p);
		gmem_check(p.local.iov_base, 0, FILE_SIZE, FIRST);
		gmem_free_hva(p.local.iov_base, FILE_SIZE);
	}
	gmem_assert_mem_returned(before, kb / 8);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_gup_gets_shared_pages),
	GMEM_TEST(test_gup_gets_nothing_of_what_is_not_shared),
	GMEM_TEST(test_gup_stops_at_the_end_of_the_file),
	GMEM_TEST(test_longterm_pin_does_not_move_pages),
	GMEM_TEST(test_o_direct_reads_and_writes_shared_memory),
	GMEM_TEST(test_process_vm_calls_reach_shared_memory_only),
	GMEM_TEST(test_io_uring_fixed_buffers_give_eopnotsupp),
	GMEM_TEST(test_pipe_keeps_pages_that_were_punched),
	GMEM_TEST(test_punched_pages_are_freed_when_the_pipe_goes),
	GMEM_TEST(test_pages_of_a_closed_file_are_freed_when_the_pipe_goes),
	GMEM_TEST(test_pin_keeps_pages_that_were_punched),
	GMEM_TEST(test_pages_are_freed_after_the_last_pin),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_DEFAULT_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
