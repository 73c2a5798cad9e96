// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: wait for references to folios to be dropped.
 *
 * 6.1 does not tell when a reference is put.  So the caller looks, sleeps here
 * without any lock, and looks again, until it has seen enough or the time is over.
 */

#include <linux/hrtimer.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>

#include "backoff.h"

/* Steps from one look into the lists of all CPUs to the next. */
#define GMEM_DRAIN_ROUNDS	16

/**
 * gmem_init_backoff - prepare for gmem_backoff()
 * @b:		Filled in.  The wait has no deadline; the caller sets one.
 * @delay:	The first step in nanoseconds.
 * @max_delay:	The longest step in nanoseconds.
 * @state:	The state to sleep in, which says what signals end the wait.
 *
 * Context: Any.
 */
void gmem_init_backoff(struct gmem_backoff *b, u64 delay, u64 max_delay,
		       unsigned int state)
{
	*b = (struct gmem_backoff) {
		.start		= ktime_get(),
		.deadline	= KTIME_MAX,
		.delay		= delay,
		.max_delay	= max_delay,
		.state		= state,
	};
}

/**
 * gmem_backoff - sleep for a step
 * @b:		The wait.
 *
 * Some references are those that mlock() and munlock() keep for a while in lists
 * of each CPU.  These are emptied in the second step and now and then.
 *
 * Context: Process context, sleeps; without any lock that a user of the folios
 *	    may wait for.
 * Return: 0; -EAGAIN if the time is over; -EINTR if there is a signal.
 */
int gmem_backoff(struct gmem_backoff *b)
{
	ktime_t now = ktime_get(), wake;

	if (ktime_compare(now, b->deadline) >= 0)
		return -EAGAIN;

	if (b->round++ % GMEM_DRAIN_ROUNDS == 1)
		lru_add_drain_all();

	wake = ktime_add_safe(now, b->delay);
	if (ktime_compare(b->deadline, wake) < 0)
		wake = b->deadline;

	set_current_state(b->state);
	schedule_hrtimeout_range(&wake, b->delay / 8, HRTIMER_MODE_ABS);
	b->delay = min(2 * b->delay, b->max_delay);
	return signal_pending_state(b->state, current) ? -EINTR : 0;
}
