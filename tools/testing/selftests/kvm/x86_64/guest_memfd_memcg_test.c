// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the memory of a guest_memfd is accounted: the control group of the task
 * that made it be allocated, and the figures of the whole system.
 *
 * A group at its limit must give the error that is documented, or lose a task
 * to the OOM killer; it must neither hang nor leak, and what was allocated
 * before is neither lost nor counted wrongly.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "guest_memfd_admin.h"
#include "guest_memfd_guest.h"
#include "guest_memfd_map.h"
#include "processor.h"

#define MIB		0x100000ULL
#define P		GMEM_PAGE_SIZE
#define GPA		GMEM_DATA_GPA
#define SIZE		(16 * MIB)
#define BIG_SIZE	(64 * MIB)
#define LIMIT		"16M"
#define LIMIT_BYTES	(16 * MIB)
#define NR_INODES	1000
/* Of 100 ms. */
#define WAIT_TRIES	600
#define FIGURE_TRIES	20

/* Statistics are batched by CPU, and tasks have memory of their own. */
#define TOLERANCE	(3 * MIB)

enum { PRIVATE = 1 };	/* Tag of the guest's pattern. */

static void assert_near(s64 value, s64 want, const char *what)
{
	TEST_ASSERT(llabs(value - want) <= (s64)TOLERANCE,
		    "%s is %ld, wanted %ld", what, value, want);
}

static s64 stat_file(struct admin_cgroup *cg)
{
	return admin_cgroup_value(cg, "memory.stat", "file");
}

static s64 current_bytes(struct admin_cgroup *cg)
{
	return admin_cgroup_value(cg, "memory.current", NULL);
}

/* Uncharging can be deferred: wait for up to a minute. */
static void wait_for_current(struct admin_cgroup *cg, s64 bytes)
{
	int tries;

	for (tries = 0; tries < WAIT_TRIES; tries++) {
		if (llabs(current_bytes(cg) - bytes) <= (s64)TOLERANCE)
			return;
		usleep(100000);
	}
	TEST_FAIL("memory.current is %ld, wanted %ld", current_bytes(cg), bytes);
}

static void assert_charged(struct admin_cgroup *cg, s64 bytes)
{
	assert_near(stat_file(cg), bytes, "memory.stat file");
	wait_for_current(cg, bytes);
}

/* Run @fn in a child that is in the group; Return: its wait status. */
static int run_in_cgroup(struct admin_cgroup *cg, void (*fn)(void *arg),
			 void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork() failed, errno %d", errno);
	if (!pid) {
		admin_cgroup_enter(cg);
		fn(arg);
		_exit(0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid() failed");
	return status;
}

static void assert_passed(int status)
{
	TEST_ASSERT(WIFEXITED(status) && !WEXITSTATUS(status),
		    "the child failed, status 0x%x", status);
}

static void assert_killed(int status)
{
	TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		    "the child was not killed, status 0x%x", status);
}

static s64 event_count(struct admin_cgroup *cg, const char *key)
{
	return admin_cgroup_value(cg, "memory.events", key);
}

/*
 * Which group is charged
 */

static void test_fallocate_charges_its_caller(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, SIZE, 0);
	struct admin_cgroup cg;
	s64 before;

	admin_cgroup_create(&cg, "fallocate");
	before = stat_file(&cg);
	admin_cgroup_enter(&cg);
	gmem_allocate(fd, 0, SIZE);
	admin_cgroup_leave();

	/* The task has moved, the memory has not. */
	assert_charged(&cg, before + SIZE);
	ASSERT_EQ(admin_cgroup_value(&cg, "memory.stat", "unevictable"), 0L);
	assert_near(admin_cgroup_value(&cg, "memory.stat", "inactive_file"), 0,
		    "inactive_file");
	assert_near(admin_cgroup_value(&cg, "memory.stat", "active_file"), 0,
		    "active_file");

	gmem_punch_hole(fd, 0, SIZE / 2);
	assert_charged(&cg, before + SIZE / 2);
	close(fd);
	assert_charged(&cg, before);
	kvm_vm_free(vm);
}

