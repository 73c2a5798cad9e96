// SPDX-License-Identifier: GPL-2.0
/*
 * The hardware loses pages of a guest_memfd that the host has mapped.
 *
 * A process with such a page mapped is told by the policy that prctl(2) sets:
 * early, when the error is found; late, at the next access; or at once, when it
 * is the access that has found it.  The page is out of reach afterwards, and
 * everything around it is as before.
 */
#define _GNU_SOURCE /* for sched_getcpu(3), process_vm_readv(2) */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "guest_memfd_guest.h"
#include "guest_memfd_pfn.h"

#ifndef MADV_HWPOISON
#define MADV_HWPOISON		100
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#endif

#define NR_PAGES	8
#define SIZE		GMEM_PAGES(NR_PAGES)
/* The page that is lost, not one at an edge. */
#define LOST		3

#define SHARED_FLAGS	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

enum { DATA = 1, OTHER };

/*
 * Signals
 */

static int nr_signals;
static siginfo_t last_signal;
static sigjmp_buf *back;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	last_signal = *info;
	WRITE_ONCE(nr_signals, nr_signals + 1);
	if (READ_ONCE(back))
		siglongjmp(*back, 1);
}

static void catch_sigbus(void)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};

	TEST_ASSERT(!sigaction(SIGBUS, &action, NULL), "errno %d", errno);
}

static void set_policy(unsigned long policy)
{
	TEST_ASSERT(!prctl(PR_MCE_KILL, PR_MCE_KILL_SET, policy, 0, 0),
		    "PR_MCE_KILL failed, errno %d", errno);
}

static void assert_signal(int nr, int code, const void *hva)
{
	int got = READ_ONCE(nr_signals);

	TEST_ASSERT(got == nr, "%d signals instead of %d", got, nr);
	if (!nr)
		return;

	TEST_ASSERT(last_signal.si_code == code && last_signal.si_addr == hva &&
		    last_signal.si_addr_lsb == 12,
		    "code %d, address %p, lsb %d; wanted %d, %p, 12",
		    last_signal.si_code, last_signal.si_addr,
		    last_signal.si_addr_lsb, code, hva);
	WRITE_ONCE(nr_signals, 0);
}

/* An access must raise exactly this signal. */
static void assert_lost(char *hva, bool write)
{
	sigjmp_buf here;

	WRITE_ONCE(nr_signals, 0);
	if (!sigsetjmp(here, 1)) {
		WRITE_ONCE(back, &here);
		if (write)
			WRITE_ONCE(*hva, 1);
		else
			READ_ONCE(*hva);
		TEST_FAIL("%s at %p succeeded", write ? "write" : "read", hva);
	}
	WRITE_ONCE(back, NULL);
	assert_signal(1, BUS_MCEERR_AR, hva);
}

/*
 * A shared file and a mapping of it
 */

struct shared {
	struct kvm_vm *vm;
	int fd;
	void *mem;
	u64 pfns[NR_PAGES];
};

static void *map_file(int fd, u64 size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	TEST_ASSERT(mem != MAP_FAILED, "mmap() failed, errno %d", errno);
	return mem;
}

static void shared_start(struct shared *s)
{
	int i;

	poison_require();
	catch_sigbus();
	s->vm = vm_create_barebones();
	s->fd = vm_create_guest_memfd(s->vm, SIZE, SHARED_FLAGS);
	s->mem = map_file(s->fd, SIZE);
	host_fill(s->mem, 0, SIZE, DATA);
	for (i = 0; i < NR_PAGES; i++) {
		s->pfns[i] = pfn_at(s->mem + GMEM_PAGES(i));
		TEST_ASSERT(s->pfns[i], "page %d is not mapped", i);
	}
}

static void shared_end(struct shared *s)
{
	munmap(s->mem, SIZE);
	close(s->fd);
	kvm_vm_free(s->vm);
	poison_undo_all();
}

static void *lost_hva(struct shared *s)
{
	return s->mem + GMEM_PAGES(LOST);
}

