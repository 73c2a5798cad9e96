// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: conversion between private and shared, in place.
 */

/**
 * DOC: conversion
 *
 * In a convertible file each page is either private or shared.  The host can map
 * and use what is shared; guest_memfd_convert() changes a range from one to the
 * other, and the memory stays where it is.
 *
 * To shared is simple: clients drop their mappings, large folios are split (see
 * DOC: splitting), the state changes, and what was in the pages is gone before
 * somebody looks: a folio that is not up to date is zeroed when it is looked up
 * next.
 *
 * To private, nobody in the host may be left who uses a page.  Users are page
 * tables, which can be told to let go, and holders of references, who cannot:
 * get_user_pages() for a read with O_DIRECT, a pipe that has been fed by
 * vmsplice(), a long-term pin (which is therefore refused).  What is left to do
 * is to wait for them, or to give up with -EAGAIN.  Either all of the range is
 * converted or nothing is.
 *
 * Without waiting, everything happens under invalidate_lock held for write.  No
 * page fault can begin; one that has passed its check maps its page under the
 * folio lock alone::
 *
 *	CPU 0: fault				CPU 1: conversion
 *
 *	invalidate_lock (read)
 *	  page is shared, lock folio
 *	unlock
 *						invalidate_lock (write)
 *						  unmap the range
 *	set the PTE, unlock folio
 *						  mapped again: lock folio,
 *						  unmap, unlock
 *						  references as expected?
 *						  clients drop mappings
 *						  freeze and thaw each folio
 *						  state = private
 *						unlock
 *
 * After its PTE is gone, a page can be had only by a fault, which waits for
 * invalidate_lock and then sees the new state.  So a count of references which is
 * as expected stays so: a page that has passed need not be looked at again while
 * others are.  get_user_pages_fast() takes its reference first and looks at the
 * PTE afterwards, and the conversion does it in the opposite order::
 *
 *	CPU 0: get_user_pages_fast()		CPU 1: conversion
 *
 *	read the PTE
 *	take a reference
 *	read the PTE again			clear the PTE
 *						read the count
 *
 * Either CPU 0 sees that the PTE has changed, and drops its reference without
 * using the page, or CPU 1 sees the reference.  All of these are full barriers.
 * A folio whose count is frozen cannot get a reference at all.
 *
 * To wait, invalidate_lock must be dropped: whoever has a page may need the lock
 * to be done with it.  From then on it is a mark in the state, "pending", that
 * keeps new users out.  A fault in user mode on a pending page waits for the
 * conversion to end, without any lock, and is tried again.  Any other access is
 * refused at once, since it may be by somebody who holds another page of the
 * range and would wait for himself::
 *
 *	read(2) with O_DIRECT			conversion of pages 0 and 1
 *
 *	get page 0
 *						page 0 has a user: pending
 *	get page 1: pending, -EFAULT
 *	put page 0
 *						free: convert
 *
 * Clients may use pending pages until the conversion is complete: their mappings
 * go in the end.  They are better off to wait, too, as anybody who shares memory
 * with a guest knows when it is not to be touched.
 *
 * The locks, from outside to inside::
 *
 *	mmap_lock
 *	  invalidate_lock
 *	    folio lock
 *	      i_mmap_rwsem, page table locks	unmapping
 *	    i_pages lock			freezing
 *	    locks of clients			invalidate_start()
 *	      gmem_state.lock
 */

#include <linux/export.h>
#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/pagevec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <trace/events/guest_memfd.h>

#include "convert.h"
#include "internal.h"
#include "state.h"

/* How long to sleep before looking again: twice as long each time. */
#define GMEM_MIN_BACKOFF_NS	(20 * NSEC_PER_USEC)
#define GMEM_MAX_BACKOFF_NS	(4 * NSEC_PER_MSEC)

/* Rounds of looking from one look into the lists of all CPUs to the next. */
#define GMEM_DRAIN_ROUNDS	16

/* As many pages are unmapped before the lock is taken, and once more with it. */
#define GMEM_UNMAP_AHEAD	512

/* No user has been found.  Take the clients' mappings, and it is done. */
static int gmem_commit_private(struct gmem_convert *c)
{
	int ret;

	gmem_assert_locked_write(c->inode);

	gmem_invalidate_start(c->inode, c->start, c->end);
	ret = gmem_freeze_range(c);
	if (!ret)
		gmem_set_private(c->inode, c->start, c->end, &c->spare);
	gmem_invalidate_end(c->inode, c->start, c->end);
	return ret;
}

static int gmem_try_private(struct gmem_convert *c)
{
	int ret;

	gmem_assert_locked_write(c->inode);

	ret = gmem_check_range(c, c->start);
	return ret ?: gmem_commit_private(c);
}

