// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hardware loses pages of large folios.
 *
 * A page is lost, and not what is around it: the guest finds all the rest at
 * once, and when the file is gone, all the rest is free memory again.
 */
#define _GNU_SOURCE /* for vmsplice(2) */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "guest_memfd_huge.h"
#include "guest_memfd_map.h"
#include "guest_memfd_pfn.h"
#include "processor.h"
#include "race.h"

#ifndef MADV_HWPOISON
#define MADV_HWPOISON	100
#endif

#define NR_HUGE		3
#define SIZE		(NR_HUGE * H)
/* In the second folio. */
#define LOST		(H + 77 * P)
/* What may be missing of free memory, in KiB: less than a large folio. */
#define TOLERANCE_KB	1536

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000UL + t.tv_nsec / 1000000;
}

struct lost {
	struct guest_fixture f;
	u64 pfns[NR_HUGE];
};

static u64 pfn_of(struct lost *l, u64 offset)
{
	return l->pfns[offset / H] + offset % H / P;
}

/* Allocate a folio; Return: its first page frame. */
static u64 allocate_huge(int fd, u64 offset)
{
	static const char * const event[] = {
		"guest_memfd/guest_memfd_get_folio",
	};
	static bool started;
	char *trace;
	u64 pfn;

	if (!started)
		admin_trace_start(event, 1);
	started = true;
	gmem_allocate(fd, offset, H);
	trace = admin_trace_read();
	pfn = admin_trace_number(trace, event[0] + strlen("guest_memfd/"),
				 "order=9 allocated", "pfn");
	free(trace);
	return pfn;
}

static void start(struct lost *l)
{
	int i;

	poison_require();
	huge_start_empty(&l->f, SIZE, "always");
	for (i = 0; i < NR_HUGE; i++)
		l->pfns[i] = allocate_huge(l->f.slot.fd, i * H);
	guest_fill(l->f.vcpu, GPA, SIZE, 1);
	gmem_assert_usage(l->f.slot.fd, SIZE, SIZE, "filled");
}

static void end(struct lost *l)
{
	guest_end(&l->f);
	poison_undo_all();
}

/* Large folios are split a while after the error. */
static void wait_for_huge(int fd, u64 huge)
{
	int tries;

	for (tries = 0; tries < 100 && gmem_huge(fd) != huge; tries++)
		usleep(50000);
	ASSERT_EQ(gmem_huge(fd), huge);
}

/* The access exits; get the guest over it with the shared side. */
static void expect_lost(struct lost *l, u64 offset)
{
	guest_cmd_set(l->f.vcpu, GUEST_OP_READ, GPA + offset, 0, 0);
	gmem_vcpu_run_memory_fault(l->f.vcpu, EHWPOISON,
				   KVM_MEMORY_EXIT_FLAG_PRIVATE, GPA + offset,
				   P);
	vm_mem_set_shared(l->f.vm, GPA + offset, P);
	guest_cmd_finish(l->f.vcpu);
	vm_mem_set_private(l->f.vm, GPA + offset, P);
}

static void check_all_but(struct lost *l, u64 offset)
{
	guest_check(l->f.vcpu, GPA, offset, 1);
	guest_check(l->f.vcpu, GPA + offset + P, SIZE - offset - P, 1);
}

static void check_lost_page(u64 offset)
{
	struct lost l;

	start(&l);
	poison_pfn(pfn_of(&l, offset), POISON_CORRUPT);
	check_all_but(&l, offset);
	expect_lost(&l, offset);
	wait_for_huge(l.f.slot.fd, SIZE - H);
	ASSERT_EQ(gmem_allocated(l.f.slot.fd), SIZE);
	check_all_but(&l, offset);
	expect_lost(&l, offset);

	/* A hole makes room for a new page. */
	gmem_punch_hole(l.f.slot.fd, offset, P);
	check_all_but(&l, offset);
	guest_check_zero(l.f.vcpu, GPA + offset, P);
	end(&l);
}

static void test_first_page_of_a_folio(void)
{
	check_lost_page(H);
}

static void test_page_inside_of_a_folio(void)
{
	check_lost_page(LOST);
}

static void test_last_page_of_a_folio(void)
{
	check_lost_page(2 * H - P);
}

