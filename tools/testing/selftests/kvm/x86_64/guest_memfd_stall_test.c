// SPDX-License-Identifier: GPL-2.0-only
/*
 * An operation on much memory of a file does not make others stand still that
 * touch other memory of it: a vCPU, a thread that uses a mapping, a change of a
 * memory slot.  And both can be killed.
 *
 * How long they stand still is measured in CPU time of the operation's thread:
 * what it gets done while the other one does not make one step.  On a busy
 * machine the other one may wait for a CPU, so the best of some tries counts,
 * and the limit is wide.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/mempolicy.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_guest.h"
#include "guest_memfd_holder.h"
#include "guest_memfd_move.h"

#define P		GMEM_PAGE_SIZE
#define TAIL		(32UL << 20)
#define OTHER_SLOT	20
#define OTHER_GPA	BIT_ULL(36)
#define STEP_SLOT	21
#define STEP_GPA	BIT_ULL(37)

#define TRIES		20
/*
 * Of the operation, in percent, that nothing else may happen.  It is nearly all
 * of it if the others wait for the operation, and about 1 if they do not, and no
 * other machine wants the CPUs.
 */
#define LIMIT		25
/* How much longer, in ns, the end of a process takes for what it was doing. */
#define KILL_LIMIT	(100 * MS)
/* How long it has been doing that, in us, at first. */
#define KILL_DELAY	20000
/* As long as all of them came too late, or the operation had not begun. */
#define KILL_TRIES	100

/* The operation works on [0, big), the others on the rest. */
static u64 big;

struct stall {
	struct gmem_conv_guest g;
	struct kvm_vcpu *second;	/* does not run */
	int other_fd;
	clockid_t clock;
	void (*step)(struct stall *s);
	u64 at;
	u64 gap;
	u64 steps;
	/* At the other end of the file. */
	u64 nr_moved, nr_tried;
	bool moving;
	bool prepared;
	bool started;
	bool done;
};

/*
 * The threads that must not wait
 */

static void step_vcpu(struct stall *s)
{
	guest_write(s->g.vcpu, GMEM_DATA_GPA + big + s->at, 1);
	s->at += P;
	if (s->at == TAIL) {
		/* So that it always faults. */
		gmem_punch_hole(s->g.fd, big, TAIL);
		s->at = 0;
		s->prepared = true;
	}
}

static void step_host(struct stall *s)
{
	WRITE_ONCE(s->g.mem[big + TAIL + s->at], 1);
	s->at += P;
	if (s->at == TAIL) {
		TEST_ASSERT(!madvise(s->g.mem + big + TAIL, TAIL,
				     MADV_DONTNEED), "madvise");
		s->at = 0;
		s->prepared = true;
	}
}

static void step_slot(struct stall *s)
{
	u64 offset = big + 2 * TAIL;
	u64 size = s->at ? 0 : P;

	vm_set_user_memory_region2(s->g.vm, STEP_SLOT,
				   size ? KVM_MEM_GUEST_MEMFD : 0, STEP_GPA,
				   size, NULL, size ? s->g.fd : -1,
				   size ? offset : 0);
	s->at = size;
}

