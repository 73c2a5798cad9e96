// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of guest_memfd files by the host: what can be mapped and how, which
 * pages can be touched, and what the rest of mm may do to a mapping.  No guest
 * runs.
 */
#define _GNU_SOURCE /* for mremap(2) and fallocate(2) */
#include <linux/compiler.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "guest_memfd_admin.h"
#include "guest_memfd_map.h"
#include "guest_memfd_undo.h"
#include "race.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	GMEM_FILE_SIZE
#define BIG_SIZE	(16ULL << 20)
/* Limit of the cgroup, and a file that does not fit. */
#define OOM_LIMIT	"16777216"
#define OOM_SIZE	(64ULL << 20)

/* Not in every libc. */
#ifndef MADV_COLD
#define MADV_COLD		20
#define MADV_PAGEOUT		21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

/* Tags of patterns. */
enum { FIRST = 1, SECOND };

static void setup_filled(struct gmem_map *m)
{
	gmem_map_setup(m, FILE_SIZE);
	gmem_fill(m->mem, 0, FILE_SIZE, FIRST);
	ASSERT_EQ(gmem_allocated(m->fd), FILE_SIZE);
}

/*
 * What can be mapped, and how
 */

static void assert_no_mmap(int fd, u64 len, int prot, int flags, off_t off,
			   int err)
{
	void *mem;

	errno = 0;
	mem = mmap(NULL, len, prot, flags, fd, off);
	TEST_ASSERT(mem == MAP_FAILED && errno == err,
		    "mmap(len 0x%lx, prot %d, flags 0x%x, off 0x%lx) = %p, errno %d, wanted %d",
		    len, prot, flags, off, mem, errno, err);
}

static void test_files_without_flag_mmap_give_enodev(void)
{
	static const u64 flags[] = { 0, GUEST_MEMFD_FLAG_INIT_SHARED };
	struct kvm_vm *vm = vm_create_barebones();
	int fd, i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		fd = vm_create_guest_memfd(vm, FILE_SIZE, flags[i]);
		assert_no_mmap(fd, P, PROT_READ | PROT_WRITE, MAP_SHARED, 0,
			       ENODEV);
		assert_no_mmap(fd, FILE_SIZE, PROT_NONE, MAP_SHARED, 0, ENODEV);
		assert_no_mmap(fd, P, PROT_READ, MAP_PRIVATE, P, ENODEV);
		ASSERT_EQ(gmem_allocated(fd), 0ULL);
		close(fd);
	}
	kvm_vm_free(vm);
}

static void test_private_mappings_give_einval(void)
{
	static const int flags[] = {
		MAP_PRIVATE, MAP_PRIVATE | MAP_POPULATE,
		MAP_PRIVATE | MAP_NORESERVE, MAP_PRIVATE | MAP_LOCKED,
	};
	struct gmem_map m;
	int i, prot;

	setup_filled(&m);
	for (i = 0; i < ARRAY_SIZE(flags); i++)
		for (prot = 0; prot < PROT_EXEC; prot++)
			assert_no_mmap(m.fd, P, prot, flags[i], 0, EINVAL);
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	gmem_map_teardown(&m);
}

static void test_code_cannot_be_mapped(void)
{
	struct gmem_map m;
	int prot;

	setup_filled(&m);
	for (prot = PROT_EXEC; prot <= (PROT_EXEC | PROT_READ | PROT_WRITE);
	     prot++) {
		assert_no_mmap(m.fd, P, prot, MAP_SHARED, 0, EPERM);
		assert_no_mmap(m.fd, P, prot, MAP_PRIVATE, 0, EPERM);
		GMEM_ASSERT_ERRNO(mprotect(m.mem, P, prot), EACCES, "prot %d",
				  prot);
	}
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	gmem_map_teardown(&m);
}

/* Look for @flag among the VmFlags of the mapping at @addr. */
static bool has_vm_flag(const void *addr, const char *flag)
{
	bool here = false, found = false;
	unsigned long start, end;
	char line[512];
	FILE *f;

	f = fopen("/proc/self/smaps", "r");
	TEST_ASSERT(f, "no smaps, errno %d", errno);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (uintptr_t)addr &&
			       (uintptr_t)addr < end;
		else if (here && !strncmp(line, "VmFlags:", 8))
			found = strstr(line + 8, flag);
	}
	fclose(f);
	return found;
}

static void test_mappings_are_not_dumped_nor_executable(void)
{
	struct gmem_map m;

	setup_filled(&m);
	TEST_ASSERT(has_vm_flag(m.mem, " dd"), "would be in a core dump");
	TEST_ASSERT(has_vm_flag(m.mem, " sh"), "not shared");
	TEST_ASSERT(!has_vm_flag(m.mem, " ex") && !has_vm_flag(m.mem, " me"),
		    "executable");
	gmem_map_teardown(&m);
}

static void test_read_implies_exec_does_not_apply(void)
{
	struct gmem_map m;

	TEST_ASSERT(personality(READ_IMPLIES_EXEC) >= 0, "personality() failed");
	setup_filled(&m);
	TEST_ASSERT(!has_vm_flag(m.mem, " ex"), "mmap: executable");
	TEST_ASSERT(!mprotect(m.mem, P, PROT_READ), "mprotect: errno %d", errno);
	TEST_ASSERT(!has_vm_flag(m.mem, " ex"), "mprotect: executable");
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	gmem_map_teardown(&m);
}

/*
 * Contents
 */

