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
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "backoff.h"

/* Steps from one look into the lists of all CPUs to the next. */
#define GMEM_DRAIN_ROUNDS	16

static void gmem_drain_work(struct work_struct *work);

/*
 * lru_add_drain_all() waits for all CPUs, and a task with real-time priority can
 * keep one of them busy for ever.  A work item can wait for that.
 */
static DECLARE_WORK(gmem_drain, gmem_drain_work);
static DECLARE_WAIT_QUEUE_HEAD(gmem_drain_wait);
/* How often it has begun, and which of these times has ended last. */
static unsigned long gmem_drains_begun, gmem_drains_ended;

static void gmem_drain_work(struct work_struct *work)
{
	unsigned long n = gmem_drains_begun + 1;

	WRITE_ONCE(gmem_drains_begun, n);
	/* Pairs with the one in gmem_drain_lists(). */
	smp_mb();
	lru_add_drain_all();
	WRITE_ONCE(gmem_drains_ended, n);
	wake_up_all(&gmem_drain_wait);
}

/**
 * gmem_drain_lists - empty the lists of pages that each CPU has
 *
 * Context: Process context, sleeps; without any lock that a user of the folios
 *	    may wait for.
 * Return: 0, and what was in the lists at the time of the call is not any more, or
 *	   a CPU has been too busy for a second; -EINTR if the task is being killed.
 */
int gmem_drain_lists(void)
{
	unsigned long n;

	/* What has begun before may be through with some of the lists. */
	smp_mb();
	n = READ_ONCE(gmem_drains_begun) + 1;
	queue_work(system_unbound_wq, &gmem_drain);
	return wait_event_killable_timeout(gmem_drain_wait,
		(long)(READ_ONCE(gmem_drains_ended) - n) >= 0, HZ) < 0 ?
	       -EINTR : 0;
}

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
 * of each CPU.  These are emptied during the second step and now and then.
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
		queue_work(system_unbound_wq, &gmem_drain);

	wake = ktime_add_safe(now, b->delay);
	if (ktime_compare(b->deadline, wake) < 0)
		wake = b->deadline;

	set_current_state(b->state);
	schedule_hrtimeout_range(&wake, b->delay / 8, HRTIMER_MODE_ABS);
	b->delay = min(2 * b->delay, b->max_delay);
	return signal_pending_state(b->state, current) ? -EINTR : 0;
}
