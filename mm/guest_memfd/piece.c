// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: work on a range, piece by piece.
 *
 * A piece is what is done under one hold of invalidate_lock: at most GMEM_PIECE
 * page indices, and inside of one naturally aligned block of as many.  A large
 * folio is never in two such blocks, and neither is a client's mapping of one.
 */

/**
 * DOC: progress
 *
 * A range can be any size, and invalidate_lock keeps page faults, changes of memory
 * slots and others waiting.  So no operation holds
 * it for longer than for one piece: 512 pages, or 2 MiB.  In between it drops
 * the lock, which then goes to the tasks that wait; they can be killed meanwhile.
 * What has left the file is freed without the lock.
 * What an allocation lacks is reclaimed without it: see gmem_make_room().
 * Where large folios leave the file a batch of them, up to 15, is one piece: that
 * takes a small part of the time of 512 small ones.
 * What is atomic is:
 *
 * =====================  ====================================================
 * allocation             each folio
 * hole                   each piece
 * release, and unbind    each piece; what is looked up fails from the start
 * split for a hole       large folios at its edges are split before, and if that
 *                        fails nothing has changed
 * conversion             the whole, unless the task is killed: then each
 *                        piece; see DOC: conversion
 * query                  the state, the whole; how much is resident, nothing
 * =====================  ====================================================
 *
 * Pieces are where folios are.  Pages that are mapped, by the host or by a
 * client, are in the file: they are mapped when they have been looked up, and
 * they leave the file after all have been told to drop their mappings.  So where
 * there is no folio, nothing has to be unmapped, and a hole of 2^63 bytes costs
 * as much as what is in it.
 *
 * A change of state is different: clients are told of all of it, as it can
 * contradict what they know; see gmem_state_piece_end().
 */

#include <linux/export.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/xarray.h>
#include <trace/events/guest_memfd.h>

#include "backoff.h"
#include "internal.h"
#include "state.h"

/*
 * As much that is empty can go along with a piece.  It costs something where it
 * is bound, since a client may keep page tables in which nothing is left.
 */
#define GMEM_PIECE_EMPTY	(GMEM_PIECE * 512UL)

/**
 * gmem_state_piece_end - how much of a range may change its state at a time
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * That is one piece with memory, and before it what is empty: all of it up to
 * the first binding, and 1 GiB at most of what is bound.  So the number of parts
 * follows what there is of memory and of bindings, not the size of the file.  In
 * one part the state changes no more often than it can within a piece.
 *
 * Context: Any; invalidate_lock held.
 * Return: The page index after the last of that part.
 */
pgoff_t gmem_state_piece_end(struct inode *inode, pgoff_t start, pgoff_t end)
{
	pgoff_t first = start, after = end, most;

	gmem_assert_locked(inode);

	if (!gmem_next_piece(inode, &first, end, &after))
		after = end;
	if (after - start > GMEM_PIECE)
		after = gmem_end_of_runs(inode, start, after, GMEM_PIECE);
	if (after - start <= GMEM_PIECE_EMPTY)
		return after;

	most = round_down(start, GMEM_PIECE) + GMEM_PIECE_EMPTY;
	return min(after, max(most, gmem_first_bound(inode, start, after)));
}

/**
 * gmem_removal_end - how much can be removed like one piece
 * @inode:	Inode of the file.
 * @start:	First page index of a piece.
 * @end:	Page index after the last that is to be removed at all.
 * @piece_end:	Page index after the last of the piece.
 *
 * If neither the host nor a client has to be told of each page, and there is but
 * one client, then to remove a large folio is little work for the one that holds
 * the lock: it is one entry of each tree, and is freed later.
 *
 * Context: Any; invalidate_lock held for write.
 * Return: @piece_end, or the end of up to GMEM_PIECE_LARGE large folios.
 */
