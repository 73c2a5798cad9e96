/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fail_nth: make every allocation of one operation fail, one after the other.
 *
 * Writing N to /proc/thread-self/fail-nth makes the Nth call to a fault
 * injection site (slab, page allocator, user copy) by this thread fail, and
 * the value reads back as zero once it did.  A sweep runs an operation with
 * N = 1, 2, 3... until nothing is injected any more, which visits every site
 * the operation passes:
 *
 *	setup, [inject N] run [end], failed?  unchanged, run, done  -> teardown
 *				     else     done                 -> teardown
 *
 * A dry run comes first.
 *
 * The default settings of failslab and fail_page_alloc skip exactly the
 * allocations of interest (those that may sleep, highmem, order 0); a session
 * changes the settings and puts them back at its end, and at exit().
 *
 * Only what the calling thread does in task context is counted.  All
 * callbacks run in that thread.
 */
#ifndef SELFTEST_KVM_FAIL_NTH_H
#define SELFTEST_KVM_FAIL_NTH_H

#include <stdbool.h>

#define FAIL_NTH_MAX_ERRNOS	4
#define FAIL_NTH_DEFAULT_MAX	4000

struct fail_nth_op {
	const char *name;

	/* Prepare a fresh state; no fault is injected.  May be NULL. */
	void (*setup)(void *ctx);
	/* The operation: 0 or more on success, a negative errno on failure. */
	int (*run)(void *ctx);
	/* After a failure: is everything as before run()?  May be NULL. */
	bool (*unchanged)(void *ctx);
	/* After a success: did run() do all of its work?  May be NULL. */
	bool (*done)(void *ctx);
	/* Undo setup() and run(), whether run() succeeded or not. */
	void (*teardown)(void *ctx);

	/* Errnos run() may fail with when injected; 0 ends the list. */
	int errnos[FAIL_NTH_MAX_ERRNOS];
	/* Otherwise a sweep that injects nothing has failed. */
	bool may_allocate_nothing;
	/* Highest N; a sweep that gets there has failed. 0: the default. */
	unsigned int max;
};

struct fail_nth_stats {
	unsigned int points;	/* faults that were injected */
	unsigned int failed;	/* ... and made the operation fail */
	unsigned int absorbed;	/* ... and did not */
};

/*
 * Return: 0, -EOPNOTSUPP if the kernel or the environment has no fault
 * injection (fail_nth_reason() says what is missing), -errno otherwise.
 */
int fail_nth_open(void);
void fail_nth_close(void);
const char *fail_nth_reason(void);

/* Make the Nth site of this thread fail.  Only within a session. */
void fail_nth_arm(unsigned int nth);
/* End that.  Return: true if a fault was injected since fail_nth_arm(). */
bool fail_nth_disarm(void);

/*
 * Return: true if at least one fault was injected, each one led to success
 * or to a permitted errno with the state unchanged, and a retry succeeded.
 */
bool fail_nth_sweep(const struct fail_nth_op *op, void *ctx,
		    struct fail_nth_stats *stats);

/*
 * A session with one sweep, which must be good; ENOMEM is permitted if the
 * operation names no errno.  Skips the test where fault injection is missing.
 */
void fail_nth_check(struct fail_nth_op *op, void *ctx);

#endif /* SELFTEST_KVM_FAIL_NTH_H */
