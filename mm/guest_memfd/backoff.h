/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Waiting for references to be dropped; see backoff.c.
 */
#ifndef _MM_GUEST_MEMFD_BACKOFF_H
#define _MM_GUEST_MEMFD_BACKOFF_H

#include <linux/ktime.h>

/**
 * struct gmem_backoff - a wait in steps, each twice as long as the one before
 * @start:	When it began.
 * @deadline:	When it is over.
 * @delay:	The next step, in nanoseconds.
 * @max_delay:	The longest step, in nanoseconds.
 * @state:	TASK_INTERRUPTIBLE, TASK_KILLABLE or TASK_UNINTERRUPTIBLE.
 * @round:	Steps done.
 */
struct gmem_backoff {
	ktime_t start;
	ktime_t deadline;
	u64 delay;
	u64 max_delay;
	unsigned int state;
	unsigned int round;
};

void gmem_init_backoff(struct gmem_backoff *b, u64 delay, u64 max_delay,
		       unsigned int state);
int gmem_backoff(struct gmem_backoff *b);
int gmem_drain_lists(void);

#endif /* _MM_GUEST_MEMFD_BACKOFF_H */
