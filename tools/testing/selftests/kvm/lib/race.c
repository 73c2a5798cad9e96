// SPDX-License-Identifier: GPL-2.0
/*
 * race: run two pieces of code against each other, at every offset in time.
 *
 * The threads meet at a counter per side: each one increments its own and
 * waits for the other's to catch up.  Every loop has two such meetings, one
 * before and one after the callbacks; what the calling thread does between
 * the second and the next first is invisible to the other thread.
 *
 * Waiting spins, and yields every so often: with fewer CPUs than threads the
 * partner would otherwise wait for the end of our time slice.  After a while
 * it sleeps, which may make a thread late; the next meeting levels that out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "race.h"
#include "test_util.h"

#define SAMPLES		8
#define SPINS_TO_YIELD	1024
#define SPINS_TO_SLEEP	32768
/* For how long the two may miss each other: on a busy machine they often do. */
#define MISS_MS		60000
/* A partner that does not come within this time is stuck in the kernel. */
#define STUCK_NS	(120 * 1000000000ULL)

struct race {
	const struct race_ops *ops;
	void *ctx;
	bool one_cpu;
	bool stop;

	/* Where the two threads run, unless there is one CPU only. */
	cpu_set_t all_cpus;
	int cpu[2];

	/* Meetings that each side has reached. */
	unsigned int met[2];

	/* Of this loop: how long each side is held back, and when it ran. */
	u64 delay_ns[2];
	u64 begin_ns[2];
	u64 end_ns[2];

	/* Of the samples: to average them without the longest. */
	u64 sum_ns[2];
	u64 max_ns[2];
};

enum { A, B };

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