static void test_memory_is_zero_then_what_was_written(void)
{
	struct gmem_map m;
	char *buf;

	/* Free memory is full of something else. */
	buf = gmem_alloc_hva(0, BIG_SIZE);
	memset(buf, 0xaa, BIG_SIZE);
	gmem_free_hva(buf, BIG_SIZE);

	gmem_map_setup(&m, BIG_SIZE);
	gmem_allocate(m.fd, 0, BIG_SIZE / 2);
	gmem_check_zero(m.mem, BIG_SIZE);
	ASSERT_EQ(gmem_allocated(m.fd), BIG_SIZE);
	gmem_fill(m.mem, 0, BIG_SIZE, FIRST);
	gmem_check(m.mem, 0, BIG_SIZE, FIRST);
	gmem_map_teardown(&m);
}

static void test_touching_allocates_one_page(void)
{
	struct gmem_map m;

	gmem_map_setup(&m, FILE_SIZE);
	ASSERT_EQ(gmem_allocated(m.fd), 0ULL);
	ASSERT_EQ(gmem_touch(m.mem + 3 * P, false), 0);
	ASSERT_EQ(gmem_allocated(m.fd), P);
	ASSERT_EQ(gmem_touch(m.mem + 5 * P, true), 0);
	ASSERT_EQ(gmem_allocated(m.fd), 2 * P);
	TEST_ASSERT(!gmem_is_mapped(m.mem + 4 * P), "fault-around");
	gmem_map_teardown(&m);
}

static void test_all_mappings_show_the_same_memory(void)
{
	char *all, *part, *ro;
	struct gmem_map m;

	setup_filled(&m);
	all = gmem_mmap(m.fd, FILE_SIZE, 0);
	part = gmem_mmap(m.fd, 4 * P, 2 * P);
	ro = mmap(NULL, P, PROT_READ, MAP_SHARED, m.fd, 2 * P);
	TEST_ASSERT(ro != MAP_FAILED, "errno %d", errno);
	gmem_check(all, 0, FILE_SIZE, FIRST);
	gmem_check(part, 2 * P, 4 * P, FIRST);
	gmem_fill(part, 2 * P, P, SECOND);
	gmem_check(all + 2 * P, 2 * P, P, SECOND);
	gmem_check(ro, 2 * P, P, SECOND);
	gmem_check(m.mem + 3 * P, 3 * P, FILE_SIZE - 3 * P, FIRST);
	ASSERT_EQ(gmem_touch(ro, true), SIGSEGV);
	ASSERT_EQ(gmem_mapped_pfn(ro), gmem_mapped_pfn(all + 2 * P));
	munmap(all, FILE_SIZE);
	munmap(part, 4 * P);
	munmap(ro, P);
	gmem_map_teardown(&m);
}

static void test_files_do_not_share_memory(void)
{
	struct gmem_map a, b;

	setup_filled(&a);
	gmem_map_setup(&b, FILE_SIZE);
	gmem_check_zero(b.mem, FILE_SIZE);
	gmem_fill(b.mem, 0, FILE_SIZE, SECOND);
	gmem_check(a.mem, 0, FILE_SIZE, FIRST);
	gmem_map_teardown(&a);
	gmem_check(b.mem, 0, FILE_SIZE, SECOND);
	gmem_map_teardown(&b);
}

static void wait_for(pid_t pid)
{
	int status;

	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid() failed");
	TEST_ASSERT(!status, "child: status 0x%x", status);
}

static void test_fork_shares_the_mapping(void)
{
	struct gmem_map m;
	pid_t pid;

	setup_filled(&m);
	pid = fork();
	if (!pid) {
		gmem_check(m.mem, 0, FILE_SIZE, FIRST);
		gmem_fill(m.mem, 0, P, SECOND);
		gmem_punch_hole(m.fd, P, P);
		_exit(0);
	}
	wait_for(pid);
	gmem_check(m.mem, 0, P, SECOND);
	gmem_check_zero(m.mem + P, P);
	gmem_check(m.mem + 2 * P, 2 * P, FILE_SIZE - 2 * P, FIRST);
	gmem_map_teardown(&m);
}

static void test_mapping_outlives_file_and_vm(void)
{
	u64 before = gmem_free_kb(), kb = BIG_SIZE / 1024;
	struct gmem_map m;

	gmem_map_setup(&m, BIG_SIZE);
	gmem_fill(m.mem, 0, BIG_SIZE, FIRST);
	close(m.fd);
	kvm_vm_free(m.vm);
	gmem_check(m.mem, 0, BIG_SIZE, FIRST);
	gmem_fill(m.mem, 0, BIG_SIZE, SECOND);
	gmem_check(m.mem, 0, BIG_SIZE, SECOND);
	TEST_ASSERT(gmem_free_kb() + kb / 2 < before, "freed too early");
	munmap(m.mem, BIG_SIZE);
	gmem_assert_mem_returned(before, kb / 8);
}

static void test_mapping_cannot_be_opened(void)
{
	char path[96];
	struct gmem_map m;

	setup_filled(&m);
	sprintf(path, "/proc/self/map_files/%lx-%lx", (unsigned long)m.mem,
		(unsigned long)(m.mem + FILE_SIZE));
	GMEM_ASSERT_ERRNO(open(path, O_RDWR), ENXIO, "%s", path);
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	gmem_map_teardown(&m);
}

/*
 * What cannot be touched
 */