/* Only page LOST is. */
static void assert_contained(struct shared *s)
{
	void *hva = lost_hva(s);

	ASSERT_EQ(pfn_mapcount(s->pfns[LOST]), 0);
	ASSERT_EQ(pfn_at(hva), 0);
	assert_lost(hva, false);
	assert_lost(hva + 8, true);
	ASSERT_EQ(pfn_at(hva), 0);

	host_check(s->mem, 0, GMEM_PAGES(LOST), DATA);
	host_check(hva + GMEM_PAGE_SIZE, GMEM_PAGES(LOST + 1),
		   SIZE - GMEM_PAGES(LOST + 1), DATA);
	ASSERT_EQ(gmem_allocated(s->fd), SIZE);
}

/*
 * Which process gets which signal
 */

static void check_policy(unsigned long policy, int nr_signals)
{
	struct shared s;
	int how;

	for (how = 0; how < NR_POISON_HOW; how++) {
		if (how == POISON_REQUIRED)
			continue;
		shared_start(&s);
		set_policy(policy);
		poison_pfn(s.pfns[LOST], how);
		assert_signal(nr_signals, BUS_MCEERR_AO, lost_hva(&s));
		assert_contained(&s);
		shared_end(&s);
	}
}

static void test_late_policy_means_a_signal_at_the_access(void)
{
	check_policy(PR_MCE_KILL_LATE, 0);
}

static void test_early_policy_means_a_signal_at_once(void)
{
	check_policy(PR_MCE_KILL_EARLY, 1);
}

static void check_madvise(unsigned long policy, int nr_signals)
{
	struct shared s;

	shared_start(&s);
	set_policy(policy);
	TEST_ASSERT(!madvise(lost_hva(&s), GMEM_PAGE_SIZE, MADV_HWPOISON),
		    "madvise() failed, errno %d", errno);
	poison_remember(s.pfns[LOST]);
	TEST_ASSERT(pfn_is_poisoned(s.pfns[LOST]), "not poisoned");
	assert_signal(nr_signals, BUS_MCEERR_AO, lost_hva(&s));
	assert_contained(&s);
	shared_end(&s);
}

static void test_madvise_heeds_the_policy(void)
{
	check_madvise(PR_MCE_KILL_LATE, 0);
	check_madvise(PR_MCE_KILL_EARLY, 1);
}

static void test_madvise_takes_a_range(void)
{
	struct shared s;
	int i;

	shared_start(&s);
	set_policy(PR_MCE_KILL_LATE);
	TEST_ASSERT(!madvise(s.mem, SIZE, MADV_HWPOISON),
		    "madvise() failed, errno %d", errno);
	for (i = 0; i < NR_PAGES; i++) {
		poison_remember(s.pfns[i]);
		assert_lost(s.mem + GMEM_PAGES(i), false);
	}
	shared_end(&s);
}

static void check_required(unsigned long policy)
{
	struct shared s;

	shared_start(&s);
	set_policy(policy);
	poison_pfn(s.pfns[LOST], POISON_REQUIRED);
	assert_signal(1, BUS_MCEERR_AR, lost_hva(&s));
	assert_contained(&s);
	shared_end(&s);
}

static void test_required_action_is_asked_for_in_any_policy(void)
{
	check_required(PR_MCE_KILL_LATE);
	check_required(PR_MCE_KILL_EARLY);
}

/* A mapping is not enough, if the page has never been mapped there. */
static void check_unmapped(unsigned long policy, enum poison_how how)
{
	struct shared s;

	shared_start(&s);
	set_policy(policy);
	munmap(s.mem, SIZE);
	s.mem = map_file(s.fd, SIZE);
	poison_pfn(s.pfns[LOST], how);
	assert_signal(0, 0, NULL);
	assert_contained(&s);
	shared_end(&s);
}

static void test_unmapped_page_means_no_signal_until_the_access(void)
{
	int how;

	for (how = 0; how < NR_POISON_HOW; how++) {
		check_unmapped(PR_MCE_KILL_LATE, how);
		check_unmapped(PR_MCE_KILL_EARLY, how);
	}
}