static void test_kvm_run_charges_the_vcpu_task(void)
{
	struct admin_cgroup cg;
	struct guest_fixture f;

	admin_cgroup_create(&cg, "run");
	guest_start_private(&f, SIZE);
	admin_cgroup_enter(&cg);
	guest_fill(f.vcpu, GPA, SIZE, PRIVATE);
	admin_cgroup_leave();

	ASSERT_EQ(gmem_allocated(f.slot.fd), SIZE);
	assert_charged(&cg, SIZE);
	gmem_slot_punch_hole(&f.slot, GPA, SIZE);
	assert_charged(&cg, 0);
	guest_end(&f);
}

/* Pages stay charged to the group that allocated them, whichever uses them. */
static void test_using_a_page_does_not_charge_it(void)
{
	struct admin_cgroup cg;
	struct guest_fixture f;

	admin_cgroup_create(&cg, "use");
	guest_start_private(&f, SIZE);
	gmem_allocate(f.slot.fd, 0, SIZE);
	admin_cgroup_enter(&cg);
	guest_fill(f.vcpu, GPA, SIZE, PRIVATE);
	gmem_allocate(f.slot.fd, 0, SIZE);
	admin_cgroup_leave();
	assert_charged(&cg, 0);
	guest_end(&f);
}

static void test_page_is_charged_to_the_group_it_names(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, SIZE, 0);
	struct admin_cgroup cg;
	u64 pfns[4];
	int i;

	host_set_thp("never");
	admin_cgroup_create(&cg, "page");
	admin_cgroup_enter(&cg);
	admin_allocate_pfns(fd, 0, pfns, ARRAY_SIZE(pfns));
	admin_cgroup_leave();
	for (i = 0; i < ARRAY_SIZE(pfns); i++)
		ASSERT_EQ(admin_kpage("/proc/kpagecgroup", pfns[i]), cg.ino);
	close(fd);
	kvm_vm_free(vm);
}

static void test_inodes_are_charged(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	static int fds[NR_INODES];
	struct admin_cgroup cg;
	s64 before, during;
	int i;

	admin_cgroup_create(&cg, "inodes");
	admin_cgroup_enter(&cg);
	before = admin_cgroup_value(&cg, "memory.stat", "slab_unreclaimable");
	for (i = 0; i < NR_INODES; i++)
		fds[i] = vm_create_guest_memfd(vm, SIZE, 0);
	during = admin_cgroup_value(&cg, "memory.stat", "slab_unreclaimable");
	/* More than what struct file takes of it. */
	TEST_ASSERT(during - before > NR_INODES * 600,
		    "%d inodes: slab_unreclaimable %ld, then %ld", NR_INODES,
		    before, during);
	for (i = 0; i < NR_INODES; i++)
		close(fds[i]);
	admin_cgroup_leave();
	kvm_vm_free(vm);
}

/*
 * A group that is gone
 */

struct allocation {
	int fd;
	u64 size;
};

static void allocate(void *arg)
{
	struct allocation *a = arg;

	gmem_allocate(a->fd, 0, a->size);
}

static void wait_for_dying(struct admin_cgroup *cg, s64 want)
{
	s64 dying = -1;
	int tries;

	for (tries = 0; tries < WAIT_TRIES; tries++) {
		dying = admin_cgroup_value(cg, "cgroup.stat",
					   "nr_dying_descendants");
		if (dying == want)
			return;
		usleep(100000);
	}
	TEST_FAIL("%ld dying groups, wanted %ld", dying, want);
}

static void test_memory_outlives_its_group_and_no_longer_keeps_it(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct allocation a = { vm_create_guest_memfd(vm, SIZE, 0), SIZE };
	struct admin_cgroup outer, inner;

	admin_cgroup_create(&outer, "outer");
	ASSERT_EQ(admin_cgroup_write(&outer, "cgroup.subtree_control",
				     "+memory"), 0);
	admin_cgroup_create(&inner, "outer/inner");
	assert_passed(run_in_cgroup(&inner, allocate, &a));
	assert_charged(&inner, SIZE);

	/* The pages keep what they are charged to; so does the group above. */
	ASSERT_EQ(admin_cgroup_remove(&inner), 0);
	wait_for_dying(&outer, 1);
	assert_charged(&outer, SIZE);
	ASSERT_EQ(gmem_allocated(a.fd), SIZE);

	gmem_punch_hole(a.fd, 0, SIZE / 2);
	assert_charged(&outer, SIZE / 2);
	wait_for_dying(&outer, 1);

	close(a.fd);
	assert_charged(&outer, 0);
	wait_for_dying(&outer, 0);
	kvm_vm_free(vm);
}

/*
 * Limits
 */

