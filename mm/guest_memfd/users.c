// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: users of pages that shall become private.
 *
 * A user is a page table of the host, or code that holds a reference.  A page can
 * be taken out of the former, but not away from the latter.  See DOC: conversion
 * for why no new user comes during the search, and what its result is good for.
 *
 * The count does not tell what a reference belongs to: only that there are more
 * than the file itself has.
 */

#include <linux/mm.h>
#include <linux/pagevec.h>
#include <linux/sched.h>
#include <linux/xarray.h>

#include "../internal.h"
#include "convert.h"
#include "internal.h"
#include "lost.h"
#include "state.h"

/* Folios that are frozen, one by one, without enabling interrupts. */
#define GMEM_FREEZE_BATCH	32

/*
 * What uses a folio besides the file and @refs references of the caller.  A page
 * that the hardware has lost is of no use any more, and the references that
 * memory_failure() keeps say nothing.
 */
static enum guest_memfd_busy gmem_folio_busy(struct folio *folio, int refs)
{
	if (gmem_has_lost(folio))
		return GUEST_MEMFD_NOT_BUSY;
	if (folio_mapped(folio))
		return GUEST_MEMFD_BUSY_MAPPED;
	if (folio_ref_count(folio) == gmem_folio_refs(folio) + refs)
		return GUEST_MEMFD_NOT_BUSY;
	if (folio_maybe_dma_pinned(folio))
		return GUEST_MEMFD_BUSY_PINNED;
	return GUEST_MEMFD_BUSY_OTHER;
}

/* A fault may have mapped it after the range was unmapped. */
static void gmem_unmap_folio(struct folio *folio)
{
	if (!folio_mapped(folio))
		return;

	folio_lock(folio);
	if (folio_mapped(folio))
		unmap_mapping_folio(folio);
	folio_unlock(folio);
}

/* No new user comes to [start, end), all of which is shared. */
static int gmem_check_users(struct gmem_convert *c, pgoff_t start, pgoff_t end)
{
	enum guest_memfd_busy reason = GUEST_MEMFD_NOT_BUSY;
	struct folio_batch fbatch;
	pgoff_t index = 0;
	unsigned int i;

	gmem_assert_locked(c->inode);

	folio_batch_init(&fbatch);
	while (!reason && filemap_get_folios(c->inode->i_mapping, &start,
					     end - 1, &fbatch)) {
		for (i = 0; i < folio_batch_count(&fbatch); i++) {
			struct folio *folio = fbatch.folios[i];

			if (!reason) {
				gmem_unmap_folio(folio);
				reason = gmem_folio_busy(folio, 1);
				index = folio->index;
			}
			folio_put(folio);
		}
		folio_batch_init(&fbatch);
		cond_resched();
	}
	return reason ? gmem_convert_blocked(c, index, reason) : 0;
}

/**
 * gmem_check_range - look for users of what is shared in a range
 * @c:		The conversion to private.
 * @start:	First page index.
 * @end:		Page index after the last.
 *
 * Context: Process context, may sleep; invalidate_lock held, and since the range
 *	    was unmapped either that or the range is pending: no new one comes.
 * Return: 0; -EAGAIN for the first page that has a user.
 */
int gmem_check_range(struct gmem_convert *c, pgoff_t start, pgoff_t end)
{
	pgoff_t run_end;
	int ret;

	gmem_assert_locked(c->inode);

	for_each_gmem_shared(c->inode, start, run_end, end) {
		ret = gmem_check_users(c, start, run_end);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

static enum guest_memfd_busy gmem_freeze_folio(struct folio *folio)
{
	enum guest_memfd_busy reason = gmem_folio_busy(folio, 0);
	int refs = gmem_folio_refs(folio);

	if (reason || gmem_has_lost(folio))
		return reason;
	if (!folio_ref_freeze(folio, refs))
		return GUEST_MEMFD_BUSY_OTHER;
	folio_ref_unfreeze(folio, refs);
	return GUEST_MEMFD_NOT_BUSY;
}

/* See for the last time that [start, end) has no user, all of it shared. */
static int gmem_freeze_users(struct gmem_convert *c, pgoff_t start, pgoff_t end)
{
	XA_STATE(xas, &c->inode->i_mapping->i_pages, start);
	enum guest_memfd_busy reason = GUEST_MEMFD_NOT_BUSY;
	struct folio *folio;
	unsigned int n = 0;
	pgoff_t index = 0;

	gmem_assert_locked_write(c->inode);

	xas_lock_irq(&xas);
	xas_for_each(&xas, folio, end - 1) {
		reason = gmem_freeze_folio(folio);
		if (reason) {
			index = folio->index;
			break;
		}
		if (++n % GMEM_FREEZE_BATCH)
			continue;
		xas_pause(&xas);
		xas_unlock_irq(&xas);
		cond_resched();
		xas_lock_irq(&xas);
	}
	xas_unlock_irq(&xas);
	return reason ? gmem_convert_blocked(c, index, reason) : 0;
}

/**
 * gmem_freeze_range - see that what is shared in a range has no user
 * @c:		The conversion to private.
 * @start:	First page index.
 * @end:		Page index after the last.
 *
 * Context: Process context, may sleep; invalidate_lock held for write, with
 *	    which it is certain.
 * Return: 0; -EAGAIN for the first page that has a user.
 */
int gmem_freeze_range(struct gmem_convert *c, pgoff_t start, pgoff_t end)
{
	pgoff_t run_end;
	int ret;

	gmem_assert_locked_write(c->inode);

	for_each_gmem_shared(c->inode, start, run_end, end) {
		ret = gmem_freeze_users(c, start, run_end);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}