/*
 * A second process that has the file mapped, too
 */

struct other {
	pid_t pid;
	int from[2], to[2];
};

static void other_tell(int fd)
{
	TEST_ASSERT(write(fd, "", 1) == 1, "write() failed, errno %d", errno);
}

static void other_wait(int fd)
{
	char c;

	TEST_ASSERT(read(fd, &c, 1) == 1, "the other process has died");
}

static void other_main(struct shared *s, struct other *o, unsigned long policy)
{
	void *mem = map_file(s->fd, SIZE);
	void *hva = mem + GMEM_PAGES(LOST);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_policy(policy);
	host_check(mem, 0, SIZE, DATA);
	munmap(s->mem, SIZE);
	other_tell(o->from[1]);

	other_wait(o->to[0]);
	assert_signal(policy == PR_MCE_KILL_EARLY, BUS_MCEERR_AO, hva);
	ASSERT_EQ(pfn_at(hva), 0);
	assert_lost(hva, false);
	other_tell(o->from[1]);
	_exit(0);
}

static void other_start(struct shared *s, struct other *o, unsigned long policy)
{
	TEST_ASSERT(!pipe(o->from) && !pipe(o->to), "errno %d", errno);
	o->pid = fork();
	TEST_ASSERT(o->pid >= 0, "fork() failed, errno %d", errno);
	if (!o->pid)
		other_main(s, o, policy);
	close(o->from[1]);
	other_wait(o->from[0]);
}

static void other_check(struct other *o)
{
	int status;

	other_tell(o->to[1]);
	other_wait(o->from[0]);
	TEST_ASSERT(waitpid(o->pid, &status, 0) == o->pid && !status,
		    "the other process ended with 0x%x", status);
	close(o->from[0]);
	close(o->to[0]);
	close(o->to[1]);
}

static void check_two_processes(unsigned long policy, enum poison_how how)
{
	struct shared s;
	struct other o;

	shared_start(&s);
	set_policy(PR_MCE_KILL_LATE);
	other_start(&s, &o, policy);
	ASSERT_EQ(pfn_mapcount(s.pfns[LOST]), 2);

	poison_pfn(s.pfns[LOST], how);
	assert_signal(how == POISON_REQUIRED, BUS_MCEERR_AR, lost_hva(&s));
	assert_contained(&s);
	other_check(&o);
	shared_end(&s);
}

static void test_each_process_has_its_own_policy(void)
{
	check_two_processes(PR_MCE_KILL_LATE, POISON_CORRUPT);
	check_two_processes(PR_MCE_KILL_EARLY, POISON_CORRUPT);
	check_two_processes(PR_MCE_KILL_LATE, POISON_REQUIRED);
	check_two_processes(PR_MCE_KILL_EARLY, POISON_REQUIRED);
}

/*
 * What else reaches a mapping
 */

static void test_locked_page_is_handled(void)
{
	struct shared s;

	shared_start(&s);
	TEST_ASSERT(!mlock(s.mem, SIZE), "mlock() failed, errno %d", errno);
	poison_pfn(s.pfns[LOST], POISON_CORRUPT);
	assert_contained(&s);
	munlock(s.mem, SIZE);
	shared_end(&s);
}

static void test_system_calls_fail_at_the_page(void)
{
	char buf[16];
	struct iovec local = { buf, sizeof(buf) };
	struct iovec remote = { NULL, sizeof(buf) };
	struct shared s;
	int fds[2];

	shared_start(&s);
	TEST_ASSERT(!pipe(fds), "errno %d", errno);
	poison_pfn(s.pfns[LOST], POISON_CORRUPT);

	remote.iov_base = lost_hva(&s);
	GMEM_ASSERT_ERRNO(write(fds[1], lost_hva(&s), 16), EFAULT, "a copy");
	GMEM_ASSERT_ERRNO(process_vm_readv(getpid(), &local, 1, &remote, 1, 0),
			  EFAULT, "a pin");
	GMEM_ASSERT_ERRNO(madvise(lost_hva(&s), GMEM_PAGE_SIZE,
				  MADV_POPULATE_READ), EHWPOISON, "populate");
	/* There is nothing left that could be poisoned. */
	TEST_ASSERT(madvise(lost_hva(&s), GMEM_PAGE_SIZE, MADV_HWPOISON),
		    "poisoned twice");
	assert_signal(0, 0, NULL);
	assert_contained(&s);

	close(fds[0]);
	close(fds[1]);
	shared_end(&s);
}