/*
 * Returns 0 or -EAGAIN, and in the latter case leaves the range as pending if it
 * is worth to wait.
 */
static int gmem_convert_to_private(struct gmem_convert *c)
{
	pgoff_t start = c->start, end = c->end;
	int ret;

	gmem_assert_locked_write(c->inode);

	if (!gmem_next_shared(c->inode, &start, &end))
		return 0;

	gmem_unmap(c->inode, c->start, c->end);
	/* mlock() and munlock() keep references for a while, here by ourselves. */
	lru_add_drain();
	ret = gmem_try_private(c);
	if (ret && c->args->wait) {
		c->pending.start = c->start;
		c->pending.last = c->end - 1;
		gmem_begin_pending(c->inode, &c->pending);
	} else if (ret) {
		lru_add_drain_all();
		ret = gmem_try_private(c);
	}
	return ret;
}

static int gmem_convert_sleep(struct gmem_convert *c, u64 *backoff)
{
	ktime_t now = ktime_get(), wake;

	if (ktime_compare(now, c->args->deadline) >= 0)
		return -EAGAIN;

	wake = ktime_add_ns(now, *backoff);
	if (ktime_compare(c->args->deadline, wake) < 0)
		wake = c->args->deadline;

	set_current_state(TASK_INTERRUPTIBLE);
	schedule_hrtimeout_range(&wake, *backoff / 8, HRTIMER_MODE_ABS);
	*backoff = min_t(u64, *backoff * 2, GMEM_MAX_BACKOFF_NS);
	return signal_pending(current) ? -EINTR : 0;
}

/*
 * The range is pending, no lock is held.  6.1 tells nobody when a reference is
 * put, so look again and again, from the page on that was in use: those before
 * have no user and get none.
 */
static int gmem_wait_for_users(struct gmem_convert *c)
{
	struct address_space *mapping = c->inode->i_mapping;
	u64 backoff = GMEM_MIN_BACKOFF_NS;
	pgoff_t from = c->start;
	unsigned int round;
	int ret, err;

	for (round = 0;; round++) {
		/*
		 * mlock() keeps references in lists of each CPU, and so does
		 * munlock() of what a late fault has mapped and we unmap below.
		 */
		if (round % GMEM_DRAIN_ROUNDS == 0)
			lru_add_drain_all();
		filemap_invalidate_lock_shared(mapping);
		ret = gmem_check_range(c, from);
		filemap_invalidate_unlock_shared(mapping);
		if (!ret) {
			filemap_invalidate_lock(mapping);
			ret = gmem_commit_private(c);
			filemap_invalidate_unlock(mapping);
			if (!ret)
				break;
		}
		from = c->args->error_offset >> PAGE_SHIFT;

		err = gmem_convert_sleep(c, &backoff);
		if (err) {
			ret = err;
			break;
		}
	}
	gmem_end_pending(c->inode, &c->pending);
	return ret;
}

/*
 * To shared
 */