static void test_beyond_the_end_gives_sigbus(void)
{
	static const u64 offsets[] = {
		FILE_SIZE, FILE_SIZE + 1, FILE_SIZE + P, 4 * FILE_SIZE - 1,
	};
	struct gmem_map m;
	char *mem;
	int i;

	setup_filled(&m);
	mem = gmem_mmap(m.fd, 4 * FILE_SIZE, 0);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		gmem_assert_sigbus(mem + offsets[i]);
	ASSERT_EQ(gmem_touch(mem + FILE_SIZE - 1, false), 0);
	gmem_check(mem, 0, FILE_SIZE, FIRST);
	ASSERT_EQ(gmem_allocated(m.fd), FILE_SIZE);
	munmap(mem, 4 * FILE_SIZE);

	/* Nothing of the file in it at all. */
	mem = gmem_mmap(m.fd, P, FILE_SIZE);
	gmem_assert_sigbus(mem);
	munmap(mem, P);
	mem = gmem_mmap(m.fd, P, BIT_ULL(62));
	gmem_assert_sigbus(mem);
	munmap(mem, P);
	ASSERT_EQ(gmem_allocated(m.fd), FILE_SIZE);
	gmem_map_teardown(&m);
}

/* System calls, too, get nothing, and nothing is allocated. */
static void check_memory_is_out_of_reach(struct gmem_map *m)
{
	struct iovec iov = { m->mem + P, 8 };
	char path[] = "/proc/self/mem", buf[8];
	int fds[2], mem;

	TEST_ASSERT(!pipe(fds), "pipe() failed");
	TEST_ASSERT(write(fds[1], "01234567", 8) == 8, "cannot fill the pipe");
	GMEM_ASSERT_ERRNO(read(fds[0], m->mem + P, 8), EFAULT, "read");
	GMEM_ASSERT_ERRNO(write(fds[1], m->mem + P, 8), EFAULT, "write");
	GMEM_ASSERT_ERRNO(vmsplice(fds[1], &iov, 1, 0), EFAULT, "vmsplice");
	mem = open(path, O_RDWR);
	GMEM_ASSERT_ERRNO(pread(mem, buf, 8, (uintptr_t)m->mem + P), EIO,
			  "%s", path);
	GMEM_ASSERT_ERRNO(pwrite(mem, buf, 8, (uintptr_t)m->mem + P), EIO,
			  "%s", path);
	GMEM_ASSERT_ERRNO(mlock(m->mem, P), ENOMEM, "mlock");
	GMEM_ASSERT_ERRNO(madvise(m->mem, P, MADV_POPULATE_READ), EFAULT,
			  "MADV_POPULATE_READ");
	GMEM_ASSERT_ERRNO(madvise(m->mem, P, MADV_POPULATE_WRITE), EFAULT,
			  "MADV_POPULATE_WRITE");
	close(mem);
	close(fds[0]);
	close(fds[1]);
}

static void check_not_shared(unsigned long vm_type)
{
	struct gmem_map m;
	int i;

	__gmem_map_setup(&m, vm_type, FILE_SIZE, GUEST_MEMFD_FLAG_MMAP);
	gmem_allocate(m.fd, 0, 2 * P);
	for (i = 0; i < GMEM_FILE_PAGES; i++)
		gmem_assert_sigbus(m.mem + i * P);
	check_memory_is_out_of_reach(&m);
	ASSERT_EQ(gmem_allocated(m.fd), 2 * P);
	TEST_ASSERT(!gmem_is_mapped(m.mem), "mapped");
	gmem_map_teardown(&m);
}

static void test_not_shared_gives_sigbus(void)
{
	check_not_shared(KVM_X86_DEFAULT_VM);
}

static void test_not_shared_in_a_protected_vm_gives_sigbus(void)
{
	check_not_shared(KVM_X86_SW_PROTECTED_VM);
}

static void test_populate_and_locked_map_what_can_be_touched(void)
{
	static const int flags[] = {
		MAP_SHARED | MAP_POPULATE, MAP_SHARED | MAP_LOCKED,
	};
	struct gmem_map m;
	char *mem;
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		gmem_map_setup(&m, FILE_SIZE);
		mem = mmap(NULL, 2 * FILE_SIZE, PROT_READ | PROT_WRITE,
			   flags[i], m.fd, 0);
		TEST_ASSERT(mem != MAP_FAILED, "errno %d", errno);
		ASSERT_EQ(gmem_allocated(m.fd), FILE_SIZE);
		TEST_ASSERT(gmem_is_mapped(mem + FILE_SIZE - P), "not mapped");
		gmem_assert_sigbus(mem + FILE_SIZE);
		munmap(mem, 2 * FILE_SIZE);
		gmem_map_teardown(&m);
	}
}