pgoff_t gmem_removal_end(struct inode *inode, pgoff_t start, pgoff_t end,
			 pgoff_t piece_end)
{
	XA_STATE(xas, &inode->i_mapping->i_pages, start);
	pgoff_t index = start;
	struct folio *folio;

	gmem_assert_locked_write(inode);

	if (gmem_has_prepared(inode))
		return piece_end;
	if (gmem_was_mapped(inode) ||
	    READ_ONCE(GMEM_I(inode)->has_poison))
		return piece_end;

	end = gmem_end_of_claim(inode, start, end);
	if (gmem_all_huge(inode))
		return max(piece_end,
			   min(round_down(end, GMEM_PIECE),
			       round_down(start, GMEM_PIECE) +
			       GMEM_PIECE * GMEM_PIECE_LARGE));

	rcu_read_lock();
	xas_for_each(&xas, folio, end - 1) {
		if (folio->index != index || end - index < GMEM_PIECE ||
		    folio_nr_pages(folio) != GMEM_PIECE)
			break;
		index += GMEM_PIECE;
		if (index - start == GMEM_PIECE * GMEM_PIECE_LARGE)
			break;
		xas_advance(&xas, index - 1);
	}
	rcu_read_unlock();
	return max(piece_end, index);
}

/* Returns the page index up to which nothing is left, and adds to @nr_pages. */
static pgoff_t gmem_remove_piece(struct inode *inode, pgoff_t start, pgoff_t end,
				 struct list_head *removed,
				 unsigned long *nr_pages)
{
	pgoff_t index;

	gmem_assert_locked_write(inode);

	gmem_invalidate_start(inode, start, end);
	gmem_unmap(inode, start, end);
	*nr_pages += inode->i_mapping->nrpages;
	gmem_unprepare_range(inode, start, end);
	index = gmem_remove_folios(inode, start, end, removed);
	*nr_pages -= inode->i_mapping->nrpages;
	gmem_invalidate_end(inode, start, end);
	return index;
}

/*
 * The piece from @start to @after, or more of what is before @end, or less; @after
 * becomes the page index up to which it has been done.
 */
static int gmem_punch_piece(struct inode *inode, pgoff_t start, pgoff_t end,
			    pgoff_t *after, unsigned long *nr_pages)
{
	bool losing = false;
	LIST_HEAD(removed);
	pgoff_t index;
	int ret;

	ret = gmem_lock_killable(inode);
	if (ret)
		return ret;

	ret = gmem_split_range(inode, start, *after);
	if (ret)
		goto out_unlock;
	*after = gmem_removal_end(inode, start, end, *after);
	index = gmem_remove_piece(inode, start, *after, &removed, nr_pages);
	losing = index < *after;
	*after = index;
out_unlock:
	filemap_invalidate_unlock(inode->i_mapping);
	gmem_free_folios(&removed);
	/* memory_failure() records the page, and the next look splits the folio. */
	if (losing)
		schedule_timeout_killable(1);
	return ret;
}

/* What can fail comes before anything is removed. */
static int gmem_prepare_hole(struct inode *inode, pgoff_t start, pgoff_t end)
{
	pgoff_t after;
	int ret;

	/* A single piece fails as a whole anyway. */
	if (end <= gmem_block_end(start))
		return 0;

	ret = gmem_split_piece(inode, start, gmem_block_end(start));
	if (!ret)
		ret = gmem_split_piece(inode, round_down(end - 1, GMEM_PIECE),
				       end);
	if (!READ_ONCE(GMEM_I(inode)->has_poison))
		return ret;

	while (!ret && gmem_next_piece(inode, &start, end, &after)) {
		ret = fatal_signal_pending(current) ? -EINTR :
		      gmem_split_piece(inode, start, after);
		start = after;
		cond_resched();
	}
	return ret;
}

/**
 * gmem_punch_hole - give the memory of a range back
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last; not beyond the file.
 *
 * Context: Process context, sleeps; takes invalidate_lock for write, for each
 *	    piece.
 * Return: 0; -EINTR if the task is being killed: some pieces are gone.
 *	   -EBUSY if a folio at an edge cannot be split, -ENOMEM, and nothing has
 *	   changed.  That can also happen later, if a large folio has been
 *	   allocated across an edge after the beginning.
 */
