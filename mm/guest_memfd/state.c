// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: what of a convertible file is shared with the host.
 *
 * The state is a map of the ranges that are shared, see lib/range_map.c; what is
 * in none is private.  There are as many ranges as there are changes from one
 * page to the next, and all memory costs what a page costs.
 *
 * Next to it is a map of the ranges that are pending: a conversion to private
 * looks for users of them, or waits for these, without invalidate_lock.  They
 * are still shared, but the host gets no page of them.  Each has its
 * conversion's address as value, so that two that touch stay two, and an end of
 * one needs no memory.
 *
 * The state changes with invalidate_lock held for write, and does not while it
 * is held in any way.  Page faults hold it.  Look-ups take no lock of their own;
 * one without invalidate_lock finds each page as it is before a change or after,
 * and its caller knows by the client's own means, invalidate_start(), that a
 * change goes on.
 *
 * A range becomes pending with invalidate_lock held for write, so that no fault
 * is half way through, and may cease to be without.  Then two conversions change
 * the map at the same time, under its own lock alone.  That is safe because no
 * range is anything but one conversion's, and becomes only shorter, from its
 * start on: see range_map_store().
 */

#include <linux/range_map.h>
#include <linux/wait.h>

#include "internal.h"
#include "state.h"

/* The value of pages that are shared. */
#define GMEM_SHARED	1

void gmem_init_state(struct inode *inode)
{
	struct gmem_state *state = &GMEM_I(inode)->state;

	range_map_init(&state->shared);
	range_map_init(&state->pending);
	init_waitqueue_head(&state->wait);
}

/* The state of a new convertible file, whose flags and size are set. */
int gmem_start_state(struct inode *inode)
{
	struct range_map_range *spare;

	if (!(GMEM_I(inode)->flags & GUEST_MEMFD_SHARED))
		return 0;

	if (!gmem_alloc_ranges(&spare))
		return -ENOMEM;

	/* Nothing else knows the inode, but the lock is asserted. */
	filemap_invalidate_lock(inode->i_mapping);
	gmem_set_shared(inode, 0, i_size_read(inode) >> PAGE_SHIFT, &spare);
	filemap_invalidate_unlock(inode->i_mapping);
	gmem_free_ranges(&spare);
	return 0;
}

/* Nothing else knows the inode. */
void gmem_destroy_state(struct inode *inode)
{
	struct gmem_state *state = &GMEM_I(inode)->state;

	WARN_ON_ONCE(!range_map_is_empty(&state->pending));
	range_map_destroy(&state->shared);
}

/**
 * gmem_alloc_ranges - allocate what one conversion can need
 * @spare:	Becomes a list of ranges for gmem_set_shared() or
 *		gmem_set_private().
 *		One more is for gmem_begin_pending().
 *
 * Context: Process context, may sleep.
 * Return: false if there is no memory.
 */
bool gmem_alloc_ranges(struct range_map_range **spare)
{
	*spare = NULL;
	if (range_map_add_spares(spare, 2, GFP_KERNEL_ACCOUNT))
		return true;

	gmem_free_ranges(spare);
	return false;
}

/* What is left of them. */
void gmem_free_ranges(struct range_map_range **spare)
{
	range_map_free_spares(spare);
}

/**
 * gmem_is_shared - whether the host may access a page
 * @inode:	Inode of the file.
 * @index:	Page index.
 *
 * Context: Any but interrupts and the scheduler.  The answer can be old at once
 *	    unless invalidate_lock is held.
 * Return: true if it may, as far as the state goes.
 */
bool gmem_is_shared(struct inode *inode, pgoff_t index)
{
	struct range_map_run run;

	if (!gmem_is_convertible(inode))
		return gmem_all_shared(inode);

	range_map_lookup(&GMEM_I(inode)->state.shared, index, &run);
	return run.value;
}

/* How much of a convertible file the host may access. */
u64 gmem_shared_bytes(struct inode *inode)
{
	u64 nr_pages;

	/* Not while a change is half done. */
	filemap_invalidate_lock_shared(inode->i_mapping);
	nr_pages = GMEM_I(inode)->state.shared.nr_set;
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return nr_pages << PAGE_SHIFT;
}

/* Cut [start, end) down to its first run with the value; false if it has none. */
static bool gmem_next_run(struct range_map *map, pgoff_t *start, pgoff_t *end,
			  bool value)
{
	struct range_map_run run;
	pgoff_t index = *start;

	while (index < *end) {
		range_map_lookup(map, index, &run);
		if (!!run.value == value) {
			*start = index;
			*end = min(*end - 1, run.last) + 1;
			return true;
		}
		if (run.last >= *end - 1)
			break;
		index = run.last + 1;
	}
	return false;
}

/**
 * gmem_next_shared - find the first shared pages of a range
 * @inode:	Inode of a convertible file.
 * @start:	First page index; becomes that of the first shared page.
 * @end:	Page index after the last; becomes that after the last shared one.
 *
 * Context: invalidate_lock held.
 * Return: false if no page of the range is shared.
 */
bool gmem_next_shared(struct inode *inode, pgoff_t *start, pgoff_t *end)
{
	gmem_assert_locked(inode);
	return gmem_next_run(&GMEM_I(inode)->state.shared, start, end, true);
}