static void test_second_error_is_no_news(void)
{
	struct shared s;
	u64 nr;
	int how;

	shared_start(&s);
	set_policy(PR_MCE_KILL_EARLY);
	nr = nr_poisoned();
	poison_pfn(s.pfns[LOST], POISON_CORRUPT);
	assert_signal(1, BUS_MCEERR_AO, lost_hva(&s));
	for (how = 0; how < NR_POISON_HOW; how++) {
		int ret = __poison_pfn(s.pfns[LOST], how);
		/* With an action required, the next access brings the signal. */
		int want = how == POISON_REQUIRED ? 0 : -EHWPOISON;

		TEST_ASSERT(ret == want, "again, way %d: %d", how, ret);
		assert_signal(0, 0, NULL);
	}
	ASSERT_EQ(nr_poisoned(), nr + 1);
	assert_contained(&s);
	shared_end(&s);
}

/*
 * The file
 */

static void test_hole_makes_room_for_a_new_page(void)
{
	struct shared s;

	shared_start(&s);
	poison_pfn(s.pfns[LOST], POISON_CORRUPT);
	assert_contained(&s);
	gmem_punch_hole(s.fd, GMEM_PAGES(LOST), GMEM_PAGE_SIZE);
	ASSERT_EQ(gmem_allocated(s.fd), SIZE - GMEM_PAGE_SIZE);

	host_check_zero(lost_hva(&s), GMEM_PAGE_SIZE);
	TEST_ASSERT(pfn_at(lost_hva(&s)) &&
		    pfn_at(lost_hva(&s)) != s.pfns[LOST], "the same page");
	host_fill(s.mem, 0, SIZE, OTHER);
	host_check(s.mem, 0, SIZE, OTHER);
	TEST_ASSERT(pfn_is_poisoned(s.pfns[LOST]), "the poison is gone");
	shared_end(&s);
}

static void test_fallocate_fails_at_the_page(void)
{
	struct shared s;

	shared_start(&s);
	gmem_punch_hole(s.fd, 0, GMEM_PAGES(LOST));
	gmem_punch_hole(s.fd, GMEM_PAGES(LOST + 1), GMEM_PAGE_SIZE);
	poison_pfn(s.pfns[LOST], POISON_CORRUPT);

	GMEM_ASSERT_ERRNO(__gmem_allocate(s.fd, 0, SIZE), EHWPOISON, "all");
	/* Up to there it has been done. */
	ASSERT_EQ(gmem_allocated(s.fd), SIZE - GMEM_PAGE_SIZE);
	GMEM_ASSERT_ERRNO(__gmem_allocate(s.fd, GMEM_PAGES(LOST),
					  GMEM_PAGE_SIZE), EHWPOISON, "page");
	gmem_allocate(s.fd, 0, GMEM_PAGES(LOST));
	gmem_allocate(s.fd, GMEM_PAGES(LOST + 1), SIZE - GMEM_PAGES(LOST + 1));
	ASSERT_EQ(gmem_allocated(s.fd), SIZE);
	assert_lost(lost_hva(&s), false);
	shared_end(&s);
}

/*
 * Unpoisoning, and the page allocator
 */