static u64 clock_ns(clockid_t clock)
{
	struct timespec t;

	TEST_ASSERT(!clock_gettime(clock, &t), "clock_gettime");
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void *run_steps(void *arg)
{
	struct stall *s = arg;
	u64 last, now;

	s->step(s);
	WRITE_ONCE(s->started, true);
	last = clock_ns(s->clock);
	while (!__atomic_load_n(&s->done, __ATOMIC_ACQUIRE)) {
		s->step(s);
		now = clock_ns(s->clock);
		/* What prepares further steps is no step. */
		if (!s->prepared && now - last > s->gap)
			s->gap = now - last;
		s->prepared = false;
		last = now;
		s->steps++;
	}
	/* The slot goes, if it is there. */
	if (s->step == step_slot && s->at)
		s->step(s);
	return NULL;
}

/*
 * What they must not wait for
 */

static void prepare_nothing(struct stall *s)
{
}

static void prepare_private(struct stall *s)
{
	gmem_allocate(s->g.fd, 0, big);
}

static void prepare_shared(struct stall *s)
{
	gmem_allocate(s->g.fd, 0, big);
	gmem_to_shared(s->g.fd, 0, big);
}

/* Leave the last page of the file to step_slot(). */
static void spare_a_page(struct stall *s)
{
	vm_set_user_memory_region2(s->g.vm, GMEM_DATA_SLOT, 0, GMEM_DATA_GPA, 0,
				   NULL, -1, 0);
	vm_set_user_memory_region2(s->g.vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA, big + 2 * TAIL, NULL, s->g.fd,
				   0);
}

static void prepare_hole(struct stall *s)
{
	spare_a_page(s);
	gmem_allocate(s->g.fd, 0, big);
}

static void prepare_other_unmapped(struct stall *s)
{
	spare_a_page(s);
	s->other_fd = vm_create_guest_memfd(s->g.vm, big, 0);
	gmem_allocate(s->other_fd, 0, big);
	vm_set_user_memory_region2(s->g.vm, OTHER_SLOT, KVM_MEM_GUEST_MEMFD,
				   OTHER_GPA, big, gmem_alloc_hva(OTHER_GPA, big),
				   s->other_fd, 0);
	vm_mem_set_private(s->g.vm, OTHER_GPA, big);
}

static void prepare_other(struct stall *s)
{
	prepare_other_unmapped(s);
	vcpu_pre_fault(s->g.vcpu, OTHER_GPA, big);
}

static void op_allocate(struct stall *s)
{
	gmem_allocate(s->g.fd, 0, big);
}

static void op_punch(struct stall *s)
{
	gmem_punch_hole(s->g.fd, 0, big);
}

static void op_to_shared(struct stall *s)
{
	gmem_to_shared(s->g.fd, 0, big);
}

static void op_to_private(struct stall *s)
{
	gmem_to_private(s->g.fd, 0, big);
}

static void op_query(struct stall *s)
{
	u64 size, attributes, resident;
	int i;

	for (i = 0; i < 50; i++) {
		size = big;
		ASSERT_EQ(__gmem_get(s->g.fd, 0, &size, &attributes, &resident),
			  0);
		ASSERT_EQ(resident, big);
	}
}

/*
 * All of it moves from one node to the other, while another task moves a part at the
 * other end of the file to and fro.  What must not wait is in between.
 */

#define OTHER_END	(big + 2 * TAIL + H)
#define MOVE_STEP	(16 * P)
/* So much of each, in percent, does move: each meets faults and changes of the file. */
#define MIN_MOVED	25

static int move_to(struct stall *s, u64 offset, u64 size, int node)
{
	return move_policy(s->g.fd, offset, size, node,
			   MPOL_MF_MOVE | MPOL_MF_STRICT);
}

static void allocate_on_node_0(struct stall *s, u64 offset, u64 size)
{
	ASSERT_EQ(move_policy(s->g.fd, offset, size, 0, 0), 0);
	gmem_allocate(s->g.fd, offset, size);
}

/* In place of the guest's file one that can be moved. */
static void prepare_move(struct stall *s)
{
	move_require_nodes();
	gmem_conv_guest_end(&s->g);
	gmem_conv_guest_start(&s->g, OTHER_END + H, GUEST_MEMFD_FLAG_MMAP |
			      GUEST_MEMFD_FLAG_MOVABLE);
	gmem_to_shared(s->g.fd, big, 2 * TAIL);
	allocate_on_node_0(s, 0, big);
	allocate_on_node_0(s, OTHER_END, H);
	/* So that there are mappings to be taken away. */
	vcpu_pre_fault(s->g.vcpu, GMEM_DATA_GPA, big);
}

static void prepare_move_beside_slot(struct stall *s)
{
	prepare_move(s);
	spare_a_page(s);
	vcpu_pre_fault(s->g.vcpu, GMEM_DATA_GPA, big);
}

static void *move_the_other_end(void *arg)
{
	struct stall *s = arg;
	int node = 0;
	u64 at;

	do {
		node = !node;
		for (at = 0; at < H; at += MOVE_STEP) {
			s->nr_moved += !move_to(s, OTHER_END + at, MOVE_STEP,
						node);
			s->nr_tried++;
		}
	} while (__atomic_load_n(&s->moving, __ATOMIC_ACQUIRE));
	return NULL;
}

static void assert_share(const char *what, u64 nr, u64 all)
{
	printf("# %s: %lu of %lu have moved\n", what, nr, all);
	TEST_ASSERT(nr * 100 >= all * MIN_MOVED, "%s: %lu of %lu have moved",
		    what, nr, all);
}

static void op_move(struct stall *s)
{
	pthread_t thread;
	u64 at, nr = 0;
	int ret;

	s->moving = true;
	TEST_ASSERT(!pthread_create(&thread, NULL, move_the_other_end, s),
		    "no thread");
	ret = move_to(s, 0, big, 1);
	TEST_ASSERT(!ret || ret == -EIO, "%d", ret);
	__atomic_store_n(&s->moving, false, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);

	/* Without MPOL_MF_MOVE it says what has. */
	for (at = 0; at < big; at += MOVE_STEP)
		nr += !move_policy(s->g.fd, at, MOVE_STEP, 1, MPOL_MF_STRICT);
	assert_share("one end", nr, big / MOVE_STEP);
	assert_share("the other end", s->nr_moved, s->nr_tried);
}

static void op_close(struct stall *s)
{
	close(s->other_fd);
	s->other_fd = -1;
}

/* Returns how much of the operation, in percent, the longest stall was. */
static u64 measure(struct stall *s, const char *what,
		   void (*op)(struct stall *s))
{
	pthread_t thread;
	u64 start, ns;

	s->at = 0;
	s->gap = 0;
	s->steps = 0;
	s->started = false;
	s->done = false;
	TEST_ASSERT(!pthread_getcpuclockid(pthread_self(), &s->clock),
		    "pthread_getcpuclockid");
	TEST_ASSERT(!pthread_create(&thread, NULL, run_steps, s), "no thread");
	while (!READ_ONCE(s->started))
		usleep(100);

	start = clock_ns(s->clock);
	op(s);
	ns = clock_ns(s->clock) - start;
	__atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);

	printf("# %s: %lu us, longest stall %lu us, %lu steps\n", what,
	       ns / 1000, s->gap / 1000, s->steps);
	return s->gap * 100 / ns;
}