static void test_several_pages_of_a_folio(void)
{
	static const u64 offsets[] = {
		LOST, H, LOST + P, 2 * H - P, 5 * P, 2 * H,
	};
	struct lost l;
	int i;

	start(&l);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		poison_pfn(pfn_of(&l, offsets[i]), POISON_CORRUPT);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		expect_lost(&l, offsets[i]);
	wait_for_huge(l.f.slot.fd, 0);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		gmem_punch_hole(l.f.slot.fd, offsets[i], P);
	guest_check(l.f.vcpu, GPA + 6 * P, H - 6 * P, 1);
	guest_check(l.f.vcpu, GPA + H + P, 76 * P, 1);
	guest_check(l.f.vcpu, GPA + LOST + 2 * P, 433 * P - P, 1);
	guest_check(l.f.vcpu, GPA + 2 * H + P, H - P, 1);
	end(&l);
}

/* The folio is split while its pages are lost one after the other. */
static void test_pages_of_a_folio_that_is_being_split(void)
{
	struct lost l;
	u64 i;

	start(&l);
	for (i = 0; i < 32; i++)
		poison_pfn(pfn_of(&l, H + i * 16 * P), POISON_CORRUPT);
	wait_for_huge(l.f.slot.fd, SIZE - H);
	for (i = 0; i < 32; i++) {
		expect_lost(&l, H + i * 16 * P);
		guest_check(l.f.vcpu, GPA + H + (i * 16 + 1) * P, 15 * P, 1);
	}
	gmem_punch_hole(l.f.slot.fd, H, H);
	guest_check_zero(l.f.vcpu, GPA + H, H);
	end(&l);
}

/* How memory that contains a lost page leaves the file. */
enum leave { LEAVE_PUNCH, LEAVE_PUNCH_PART, LEAVE_CLOSE, NR_LEAVE };

static void check_returned(enum leave how, bool wait)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	u64 nr = 8, size = nr * H, before, i, pfns[8];
	int fd;

	host_set_thp("always");
	fd = vm_create_guest_memfd(vm, size, 0);
	/* With the buffers for trace events, and the file's own memory. */
	allocate_huge(fd, 0);
	gmem_punch_hole(fd, 0, H);
	before = gmem_free_kb();
	for (i = 0; i < nr; i++)
		pfns[i] = allocate_huge(fd, i * H);
	gmem_assert_usage(fd, size, size, "allocated");

	for (i = 0; i < nr; i++)
		poison_pfn(pfns[i] + i, POISON_CORRUPT);
	if (wait)
		wait_for_huge(fd, 0);
	for (i = 0; i < nr && how != LEAVE_CLOSE; i++) {
		if (how == LEAVE_PUNCH)
			gmem_punch_hole(fd, i * H, H);
		else
			gmem_punch_hole(fd, i * H + P, H - P);
	}
	close(fd);
	gmem_assert_mem_returned(before - nr * P / 1024, TOLERANCE_KB);
	/* What is lost is no longer charged, whether a page or a folio. */
	for (i = 0; i < nr; i++)
		TEST_ASSERT(pfn_is_alone(pfns[i] + i), "folio %lu is lost", i);
	kvm_vm_free(vm);
	poison_undo_all();
}

static void test_all_but_the_page_is_free_again(void)
{
	int how;

	poison_require();
	for (how = 0; how < NR_LEAVE; how++)
		check_returned(how, true);
}

static void test_all_but_the_page_is_free_again_at_once(void)
{
	int how;

	poison_require();
	for (how = 0; how < NR_LEAVE; how++)
		check_returned(how, false);
}

/*
 * The error comes just when the folio leaves the file, or is split: what is lost
 * is a page, and nothing that is mapped stays.
 *
 * The page is poisoned by way of a mapping: the kernel takes a reference to it,
 * and no other page is hit.  If the hole comes first, then that is a page of the
 * folio that comes next.
 */

#define LEAVE_LOOPS	300
#define LEAVE_MS	5000
#define LEAVE_TRIES	6
/* The page that is lost, and one of the same folio that is punched. */
#define LEAVE_LOST	(77 * P)
#define LEAVE_OTHER	(300 * P)

struct leave_race {
	struct kvm_vm *vm;
	int fd;
	char *mem, *second;
	u64 pfn;
	u64 nr_before;
	int a, b;
	/* When the error came: to a page of the file, of none, or of the next. */
	unsigned int nr_inside, nr_outside, nr_free, nr_next, nr_none;
};