/**
 * gmem_next_private - find the first private pages of a range
 * @inode:	Inode of a convertible file.
 * @start:	First page index; becomes that of the first private page.
 * @end:	Page index after the last; becomes that after the last private one.
 *
 * Context: invalidate_lock held.
 * Return: false if no page of the range is private.
 */
bool gmem_next_private(struct inode *inode, pgoff_t *start, pgoff_t *end)
{
	gmem_assert_locked(inode);
	return gmem_next_run(&GMEM_I(inode)->state.shared, start, end, false);
}

/**
 * gmem_end_of_runs - cut a range behind as many changes as are done at a time
 * @inode:	Inode of a convertible file.
 * @start:	First page index.
 * @end:	Page index after the last.
 * @nr:		How many runs of equal pages to leave in the range.
 *
 * Context: invalidate_lock held.
 * Return: The page index after the last of these runs, at most @end.
 */
pgoff_t gmem_end_of_runs(struct inode *inode, pgoff_t start, pgoff_t end,
			 unsigned int nr)
{
	struct range_map_run run;

	gmem_assert_locked(inode);

	while (start < end && nr--) {
		range_map_lookup(&GMEM_I(inode)->state.shared, start, &run);
		start = min(end - 1, run.last) + 1;
	}
	return start;
}

/**
 * gmem_set_shared - make a range shared
 * @inode:	Inode of a convertible file.
 * @start:	First page index.
 * @end:	Page index after the last.
 * @spare:	From gmem_alloc_ranges().
 *
 * Context: Process context, may sleep; invalidate_lock held for write.
 */
void gmem_set_shared(struct inode *inode, pgoff_t start, pgoff_t end,
		     struct range_map_range **spare)
{
	gmem_assert_locked_write(inode);
	range_map_store(&GMEM_I(inode)->state.shared, start, end - 1,
			GMEM_SHARED, spare);
}

/**
 * gmem_set_private - make a range private
 * @inode:	Inode of a convertible file.
 * @start:	First page index.
 * @end:	Page index after the last.
 * @spare:	From gmem_alloc_ranges().
 *
 * Context: Process context, may sleep; invalidate_lock held for write.
 */
void gmem_set_private(struct inode *inode, pgoff_t start, pgoff_t end,
		      struct range_map_range **spare)
{
	gmem_assert_locked_write(inode);
	range_map_store(&GMEM_I(inode)->state.shared, start, end - 1, 0, spare);
}

/**
 * gmem_begin_pending - keep the host from using pages anew
 * @inode:	Inode of a convertible file.
 * @start:	First page index.
 * @end:	Page index after the last.
 * @owner:	The conversion, which differs from any other under way.
 * @spare:	From gmem_alloc_ranges().
 *
 * Context: Process context; invalidate_lock held for write.  The range overlaps
 *	    no pending one.
 */
void gmem_begin_pending(struct inode *inode, pgoff_t start, pgoff_t end,
			const void *owner, struct range_map_range **spare)
{
	gmem_assert_locked_write(inode);
	range_map_store(&GMEM_I(inode)->state.pending, start, end - 1,
			(unsigned long)owner, spare);
}

/**
 * gmem_end_pending - end what gmem_begin_pending() began, or the first part of it
 * @inode:	Inode of the file.
 * @start:	First page index that is still pending.
 * @end:	Page index after the last that is not to be any more.
 * @spare:	From gmem_alloc_ranges(); gets the range back.
 *
 * Context: Process context; by the owner of the range, with any locks.
 */
void gmem_end_pending(struct inode *inode, pgoff_t start, pgoff_t end,
		      struct range_map_range **spare)
{
	struct gmem_state *state = &GMEM_I(inode)->state;

	range_map_store(&state->pending, start, end - 1, 0, spare);
	wake_up_all(&state->wait);
}

/**
 * gmem_find_pending - look for a pending page in a range
 * @inode:	Inode of the file.
 * @start:	First page index; becomes that of the first pending page.
 * @end:	Page index after the last.
 *
 * Context: Any but interrupts and the scheduler.  With invalidate_lock held,
 *	    none appears after the answer.
 * Return: false if there is none.
 */
bool gmem_find_pending(struct inode *inode, pgoff_t *start, pgoff_t end)
{
	struct gmem_state *state = &GMEM_I(inode)->state;

	/* Pairs with nothing: a caller that must know holds invalidate_lock. */
	if (range_map_is_empty(&state->pending))
		return false;

	return gmem_next_run(&state->pending, start, &end, true);
}

/* How much is going to become private. */
u64 gmem_pending_bytes(struct inode *inode)
{
	struct gmem_state *state = &GMEM_I(inode)->state;

	return (u64)READ_ONCE(state->pending.nr_set) << PAGE_SHIFT;
}

/**
 * gmem_wait_pending - wait until a page is not pending any more
 * @inode:	Inode of the file; the caller sees to it that it stays.
 * @index:	Page index.
 *
 * Context: Process context, sleeps; no locks held.  A signal ends the wait.
 */
void gmem_wait_pending(struct inode *inode, pgoff_t index)
{
	wait_event_interruptible(GMEM_I(inode)->state.wait,
				 !gmem_is_pending(inode, index));
}
