// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: what conversions to private and to shared have in common.
 */

#include <linux/fs.h>
#include <linux/sched/signal.h>

#include "convert.h"
#include "internal.h"

/* The first and the longest step of a wait for users. */
#define GMEM_MIN_WAIT_NS	(20 * NSEC_PER_USEC)
#define GMEM_MAX_WAIT_NS	(4 * NSEC_PER_MSEC)

/**
 * gmem_convert_blocked - note why a conversion is not possible
 * @c:		The conversion.
 * @index:	Index of the page that it is about.
 * @reason:	What is the matter with the page.
 *
 * Context: Any.
 * Return: -EAGAIN
 */
int gmem_convert_blocked(struct gmem_convert *c, pgoff_t index,
			 enum guest_memfd_busy reason)
{
	c->args->error_offset = (u64)index << PAGE_SHIFT;
	c->args->reason = reason;
	return -EAGAIN;
}

/**
 * gmem_convert_lock - take the lock when no other conversion is in the range
 * @c:		The conversion.
 *
 * Context: Process context, sleeps; takes invalidate_lock for write.
 * Return: 0 with the lock; -EAGAIN if the other one waits for users of its pages;
 *	   -EINTR if the task is being killed.
 */
int gmem_convert_lock(struct gmem_convert *c)
{
	enum gmem_marked marked;
	pgoff_t index;
	int ret;

	do {
		ret = gmem_lock_killable(c->inode);
		if (ret)
			return ret;
		index = c->start;
		marked = gmem_find_mark(c->inode, &index, c->end);
		if (!marked)
			return 0;

		filemap_invalidate_unlock(c->inode->i_mapping);
		if (marked == GMEM_MARKED_WAITS)
			return gmem_convert_blocked(c, index,
						    GUEST_MEMFD_BUSY_PENDING);
		ret = gmem_wait_mark(c->inode, c->start, c->end);
	} while (!ret);
	return ret;
}

void gmem_convert_unlock(struct gmem_convert *c)
{
	filemap_invalidate_unlock(c->inode->i_mapping);
}

/**
 * gmem_begin_convert - keep other conversions out, whether or not locked
 * @c:		The conversion, which calls gmem_end_mark() in the end.
 *
 * Context: After gmem_convert_lock().
 */
void gmem_begin_convert(struct gmem_convert *c)
{
	gmem_assert_locked_write(c->inode);

	c->mark.node.start = c->start;
	c->mark.node.last = c->end - 1;
	c->mark.opening = c->args->shared;
	c->mark.waits = c->args->wait;
	gmem_begin_mark(c->inode, &c->mark);
}

/**
 * gmem_init_convert_wait - prepare to wait as long as the caller has said
 * @c:		The conversion; may wait.
 * @b:		Filled in.
 *
 * Context: Any.
 */
void gmem_init_convert_wait(struct gmem_convert *c, struct gmem_backoff *b)
{
	gmem_init_backoff(b, GMEM_MIN_WAIT_NS, GMEM_MAX_WAIT_NS,
			  TASK_INTERRUPTIBLE);
	b->deadline = c->args->deadline;
}

/**
 * gmem_commit_pieces - change one piece after the other
 * @c:		The conversion, after gmem_begin_convert().
 * @commit:	Changes a piece, with invalidate_lock held for write.
 *
 * None of them can fail, and a signal does not matter, unless it kills.
 *
 * Context: Process context, sleeps; takes invalidate_lock for write.
 * Return: 0; -EINTR if the task is being killed, and a part from the start on
 *	   has been changed.
 */
int gmem_commit_pieces(struct gmem_convert *c,
		       void (*commit)(struct gmem_convert *c, pgoff_t start,
				      pgoff_t end))
{
	pgoff_t start, end;

	gmem_mark_commits(c->inode, &c->mark);
	for (start = c->start; start < c->end; start = end) {
		if (fatal_signal_pending(current) ||
		    gmem_lock_killable(c->inode))
			return -EINTR;
		end = gmem_state_piece_end(c->inode, start, c->end);
		commit(c, start, end);
		gmem_convert_unlock(c);
		cond_resched();
	}
	return 0;
}