static void check_stall(const char *what, void (*step)(struct stall *s),
			void (*prepare)(struct stall *s),
			void (*op)(struct stall *s))
{
	u64 percent, best = 100;
	struct stall s = {};
	int i;

	for (i = 0; i < TRIES && best > LIMIT; i++) {
		s.step = step;
		gmem_conv_guest_start(&s.g, big + 2 * TAIL + P,
				      GUEST_MEMFD_FLAG_MMAP);
		gmem_to_shared(s.g.fd, big, 2 * TAIL);
		prepare(&s);
		percent = measure(&s, what, op);
		best = min(best, percent);
		gmem_conv_guest_end(&s.g);
	}
	TEST_ASSERT(best <= LIMIT,
		    "%s: stood still for %lu %% of the operation", what, best);
}

static void op_nothing(struct stall *s)
{
	pause();
}

/* All of it mapped, in a slot with two sides. */
static void op_attributes(struct stall *s)
{
	vm_mem_set_shared(s->g.vm, OTHER_GPA, big);
}

static void op_pre_fault(struct stall *s)
{
	vcpu_pre_fault(s->second, OTHER_GPA, big);
}

static void prepare_pre_fault(struct stall *s)
{
	prepare_other_unmapped(s);
	/* The first one is in use. */
	s->second = vm_vcpu_add(s->g.vm, 1, guest_cmd_loop);
}