int gmem_punch_hole(struct inode *inode, pgoff_t start, pgoff_t end)
{
	pgoff_t next = start, after;
	unsigned long nr_pages = 0;
	int ret = 0;

	ret = gmem_prepare_hole(inode, start, end);
	while (!ret && gmem_next_piece(inode, &next, end, &after)) {
		if (fatal_signal_pending(current))
			ret = -EINTR;
		else
			ret = gmem_punch_piece(inode, next, end, &after,
					       &nr_pages);
		if (ret == -EAGAIN || ret == -EBUSY) {
			/* Wait for references without the lock, look again. */
			ret = gmem_split_piece(inode, next, after);
			continue;
		}
		next = after;
		cond_resched();
	}
	if (!ret || nr_pages)
		trace_guest_memfd_punch_hole(inode, start, end, nr_pages);
	return ret;
}

/* The first memory of @b from @from on; or there is none, and @b ends. */
static void gmem_unbind_piece(struct inode *inode,
			      struct guest_memfd_binding *b, pgoff_t *from)
{
	pgoff_t start = max(*from, b->node.start);
	pgoff_t after = b->node.last + 1;
	pgoff_t end = after;

	gmem_assert_locked_write(inode);

	if (gmem_next_piece(inode, &start, end, &after)) {
		after = gmem_removal_end(inode, start, end, after);
		b->ops->invalidate_start(b, start, after);
		gmem_unprepare(inode, b, start, after);
		b->ops->invalidate_end(b, start, after);
	}
	if (after == end)
		gmem_detach(inode, b);
	*from = after;
}

/**
 * guest_memfd_unbind_next - end claims on a file that is being released
 * @file:	The file.
 * @from:	Where to go on; 0 for the first call.
 *
 * From the first call on, nothing in the file can be looked up.  Call it until
 * it returns false.  Of the first binding at or behind @from, a piece is
 * invalidated; after its last one it is detached.  The client still owns the
 * binding and calls guest_memfd_unbind() as usual, perhaps before that.  The memory
 * is freed after the client's release operation, when no lock of the client is
 * held.
 *
 * Context: The client's release operation, with the lock that orders this
 *	    against guest_memfd_unbind(), which is best dropped between calls.
 *	    Takes invalidate_lock for write.
 * Return: false if there is no binding left.
 */
bool guest_memfd_unbind_next(struct file *file, pgoff_t *from)
{
	struct inode *inode = file_inode(file);
	struct guest_memfd_binding *b;

	filemap_invalidate_lock(inode->i_mapping);
	/* Pairs with READ_ONCE() in guest_memfd_try_get_page(). */
	WRITE_ONCE(GMEM_I(inode)->closing, true);
	b = gmem_first_binding(inode, *from, ULONG_MAX);
	if (b) {
		GMEM_I(inode)->was_bound = true;
		gmem_unbind_piece(inode, b, from);
	}
	filemap_invalidate_unlock(inode->i_mapping);
	return b;
}
EXPORT_SYMBOL_GPL(guest_memfd_unbind_next);

/**
 * gmem_remove_all - free the memory of a file that is being released
 * @inode:	Inode of the file, which can stay long after: for a descriptor
 *		with O_PATH, or for inotify.
 *
 * Neither binding nor mapping is left, and nothing is allocated any more.
 *
 * Context: Process context, sleeps; takes invalidate_lock for write, for each
 *	    piece.
 */
void gmem_remove_all(struct inode *inode)
{
	struct gmem_backoff backoff;
	pgoff_t stuck = ULONG_MAX;
	pgoff_t start = 0, end;
	LIST_HEAD(removed);

	while (gmem_next_piece(inode, &start, ULONG_MAX, &end)) {
		filemap_invalidate_lock(inode->i_mapping);
		end = gmem_removal_end(inode, start, ULONG_MAX, end);
		start = gmem_remove_folios(inode, start, end, &removed);
		filemap_invalidate_unlock(inode->i_mapping);
		gmem_free_folios(&removed);
		if (start < end) {
			/* A wait for each folio, however long release takes. */
			if (start != stuck)
				gmem_init_split_wait(&backoff,
						     TASK_UNINTERRUPTIBLE);
			stuck = start;
			gmem_split_for_release(inode, &backoff);
		}
		cond_resched();
	}
}