/* To the hwpoison injector. It has an opinion on success; look for yourself. */
static void poison_write(const char *name, const char *text)
{
	char path[64];
	int fd;

	sprintf(path, "/sys/kernel/debug/hwpoison/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		gmem_skip("no %s, errno %d", path, errno);
	if (write(fd, text, strlen(text)) < 0)
		ksft_print_msg("%s: errno %d\n", name, errno);
	close(fd);
}

/* How the page is found to be bad is another test's matter. */
static void test_poisoned_page_gives_sigbus_until_it_is_punched(void)
{
	struct gmem_map m;
	char text[32];
	int write;

	setup_filled(&m);
	sprintf(text, "%ld", (long)gmem_mapped_pfn(m.mem + P));
	madvise(m.mem, FILE_SIZE, MADV_DONTNEED);
	gmem_undo_by_write("/sys/kernel/debug/hwpoison/unpoison-pfn", text);
	poison_write("corrupt-pfn", text);

	for (write = 0; write < 2; write++) {
		ASSERT_EQ(gmem_touch(m.mem + P, write), SIGBUS);
		ASSERT_EQ(gmem_touch_code(), BUS_MCEERR_AR);
	}
	gmem_check(m.mem, 0, P, FIRST);
	gmem_check(m.mem + 2 * P, 2 * P, FILE_SIZE - 2 * P, FIRST);
	ASSERT_EQ(gmem_allocated(m.fd), FILE_SIZE);

	gmem_punch_hole(m.fd, P, P);
	gmem_check_zero(m.mem + P, P);
	gmem_fill(m.mem + P, P, P, SECOND);
	gmem_check(m.mem + P, P, P, SECOND);
	poison_write("unpoison-pfn", text);
	gmem_map_teardown(&m);
}

/*
 * Holes
 */

static void check_hole(struct gmem_map *m, u64 start, u64 end)
{
	u64 i;

	gmem_fill(m->mem, 0, FILE_SIZE, FIRST);
	gmem_punch_hole(m->fd, start, end - start);
	ASSERT_EQ(gmem_allocated(m->fd), FILE_SIZE - (end - start));
	for (i = 0; i < FILE_SIZE; i += P)
		TEST_ASSERT(gmem_is_mapped(m->mem + i) ==
			    (i < start || i >= end), "page at 0x%lx", i);

	gmem_check(m->mem, 0, start, FIRST);
	gmem_check_zero(m->mem + start, end - start);
	gmem_check(m->mem + end, end, FILE_SIZE - end, FIRST);
	gmem_fill(m->mem + start, start, end - start, SECOND);
	gmem_check(m->mem + start, start, end - start, SECOND);
	gmem_check(m->mem + end, end, FILE_SIZE - end, FIRST);
	ASSERT_EQ(gmem_allocated(m->fd), FILE_SIZE);
}

static void test_holes_read_zero_and_spare_neighbours(void)
{
	static const u64 holes[][2] = {
		{ 0, P }, { FILE_SIZE - P, FILE_SIZE }, { P, 2 * P },
		{ 0, FILE_SIZE }, { 3 * P, 11 * P }, { 0, FILE_SIZE / 2 },
		{ FILE_SIZE / 2, FILE_SIZE },
	};
	struct gmem_map m;
	int i;

	gmem_map_setup(&m, FILE_SIZE);
	for (i = 0; i < ARRAY_SIZE(holes); i++)
		check_hole(&m, holes[i][0], holes[i][1]);
	gmem_map_teardown(&m);
}

static void test_holes_show_in_every_mapping(void)
{
	struct gmem_map m;
	char *part, *ro;
	pid_t pid;

	setup_filled(&m);
	part = gmem_mmap(m.fd, 2 * P, 4 * P);
	ro = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, m.fd, 0);
	gmem_check(part, 4 * P, 2 * P, FIRST);
	gmem_check(ro, 0, FILE_SIZE, FIRST);
	pid = fork();
	if (!pid) {
		gmem_check(part, 4 * P, 2 * P, FIRST);
		gmem_punch_hole(m.fd, 4 * P, P);
		gmem_check_zero(part, P);
		_exit(0);
	}
	wait_for(pid);
	gmem_check_zero(m.mem + 4 * P, P);
	gmem_check_zero(part, P);
	gmem_check_zero(ro + 4 * P, P);
	gmem_check(part + P, 5 * P, P, FIRST);
	munmap(part, 2 * P);
	munmap(ro, FILE_SIZE);
	gmem_map_teardown(&m);
}

static void test_holes_beyond_the_end_change_nothing(void)
{
	struct gmem_map m;

	setup_filled(&m);
	gmem_punch_hole(m.fd, FILE_SIZE, FILE_SIZE);
	gmem_punch_hole(m.fd, 4 * FILE_SIZE, P);
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	gmem_map_teardown(&m);
}

struct punch_race {
	struct gmem_map m;
	char *other;
	u64 loop;
	bool write;
};

static void punch_race_setup(void *ctx)
{
	struct punch_race *r = ctx;

	r->loop++;
	if (r->loop & 1)
		gmem_punch_hole(r->m.fd, 0, P);
	else
		gmem_fill(r->other, 0, P, r->loop + BIT_ULL(32));
	/* In half of the loops the page is there, but not in the page table. */
	madvise(r->m.mem, P, MADV_DONTNEED);
}

static void punch_race_touch(void *ctx)
{
	struct punch_race *r = ctx;
	u64 *p = (u64 *)r->m.mem;

	if (r->write)
		WRITE_ONCE(*p, gmem_pattern(0, r->loop));
	else
		(void)READ_ONCE(*p);
}

static void punch_race_punch(void *ctx)
{
	struct punch_race *r = ctx;

	gmem_punch_hole(r->m.fd, 0, P);
}

static bool punch_race_check(void *ctx)
{
	struct punch_race *r = ctx;
	bool mapped = gmem_is_mapped(r->m.mem);
	u64 value;

	/* A page that has left the file is in no page table. */
	if (mapped && !gmem_allocated(r->m.fd))
		return false;

	value = READ_ONCE(*(u64 *)r->m.mem);
	if (value && !(r->write && value == gmem_pattern(0, r->loop)))
		return false;
	return value == READ_ONCE(*(u64 *)r->other) &&
	       gmem_mapped_pfn(r->m.mem) == gmem_mapped_pfn(r->other);
}

static void check_race_with_a_hole(bool write)
{
	static const struct race_ops ops = {
		.name = "touch and punch",
		.setup = punch_race_setup,
		.run_a = punch_race_touch,
		.run_b = punch_race_punch,
		.check = punch_race_check,
	};
	struct punch_race r = { .write = write };
	struct race_stats stats;

	gmem_map_setup(&r.m, FILE_SIZE);
	r.other = gmem_mmap(r.m.fd, FILE_SIZE, 0);
	TEST_ASSERT(race_run(&ops, &r, 4000, 6000, &stats),
		    "a stale page in loop %u", stats.failed_at);
	munmap(r.other, FILE_SIZE);
	gmem_map_teardown(&r.m);
}

static void test_reads_that_race_with_a_hole_see_no_stale_page(void)
{
	check_race_with_a_hole(false);
}