/* A page in the last piece is in use, for good. */
static void prepare_in_use(struct stall *s)
{
	prepare_shared(s);
	gmem_hold(GMEM_HOLD_PIPE, s->g.mem + big - P, P);
}

static void op_wait(struct stall *s)
{
	__gmem_convert(s->g.fd, 0, big, GMEM_PRIVATE, GMEM_WAIT, ~0ULL >> 1,
		       NULL);
}

struct op {
	const char *name;
	void (*prepare)(struct stall *s);
	void (*op)(struct stall *s);
};

/* What a kill costs anyway. */
static const struct op idle = { "nothing", prepare_private, op_nothing };

static const struct op ops[] = {
	{ "allocate", prepare_nothing, op_allocate },
	{ "punch", prepare_private, op_punch },
	{ "to shared", prepare_private, op_to_shared },
	{ "to private", prepare_shared, op_to_private },
	{ "query", prepare_private, op_query },
	{ "move", prepare_move, op_move },
};

static const struct op more_ops[] = {
	{ "attributes", prepare_other, op_attributes },
	{ "pre-fault", prepare_pre_fault, op_pre_fault },
	{ "to private, waiting", prepare_in_use, op_wait },
};

static void check_stalls(const char *who, void (*step)(struct stall *s))
{
	char what[64];
	int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		snprintf(what, sizeof(what), "%s, %s", who, ops[i].name);
		check_stall(what, step, ops[i].prepare, ops[i].op);
	}
}

static void test_a_vcpu_does_not_stand_still(void)
{
	check_stalls("vCPU", step_vcpu);
	check_stall("vCPU, close", step_vcpu, prepare_other, op_close);
}

static void test_the_host_does_not_stand_still(void)
{
	check_stalls("host", step_host);
	check_stall("host, close", step_host, prepare_other, op_close);
}

static void test_a_slot_can_change_beside_a_hole(void)
{
	check_stall("slot, punch", step_slot, prepare_hole, op_punch);
}

static void test_a_slot_can_change_beside_a_close(void)
{
	check_stall("slot, close", step_slot, prepare_other, op_close);
}

static void test_a_slot_can_change_beside_a_move(void)
{
	check_stall("slot, move", step_slot, prepare_move_beside_slot, op_move);
}

/*
 * All or nothing
 */

static void test_one_user_in_the_last_piece_keeps_all_shared(void)
{
	struct gmem_holder *holder;
	struct gmem_conv conv;
	struct gmem_map m;

	gmem_conv_setup(&m, big);
	gmem_allocate(m.fd, 0, big);
	holder = gmem_hold(GMEM_HOLD_PIPE, m.mem + big - P, P);
	ASSERT_EQ(__gmem_convert(m.fd, 0, big, GMEM_PRIVATE, 0, 0, &conv),
		  -EAGAIN);
	ASSERT_EQ(conv.error_offset, big - P);
	gmem_assert_is(m.fd, 0, big, GMEM_SHARED);
	WRITE_ONCE(m.mem[0], 1);
	ASSERT_EQ(gmem_release(holder), P);
	gmem_to_private(m.fd, 0, big);
	gmem_assert_is(m.fd, 0, big, GMEM_PRIVATE);
	gmem_map_teardown(&m);
}

/*
 * Being killed
 */

static void *kill_vcpu(void *arg)
{
	struct stall *s = arg;

	for (;;)
		step_vcpu(s);
	return NULL;
}

/* In memory that the killed process shares with the one that kills it. */
static struct killed {
	bool within;	/* in the operation */
} *killed;

