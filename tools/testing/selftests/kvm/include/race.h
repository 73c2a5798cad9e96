/* SPDX-License-Identifier: GPL-2.0 */
/*
 * race: run two pieces of code against each other, at every offset in time.
 *
 * A race is a pair of callbacks, run_a() in the calling thread and run_b() in
 * a second one.  In each loop both threads meet, run their callback, and meet
 * again; only then are check() and the next setup() called, in the calling
 * thread with the other one idle.
 *
 * The first loops sample how long the callbacks take.  After that, one of the
 * two threads is held back by a random time, from "A ends as B begins" to "B
 * ends as A begins", so that each part of one callback meets each part of the
 * other.  With a single CPU the threads yield instead of spinning and take
 * turns where the scheduler puts them.
 *
 * A race that the two never ran says nothing: it has failed.
 *
 * Environment: RACE_SEED (repeat a run), RACE_LOOPS and RACE_MS (limits per
 * race; the limit that is reached first counts), RACE_PERCENT (of the time that
 * a race has without RACE_MS).
 */
#ifndef SELFTEST_KVM_RACE_H
#define SELFTEST_KVM_RACE_H

#include <stdbool.h>
#include <linux/types.h>

struct race_ops {
	const char *name;

	/* Before each loop.  May be NULL. */
	void (*setup)(void *ctx);
	/* The two sides.  They must end by themselves. */
	void (*run_a)(void *ctx);
	void (*run_b)(void *ctx);
	/* The post-condition: false ends the race.  Cleans up, too. */
	bool (*check)(void *ctx);
	/* Whether both outcomes were seen by now.  May be NULL. */
	bool (*met)(void *ctx);
};

struct race_stats {
	u64 seed;
	unsigned int loops;	/* loops that were run */
	unsigned int overlaps;	/* ... in which A and B ran at the same time */
	unsigned int failed_at;	/* 1-based loop of the failure, or 0 */
	u64 a_ns, b_ns;	/* average run time of A, B when sampled */
	u64 total_ms;
};

/* State of a small generator (splitmix64); any seed is good. */
struct race_rng {
	u64 state;
};

/* RACE_SEED of the environment, else something new in each process. */
u64 race_seed(void);
u64 race_random(struct race_rng *rng);
/* Return: a value in [0, bound), 0 if @bound is 0. */
u64 race_random_below(struct race_rng *rng, u64 bound);

/* Return: @ms, or what the environment makes of it. */
unsigned int race_ms(unsigned int ms);

/*
 * Return: true if check() held in each loop, A and B ran at the same time in at
 * least one, and met() says true.  To that end it goes on for up to a minute
 * more; only if there is just one CPU it does not count.  Prints seed and
 * statistics.
 */
bool race_run(const struct race_ops *ops, void *ctx, unsigned int max_loops,
	      unsigned int max_ms, struct race_stats *stats);

#endif /* SELFTEST_KVM_RACE_H */