static void limit(struct admin_cgroup *cg, const char *max)
{
	ASSERT_EQ(admin_cgroup_write(cg, "memory.max", max), 0);
	admin_cgroup_write(cg, "memory.swap.max", "0");
}

/* From here on the OOM killer leaves this task alone. */
static void protect_from_oom_killer(void)
{
	TEST_ASSERT(!admin_write("/proc/self/oom_score_adj", "-1000"),
		    "cannot set oom_score_adj");
}

static void assert_at_limit(struct admin_cgroup *cg, int fd)
{
	u64 bytes = gmem_allocated(fd);

	TEST_ASSERT(bytes && bytes <= LIMIT_BYTES, "0x%lx bytes are allocated",
		    bytes);
	ASSERT_EQ((u64)admin_fdinfo_value(fd, "gmem-resident"), bytes);
	TEST_ASSERT(event_count(cg, "max") > 0 && event_count(cg, "oom") > 0,
		    "no events");
}

/* Errors are exit codes: there is no memory for messages. */
static void allocate_until_enomem(void *arg)
{
	struct allocation *a = arg;

	protect_from_oom_killer();
	if (!__gmem_allocate(a->fd, 0, a->size))
		_exit(1);
	_exit(errno == ENOMEM ? 0 : 2);
}

static void test_fallocate_gives_enomem_at_the_limit(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct allocation a = { vm_create_guest_memfd(vm, BIG_SIZE, 0),
				BIG_SIZE };
	struct admin_cgroup cg;
	u64 bytes;

	admin_cgroup_create(&cg, "enomem");
	limit(&cg, LIMIT);
	assert_passed(run_in_cgroup(&cg, allocate_until_enomem, &a));
	assert_at_limit(&cg, a.fd);
	TEST_ASSERT(current_bytes(&cg) <= (s64)LIMIT_BYTES, "above the limit");
	ASSERT_EQ(event_count(&cg, "oom_kill"), 0L);

	/*
	 * Again: nothing is lost, nothing more comes.  Without some room, the
	 * child's own memory would be what does not fit.
	 */
	bytes = gmem_allocated(a.fd);
	gmem_punch_hole(a.fd, 0, 2 * MIB);
	assert_passed(run_in_cgroup(&cg, allocate_until_enomem, &a));
	assert_near(gmem_allocated(a.fd), bytes, "allocated memory");
	assert_at_limit(&cg, a.fd);
	TEST_ASSERT(current_bytes(&cg) <= (s64)LIMIT_BYTES, "above the limit");

	/* With room, it continues. */
	limit(&cg, "max");
	assert_passed(run_in_cgroup(&cg, allocate, &a));
	ASSERT_EQ(gmem_allocated(a.fd), BIG_SIZE);
	assert_charged(&cg, BIG_SIZE);

	gmem_punch_hole(a.fd, 0, BIG_SIZE);
	assert_charged(&cg, 0);
	close(a.fd);
	kvm_vm_free(vm);
}

/*
 * Memory that the group can do without, and that needs no swap to be reclaimed.
 * For each page of the file there has to be a node of the page cache's tree, too.
 */
#define LAZY_SIZE	(12 * MIB)
#define NODE_SIZE	(64 * P)
#define NR_NODES	2600