static void test_page_of_a_file_cannot_be_unpoisoned(void)
{
	struct shared s;
	u64 nr;

	shared_start(&s);
	nr = nr_poisoned();
	poison_pfn(s.pfns[LOST], POISON_CORRUPT);
	ASSERT_EQ(nr_poisoned(), nr + 1);
	assert_unpoison_busy(s.pfns[LOST], "in the file");
	assert_contained(&s);
	gmem_punch_hole(s.fd, 0, GMEM_PAGES(LOST));
	assert_unpoison_busy(s.pfns[LOST], "beside a hole");
	assert_lost(lost_hva(&s), false);
	munmap(s.mem, SIZE);
	assert_unpoison_busy(s.pfns[LOST], "in an unmapped file");
	s.mem = map_file(s.fd, SIZE);
	assert_lost(lost_hva(&s), false);

	gmem_punch_hole(s.fd, GMEM_PAGES(LOST), GMEM_PAGE_SIZE);
	TEST_ASSERT(!__unpoison_pfn(s.pfns[LOST]), "errno %d", errno);
	ASSERT_EQ(nr_poisoned(), nr);
	TEST_ASSERT(__unpoison_pfn(s.pfns[LOST]) == -EBUSY, "unpoisoned twice");
	ASSERT_EQ(nr_poisoned(), nr);

	/* Forget the page, it is good again. */
	munmap(s.mem, SIZE);
	close(s.fd);
	kvm_vm_free(s.vm);
}

#define GRAB_SIZE	(32ULL << 20)

/*
 * Which of these page frames does the allocator hand out?  Ask for memory of the
 * same kind.
 */
static u64 nr_handed_out(struct kvm_vm *vm, u64 size, const u64 *pfns, int nr,
			 u64 watched, bool *seen)
{
	int fd = vm_create_guest_memfd(vm, size, SHARED_FLAGS);
	u64 nr_pages = size / GMEM_PAGE_SIZE, i, nr_seen = 0;
	char *mem = map_file(fd, size);
	u64 *found;
	int j;

	found = calloc(nr_pages, sizeof(*found));
	TEST_ASSERT(found, "out of memory");
	TEST_ASSERT(!madvise(mem, size, MADV_POPULATE_WRITE), "errno %d",
		    errno);
	pfns_at(mem, nr_pages, found);
	*seen = false;
	for (i = 0; i < nr_pages; i++) {
		*seen |= found[i] == watched;
		for (j = 0; j < nr; j++)
			nr_seen += found[i] == pfns[j];
	}
	free(found);
	munmap(mem, size);
	close(fd);
	return nr_seen;
}

/*
 * Where a freed page waits for its next user depends on what else is free, so
 * ask for more and more: from what was freed lately to most of the memory.
 */
static u64 next_grab(u64 size)
{
	u64 most = gmem_meminfo_kb("MemFree") / 4 * 3 * 1024;

	most -= most % GMEM_PAGE_SIZE;
	return size < most ? min(2 * size, most) : 0;
}

/* Each CPU has lists of free pages of its own. */
static void stay_on_this_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "errno %d",
		    errno);
}

static void check_never_handed_out(bool punch)
{
	struct shared s;
	u64 size, nr_good = 0;
	bool seen = false;

	stay_on_this_cpu();
	shared_start(&s);
	poison_pfn(s.pfns[LOST], POISON_CORRUPT);
	if (punch)
		gmem_punch_hole(s.fd, 0, SIZE);
	munmap(s.mem, SIZE);
	close(s.fd);

	for (size = GRAB_SIZE; size && !nr_good; size = next_grab(size)) {
		nr_good = nr_handed_out(s.vm, size, s.pfns, NR_PAGES,
					s.pfns[LOST], &seen);
		TEST_ASSERT(!seen, "the poisoned page has been handed out");
		ASSERT_EQ(pfn_cgroup(s.pfns[LOST]), 0);
	}
	/* This would be seen: the good ones are. */
	TEST_ASSERT(nr_good, "no page of the file has been used again");

	poison_undo_all();
	for (size = GRAB_SIZE; size && !seen; size = next_grab(size))
		nr_handed_out(s.vm, size, NULL, 0, s.pfns[LOST], &seen);
	kvm_vm_free(s.vm);
	TEST_ASSERT(seen, "the page is lost, although not poisoned any more");
}

static void test_poisoned_page_is_never_used_again(void)
{
	check_never_handed_out(true);
	check_never_handed_out(false);
}