static void setup_leave(void *ctx)
{
	struct leave_race *r = ctx;

	r->fd = vm_create_guest_memfd(r->vm, H, GMEM_SHARED_FLAGS);
	r->mem = gmem_mmap_aligned(r->fd, H);
	r->second = gmem_mmap(r->fd, H, 0);
	WRITE_ONCE(r->mem[LEAVE_LOST], 1);
	WRITE_ONCE(r->second[LEAVE_LOST], 1);
	gmem_assert_usage(r->fd, H, H, "set up");
	r->pfn = pfn_at(r->mem + LEAVE_LOST);
	r->nr_before = nr_poisoned();
	r->a = 0;
	r->b = 0;
	free(admin_trace_read());
}

static void leave_close(struct leave_race *r)
{
	munmap(r->mem, H);
	munmap(r->second, H);
	close(r->fd);
}

/* The mapping by which the page is poisoned is the last that has the file. */
static void setup_last_mapping(void *ctx)
{
	struct leave_race *r = ctx;

	setup_leave(ctx);
	munmap(r->second, H);
	close(r->fd);
}

static void a_lose(void *ctx)
{
	struct leave_race *r = ctx;

	r->a = errno_of(madvise(r->mem + LEAVE_LOST, P, MADV_HWPOISON));
}

static void b_punch_all(void *ctx)
{
	struct leave_race *r = ctx;

	r->b = errno_of(__gmem_punch_hole(r->fd, 0, H));
}

static void b_punch_other(void *ctx)
{
	struct leave_race *r = ctx;

	r->b = errno_of(__gmem_punch_hole(r->fd, LEAVE_OTHER, P));
}

static void b_unmap(void *ctx)
{
	struct leave_race *r = ctx;

	munmap(r->mem, H);
}

static bool leave_complain(struct leave_race *r, u64 pfn, const char *what)
{
	ksft_print_msg("%s; A = %d, B = %d, pfn 0x%lx flags 0x%lx\n", what,
		       r->a, r->b, pfn, pfn_flags(pfn));
	return false;
}

/* Return: the page that was hit, 0 if none was. */
static u64 leave_pfn(struct leave_race *r)
{
	char *trace = admin_trace_read();
	bool error = strstr(trace, "guest_memfd_error:");
	u64 pfn = r->pfn;

	if (error)
		pfn = admin_trace_number(trace, "guest_memfd_error", "", "pfn");
	free(trace);
	if (error && pfn == r->pfn)
		r->nr_inside++;
	else if (error)
		r->nr_next++;
	else if (pfn_is_poisoned(pfn) && r->a)
		r->nr_free++;
	else if (pfn_is_poisoned(pfn))
		r->nr_outside++;
	else
		r->nr_none++;
	return error || pfn_is_poisoned(pfn) ? pfn : 0;
}

/* The file is gone. */
static bool leave_finish(struct leave_race *r)
{
	u64 pfn = leave_pfn(r);

	if (r->b)
		return leave_complain(r, r->pfn, "it did not leave");
	if (!pfn)
		return r->a || leave_complain(r, r->pfn, "the error is lost");
	if (r->a && r->a != -EBUSY)
		return leave_complain(r, pfn, "wrong result");
	if (!pfn_is_poisoned(pfn))
		return leave_complain(r, pfn, "the error is lost");
	if (pfn_mapcount(pfn))
		return leave_complain(r, pfn, "the page is still mapped");
	if (!pfn_is_alone(pfn))
		return leave_complain(r, pfn, "all of the folio is lost");
	if (nr_poisoned() != r->nr_before + 1)
		return leave_complain(r, pfn, "the count is wrong");
	poison_remember(pfn);
	poison_undo_all();
	return true;
}

static bool check_leave(void *ctx)
{
	leave_close(ctx);
	return leave_finish(ctx);
}

static bool check_left(void *ctx)
{
	return leave_finish(ctx);
}