static void allocate_what_others_can_spare(void *arg)
{
	struct allocation *a = arg;
	char *lazy;
	u64 i;

	protect_from_oom_killer();
	lazy = mmap(NULL, LAZY_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (lazy == MAP_FAILED || madvise(lazy, LAZY_SIZE, MADV_FREE))
		_exit(1);
	for (i = 0; i < NR_NODES; i++) {
		if (__gmem_allocate(a->fd, i * NODE_SIZE, P))
			_exit(2);
	}
}

static void test_what_can_be_reclaimed_is(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct allocation a = { .size = NR_NODES * NODE_SIZE };
	struct admin_cgroup cg;
	int i;

	host_set_thp("never");
	admin_cgroup_create(&cg, "spare");
	limit(&cg, LIMIT);
	for (i = 0; i < 3; i++) {
		a.fd = vm_create_guest_memfd(vm, a.size, 0);
		assert_passed(run_in_cgroup(&cg, allocate_what_others_can_spare,
					    &a));
		ASSERT_EQ(gmem_allocated(a.fd), NR_NODES * P);
		close(a.fd);
	}
	TEST_ASSERT(event_count(&cg, "max") > 0, "the limit was not reached");
	ASSERT_EQ(event_count(&cg, "oom"), 0L);
	kvm_vm_free(vm);
}

static void test_fallocate_is_killed_at_the_limit(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct allocation a = { vm_create_guest_memfd(vm, BIG_SIZE, 0),
				BIG_SIZE };
	struct admin_cgroup cg;

	admin_cgroup_create(&cg, "kill");
	limit(&cg, LIMIT);
	assert_killed(run_in_cgroup(&cg, allocate, &a));
	assert_at_limit(&cg, a.fd);
	TEST_ASSERT(current_bytes(&cg) <= (s64)LIMIT_BYTES, "above the limit");
	TEST_ASSERT(event_count(&cg, "oom_kill") > 0, "no task was killed");

	/* This process still has the file, and its memory. */
	gmem_punch_hole(a.fd, 0, BIG_SIZE);
	assert_charged(&cg, 0);
	gmem_allocate(a.fd, 0, SIZE);
	ASSERT_EQ(gmem_allocated(a.fd), SIZE);
	close(a.fd);
	kvm_vm_free(vm);
}

/*
 * A split needs memory for the page cache's tree, with a lock held that a task
 * may wait for: it fails at the limit, and the OOM killer is not asked.
 */
struct splitter {
	int fd;
	bool ready;
	bool go;
	int before, at_limit;
	u64 nr;		/* pages that were punched */
};

static int punch_page(int fd, u64 nr_huge)
{
	return errno_of(__gmem_punch_hole(fd, nr_huge * GMEM_HUGE_SIZE + P, P));
}

/*
 * At the limit it calls nothing that it has not called before.  A CPU may have
 * something in stock for the group, which is not enough for all.
 */
static void split_at_limit(void *arg)
{
	struct splitter *s = arg;

	protect_from_oom_killer();
	gmem_allocate(s->fd, 0, SIZE);
	s->at_limit = 0;
	usleep(1);
	s->before = punch_page(s->fd, 0);
	s->nr = 1;
	__atomic_store_n(&s->ready, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&s->go, __ATOMIC_ACQUIRE))
		usleep(1000);
	while (!s->at_limit && s->nr < SIZE / GMEM_HUGE_SIZE) {
		s->at_limit = punch_page(s->fd, s->nr);
		s->nr += !s->at_limit;
	}
}