static void test_writes_that_race_with_a_hole_leave_no_stale_page(void)
{
	check_race_with_a_hole(true);
}

/*
 * While a mapping is resized it is in no list of the file's, but its pages are in
 * the page table.
 */
struct resize_race {
	int fd;
	char *mem;
	u64 loop;
};

static void resize_race_setup(void *ctx)
{
	struct resize_race *r = ctx;

	TEST_ASSERT(!munmap(r->mem + P, P), "munmap() failed, errno %d", errno);
	WRITE_ONCE(*(u64 *)r->mem, gmem_pattern(0, ++r->loop));
}

static void resize_race_grow(void *ctx)
{
	struct resize_race *r = ctx;

	TEST_ASSERT(mremap(r->mem, P, 2 * P, 0) == r->mem,
		    "mremap() failed, errno %d", errno);
}

static void resize_race_punch(void *ctx)
{
	struct resize_race *r = ctx;

	gmem_punch_hole(r->fd, 0, P);
}

static bool resize_race_check(void *ctx)
{
	struct resize_race *r = ctx;

	return !READ_ONCE(*(u64 *)r->mem);
}

static void test_hole_is_one_in_a_mapping_that_is_being_resized(void)
{
	static const struct race_ops ops = {
		.name = "resize and punch",
		.setup = resize_race_setup,
		.run_a = resize_race_grow,
		.run_b = resize_race_punch,
		.check = resize_race_check,
	};
	struct resize_race r = {};
	struct race_stats stats;
	struct gmem_map m;

	/* The only mapping, with room behind it. */
	gmem_map_setup(&m, FILE_SIZE);
	r.fd = m.fd;
	r.mem = m.mem;
	TEST_ASSERT(!munmap(m.mem + 2 * P, FILE_SIZE - 2 * P), "munmap() failed");
	TEST_ASSERT(race_run(&ops, &r, 20000, 6000, &stats),
		    "a stale page in loop %u", stats.failed_at);
	gmem_map_teardown(&m);
}

/*
 * madvise() and friends
 */

static const struct {
	int advice;
	int err;
} advices[] = {
	{ MADV_NORMAL },	{ MADV_RANDOM },	{ MADV_SEQUENTIAL },
	{ MADV_WILLNEED },	{ MADV_DONTNEED },	{ MADV_COLD },
	{ MADV_PAGEOUT },	{ MADV_HUGEPAGE },	{ MADV_NOHUGEPAGE },
	{ MADV_MERGEABLE },	{ MADV_UNMERGEABLE },	{ MADV_POPULATE_READ },
	{ MADV_POPULATE_WRITE }, { MADV_DONTFORK },	{ MADV_DOFORK },
	{ MADV_DODUMP },	{ MADV_DONTDUMP },	{ MADV_DONTNEED_LOCKED },
	{ MADV_FREE, EINVAL },	{ MADV_WIPEONFORK, EINVAL },
	{ MADV_COLLAPSE, EINVAL }, { 1000, EINVAL },
};

static void test_advice_does_not_touch_the_contents(void)
{
	struct gmem_map m;
	int i, j, ret;

	setup_filled(&m);
	for (j = 0; j < 2; j++) {
		/* Once with the pages in the page table, once without. */
		for (i = 0; i < ARRAY_SIZE(advices); i++) {
			if (j)
				madvise(m.mem, FILE_SIZE, MADV_DONTNEED);
			errno = 0;
			ret = madvise(m.mem, FILE_SIZE, advices[i].advice);
			TEST_ASSERT(errno == advices[i].err && !ret == !errno,
				    "advice %d: %d, errno %d, wanted %d",
				    advices[i].advice, ret, errno,
				    advices[i].err);
			gmem_check(m.mem, 0, FILE_SIZE, FIRST);
			ASSERT_EQ(gmem_allocated(m.fd), FILE_SIZE);
		}
	}
	gmem_map_teardown(&m);
}

static void test_advice_on_what_is_not_shared_is_harmless(void)
{
	struct gmem_map m;
	int i, ret;

	__gmem_map_setup(&m, KVM_X86_DEFAULT_VM, FILE_SIZE,
			 GUEST_MEMFD_FLAG_MMAP);
	gmem_allocate(m.fd, 0, 2 * P);
	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		ret = madvise(m.mem, FILE_SIZE, advices[i].advice);
		if (ret && errno != advices[i].err)
			TEST_ASSERT(errno == EFAULT &&
				    (advices[i].advice == MADV_POPULATE_READ ||
				     advices[i].advice == MADV_POPULATE_WRITE),
				    "advice %d: errno %d", advices[i].advice,
				    errno);
		ASSERT_EQ(gmem_allocated(m.fd), 2 * P);
		gmem_assert_sigbus(m.mem);
	}
	gmem_map_teardown(&m);
}

static void test_advice_remove_punches_a_hole(void)
{
	struct gmem_map m;

	setup_filled(&m);
	TEST_ASSERT(!madvise(m.mem + P, 2 * P, MADV_REMOVE), "errno %d", errno);
	ASSERT_EQ(gmem_allocated(m.fd), FILE_SIZE - 2 * P);
	gmem_check(m.mem, 0, P, FIRST);
	gmem_check_zero(m.mem + P, 2 * P);
	gmem_check(m.mem + 3 * P, 3 * P, FILE_SIZE - 3 * P, FIRST);

	TEST_ASSERT(!mlock(m.mem + 4 * P, P), "mlock: errno %d", errno);
	GMEM_ASSERT_ERRNO(madvise(m.mem + 4 * P, P, MADV_REMOVE), EINVAL,
			  "locked");
	gmem_check(m.mem + 3 * P, 3 * P, FILE_SIZE - 3 * P, FIRST);
	gmem_map_teardown(&m);
}

