// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: how memory leaves a file.
 *
 * In two steps: what has to be done with invalidate_lock held, and what nothing
 * waits for.  First folios are taken out of the page cache, a batch in one walk of
 * its tree, and put on a list; later, without the lock, the list is given to the
 * page allocator.
 */

#include <linux/memcontrol.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/vmstat.h>
#include <trace/events/filemap.h>

#include "../internal.h"
#include "account.h"
#include "internal.h"
#include "lost.h"

/*
 * A fault that had passed the checks before the range was unmapped has mapped
 * the folio again, under the folio lock.  In a file that was never mapped this
 * cannot be, and need not be looked for in each page.
 */
static bool gmem_is_mapped(struct folio *folio)
{
	return gmem_was_mapped(folio->mapping->host) && folio_mapped(folio);
}

/*
 * Lock the first folio from @index on, which is to be removed, and have @index say
 * where it begins, or @end if there is none.  It needs no reference for that: with
 * invalidate_lock held for write, no other task takes it out of the file.
 */
static struct folio *gmem_lock_first(struct inode *inode, pgoff_t *index,
				     pgoff_t end)
{
	struct folio *folio;

	gmem_assert_locked_write(inode);

	folio = xa_find(&inode->i_mapping->i_pages, index, end - 1, XA_PRESENT);
	if (!folio) {
		*index = end;
		return NULL;
	}

	folio_lock(folio);
	if (gmem_is_mapped(folio))
		unmap_mapping_folio(folio);
	return folio;
}

/*
 * With others locked already this must not wait: they are locked in the order of
 * the file, and anything else may lock in another.
 */
static bool gmem_trylock_next(struct folio *folio)
{
	if (!folio_trylock(folio))
		return false;
	if (gmem_is_mapped(folio)) {
		folio_unlock(folio);
		return false;
	}
	return true;
}

/* What is to be taken off the counters of an lruvec. */
struct gmem_deleted {
	struct lruvec *lruvec;
	long nr;
	long nr_huge;
};

static void gmem_count_deleted(struct inode *inode, struct gmem_deleted *d)
{
	if (d->nr)
		__mod_lruvec_state(d->lruvec, NR_FILE_PAGES, -d->nr);
	if (d->nr_huge) {
		__mod_lruvec_state(d->lruvec, NR_FILE_THPS, -d->nr_huge);
		gmem_unaccount_huge(inode, d->nr_huge);
	}
	inode->i_mapping->nrpages -= d->nr;
	d->nr = 0;
	d->nr_huge = 0;
}

/*
 * A large folio with a lost page has to be split first, or all of it is lost.
 * memory_failure() sets the flag of a page, takes a reference, looks whether the folio
 * is in the file, waits for the folio lock, which the caller has, and records the page.
 * So this looks for the record, and then for a reference; the flags have to be looked
 * at only if there is one.  The lock of the page cache is held by both while they
 * look, so that they agree on what they have seen::
 *
 *	CPU 0: memory_failure()			CPU 1: punch a hole
 *
 *						lock folio
 *						lock page cache
 *						no record
 *						no reference, or no flag
 *	set PG_hwpoison				take folio out of the file
 *	folio_try_get()				unlock page cache
 *	lock page cache (waits)
 *	is not ours any more			unlock folio
 *
 * If CPU 0 has the lock first, then CPU 1 finds reference and flag.
 */
static bool gmem_may_leave(struct folio *folio)
{
	lockdep_assert_held(&folio->mapping->i_pages.xa_lock);

	if (!folio_test_large(folio) ||
	    READ_ONCE(GMEM_I(folio->mapping->host)->abandoned))
		return true;
	if (gmem_has_lost(folio))
		return false;

	return folio_ref_count(folio) == gmem_folio_refs(folio) ||
	       !gmem_has_bad(folio);
}

/*
 * Take a locked folio, at which @xas is, out of the page cache.  As shmem does it:
 * filemap.c looks at each page of a large folio for a mapping, which has been
 * done here, or could not be.
 */
static void gmem_delete_folio(struct inode *inode, struct xa_state *xas,
			      struct folio *folio, struct gmem_deleted *d)
{
	/* The folio lock keeps the memory cgroup from being changed. */
	struct lruvec *lruvec = folio_lruvec(folio);

	VM_WARN_ON_ONCE_FOLIO(folio_mapped(folio), folio);
	if (lruvec != d->lruvec) {
		gmem_count_deleted(inode, d);
		d->lruvec = lruvec;
	}
	trace_mm_filemap_delete_from_page_cache(folio);
	d->nr += folio_nr_pages(folio);
	if (folio_test_pmd_mappable(folio)) {
		d->nr_huge += folio_nr_pages(folio);
		filemap_nr_thps_dec(inode->i_mapping);
	}
	xas_store(xas, NULL);
	folio->mapping = NULL;
}