static void test_split_at_the_limit_fails(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct splitter *s = mmap(NULL, P, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct admin_cgroup cg;
	int status;
	pid_t pid;
	s64 nr;

	host_set_thp("always");
	admin_cgroup_create(&cg, "split");
	s->fd = vm_create_guest_memfd(vm, SIZE, 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		admin_cgroup_enter(&cg);
		split_at_limit(s);
		_exit(0);
	}
	while (!__atomic_load_n(&s->ready, __ATOMIC_ACQUIRE)) {
		TEST_ASSERT(!waitpid(pid, &status, WNOHANG), "the child failed");
		usleep(1000);
	}
	TEST_ASSERT(admin_fdinfo_value(s->fd, "gmem-huge") ==
		    SIZE - GMEM_HUGE_SIZE, "no large folios");
	/* There is no task that it could kill. */
	limit(&cg, "0");
	nr = event_count(&cg, "oom");
	__atomic_store_n(&s->go, true, __ATOMIC_RELEASE);
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid() failed");
	assert_passed(status);
	ASSERT_EQ(s->before, 0);
	TEST_ASSERT(s->at_limit == -ENOMEM, "at the limit: %d after %lu",
		    s->at_limit, s->nr);
	ASSERT_EQ(event_count(&cg, "oom"), nr);
	ASSERT_EQ(event_count(&cg, "oom_kill"), 0L);
	ASSERT_EQ(gmem_allocated(s->fd), SIZE - s->nr * P);

	limit(&cg, "max");
	ASSERT_EQ(punch_page(s->fd, s->nr), 0);
	close(s->fd);
	kvm_vm_free(vm);
}

static void run_guest(void *arg)
{
	struct guest_fixture *f = arg;

	guest_cmd_set(f->vcpu, GUEST_OP_FILL, GPA, BIG_SIZE, PRIVATE);
	guest_cmd_run(f->vcpu);
}

/* VM and all in the child; what it leaves behind is the question. */
static void create_and_run(void *arg)
{
	struct admin_cgroup *cg = arg;
	struct guest_fixture f;

	guest_start_private(&f, BIG_SIZE);
	limit(cg, LIMIT);
	run_guest(&f);
}

static void test_kvm_run_is_killed_at_the_limit(void)
{
	struct admin_cgroup cg;
	s64 resident, i;

	admin_cgroup_create(&cg, "run_kill");
	resident = admin_total("resident");
	for (i = 1; i <= 3; i++) {
		limit(&cg, "max");
		assert_killed(run_in_cgroup(&cg, create_and_run, &cg));
		TEST_ASSERT(event_count(&cg, "oom_kill") >= i, "no task was killed");
		ASSERT_EQ(admin_total("resident"), resident);
		wait_for_current(&cg, 0);
	}
	ASSERT_EQ(admin_cgroup_remove(&cg), 0);
}

/*
 * What a hole of one page may wait for on a busy machine; a task above memory.high
 * is slowed down by 2 seconds at a time.
 */
#define HOLE_MAX_MS	500
/* More than the task has besides. */
#define HIGH		"4M"
#define HIGH_BYTES	(4 * MIB)
#define NR_HOLES	40

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * A page of the folio that was allocated last, for which the task is paying: if it
 * has a reference meanwhile, the folio cannot be split.  @bytes have been allocated.
 */
static void punch_last(int fd, u64 bytes, int nr)
{
	gmem_punch_hole(fd, round_down(bytes - 1, GMEM_HUGE_SIZE) + nr * P, P);
}

/*
 * Far above memory.high, so that it is slowed down by the longest time there is.
 * Another task has the rest of the file for itself meanwhile.
 */
static void check_nothing_waits_for_memory_high(u64 flags)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, 2 * BIG_SIZE, flags);
	struct allocation a = { fd, BIG_SIZE };
	long took, longest = 0;
	struct admin_cgroup cg;
	int i, status, slow = 0;
	u64 punched = 0;
	pid_t pid;

	/* What holes are punched into, as one in nothing takes no lock. */
	gmem_allocate(fd, BIG_SIZE, NR_HOLES * P);
	admin_cgroup_create(&cg, "high");
	ASSERT_EQ(admin_cgroup_write(&cg, "memory.high", HIGH), 0);
	fflush(stdout);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork() failed, errno %d", errno);
	if (!pid) {
		admin_cgroup_enter(&cg);
		allocate(&a);
		_exit(0);
	}
	for (i = 0; i < WAIT_TRIES &&
	     gmem_allocated(fd) <= HIGH_BYTES + NR_HOLES * P; i++)
		usleep(100000);
	for (i = 0; i < NR_HOLES; i++) {
		took = -now_ms();
		gmem_punch_hole(fd, BIG_SIZE + i * P, P);
		punched += P;
		if (flags & GUEST_MEMFD_FLAG_HUGEPAGE) {
			punch_last(fd, gmem_allocated(fd) + punched - NR_HOLES * P,
				   i);
			punched += P;
		}
		took += now_ms();
		longest = max(longest, took);
		slow += took > HOLE_MAX_MS;
		usleep(50000);
	}
	TEST_ASSERT(!waitpid(pid, &status, WNOHANG),
		    "nothing was slowed down, status 0x%x", status);
	pr_info("a hole took up to %ld ms\n", longest);
	TEST_ASSERT(!slow, "%d of %d holes took long, up to %ld ms", slow,
		    NR_HOLES, longest);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(fd);
	kvm_vm_free(vm);
}

/*
 * A call that allocates much, within a group above memory.high, pays each time that
 * it has got a batch, not once when it returns.
 */
#define MANY_HIGH	"32M"
#define MANY_SIZE	(34 * MIB)
/*
 * There are 8 batches of 64 pages above.  For each the kernel tries 17 times to
 * reclaim something, and each time is an event.
 */
#define MANY_PAID	(4 * 17)

static void check_pays(struct admin_cgroup *cg)
{
	s64 paid = event_count(cg, "high");

	pr_info("%ld events\n", paid);
	TEST_ASSERT(paid >= MANY_PAID, "too seldom");
	wait_for_current(cg, 0);
}