/* No entry is left that a hole does not remove. */
static bool check_split(void *ctx)
{
	const u64 entry = BIT_ULL(63) | BIT_ULL(62);
	struct leave_race *r = ctx;

	gmem_punch_hole(r->fd, LEAVE_LOST, P);
	if ((gmem_pagemap(r->mem + LEAVE_LOST) & entry) ||
	    (gmem_pagemap(r->second + LEAVE_LOST) & entry))
		return leave_complain(r, r->pfn, "an entry is left");
	if (gmem_touch(r->mem + LEAVE_LOST, true) ||
	    gmem_touch(r->second + LEAVE_LOST, true) ||
	    pfn_at(r->mem + LEAVE_LOST) != pfn_at(r->second + LEAVE_LOST) ||
	    pfn_at(r->mem + LEAVE_LOST) == r->pfn)
		return leave_complain(r, r->pfn, "no new page");
	return check_leave(ctx);
}

static void race_leave(const struct race_ops *ops)
{
	static const char * const events[] = {
		"guest_memfd/guest_memfd_error",
	};
	static struct leave_race r;
	struct race_stats stats;
	int tries = 0;
	bool ok;

	poison_require();
	signal(SIGBUS, SIG_IGN);
	host_set_thp("always");
	r.vm = vm_create_barebones();
	admin_trace_start(events, ARRAY_SIZE(events));
	/* The error must be one of a page that leaves, not always too late. */
	do {
		ok = race_run(ops, &r, LEAVE_LOOPS, LEAVE_MS, &stats);
	} while (ok && !(r.nr_inside + r.nr_outside) && ++tries < LEAVE_TRIES);
	ksft_print_msg("%u in the file, %u out of it, %u free, %u in the next, %u not\n",
		       r.nr_inside, r.nr_outside, r.nr_free, r.nr_next,
		       r.nr_none);
	TEST_ASSERT(ok, "%s, loop %u", ops->name, stats.failed_at);
	TEST_ASSERT(r.nr_inside + r.nr_outside, "no page was hit");
	kvm_vm_free(r.vm);
}

static void test_poison_against_a_hole_for_the_folio(void)
{
	static const struct race_ops ops = {
		.name = "poison, punch folio",
		.setup = setup_leave,
		.run_a = a_lose,
		.run_b = b_punch_all,
		.check = check_leave,
	};

	race_leave(&ops);
}

static void test_poison_against_release_of_the_file(void)
{
	static const struct race_ops ops = {
		.name = "poison, release",
		.setup = setup_last_mapping,
		.run_a = a_lose,
		.run_b = b_unmap,
		.check = check_left,
	};

	race_leave(&ops);
}

static void test_poison_against_split(void)
{
	static const struct race_ops ops = {
		.name = "poison, split",
		.setup = setup_leave,
		.run_a = a_lose,
		.run_b = b_punch_other,
		.check = check_split,
	};

	race_leave(&ops);
}

/*
 * A task closes the only descriptor, and is killed while release waits for
 * another one that holds a page of the folio, and lets go a while later.
 */

#define KILLED_TRIES	5

struct killed {
	u64 pfn;
	bool ready;
	bool closed;
};

static void killed_child(struct killed *k, int *pipes)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, H, GMEM_SHARED_FLAGS);
	char *mem = gmem_mmap_aligned(fd, H);
	struct iovec iov = { .iov_base = mem, .iov_len = P };

	WRITE_ONCE(*mem, 1);
	gmem_assert_usage(fd, H, H, "allocated");
	k->pfn = pfn_at(mem + LEAVE_LOST);
	TEST_ASSERT(vmsplice(pipes[1], &iov, 1, 0) == P, "errno %d", errno);
	/* The parent has the pipe. */
	close(pipes[0]);
	close(pipes[1]);
	ASSERT_EQ(__poison_pfn(k->pfn, POISON_CORRUPT), 0);
	/* The work item looks for a second, and gives up. */
	usleep(1500000);
	ASSERT_EQ(gmem_huge(fd), H);
	munmap(mem, H);
	__atomic_store_n(&k->ready, true, __ATOMIC_RELEASE);
	close(fd);
	__atomic_store_n(&k->closed, true, __ATOMIC_RELEASE);
	for (;;)
		pause();
}