/* A file that looks as if huge pages could be made of it. */
static void check_no_collapse(int prot)
{
	struct gmem_map m;
	char *mem;

	gmem_map_setup(&m, 2 * GMEM_HUGE_SIZE);
	mem = gmem_mmap_aligned(m.fd, m.size);
	gmem_fill(mem, 0, m.size, FIRST);
	TEST_ASSERT(!mprotect(mem, m.size, prot), "mprotect: errno %d", errno);
	TEST_ASSERT(!madvise(mem, m.size, MADV_HUGEPAGE), "errno %d", errno);
	TEST_ASSERT(!mlock(mem, m.size), "mlock: errno %d", errno);
	GMEM_ASSERT_ERRNO(madvise(mem, m.size, MADV_COLLAPSE), EINVAL,
			  "locked");
	TEST_ASSERT(!munlock(mem, m.size), "munlock: errno %d", errno);
	GMEM_ASSERT_ERRNO(madvise(mem, m.size, MADV_COLLAPSE), EINVAL, "all");
	GMEM_ASSERT_ERRNO(madvise(mem, GMEM_HUGE_SIZE, MADV_COLLAPSE), EINVAL,
			  "one");
	gmem_check(mem, 0, m.size, FIRST);
	TEST_ASSERT(!madvise(mem, m.size, MADV_DONTNEED), "errno %d", errno);
	gmem_check(mem, 0, m.size, FIRST);
	ASSERT_EQ(gmem_allocated(m.fd), m.size);
	munmap(mem, m.size);
	gmem_map_teardown(&m);
}

static void test_collapse_gives_einval(void)
{
	check_no_collapse(PROT_READ | PROT_WRITE);
	check_no_collapse(PROT_READ);
}

static void test_reclaim_by_userspace_is_harmless(void)
{
	static const int fadvices[] = {
		POSIX_FADV_NORMAL, POSIX_FADV_RANDOM, POSIX_FADV_SEQUENTIAL,
		POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED, POSIX_FADV_NOREUSE,
	};
	struct gmem_map m;
	int i;

	setup_filled(&m);
	for (i = 0; i < ARRAY_SIZE(fadvices); i++)
		ASSERT_EQ(posix_fadvise(m.fd, 0, FILE_SIZE, fadvices[i]), 0);
	gmem_proc_write("/proc/sys/vm/drop_caches", "3");
	gmem_proc_write("/proc/sys/vm/compact_memory", "1");
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	madvise(m.mem, FILE_SIZE, MADV_DONTNEED);
	gmem_proc_write("/proc/sys/vm/drop_caches", "3");
	gmem_proc_write("/proc/sys/vm/compact_memory", "1");
	ASSERT_EQ(gmem_allocated(m.fd), FILE_SIZE);
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	gmem_map_teardown(&m);
}

static int uffd_register(int uffd, void *mem, u64 size, u64 mode)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)mem, .len = size },
		.mode = mode,
	};

	return ioctl(uffd, UFFDIO_REGISTER, &reg);
}

static void test_userfaultfd_gives_einval(void)
{
	static const u64 modes[] = {
		UFFDIO_REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_WP,
		UFFDIO_REGISTER_MODE_MINOR,
		UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_api api = { .api = UFFD_API };
	void *anon = gmem_alloc_hva(0, P);
	struct gmem_map m;
	int uffd, i;

	uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	TEST_ASSERT(uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api),
		    "no userfaultfd, errno %d", errno);
	TEST_ASSERT(!uffd_register(uffd, anon, P, modes[0]),
		    "anonymous memory: errno %d", errno);
	setup_filled(&m);
	for (i = 0; i < ARRAY_SIZE(modes); i++)
		GMEM_ASSERT_ERRNO(uffd_register(uffd, m.mem, FILE_SIZE,
						modes[i]),
				  EINVAL, "mode %lu", modes[i]);
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	close(uffd);
	gmem_free_hva(anon, P);
	gmem_map_teardown(&m);
}

static void test_mremap_keeps_the_contents(void)
{
	char *mem, *copy, *to;
	struct gmem_map m;

	setup_filled(&m);
	mem = gmem_mmap(m.fd, 4 * P, 0);
	gmem_check(mem, 0, 4 * P, FIRST);
	mem = mremap(mem, 4 * P, 2 * FILE_SIZE, MREMAP_MAYMOVE);
	TEST_ASSERT(mem != MAP_FAILED, "grow: errno %d", errno);
	gmem_check(mem, 0, FILE_SIZE, FIRST);
	gmem_assert_sigbus(mem + FILE_SIZE);

	to = gmem_alloc_hva(0, 2 * FILE_SIZE);
	mem = mremap(mem, 2 * FILE_SIZE, 2 * FILE_SIZE,
		     MREMAP_MAYMOVE | MREMAP_FIXED, to);
	TEST_ASSERT(mem == to, "move: errno %d", errno);
	gmem_check(mem, 0, FILE_SIZE, FIRST);
	gmem_punch_hole(m.fd, P, P);
	gmem_check_zero(mem + P, P);
	gmem_fill(mem + P, P, P, FIRST);

	copy = mremap(mem, 0, FILE_SIZE, MREMAP_MAYMOVE);
	TEST_ASSERT(copy != MAP_FAILED, "copy: errno %d", errno);
	gmem_check(copy, 0, FILE_SIZE, FIRST);
	mem = mremap(mem, 2 * FILE_SIZE, P, 0);
	TEST_ASSERT(mem == to, "shrink: errno %d", errno);
	gmem_check(mem, 0, P, FIRST);
	munmap(mem, P);
	munmap(copy, FILE_SIZE);
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	gmem_map_teardown(&m);
}

