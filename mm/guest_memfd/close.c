// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: conversion to private.
 *
 * No user may be left in the host.  See DOC: conversion for the races, and users.c
 * for what a user is.
 */

#include <linux/sched/signal.h>
#include <linux/swap.h>

#include "convert.h"
#include "internal.h"
#include "state.h"

/* No user has been found, and none comes.  Take the clients' mappings. */
static void gmem_commit_private(struct gmem_convert *c, pgoff_t start,
				pgoff_t end)
{
	pgoff_t first = start, after = end;

	gmem_assert_locked_write(c->inode);

	if (!gmem_next_shared(c->inode, &first, &after))
		return;

	gmem_invalidate_start(c->inode, start, end);
	gmem_set_private(c->inode, start, end, &c->spare);
	gmem_invalidate_end(c->inode, start, end);
}

/* The same, and let go the faults that wait for these pages. */
static void gmem_commit_pending(struct gmem_convert *c, pgoff_t start,
				pgoff_t end)
{
	gmem_commit_private(c, start, end);
	gmem_end_pending(c->inode, start, end, &c->spare);
	c->pending = end;
}

/* See that [start, end), at most a piece, has no user in the host. */
static int gmem_verify(struct gmem_convert *c, pgoff_t start, pgoff_t end)
{
	gmem_assert_locked_write(c->inode);

	gmem_unmap(c->inode, start, end);
	/* mlock() and munlock() keep references for a while, here by ourselves. */
	lru_add_drain();
	return gmem_check_range(c, start, end) ?:
	       gmem_freeze_range(c, start, end);
}

/* Whether the user that was found can be a CPU that collects folios for a list. */
static bool gmem_may_drain(struct gmem_convert *c)
{
	return !c->drained && c->args->reason == GUEST_MEMFD_BUSY_OTHER;
}

/*
 * With movable folios it is one now and then, as they are on an LRU list: then it is
 * worth asking all of them at once.
 */
static bool gmem_wants_drain(struct gmem_convert *c)
{
	return gmem_is_movable(c->inode) && gmem_may_drain(c);
}

/*
 * The range is pending, no lock is held.  Look again and again, from the page on
 * that was in use: those before have no user and get none.
 */
static int gmem_verify_pieces(struct gmem_convert *c)
{
	pgoff_t start = c->start, end;
	struct gmem_backoff backoff;
	int ret;

	gmem_init_convert_wait(c, &backoff);
	while (gmem_next_piece(c->inode, &start, c->end, &end)) {
		ret = fatal_signal_pending(current) ? -EINTR :
		      gmem_lock_killable(c->inode);
		if (ret)
			return ret;
		ret = gmem_verify(c, start, end);
		gmem_convert_unlock(c);
		cond_resched();
		start = end;
		if (!ret)
			continue;
		if (gmem_wants_drain(c)) {
			ret = gmem_drain_lists();
			if (ret)
				return ret;
			c->drained = true;
			start = c->args->error_offset >> PAGE_SHIFT;
			continue;
		}
		if (!c->args->wait)
			return ret;

		ret = gmem_backoff(&backoff);
		/* No user but such a CPU is none, however short the time. */
		if (ret == -EAGAIN && gmem_may_drain(c)) {
			ret = gmem_drain_lists();
			c->drained = true;
		}
		if (ret)
			return ret;
		start = c->args->error_offset >> PAGE_SHIFT;
	}
	return 0;
}

/* A piece is done at once, with the lock, unless it has users. */
static int gmem_try_private(struct gmem_convert *c)
{
	int ret;

	gmem_assert_locked_write(c->inode);

	ret = gmem_verify(c, c->start, c->end);
	if (!ret)
		gmem_commit_private(c, c->start, c->end);
	return ret;
}

/**
 * gmem_convert_to_private - have all of a range private
 * @c:		The conversion.
 *
 * Context: Process context, sleeps; takes invalidate_lock for write.
 * Return: As guest_memfd_convert().
 */
int gmem_convert_to_private(struct gmem_convert *c)
{
	pgoff_t start = c->start, end = c->end;
	int ret;

	ret = gmem_convert_lock(c);
	if (ret)
		return ret;

	if (!gmem_next_shared(c->inode, &start, &end))
		goto out_unlock;
	if (gmem_is_piece(c)) {
		ret = gmem_try_private(c);
		if (ret && gmem_wants_drain(c))
			goto pending;
		if (!ret || !c->args->wait)
			goto out_unlock;
	}

pending:
	c->pending = c->start;
	gmem_begin_pending(c->inode, c->start, c->end, c, &c->spare);
	gmem_begin_convert(c);
	gmem_convert_unlock(c);

	ret = gmem_verify_pieces(c) ?:
	      gmem_commit_pieces(c, gmem_commit_pending);
	if (c->pending < c->end)
		gmem_end_pending(c->inode, c->pending, c->end, &c->spare);
	gmem_end_mark(c->inode, &c->mark);
	return ret;

out_unlock:
	gmem_convert_unlock(c);
	return ret;
}