/* The file must not go with the process that is killed. */
static void killed_child(const struct op *op, int fd)
{
	struct stall s = { .other_fd = -1 };
	pthread_t thread;
	pid_t keeper;

	gmem_conv_guest_start(&s.g, big + 2 * TAIL + P, GUEST_MEMFD_FLAG_MMAP);
	gmem_to_shared(s.g.fd, big, 2 * TAIL);
	op->prepare(&s);
	keeper = fork();
	if (!keeper) {
		pause();
		_exit(0);
	}
	step_vcpu(&s);
	TEST_ASSERT(!pthread_create(&thread, NULL, kill_vcpu, &s), "no thread");
	TEST_ASSERT(write(fd, &keeper, sizeof(keeper)) == sizeof(keeper),
		    "write");
	WRITE_ONCE(killed->within, true);
	op->op(&s);
	WRITE_ONCE(killed->within, false);
	pause();
}

/*
 * Kill a process that has been in the operation for @delay us.  Return: how long
 * it took to end; 0 if the operation had been over.
 */
static u64 kill_during(const struct op *op, unsigned int delay)
{
	pid_t pid, keeper;
	int fds[2];
	u64 start;

	TEST_ASSERT(!pipe(fds), "pipe");
	/* Of the keeper, too, when its parent is killed. */
	TEST_ASSERT(!prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl");
	killed->within = false;
	pid = fork();
	if (!pid)
		killed_child(op, fds[1]);
	TEST_ASSERT(read(fds[0], &keeper, sizeof(keeper)) == sizeof(keeper),
		    "read");
	usleep(delay);
	start = gmem_now();
	kill(pid, SIGKILL);
	TEST_ASSERT(waitpid(pid, NULL, 0) == pid, "waitpid");
	start = gmem_now() - start;
	kill(keeper, SIGKILL);
	TEST_ASSERT(waitpid(keeper, NULL, 0) == keeper, "waitpid");
	close(fds[0]);
	close(fds[1]);
	if (!killed->within)
		return 0;
	printf("# %s: after %u us, killed in %lu us\n", op->name, delay,
	       start / 1000);
	return start;
}

/* Only what was within the operation counts, and that must have been. */
static void check_kill(const struct op *op, u64 limit)
{
	unsigned int delay = KILL_DELAY;
	u64 ns, best = ~0ULL;
	int try, met = 0;

	for (try = 0; try < KILL_TRIES && met < TRIES && best > limit; try++) {
		ns = kill_during(op, delay);
		/* Too late: the operation is short. */
		if (!ns) {
			delay = delay > 100 ? delay / 2 : KILL_DELAY;
			continue;
		}
		met++;
		best = min(best, ns);
	}
	TEST_ASSERT(met, "%s: never killed within it", op->name);
	TEST_ASSERT(best <= limit, "%s: killed in %lu ms, limit %lu ms",
		    op->name, best / MS, limit / MS);
}

static void test_a_kill_ends_everything(void)
{
	u64 limit = 0;
	int i, try;

	killed = mmap(NULL, P, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(killed != MAP_FAILED, "mmap, errno %d", errno);
	/* The machine is as fast as that, and busy now and then. */
	for (try = 0; try < TRIES; try++)
		limit = max(limit, kill_during(&idle, KILL_DELAY));
	limit += KILL_LIMIT;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		check_kill(&ops[i], limit);
	for (i = 0; i < ARRAY_SIZE(more_ops); i++)
		check_kill(&more_ops[i], limit);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_a_vcpu_does_not_stand_still),
	GMEM_TEST(test_the_host_does_not_stand_still),
	GMEM_TEST(test_a_slot_can_change_beside_a_hole),
	GMEM_TEST(test_a_slot_can_change_beside_a_close),
	GMEM_TEST(test_a_slot_can_change_beside_a_move),
	GMEM_TEST(test_one_user_in_the_last_piece_keeps_all_shared),
	GMEM_TEST(test_a_kill_ends_everything),
};

/* The argument, if there is one: how much memory to work on, in MiB. */
int main(int argc, char *argv[])
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	/* As much as there is room for. */
	big = gmem_meminfo_kb("MemAvailable") > (2UL << 20) ? 1UL << 30 :
							      1UL << 28;
	if (argc > 1)
		big = strtoul(argv[1], NULL, 0) << 20;

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