static void test_mprotect_is_obeyed(void)
{
	struct gmem_map m;

	setup_filled(&m);
	TEST_ASSERT(!mprotect(m.mem, P, PROT_NONE), "errno %d", errno);
	ASSERT_EQ(gmem_touch(m.mem, false), SIGSEGV);
	TEST_ASSERT(!mprotect(m.mem, P, PROT_READ), "errno %d", errno);
	ASSERT_EQ(gmem_touch(m.mem, false), 0);
	ASSERT_EQ(gmem_touch(m.mem, true), SIGSEGV);
	TEST_ASSERT(!mprotect(m.mem, P, PROT_READ | PROT_WRITE), "errno %d",
		    errno);
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	ASSERT_EQ(gmem_touch(m.mem, true), 0);
	gmem_map_teardown(&m);
}

static void test_msync_gives_einval(void)
{
	struct gmem_map m;

	setup_filled(&m);
	GMEM_ASSERT_ERRNO(msync(m.mem, FILE_SIZE, MS_SYNC), EINVAL, "msync");
	GMEM_ASSERT_ERRNO(fsync(m.fd), EINVAL, "fsync");
	TEST_ASSERT(!msync(m.mem, FILE_SIZE, MS_ASYNC), "errno %d", errno);
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	gmem_map_teardown(&m);
}

/*
 * mlock()
 */

/*
 * Pages are counted off in batches: empty these, and wait for up to a minute.
 * No group has a figure of its own for it; little else is ever locked.
 */
static void assert_mlocked_kb(u64 kb)
{
	u64 now = 0;
	int i;

	for (i = 0; i < 1200; i++) {
		gmem_proc_write("/proc/sys/vm/compact_memory", "1");
		gmem_proc_write("/proc/sys/vm/stat_refresh", "1");
		now = gmem_meminfo_kb("Mlocked");
		if (now == kb)
			return;
		usleep(50000);
	}
	TEST_FAIL("Mlocked is %lu kB, wanted %lu", now, kb);
}

static void mlock_all(struct gmem_map *m, u64 before)
{
	TEST_ASSERT(!mlock(m->mem, m->size), "mlock: errno %d", errno);
	assert_mlocked_kb(before + m->size / 1024);
}

static void test_mlock_counts_and_holes_count_off(void)
{
	u64 before, kb = BIG_SIZE / 1024, free_kb = gmem_free_kb();
	struct gmem_map m;

	gmem_map_setup(&m, BIG_SIZE);
	before = gmem_meminfo_kb("Mlocked");
	mlock_all(&m, before);
	ASSERT_EQ(gmem_allocated(m.fd), BIG_SIZE);
	gmem_fill(m.mem, 0, BIG_SIZE, FIRST);

	gmem_punch_hole(m.fd, 0, BIG_SIZE / 2);
	assert_mlocked_kb(before + kb / 2);
	gmem_check_zero(m.mem, P);
	assert_mlocked_kb(before + kb / 2 + P / 1024);
	gmem_check(m.mem + BIG_SIZE / 2, BIG_SIZE / 2, BIG_SIZE / 2, FIRST);

	TEST_ASSERT(!munlock(m.mem, BIG_SIZE), "munlock: errno %d", errno);
	assert_mlocked_kb(before);
	gmem_check(m.mem + BIG_SIZE / 2, BIG_SIZE / 2, BIG_SIZE / 2, FIRST);
	gmem_map_teardown(&m);
	gmem_assert_mem_returned(free_kb, kb / 8);
}

static void test_locked_memory_is_freed_at_the_end(void)
{
	u64 before, kb = BIG_SIZE / 1024, free_kb = gmem_free_kb();
	struct gmem_map m;
	char *other;
	pid_t pid;
	int i;

	before = gmem_meminfo_kb("Mlocked");
	for (i = 0; i < 4; i++) {
		gmem_map_setup(&m, BIG_SIZE);
		mlock_all(&m, before);
		switch (i) {
		case 0:		/* hole, then the mapping goes */
			gmem_punch_hole(m.fd, 0, BIG_SIZE);
			assert_mlocked_kb(before);
			break;
		case 1:		/* locked until the last reference goes */
			close(m.fd);
			munmap(m.mem, BIG_SIZE);
			kvm_vm_free(m.vm);
			assert_mlocked_kb(before);
			continue;
		case 2:		/* locked twice */
			other = gmem_mmap(m.fd, BIG_SIZE, 0);
			TEST_ASSERT(!mlock(other, BIG_SIZE), "errno %d", errno);
			assert_mlocked_kb(before + kb);
			munmap(other, BIG_SIZE);
			break;
		case 3:		/* by a process that is killed */
			pid = fork();
			if (!pid) {
				mlock(m.mem, BIG_SIZE);
				kill(getpid(), SIGKILL);
			}
			waitpid(pid, NULL, 0);
			break;
		}
		gmem_map_teardown(&m);
		assert_mlocked_kb(before);
	}
	gmem_assert_mem_returned(free_kb, kb / 8);
}

static void test_mlock_beyond_the_end_gives_enomem(void)
{
	struct gmem_map m;
	char *mem;

	setup_filled(&m);
	mem = gmem_mmap(m.fd, 2 * FILE_SIZE, 0);
	GMEM_ASSERT_ERRNO(mlock(mem, 2 * FILE_SIZE), ENOMEM, "beyond the end");
	TEST_ASSERT(!mlock(mem, FILE_SIZE), "errno %d", errno);
	gmem_check(mem, 0, FILE_SIZE, FIRST);
	munmap(mem, 2 * FILE_SIZE);
	gmem_map_teardown(&m);
}