/* Return: whether the release waited until the page was let go of. */
static bool kill_owner(struct killed *k)
{
	s64 before = gmem_nr_files();
	bool waited;
	int pipes[2];
	pid_t pid;

	memset(k, 0, sizeof(*k));
	TEST_ASSERT(!pipe(pipes), "errno %d", errno);
	pid = fork();
	if (!pid)
		killed_child(k, pipes);
	while (!__atomic_load_n(&k->ready, __ATOMIC_ACQUIRE)) {
		TEST_ASSERT(!waitpid(pid, NULL, WNOHANG), "the child failed");
		usleep(1000);
	}
	/* Time to enter close(). */
	usleep(50000);
	waited = !__atomic_load_n(&k->closed, __ATOMIC_ACQUIRE);
	kill(pid, SIGKILL);
	usleep(100000);
	waited = waited && gmem_nr_files() > before;
	close(pipes[0]);
	close(pipes[1]);
	TEST_ASSERT(waitpid(pid, NULL, 0) == pid, "errno %d", errno);
	gmem_assert_files_returned(before);
	return waited;
}

static void test_release_by_a_killed_task_loses_just_the_page(void)
{
	struct killed *k = mmap(NULL, P, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool waited, alone;
	int tries = 0;

	poison_require();
	host_set_thp("always");
	do {
		waited = kill_owner(k);
		alone = pfn_is_alone(k->pfn);
		poison_remember(k->pfn);
		poison_undo_all();
		/* It waits for a second; on a busy machine that can be short. */
	} while (!(waited && alone) && ++tries < KILLED_TRIES);
	TEST_ASSERT(waited, "release did not wait");
	TEST_ASSERT(alone, "all of the folio is lost");
}

/*
 * How long it takes follows from what is in the file, not from its size.
 */

/* Seconds; a loop over the file takes from minutes to years. */
#define SPARSE_LIMIT	10

static void check_sparse(u64 size)
{
	struct kvm_vm *vm = vm_create_barebones();
	s64 before = gmem_nr_files();
	u64 start, pfn, last;
	char *mem;
	int fd, i;

	/* By a hole for everything, and by close. */
	for (i = 0; i < 2; i++) {
		fd = vm_create_guest_memfd(vm, size, GMEM_SHARED_FLAGS);
		mem = gmem_mmap_aligned(fd, H);
		WRITE_ONCE(*mem, 1);
		last = (size - 1) / P * P;
		host_set_thp("never");
		gmem_allocate(fd, last, P);
		host_set_thp("always");
		gmem_assert_usage(fd, H + P, H, "allocated");
		pfn = pfn_at(mem + LEAVE_LOST);
		poison_pfn(pfn, POISON_CORRUPT);
		start = now_ms();
		wait_for_huge(fd, 0);
		munmap(mem, H);
		if (i) {
			gmem_punch_hole(fd, 0, size);
			gmem_assert_usage(fd, 0, 0, "punched");
		}
		close(fd);
		gmem_assert_files_returned(before);
		start = now_ms() - start;
		ksft_print_msg("0x%lx bytes, %s: gone after %lu ms\n", size,
			       i ? "hole" : "close", start);
		TEST_ASSERT(start < SPARSE_LIMIT * 1000, "%lu ms", start);
		TEST_ASSERT(pfn_is_alone(pfn), "all of the folio is lost");
	}
	kvm_vm_free(vm);
	poison_undo_all();
}

static void test_lost_page_of_a_huge_sparse_file(void)
{
	poison_require();
	host_set_thp("always");
	check_sparse(BIT_ULL(57));
	check_sparse(GMEM_MAX_FILE_SIZE);
}

/*
 * Mappings of the host
 */

static int nr_signals;
static siginfo_t last_signal;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	last_signal = *info;
	nr_signals++;
}

static void check_mapped(bool aligned)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO,
	};
	struct gmem_map m;
	char *mem;

	poison_require();
	host_set_thp("always");
	guest_word_step = P / 4;
	gmem_map_setup(&m, SIZE);
	if (aligned) {
		munmap(m.mem, SIZE);
		m.mem = gmem_mmap_aligned(m.fd, SIZE);
	}
	mem = m.mem;
	host_fill(mem, 0, SIZE, 1);
	gmem_assert_usage(m.fd, SIZE, SIZE, "filled");
	nr_signals = 0;
	TEST_ASSERT(!prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0,
			   0) &&
		    !sigaction(SIGBUS, &action, NULL), "errno %d", errno);

	poison_pfn(pfn_at(mem + LOST), POISON_CORRUPT);
	ASSERT_EQ(nr_signals, 1);
	TEST_ASSERT(last_signal.si_code == BUS_MCEERR_AO &&
		    last_signal.si_addr == mem + LOST &&
		    last_signal.si_addr_lsb == 12, "code %d, address %p, lsb %d",
		    last_signal.si_code, last_signal.si_addr,
		    last_signal.si_addr_lsb);
	signal(SIGBUS, SIG_DFL);

	host_check(mem, 0, LOST, 1);
	host_check(mem + LOST + P, LOST + P, SIZE - LOST - P, 1);
	ASSERT_EQ(gmem_touch(mem + LOST, false), SIGBUS);
	wait_for_huge(m.fd, SIZE - H);
	host_check(mem, 0, LOST, 1);
	host_check(mem + LOST + P, LOST + P, SIZE - LOST - P, 1);
	ASSERT_EQ(gmem_touch(mem + LOST, true), SIGBUS);

	gmem_punch_hole(m.fd, LOST, P);
	gmem_check_zero(mem + LOST, P);
	gmem_map_teardown(&m);
	poison_undo_all();
}