/* The first page from @start on that is in a large folio. */
static pgoff_t gmem_first_large(struct inode *inode, pgoff_t start)
{
	XA_STATE(xas, &inode->i_mapping->i_pages, start);
	struct folio *folio;

	gmem_assert_locked_write(inode);

	rcu_read_lock();
	xas_for_each(&xas, folio, ULONG_MAX) {
		if (xas_retry(&xas, folio))
			continue;
		if (folio_test_large(folio)) {
			start = max(start, folio->index);
			break;
		}
		if (need_resched()) {
			xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();
	return start;
}

/*
 * What is shared is mapped and converted page by page, so have only folios of
 * one page.  Private ones have no users, but anybody who has found them by their
 * frame number can have a reference for a moment.
 */
static int gmem_split_for_shared(struct gmem_convert *c)
{
	int ret = gmem_split_all(c->inode, c->start, c->end);

	if (ret == -EAGAIN)
		gmem_convert_blocked(c, gmem_first_large(c->inode, c->start),
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

			gmem_reclaim(folio);
			/* Zeroed by the next look-up; see gmem_find_folio(). */
			if (!c->args->preserve)
				folio_clear_uptodate(folio);
			folio_put(folio);
		}
		folio_batch_init(&fbatch);
		cond_resched();
	}
}

static void gmem_commit_shared(struct gmem_convert *c)
{
	pgoff_t start = c->start, end = c->end;

	gmem_assert_locked_write(c->inode);

	gmem_end_private_range(c->inode, c->start, c->end);
	while (gmem_next_private(c->inode, &start, &end)) {
		gmem_open_folios(c, start, end);
		start = end;
		end = c->end;
		cond_resched();
	}
	gmem_forget_private(c->inode, c->start, c->end);
	gmem_set_shared(c->inode, c->start, c->end, &c->spare);
}

static int gmem_convert_to_shared(struct gmem_convert *c)
{
	pgoff_t start = c->start, end = c->end;
	int ret;

	gmem_assert_locked_write(c->inode);

	if (!gmem_next_private(c->inode, &start, &end))
		return 0;

	ret = gmem_split_for_shared(c);
	if (ret)
		return ret;

	gmem_invalidate_start(c->inode, c->start, c->end);
	gmem_commit_shared(c);
	gmem_invalidate_end(c->inode, c->start, c->end);
	return 0;
}

/*
 * Both
 */

static int gmem_convert_locked(struct gmem_convert *c)
{
	pgoff_t index = c->start;

	gmem_assert_locked_write(c->inode);

	if (gmem_find_pending(c->inode, &index, c->end))
		return gmem_convert_blocked(c, index, GUEST_MEMFD_BUSY_PENDING);
	if (c->args->shared)
		return gmem_convert_to_shared(c);
	return gmem_convert_to_private(c);
}

static int gmem_convert_once(struct gmem_convert *c)
{
	int ret;

	filemap_invalidate_lock(c->inode->i_mapping);
	ret = gmem_convert_locked(c);
	filemap_invalidate_unlock(c->inode->i_mapping);
	return ret;
}

static bool gmem_is_worth_waiting(struct gmem_convert *c, int ret)
{
	return ret == -EAGAIN && c->args->reason != GUEST_MEMFD_BUSY_PENDING;
}

/* A folio could not be split: drop the lock for a while and try again. */
static int gmem_wait_for_split(struct gmem_convert *c)
{
	u64 backoff = GMEM_MIN_BACKOFF_NS;
	unsigned int tries = 0;
	int ret, err;

	do {
		err = c->args->wait ? gmem_convert_sleep(c, &backoff) :
				      gmem_split_wait(&tries);
		if (err)
			return err == -EINTR ? err : -EAGAIN;
		ret = gmem_convert_once(c);
	} while (gmem_is_worth_waiting(c, ret));
	return ret;
}

static int gmem_convert_range(struct gmem_convert *c)
{
	int ret;

	/* Of much, most of the work is done while others can use the file. */
	if (!c->args->shared && c->end - c->start >= GMEM_UNMAP_AHEAD)
		unmap_mapping_pages(c->inode->i_mapping, c->start,
				    c->end - c->start, false);

	ret = gmem_convert_once(c);
	if (!gmem_is_worth_waiting(c, ret))
		return ret;
	if (c->args->shared)
		return gmem_wait_for_split(c);
	return c->args->wait ? gmem_wait_for_users(c) : ret;
}

/**
 * guest_memfd_convert - change what a range of a file is
 * @file:	A guest_memfd of the calling client (see guest_memfd_priv()).
 * @args:	The range, what it becomes, and how.
 *
 * Any range of pages will do, whatever it is and whether or not there is memory.
 * What is as it should be already stays so, with its contents.  Pages that become
 * private keep their contents.  Those that become shared lose them, unless
 * @args->preserve.
 *
 * Context: Process context, may sleep; takes invalidate_lock for write.  The
 *	    caller holds a reference to @file and no lock that a user of the
 *	    memory could want.
 * Return: 0, and all of the range is what was asked for.  Otherwise nothing has
 *	   changed, except that user mappings can be gone for a while: -EINVAL if
 *	   the file is not convertible, or the range is empty, not page aligned or
 *	   not inside the file; -ENOMEM; -EAGAIN if a page is in use that shall
 *	   become private, or part of the range is pending, or somebody keeps a
 *	   large folio from being split, see @args->error_offset and
 *	   @args->reason; -EINTR if a signal has ended the wait, without
 *	   @args->wait one that kills.
 */
int guest_memfd_convert(struct file *file, struct guest_memfd_conversion *args)
{
	struct gmem_convert c = { .inode = file_inode(file), .args = args };
	int ret;

	if (!gmem_is_convertible(c.inode) ||
	    !gmem_range_is_valid(c.inode, args->offset, args->size))
		return -EINVAL;

	c.start = args->offset >> PAGE_SHIFT;
	c.end = c.start + (args->size >> PAGE_SHIFT);
	c.spare = gmem_alloc_range();
	if (!c.spare)
		return -ENOMEM;

	ret = gmem_convert_range(&c);
	kfree(c.spare);
	trace_guest_memfd_convert(c.inode, c.start, c.end, args->shared, ret);
	return ret;
}
EXPORT_SYMBOL_GPL(guest_memfd_convert);