/*
 * Other processes, and the end of memory
 */

static void test_other_processes_can_look_through_proc_mem(void)
{
	char path[64], buf[P];
	struct gmem_map m;
	int fd;

	setup_filled(&m);
	sprintf(path, "/proc/%d/mem", getpid());
	fd = open(path, O_RDWR);
	ASSERT_EQ(pread(fd, buf, P, (uintptr_t)m.mem + P), (ssize_t)P);
	gmem_check(buf, P, P, FIRST);
	gmem_fill(buf, 2 * P, P, SECOND);
	ASSERT_EQ(pwrite(fd, buf, P, (uintptr_t)m.mem + 2 * P), (ssize_t)P);
	gmem_check(m.mem + 2 * P, 2 * P, P, SECOND);
	close(fd);
	gmem_map_teardown(&m);
}

static struct admin_cgroup oom;

static void oom_create_cgroup(void)
{
	admin_cgroup_create(&oom, "oom");
	ASSERT_EQ(admin_cgroup_write(&oom, "memory.max", OOM_LIMIT), 0);
}

/* The killed child's, and what it has made the file allocate. */
static void oom_wait_for_return(void)
{
	s64 bytes = 0;
	int tries;

	for (tries = 0; tries < 6000; tries++) {
		bytes = admin_cgroup_value(&oom, "memory.current", NULL);
		if (bytes < OOM_SIZE / 8)
			return;
		usleep(10000);
	}
	TEST_FAIL("%ld bytes are still charged", bytes);
}

/* Enter the cgroup, touch more than it may have, and come to an end. */
static void oom_child(char *mem, bool in_kernel)
{
	int zero = open("/dev/zero", O_RDONLY);

	admin_cgroup_enter(&oom);
	if (in_kernel && read(zero, mem, OOM_SIZE) != OOM_SIZE)
		_exit(2);
	memset(mem, 0xa5, OOM_SIZE);
	_exit(1);
}

static void check_oom(bool in_kernel)
{
	u64 free_kb = gmem_free_kb();
	struct gmem_map m;
	int status;
	pid_t pid;

	gmem_map_setup(&m, OOM_SIZE);
	pid = fork();
	if (!pid)
		oom_child(m.mem, in_kernel);
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid() failed");
	TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		    "status 0x%x, wanted SIGKILL", status);
	TEST_ASSERT(gmem_allocated(m.fd) && gmem_allocated(m.fd) < OOM_SIZE / 2,
		    "0x%lx bytes allocated", gmem_allocated(m.fd));
	/* The file goes on, at our expense. */
	gmem_fill(m.mem + OOM_SIZE - P, OOM_SIZE - P, P, FIRST);
	gmem_map_teardown(&m);
	gmem_assert_mem_returned(free_kb, OOM_SIZE / 8 / 1024);
	oom_wait_for_return();
}

static void test_memory_limit_kills_and_does_not_hang(void)
{
	oom_create_cgroup();
	check_oom(false);
	check_oom(true);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_files_without_flag_mmap_give_enodev),
	GMEM_TEST(test_private_mappings_give_einval),
	GMEM_TEST(test_code_cannot_be_mapped),
	GMEM_TEST(test_mappings_are_not_dumped_nor_executable),
	GMEM_TEST(test_read_implies_exec_does_not_apply),
	GMEM_TEST(test_memory_is_zero_then_what_was_written),
	GMEM_TEST(test_touching_allocates_one_page),
	GMEM_TEST(test_all_mappings_show_the_same_memory),
	GMEM_TEST(test_files_do_not_share_memory),
	GMEM_TEST(test_fork_shares_the_mapping),
	GMEM_TEST(test_mapping_outlives_file_and_vm),
	GMEM_TEST(test_mapping_cannot_be_opened),
	GMEM_TEST(test_beyond_the_end_gives_sigbus),
	GMEM_TEST(test_not_shared_gives_sigbus),
	GMEM_TEST(test_not_shared_in_a_protected_vm_gives_sigbus),
	GMEM_TEST(test_populate_and_locked_map_what_can_be_touched),
	GMEM_TEST(test_poisoned_page_gives_sigbus_until_it_is_punched),
	GMEM_TEST(test_holes_read_zero_and_spare_neighbours),
	GMEM_TEST(test_holes_show_in_every_mapping),
	GMEM_TEST(test_holes_beyond_the_end_change_nothing),
	GMEM_TEST(test_reads_that_race_with_a_hole_see_no_stale_page),
	GMEM_TEST(test_writes_that_race_with_a_hole_leave_no_stale_page),
	GMEM_TEST(test_hole_is_one_in_a_mapping_that_is_being_resized),
	GMEM_TEST(test_advice_does_not_touch_the_contents),
	GMEM_TEST(test_advice_on_what_is_not_shared_is_harmless),
	GMEM_TEST(test_advice_remove_punches_a_hole),
	GMEM_TEST(test_collapse_gives_einval),
	GMEM_TEST(test_reclaim_by_userspace_is_harmless),
	GMEM_TEST(test_userfaultfd_gives_einval),
	GMEM_TEST(test_mremap_keeps_the_contents),
	GMEM_TEST(test_mprotect_is_obeyed),
	GMEM_TEST(test_msync_gives_einval),
	GMEM_TEST(test_mlock_counts_and_holes_count_off),
	GMEM_TEST(test_locked_memory_is_freed_at_the_end),
	GMEM_TEST(test_mlock_beyond_the_end_gives_enomem),
	GMEM_TEST(test_other_processes_can_look_through_proc_mem),
	GMEM_TEST(test_memory_limit_kills_and_does_not_hang),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