/*
 * Nothing takes a shared page or its contents away
 */

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, text, strlen(text)) > 0,
		    "%s: errno %d", path, errno);
	close(fd);
}

static void act_drop_caches(struct shared *s)
{
	write_file("/proc/sys/vm/drop_caches", "3");
}

static void act_fadvise(struct shared *s)
{
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(s->fd, GMEM_PAGES(1), GMEM_PAGES(2), POSIX_FADV_DONTNEED);
}

static void act_compact(struct shared *s)
{
	write_file("/proc/sys/vm/compact_memory", "1");
}

static void act_split(struct shared *s)
{
	write_file("/sys/kernel/debug/split_huge_pages", "1");
}

static void act_soft_offline(struct shared *s)
{
	int i, ret;

	for (i = 0; i < NR_PAGES; i++) {
		ret = soft_offline_pfn(s->pfns[i]);
		TEST_ASSERT(ret == -EIO || ret == -EBUSY,
			    "soft offline of page %d: %d", i, ret);
		TEST_ASSERT(!pfn_is_poisoned(s->pfns[i]), "poisoned");
	}
}

static void act_madvise_soft_offline(struct shared *s)
{
	if (!s->mem)
		return;
	TEST_ASSERT(madvise(s->mem, SIZE, MADV_SOFT_OFFLINE) &&
		    (errno == EIO || errno == EBUSY), "errno %d", errno);
}

static void check_contents(struct shared *s)
{
	int i;

	host_check(s->mem, 0, SIZE, DATA);
	for (i = 0; i < NR_PAGES; i++)
		ASSERT_EQ(pfn_at(s->mem + GMEM_PAGES(i)), s->pfns[i]);
	ASSERT_EQ(gmem_allocated(s->fd), SIZE);
}

static void check_contents_survive(void (*act)(struct shared *s))
{
	struct shared s;

	shared_start(&s);
	act(&s);
	check_contents(&s);

	munmap(s.mem, SIZE);
	s.mem = NULL;
	act(&s);
	s.mem = map_file(s.fd, SIZE);
	check_contents(&s);
	host_fill(s.mem, 0, SIZE, OTHER);
	host_check(s.mem, 0, SIZE, OTHER);
	shared_end(&s);
}

static void test_contents_survive_drop_caches(void)
{
	check_contents_survive(act_drop_caches);
}

static void test_contents_survive_fadvise(void)
{
	check_contents_survive(act_fadvise);
}

static void test_contents_survive_compaction(void)
{
	check_contents_survive(act_compact);
}

static void test_contents_survive_split_of_all_huge_pages(void)
{
	check_contents_survive(act_split);
}

static void test_contents_survive_soft_offline(void)
{
	check_contents_survive(act_soft_offline);
	check_contents_survive(act_madvise_soft_offline);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_late_policy_means_a_signal_at_the_access),
	GMEM_TEST(test_early_policy_means_a_signal_at_once),
	GMEM_TEST(test_madvise_heeds_the_policy),
	GMEM_TEST(test_madvise_takes_a_range),
	GMEM_TEST(test_required_action_is_asked_for_in_any_policy),
	GMEM_TEST(test_unmapped_page_means_no_signal_until_the_access),
	GMEM_TEST(test_each_process_has_its_own_policy),
	GMEM_TEST(test_locked_page_is_handled),
	GMEM_TEST(test_system_calls_fail_at_the_page),
	GMEM_TEST(test_second_error_is_no_news),
	GMEM_TEST(test_hole_makes_room_for_a_new_page),
	GMEM_TEST(test_fallocate_fails_at_the_page),
	GMEM_TEST(test_page_of_a_file_cannot_be_unpoisoned),
	GMEM_TEST(test_poisoned_page_is_never_used_again),
	GMEM_TEST(test_contents_survive_drop_caches),
	GMEM_TEST(test_contents_survive_fadvise),
	GMEM_TEST(test_contents_survive_compaction),
	GMEM_TEST(test_contents_survive_split_of_all_huge_pages),
	GMEM_TEST(test_contents_survive_soft_offline),
};

int main(void)
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