static void test_lost_page_of_a_huge_mapping(void)
{
	check_mapped(true);
}

static void test_lost_page_of_small_mappings(void)
{
	check_mapped(false);
}

/* It cannot be split for now: single pages are still to be had. */
static void test_lost_page_of_a_folio_that_is_held(void)
{
	struct gmem_map m;
	struct iovec iov;
	int pipes[2];

	poison_require();
	host_set_thp("always");
	guest_word_step = P / 4;
	gmem_map_setup(&m, SIZE);
	host_fill(m.mem, 0, SIZE, 1);
	iov = (struct iovec){ .iov_base = m.mem + H, .iov_len = P };
	TEST_ASSERT(!pipe(pipes) && vmsplice(pipes[1], &iov, 1, 0) == P,
		    "errno %d", errno);

	poison_pfn(pfn_at(m.mem + LOST), POISON_CORRUPT);
	host_check(m.mem, 0, LOST, 1);
	host_check(m.mem + LOST + P, LOST + P, SIZE - LOST - P, 1);
	ASSERT_EQ(gmem_touch(m.mem + LOST, false), SIGBUS);
	GMEM_ASSERT_ERRNO(__gmem_punch_hole(m.fd, LOST, P), EBUSY, "held");
	gmem_assert_usage(m.fd, SIZE, SIZE, "held");
	GMEM_ASSERT_ERRNO(__gmem_punch_hole(m.fd, H, H), EBUSY,
			  "it would be lost as a whole");
	gmem_assert_usage(m.fd, SIZE, SIZE, "held");

	close(pipes[0]);
	close(pipes[1]);
	gmem_punch_hole(m.fd, LOST, P);
	gmem_assert_usage(m.fd, SIZE - P, SIZE - H, "let go");
	host_check(m.mem, 0, LOST, 1);
	gmem_check_zero(m.mem + LOST, P);
	host_check(m.mem + LOST + P, LOST + P, SIZE - LOST - P, 1);
	gmem_map_teardown(&m);
	poison_undo_all();
}

static void test_soft_offline_is_refused(void)
{
	struct lost l;

	start(&l);
	TEST_ASSERT(soft_offline_pfn(pfn_of(&l, LOST)), "it was not");
	gmem_assert_usage(l.f.slot.fd, SIZE, SIZE, "after all");
	guest_check(l.f.vcpu, GPA, SIZE, 1);
	end(&l);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_first_page_of_a_folio),
	GMEM_TEST(test_page_inside_of_a_folio),
	GMEM_TEST(test_last_page_of_a_folio),
	GMEM_TEST(test_several_pages_of_a_folio),
	GMEM_TEST(test_pages_of_a_folio_that_is_being_split),
	GMEM_TEST(test_all_but_the_page_is_free_again),
	GMEM_TEST(test_all_but_the_page_is_free_again_at_once),
	GMEM_TEST(test_release_by_a_killed_task_loses_just_the_page),
	GMEM_TEST(test_lost_page_of_a_huge_sparse_file),
	GMEM_TEST(test_poison_against_a_hole_for_the_folio),
	GMEM_TEST(test_poison_against_release_of_the_file),
	GMEM_TEST(test_poison_against_split),
	GMEM_TEST(test_lost_page_of_a_huge_mapping),
	GMEM_TEST(test_lost_page_of_small_mappings),
	GMEM_TEST(test_lost_page_of_a_folio_that_is_held),
	GMEM_TEST(test_soft_offline_is_refused),
};

int main(int argc, char *argv[])
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
