// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: conversion to shared, piece by piece.
 *
 * What can fail is that a large folio has to be split, of which some task has a
 * reference.  So of more than a piece, all folios are split first, one piece
 * at a time, and the range is marked as opening meanwhile, which keeps others
 * from allocating large ones again.
 */

#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/sched/signal.h>

#include "convert.h"
#include "internal.h"
#include "state.h"

/* The first page from @start on that is in a large folio. */
static pgoff_t gmem_first_large(struct inode *inode, pgoff_t start, pgoff_t end)
{
	XA_STATE(xas, &inode->i_mapping->i_pages, start);
	struct folio *folio;

	gmem_assert_locked_write(inode);

	rcu_read_lock();
	xas_for_each(&xas, folio, end - 1) {
		if (xas_retry(&xas, folio) || !folio_test_large(folio))
			continue;
		start = max(start, folio->index);
		break;
	}
	rcu_read_unlock();
	return start;
}

/*
 * What is shared is mapped and converted page by page, so have only folios of
 * one page.  Private ones have no users, but a task that has found them by their
 * frame number can have a reference for a moment.
 */
static int gmem_split_for_shared(struct gmem_convert *c, pgoff_t start,
				 pgoff_t end)
{
	int ret = gmem_split_all(c->inode, start, end);

	if (ret == -EAGAIN || ret == -EBUSY)
		gmem_convert_blocked(c, gmem_first_large(c->inode, start, end),
				     ret == -EBUSY ? GUEST_MEMFD_BUSY_PINNED :
						     GUEST_MEMFD_BUSY_OTHER);
	return ret;
}

/* Hand the folios of [start, end), all of it private, to the host. */
static void gmem_open_folios(struct gmem_convert *c, pgoff_t start, pgoff_t end)
{
	struct folio_batch fbatch;
	unsigned int i;

	gmem_assert_locked_write(c->inode);

	folio_batch_init(&fbatch);
	while (filemap_get_folios(c->inode->i_mapping, &start, end - 1,
				  &fbatch)) {
		for (i = 0; i < folio_batch_count(&fbatch); i++) {
			struct folio *folio = fbatch.folios[i];

			gmem_restore(folio);
			/* Zeroed by the next look-up; see gmem_find_folio(). */
			if (!c->args->preserve)
				folio_clear_uptodate(folio);
			folio_put(folio);
		}
		folio_batch_init(&fbatch);
		cond_resched();
	}
}

static void gmem_open_private(struct gmem_convert *c, pgoff_t from, pgoff_t to)
{
	pgoff_t start = from, end;

	gmem_unprepare_range(c->inode, from, to);
	for_each_gmem_private(c->inode, start, end, to) {
		gmem_open_folios(c, start, end);
		cond_resched();
	}
	gmem_forget_prepared(c->inode, from, to);
	gmem_set_shared(c->inode, from, to, &c->spare);
}

/* There is no large folio in [start, end). */
static void gmem_commit_shared(struct gmem_convert *c, pgoff_t start,
			       pgoff_t end)
{
	pgoff_t first = start, after = end;

	gmem_assert_locked_write(c->inode);

	if (!gmem_next_private(c->inode, &first, &after))
		return;

	gmem_invalidate_start(c->inode, start, end);
	gmem_open_private(c, start, end);
	gmem_invalidate_end(c->inode, start, end);
}

static void gmem_init_open_wait(struct gmem_convert *c, struct gmem_backoff *b)
{
	if (c->args->wait)
		gmem_init_convert_wait(c, b);
	else
		gmem_init_split_wait(b, TASK_KILLABLE);
}

/* A folio could not be split: with the lock dropped, wait for a while. */
static int gmem_open_wait(struct gmem_convert *c, int err, struct gmem_backoff *b)
{
	int ret = c->args->wait ? gmem_backoff(b) : gmem_split_wait(b, err);

	return ret == -EBUSY ? -EAGAIN : ret;
}

/* The range is opening, no lock is held. */
static int gmem_split_pieces(struct gmem_convert *c)
{
	pgoff_t start = c->start, end;
	struct gmem_backoff backoff;
	int ret;

	gmem_init_open_wait(c, &backoff);
	while (gmem_next_piece(c->inode, &start, c->end, &end)) {
		ret = fatal_signal_pending(current) ? -EINTR :
		      gmem_lock_killable(c->inode);
		if (ret)
			return ret;
		ret = gmem_split_for_shared(c, start, end);
		gmem_convert_unlock(c);
		cond_resched();
		if (!ret) {
			start = end;
			continue;
		}
		if (ret != -EAGAIN && ret != -EBUSY)
			return ret;
		ret = gmem_open_wait(c, ret, &backoff);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * gmem_convert_to_shared - have all of a range shared
 * @c:		The conversion.
 *
 * Context: Process context, sleeps; takes invalidate_lock for write.
 * Return: As guest_memfd_convert().
 */
int gmem_convert_to_shared(struct gmem_convert *c)
{
	pgoff_t start = c->start, end = c->end;
	int ret;

	ret = gmem_convert_lock(c);
	if (ret)
		return ret;

	if (!gmem_next_private(c->inode, &start, &end))
		goto out_unlock;
	if (gmem_is_piece(c)) {
		ret = gmem_split_for_shared(c, c->start, c->end);
		if (ret == -EAGAIN || ret == -EBUSY)
			goto wait;
		if (ret)
			goto out_unlock;
		/* All of it at once. */
		gmem_commit_shared(c, c->start, c->end);
		goto out_unlock;
	}

wait:
	gmem_begin_convert(c);
	gmem_convert_unlock(c);

	ret = gmem_split_pieces(c);
	if (ret)
		goto out_end;
	ret = gmem_commit_pieces(c, gmem_commit_shared);
out_end:
	gmem_end_mark(c->inode, &c->mark);
	return ret;

out_unlock:
	gmem_convert_unlock(c);
	return ret;
}