/**
 * gmem_let_go - end what a folio was to its file
 * @folio:	The folio, locked, which has left the page cache.
 *
 * Context: Any in which ->free_folio() is called.
 * Return: true if the reference that pinned it there is to be dropped.
 *	   Otherwise it keeps a lost page from the allocator.
 */
bool gmem_let_go(struct folio *folio)
{
	gmem_restore(folio);
	if (gmem_forget_lost(folio))
		return false;
	return true;
}

/**
 * gmem_drop_movable - let go a folio that the file does not pin
 * @folio:	The folio, locked, which has left the page cache but still has the
 *		references that this had; unlocked.
 * @removed:	It is added to this list, as by gmem_remove_folios().  Or, if its
 *		entry for lists is in use, it is freed by whoever drops the last
 *		reference.
 *
 * Context: Process context, invalidate_lock held for write.
 */
void gmem_drop_movable(struct folio *folio, struct list_head *removed)
{
	bool free, list;

	folio_ref_sub(folio, folio_nr_pages(folio) - 1);
	list = gmem_take_off_lru(folio);
	free = gmem_let_go(folio);
	if (free && list)
		list_add_tail(&folio->lru, removed);
	folio_unlock(folio);
	if (free && !list)
		folio_put(folio);
}

/*
 * Remove a folio that is locked, and those behind it up to @end or one that has to
 * be waited for.  Returns the page index after the last.
 * A folio that has to be split first stays, and so do those behind it.
 */
static pgoff_t gmem_remove_batch(struct inode *inode, struct folio *first,
				 pgoff_t end, struct list_head *removed)
{
	XA_STATE(xas, &inode->i_mapping->i_pages, first->index);
	struct gmem_deleted deleted = {};
	struct folio_batch fbatch;
	struct folio *folio;
	pgoff_t index = end;
	unsigned int i;

	gmem_assert_locked_write(inode);

	folio_batch_init(&fbatch);
	xas_lock_irq(&xas);
	xas_for_each(&xas, folio, end - 1) {
		if (folio != first && !gmem_trylock_next(folio)) {
			index = folio->index;
			break;
		}
		if (!gmem_may_leave(folio)) {
			index = folio->index;
			folio_unlock(folio);
			break;
		}
		gmem_delete_folio(inode, &xas, folio, &deleted);
		index = folio_next_index(folio);
		/* The client of its other part has not been told. */
		VM_WARN_ON_ONCE_FOLIO(index > end, folio);
		if (!folio_batch_add(&fbatch, folio) || index >= end)
			break;
		/* At once over all of its entries. */
		xas_advance(&xas, index - 1);
		index = end;
	}
	gmem_count_deleted(inode, &deleted);
	xas_unlock_irq(&xas);

	for (i = 0; i < folio_batch_count(&fbatch); i++) {
		folio = fbatch.folios[i];
		if (gmem_is_movable(inode)) {
			gmem_drop_movable(folio, removed);
			continue;
		}
		/* The page cache's; the one that pins it is left. */
		folio_ref_sub(folio, folio_nr_pages(folio));
		if (gmem_let_go(folio))
			list_add_tail(&folio->lru, removed);
		folio_unlock(folio);
	}
	return index;
}

/**
 * gmem_remove_folios - take the memory of a range out of the file
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 * @removed:	The folios are added to this list, with a reference each, for
 *		gmem_free_folios().  They are on no LRU list, nor can they be.
 *
 * Context: Process context, may sleep; invalidate_lock held for write, between
 *	    gmem_invalidate_start() and gmem_invalidate_end(), or when neither a
 *	    binding nor a mapping is left.
 *	    gmem_split_range() has been called for the range.
 * Return: The page index up to which nothing is left.  That is @end.
 *	   Or a large folio begins there, in which a page is just being lost, and
 *	   which has to be split.
 */
pgoff_t gmem_remove_folios(struct inode *inode, pgoff_t start, pgoff_t end,
			   struct list_head *removed)
{
	pgoff_t index = start, next;
	struct folio *first;

	gmem_assert_locked_write(inode);

	while (index < end && (first = gmem_lock_first(inode, &index, end))) {
		next = gmem_remove_batch(inode, first, end, removed);
		if (next == index)
			break;
		index = next;
	}
	if (start < index)
		gmem_forget_prepared(inode, start, index);
	return index;
}

/**
 * gmem_free_folios - give memory back that has left a file
 * @removed:	From gmem_remove_folios(); empty afterwards.
 *
 * Context: Process context, sleeps.  Best without any lock.
 *	    It takes ten times as long to free a large folio as to remove it.
 */
void gmem_free_folios(struct list_head *removed)
{
	struct folio_batch fbatch;
	struct folio *folio, *next;

	folio_batch_init(&fbatch);
	list_for_each_entry_safe(folio, next, removed, lru) {
		list_del(&folio->lru);
		if (folio_batch_add(&fbatch, folio))
			continue;
		folio_batch_release(&fbatch);
		cond_resched();
	}
	folio_batch_release(&fbatch);
}