u64 race_random(struct race_rng *rng)
{
	u64 x = rng->state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

u64 race_random_below(struct race_rng *rng, u64 bound)
{
	return bound ? race_random(rng) % bound : 0;
}

u64 race_seed(void)
{
	const char *env = getenv("RACE_SEED");
	struct race_rng rng;

	if (env)
		return strtoull(env, NULL, 0);

	rng.state = now_ns() ^ ((u64)getpid() << 32);
	return race_random(&rng);
}

static void relax(const struct race *r, unsigned int spins)
{
	if (r->one_cpu || !(spins % SPINS_TO_YIELD))
		sched_yield();
}

static void wait_for(const struct race *r, unsigned int spins)
{
	if (spins < SPINS_TO_SLEEP)
		relax(r, spins);
	else
		usleep(20);
}

static void meet(struct race *r, int me)
{
	unsigned int want = r->met[me] + 1;
	u64 deadline = now_ns() + STUCK_NS;
	unsigned int spins = 0;

	__atomic_store_n(&r->met[me], want, __ATOMIC_RELEASE);

	while ((int)(__atomic_load_n(&r->met[!me], __ATOMIC_ACQUIRE) - want) < 0) {
		wait_for(r, ++spins);
		if (!(spins % SPINS_TO_YIELD) && now_ns() > deadline) {
			/* The stuck thread cannot be joined: end it all. */
			ksft_print_msg("%s: side %c does not return\n",
				       r->ops->name, me == A ? 'B' : 'A');
			exit(KSFT_FAIL);
		}
	}
}

static void hold_back(const struct race *r, int me)
{
	u64 end;
	unsigned int spins = 0;

	if (!r->delay_ns[me])
		return;

	end = now_ns() + r->delay_ns[me];
	while (now_ns() < end)
		relax(r, ++spins);
}

static void one_side(struct race *r, int me)
{
	meet(r, me);
	hold_back(r, me);

	r->begin_ns[me] = now_ns();
	if (me == A)
		r->ops->run_a(r->ctx);
	else
		r->ops->run_b(r->ctx);
	r->end_ns[me] = now_ns();

	meet(r, me);
}

static void pin(const struct race *r, int side)
{
	cpu_set_t cpus;

	if (r->one_cpu)
		return;

	CPU_ZERO(&cpus);
	CPU_SET(r->cpu[side], &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

static void *thread_b(void *arg)
{
	struct race *r = arg;

	pin(r, B);
	for (;;) {
		/* Let A write the parameters of the next loop, or stop. */
		meet(r, B);
		if (r->stop)
			return NULL;
		one_side(r, B);
	}
}

static unsigned int limit(const char *name, unsigned int value)
{
	const char *env = getenv(name);

	return env ? strtoul(env, NULL, 0) : value;
}

unsigned int race_ms(unsigned int ms)
{
	return limit("RACE_MS", (u64)ms * limit("RACE_PERCENT", 100) / 100);
}

/*
 * Hold back A by up to B's run time, or B by up to A's.  As long as they have
 * never met, what the samples say may be wrong: do not, in every second loop.
 */
static void choose_delay(struct race *r, struct race_rng *rng,
			 const struct race_stats *stats)
{
	u64 x;

	r->delay_ns[A] = 0;
	r->delay_ns[B] = 0;
	if (!stats->overlaps && stats->loops % 2)
		return;

	x = race_random_below(rng, stats->a_ns + stats->b_ns + 1);
	r->delay_ns[A] = x > stats->a_ns ? x - stats->a_ns : 0;
	r->delay_ns[B] = x < stats->a_ns ? stats->a_ns - x : 0;
}

/* One preempted loop would spoil a plain average: leave out the longest. */
static u64 sample(struct race *r, int side, unsigned int nr)
{
	u64 ns = r->end_ns[side] - r->begin_ns[side];

	r->sum_ns[side] += ns;
	if (ns > r->max_ns[side])
		r->max_ns[side] = ns;

	return nr < 2 ? ns : (r->sum_ns[side] - r->max_ns[side]) / (nr - 1);
}

static void account(struct race *r, struct race_stats *stats)
{
	stats->loops++;

	if (r->begin_ns[A] < r->end_ns[B] && r->begin_ns[B] < r->end_ns[A])
		stats->overlaps++;

	if (stats->loops <= SAMPLES) {
		stats->a_ns = sample(r, A, stats->loops);
		stats->b_ns = sample(r, B, stats->loops);
	}
}

static bool one_loop(struct race *r, struct race_rng *rng,
		     struct race_stats *stats)
{
	if (r->ops->setup)
		r->ops->setup(r->ctx);

	if (stats->loops >= SAMPLES)
		choose_delay(r, rng, stats);

	meet(r, A);
	one_side(r, A);

	account(r, stats);
	if (r->ops->check(r->ctx))
		return true;

	stats->failed_at = stats->loops;
	return false;
}

/* A single CPU is no fault of the test. */
static bool has_met(const struct race *r, const struct race_stats *stats)
{
	if (r->one_cpu)
		return stats->loops;
	return stats->overlaps && (!r->ops->met || r->ops->met(r->ctx));
}

static void report(const struct race *r, const struct race_stats *stats)
{
	ksft_print_msg("%s: seed 0x%lx, %u loops in %lu ms, %u overlapped, A %lu ns, B %lu ns\n",
		       r->ops->name, stats->seed, stats->loops, stats->total_ms,
		       stats->overlaps, stats->a_ns, stats->b_ns);
	if (stats->failed_at)
		ksft_print_msg("%s: failed in loop %u\n", r->ops->name,
			       stats->failed_at);
	else if (!stats->overlaps || !has_met(r, stats))
		ksft_print_msg("%s: they never met%s\n", r->ops->name,
			       r->one_cpu ? ", with one CPU" : "");
}

static void run_loops(struct race *r, struct race_stats *stats,
		      unsigned int max_loops, unsigned int max_ms)
{
	struct race_rng rng = { .state = stats->seed };
	u64 start = now_ns();
	u64 end = start + max_ms * 1000000ULL;
	u64 last = end + MISS_MS * 1000000ULL;

	while (stats->loops < max_loops && now_ns() < end)
		if (!one_loop(r, &rng, stats))
			return;

	while (!has_met(r, stats) && now_ns() < last)
		if (!one_loop(r, &rng, stats))
			return;
}

/* Left alone, the scheduler often keeps the two on the same CPU. */
static void find_cpus(struct race *r)
{
	int cpu, nr = 0;

	if (sched_getaffinity(0, sizeof(r->all_cpus), &r->all_cpus))
		CPU_ZERO(&r->all_cpus);

	for (cpu = 0; cpu < CPU_SETSIZE && nr < 2; cpu++)
		if (CPU_ISSET(cpu, &r->all_cpus))
			r->cpu[nr++] = cpu;

	r->one_cpu = nr < 2;
}

bool race_run(const struct race_ops *ops, void *ctx, unsigned int max_loops,
	      unsigned int max_ms, struct race_stats *stats)
{
	struct race r = { .ops = ops, .ctx = ctx };
	pthread_t thread;
	u64 start;
	int ret;

	memset(stats, 0, sizeof(*stats));
	stats->seed = race_seed();
	start = now_ns();

	find_cpus(&r);
	ret = pthread_create(&thread, NULL, thread_b, &r);
	TEST_ASSERT(!ret, "pthread_create() failed: %s", strerror(ret));

	pin(&r, A);
	run_loops(&r, stats, limit("RACE_LOOPS", max_loops), race_ms(max_ms));
	r.stop = true;
	meet(&r, A);
	pthread_join(thread, NULL);
	if (!r.one_cpu)
		sched_setaffinity(0, sizeof(r.all_cpus), &r.all_cpus);

	stats->total_ms = (now_ns() - start) / 1000000;
	report(&r, stats);
	return has_met(&r, stats) && !stats->failed_at;
}