static void test_mapping_much_pays_for_memory_high(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, MANY_SIZE, GMEM_SHARED_FLAGS);
	struct admin_cgroup cg;
	char *mem;

	host_set_thp("never");
	admin_cgroup_create(&cg, "map_many");
	ASSERT_EQ(admin_cgroup_write(&cg, "memory.high", MANY_HIGH), 0);
	mem = gmem_mmap(fd, MANY_SIZE, 0);
	admin_cgroup_enter(&cg);
	ASSERT_EQ(madvise(mem, MANY_SIZE, MADV_POPULATE_WRITE), 0);
	admin_cgroup_leave();
	munmap(mem, MANY_SIZE);
	close(fd);
	check_pays(&cg);
	kvm_vm_free(vm);
}

static void test_pre_fault_pays_for_memory_high(void)
{
	struct admin_cgroup cg;
	struct guest_fixture f;

	host_set_thp("never");
	admin_cgroup_create(&cg, "pre_fault_many");
	ASSERT_EQ(admin_cgroup_write(&cg, "memory.high", MANY_HIGH), 0);
	guest_start_private(&f, MANY_SIZE);
	admin_cgroup_enter(&cg);
	vcpu_pre_fault(f.vcpu, GPA, MANY_SIZE);
	admin_cgroup_leave();
	guest_end(&f);
	check_pays(&cg);
}

static void test_nothing_waits_for_a_task_above_memory_high(void)
{
	host_set_thp("never");
	check_nothing_waits_for_memory_high(0);
}

static void test_nothing_waits_for_one_that_allocates_huge_pages(void)
{
	host_set_thp("always");
	check_nothing_waits_for_memory_high(GUEST_MEMFD_FLAG_HUGEPAGE);
}

/*
 * A process outside of the group that lifts its limit on request; inside there
 * is not even the memory to ask through a pipe.
 */
struct helper {
	int asked;
	int done;
};

static void help(struct helper *h, struct admin_cgroup *cg)
{
	while (!READ_ONCE(h->asked))
		usleep(1000);
	limit(cg, "max");
	WRITE_ONCE(h->done, 1);
	_exit(0);
}

static void test_kvm_run_gives_enomem_at_the_limit(void)
{
	struct admin_cgroup cg;
	struct guest_fixture f;
	struct helper *h;
	int ret, status;
	pid_t pid;

	admin_cgroup_create(&cg, "run_enomem");
	h = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		 -1, 0);
	TEST_ASSERT(h != MAP_FAILED, "mmap() failed");
	h->asked = 0;
	guest_start_private(&f, BIG_SIZE);
	fflush(stdout);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork() failed");
	if (!pid)
		help(h, &cg);

	protect_from_oom_killer();
	guest_cmd_set(f.vcpu, GUEST_OP_FILL, GPA, BIG_SIZE, PRIVATE);
	admin_cgroup_enter(&cg);
	limit(&cg, LIMIT);
	ret = guest_cmd_run(f.vcpu);
	WRITE_ONCE(h->asked, 1);
	while (!READ_ONCE(h->done))
		usleep(1000);
	admin_cgroup_leave();
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid() failed");
	assert_passed(status);

	TEST_ASSERT(ret == -ENOMEM, "KVM_RUN = %d", ret);
	assert_at_limit(&cg, f.slot.fd);
	ASSERT_EQ(event_count(&cg, "oom_kill"), 0L);

	/* The guest goes on where it was. */
	guest_cmd_finish(f.vcpu);
	guest_check(f.vcpu, GPA, BIG_SIZE, PRIVATE);
	ASSERT_EQ(gmem_allocated(f.slot.fd), BIG_SIZE);
	guest_end(&f);
	wait_for_current(&cg, 0);
}

/*
 * What the memory counts as, and what it does not count as
 */

static void test_statistics_of_the_group(void)
{
	static const char * const nothing[] = {
		"anon", "shmem", "file_mapped", "file_dirty", "file_writeback",
		"inactive_file", "active_file", "unevictable",
		"slab_reclaimable",
	};
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int i, fd = vm_create_guest_memfd(vm, BIG_SIZE, 0);
	s64 before[ARRAY_SIZE(nothing)], file;

	gmem_free_kb();
	file = gmem_group_stat("file");
	for (i = 0; i < ARRAY_SIZE(nothing); i++)
		before[i] = gmem_group_stat(nothing[i]);
	gmem_allocate(fd, 0, BIG_SIZE);
	assert_near(gmem_group_stat("file"), file + BIG_SIZE, "file");
	for (i = 0; i < ARRAY_SIZE(nothing); i++)
		assert_near(gmem_group_stat(nothing[i]), before[i], nothing[i]);
	close(fd);
	kvm_vm_free(vm);
	assert_near(gmem_group_stat("file"), file, "file");
}

/*
 * These exist for the whole machine only.  Others may change them meanwhile: if
 * one is not as wanted, all are looked at again, and it has to be wrong each
 * time.
 */

/* What the memory is part of, and then what it is not part of. */
static const char * const meminfo[] = {
	"Cached", "Mlocked", "Committed_AS",
};

struct figures {
	s64 meminfo[ARRAY_SIZE(meminfo)];
	s64 vmstat;
	s64 nodes;
	/* Available without being free. */
	s64 reclaimable;
};

/* FilePages of all nodes. */
static s64 nodes_file(void)
{
	char path[64], key[32], *text;
	s64 sum = 0;
	int node;

	for (node = 0; node < 64; node++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/meminfo", node);
		text = admin_read(path);
		if (!text)
			continue;
		snprintf(key, sizeof(key), "Node %d FilePages", node);
		sum += admin_value(text, key) * 1024;
		free(text);
	}
	return sum;
}

/* In bytes, as all here. */
static void read_figures(struct figures *f)
{
	int i;

	admin_write("/proc/sys/vm/stat_refresh", "1");
	for (i = 0; i < ARRAY_SIZE(meminfo); i++)
		f->meminfo[i] = gmem_meminfo_kb(meminfo[i]) * 1024;
	f->vmstat = admin_file_value("/proc/vmstat", "nr_file_pages") * P;
	f->nodes = nodes_file();
	f->reclaimable = (s64)gmem_meminfo_kb("MemAvailable") * 1024 -
			 (s64)gmem_meminfo_kb("MemFree") * 1024;
}

static bool is_near(s64 value, s64 want, const char *what)
{
	if (llabs(value - want) <= (s64)TOLERANCE)
		return true;
	ksft_print_msg("%s is %ld, wanted %ld\n", what, value, want);
	return false;
}

static bool figures_are(const struct figures *f, const struct figures *before,
			s64 size)
{
	bool ok = true;
	int i;

	for (i = 0; i < ARRAY_SIZE(meminfo); i++)
		ok &= is_near(f->meminfo[i],
			      before->meminfo[i] + (i ? 0 : size), meminfo[i]);
	ok &= is_near(f->vmstat, before->vmstat + size, "nr_file_pages");
	if (before->nodes)
		ok &= is_near(f->nodes, before->nodes + size, "FilePages");
	return ok & is_near(f->reclaimable, before->reclaimable,
			    "MemAvailable - MemFree");
}

static void test_system_figures(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct figures before, during, after;
	int fd, tries = 0;

	do {
		TEST_ASSERT(++tries <= FIGURE_TRIES, "never as wanted");
		fd = vm_create_guest_memfd(vm, BIG_SIZE, 0);
		read_figures(&before);
		gmem_allocate(fd, 0, BIG_SIZE);
		read_figures(&during);
		close(fd);
		read_figures(&after);
	} while (!figures_are(&during, &before, BIG_SIZE) ||
		 !figures_are(&after, &before, 0));
	kvm_vm_free(vm);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_fallocate_charges_its_caller),
	GMEM_TEST(test_kvm_run_charges_the_vcpu_task),
	GMEM_TEST(test_using_a_page_does_not_charge_it),
	GMEM_TEST(test_page_is_charged_to_the_group_it_names),
	GMEM_TEST(test_inodes_are_charged),
	GMEM_TEST(test_memory_outlives_its_group_and_no_longer_keeps_it),
	GMEM_TEST(test_fallocate_gives_enomem_at_the_limit),
	GMEM_TEST(test_what_can_be_reclaimed_is),
	GMEM_TEST(test_fallocate_is_killed_at_the_limit),
	GMEM_TEST(test_split_at_the_limit_fails),
	GMEM_TEST(test_mapping_much_pays_for_memory_high),
	GMEM_TEST(test_pre_fault_pays_for_memory_high),
	GMEM_TEST(test_nothing_waits_for_a_task_above_memory_high),
	GMEM_TEST(test_nothing_waits_for_one_that_allocates_huge_pages),
	GMEM_TEST(test_kvm_run_is_killed_at_the_limit),
	GMEM_TEST(test_kvm_run_gives_enomem_at_the_limit),
	GMEM_TEST(test_statistics_of_the_group),
	GMEM_TEST(test_system_figures),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
