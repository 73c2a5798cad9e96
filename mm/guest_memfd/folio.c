// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: the memory.
 *
 * A folio belongs to the file from gmem_add_folio() until gmem_let_go().  In
 * between it carries, besides the page cache's references, the one that the
 * allocator returned: that extra reference, and being on no
 * LRU list, is what keeps everybody else from moving it.  When a folio is split,
 * all this holds for each of its pages; see split.c.
 *
 * Only this file takes a folio out of the mapping.  Against the rest of mm,
 * which would gladly drop a clean page cache folio that is not mapped, stand
 * three things: the folio is always dirty (and never written back), it carries
 * that extra reference, and ->release_folio() says no to everybody but us.
 */

#include <linux/highmem.h>
#include <linux/memcontrol.h>
#include <linux/pagemap.h>
#include <linux/vmstat.h>
#include <trace/events/filemap.h>
#include <trace/events/guest_memfd.h>

#include "../internal.h"
#include "account.h"
#include "internal.h"

/* Neither movable nor in CMA: the address does not change. */
#define GMEM_GFP	GFP_HIGHUSER

/*
 * Zero a folio, which is locked and not uptodate, unless the allocator has.  A
 * page that is bad is not touched, and then the folio cannot be uptodate: the
 * page may be good again by the next look-up.  Returns whether all is zero.
 */
static bool gmem_clear_folio(struct folio *folio, bool cleared)
{
	long nr = folio_nr_pages(folio);
	long i;

	/* One that becomes lost from here on has its flag before. */
	if (unlikely(gmem_has_lost(folio)))
		return false;

	for (i = 0; i < nr; i++) {
		struct page *page = folio_page(folio, i);

		if (unlikely(PageHWPoison(page)))
			return false;
		if (!cleared)
			clear_highpage(page);
	}
	return true;
}

/*
 * Zero a folio that has got its place.  If that is not possible it leaves the
 * file again, which does not need invalidate_lock for write: no look-up has
 * returned it, as it never was uptodate.
 */
static int gmem_start_folio(struct inode *inode, struct folio *folio)
{
	/*
	 * Pairs with TestSetPageHWPoison() in memory_failure(), which then looks
	 * at the mapping: if it finds none, this finds the flag.
	 */
	smp_mb__after_atomic();
	if (!gmem_clear_folio(folio, want_init_on_alloc(GMEM_GFP))) {
		filemap_remove_folio(folio);
		return -EHWPOISON;
	}
	gmem_account_folio(inode, folio);
	folio_mark_uptodate(folio);
	return 0;
}

/*
 * Insert @folio, fresh from the allocator.  On success its first reference is
 * the file's and the caller has one of its own; on failure the caller has the
 * only one.
 *
 * It is zeroed when it has got its place, under the folio lock: nothing is
 * zeroed in vain because another task was faster or there is no room for it in
 * a memory cgroup.  Until then it is not uptodate.
 */
static int gmem_add_folio(struct inode *inode, struct folio *folio,
			  pgoff_t index, gfp_t gfp)
{
	int ret;

	gmem_assert_locked(inode);

	folio_set_dirty(folio);
	/* Atomically, as memory_failure() can set its flag at any time. */
	folio_lock(folio);
	ret = __filemap_add_folio(inode->i_mapping, folio, index, gfp, NULL);
	if (!ret) {
		folio_get(folio);
		ret = gmem_start_folio(inode, folio);
	}
	folio_unlock(folio);
	return ret;
}

static struct folio *gmem_new_folio(struct inode *inode, pgoff_t index,
				    unsigned int order)
{
	gfp_t gfp = order ? gmem_huge_gfp(inode) : GMEM_GFP;
	struct folio *folio;
	int ret;

	index = round_down(index, 1UL << order);
	folio = gmem_alloc_folio(inode, index, gfp, order);
	if (!folio)
		return ERR_PTR(-ENOMEM);

	ret = gmem_add_folio(inode, folio, index, gfp);
	if (ret) {
		folio_put(folio);
		return ERR_PTR(ret);
	}
	return folio;
}

static void gmem_count_huge_event(unsigned int order, bool fallback)
{
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) && order)
		count_vm_event(fallback ? THP_FILE_FALLBACK : THP_FILE_ALLOC);
}

static int gmem_make_uptodate(struct inode *inode, struct folio *folio)
{
	int ret = 0;

	folio_lock(folio);
	if (folio->mapping != inode->i_mapping)
		ret = -EAGAIN;
	else if (folio_test_uptodate(folio))
		ret = 0;
	else if (gmem_clear_folio(folio, false))
		folio_mark_uptodate(folio);
	else
		ret = -EHWPOISON;
	folio_unlock(folio);
	return ret;
}

/**
 * gmem_find_folio - look up the folio at an index
 * @inode:	Inode of the file.
 * @index:	Page index.
 *
 * If it is not uptodate it is either new, and another task is zeroing it, or it
 * has been converted, and its memory is what the last owner left.  The latter is
 * zeroed here, by the first task that wants it: the others need not wait.
 *
 * Context: Process context, may sleep; invalidate_lock held.
 * Return: The folio, uptodate and with a reference for the caller; NULL if there
 *	   is none; ERR_PTR(-EHWPOISON) if it is a page that cannot be zeroed.
 */
struct folio *gmem_find_folio(struct inode *inode, pgoff_t index)
{
	struct folio *folio;
	int ret;

	gmem_assert_locked(inode);

	do {
		folio = filemap_get_folio(inode->i_mapping, index);
		if (!folio || likely(folio_test_uptodate(folio)))
			return folio;

		ret = gmem_make_uptodate(inode, folio);
		if (ret)
			folio_put(folio);
		/* A new one that has been given back: look again. */
	} while (ret == -EAGAIN);
	return ret ? ERR_PTR(ret) : folio;
}

/**
 * gmem_get_folio_within - look up or allocate the folio at an index
 * @inode:	Inode of the file.
 * @index:	Page index, inside the range.
 * @start:	First page index of what may be allocated.
 * @end:	Page index after the last; not beyond the end of the file.
 *
 * Context: Process context, may sleep; invalidate_lock held.
 * Return: As for gmem_get_folio().
 */
struct folio *gmem_get_folio_within(struct inode *inode, pgoff_t index,
				    pgoff_t start, pgoff_t end)
{
	unsigned int order = 0;
	bool fallback = false;
	struct folio *folio;

	gmem_assert_locked(inode);

	for (;;) {
		folio = gmem_find_folio(inode, index);
		if (IS_ERR(folio))
			return folio;
		if (folio) {
			trace_guest_memfd_get_folio(inode, index, folio, false);
			return folio;
		}

		if (!fallback)
			order = gmem_new_order(inode, index, start, end);
		folio = gmem_new_folio(inode, index, order);
		if (!IS_ERR(folio)) {
			gmem_count_huge_event(order, false);
			trace_guest_memfd_get_folio(inode, index, folio, true);
			return folio;
		}

		/* Another task was faster; perhaps only with a part of it. */
		if (PTR_ERR(folio) == -EEXIST)
			continue;
		/* Memory that has gone bad does not come a second time. */
		if (!order && PTR_ERR(folio) == -EHWPOISON)
			continue;
		if (!order)
			return folio;
		gmem_count_huge_event(order, true);
		fallback = true;
		order = 0;
	}
}

/**
 * gmem_get_folio - look up or allocate the folio at an index
 * @inode:	Inode of the file.
 * @index:	Page index, below the end of the file.
 *
 * Context: Process context, may sleep; invalidate_lock held.
 * Return: The folio, zeroed if it is new, with a reference for the caller;
 *	   ERR_PTR(-ENOMEM), also when the memory controller refuses;
 *	   ERR_PTR(-EHWPOISON) as for gmem_find_folio().
 */
struct folio *gmem_get_folio(struct inode *inode, pgoff_t index)
{
	return gmem_get_folio_within(inode, index, 0,
				     i_size_read(inode) >> PAGE_SHIFT);
}

/**
 * gmem_get_folio_for - look up or allocate the folio at an index for a client
 * @binding:	The client's binding.
 * @inode:	Inode of the file.
 * @index:	Page index, inside the binding and the range.
 * @range:	Where the client wants memory.
 *
 * What is outside of the binding, or of no use to the client, is not allocated.
 *
 * Context: Process context, may sleep; invalidate_lock held.
 * Return: As for gmem_get_folio().
 */
struct folio *gmem_get_folio_for(struct guest_memfd_binding *binding,
				 struct inode *inode, pgoff_t index,
				 const struct guest_memfd_range *range)
{
	gmem_assert_locked(inode);

	return gmem_get_folio_within(inode, index,
				     max(range->start, binding->node.start),
				     min(range->end, binding->node.last + 1));
}

/*
 * A fault that had passed the checks before the range was unmapped has mapped
 * the folio again, under the folio lock.  Without a mapping of the file this
 * cannot be, and need not be looked for in each page.
 */
static bool gmem_is_mapped(struct folio *folio)
{
	return mapping_mapped(folio->mapping) && folio_mapped(folio);
}

/*
 * Lock the first folio of a range, which is to be removed.  It needs no reference
 * for that: nobody else takes it out of the file.
 */
static struct folio *gmem_lock_first(struct inode *inode, pgoff_t start,
				     pgoff_t end)
{
	struct folio *folio;

	gmem_assert_locked_write(inode);

	folio = xa_find(&inode->i_mapping->i_pages, &start, end - 1,
			XA_PRESENT);
	if (!folio)
		return NULL;

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
	if (likely(!gmem_is_mapped(folio)))
		return true;
	folio_unlock(folio);
	return false;
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
 * Take a locked folio, at which @xas is, out of the page cache.  As shmem does it:
 * filemap.c looks at each page of a large folio for a mapping, which has been
 * done here, or could not be.
 */
static void gmem_delete_folio(struct inode *inode, struct xa_state *xas,
			      struct folio *folio, struct gmem_deleted *d)
{
	/* The folio lock keeps the memory cgroup from being changed. */
	struct lruvec *lruvec = folio_lruvec(folio);

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

/*
 * A folio, locked, has left the page cache.  Returns whether the reference that
 * pinned it there is to be dropped; otherwise it keeps a lost page from the
 * allocator.
 */
static bool gmem_let_go(struct folio *folio)
{
	gmem_reclaim(folio);
	return !gmem_release_poison(folio);
}

/*
 * Remove a folio that is locked, and those behind it up to @end or one that has to
 * be waited for.  Returns the page index after the last.
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
		gmem_delete_folio(inode, &xas, folio, &deleted);
		index = folio_next_index(folio);
		/* Whoever has its other part mapped has not been told. */
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
 *	    gmem_invalidate_start() and gmem_invalidate_end(), and after
 *	    gmem_split_range().
 */
void gmem_remove_folios(struct inode *inode, pgoff_t start, pgoff_t end,
			struct list_head *removed)
{
	pgoff_t index = start;
	struct folio *first;

	gmem_assert_locked_write(inode);

	while (index < end && (first = gmem_lock_first(inode, index, end)))
		index = gmem_remove_batch(inode, first, end, removed);
	gmem_forget_private(inode, start, end);
}

/**
 * gmem_free_folios - give memory back that has left a file
 * @removed:	From gmem_remove_folios(); empty afterwards.
 *
 * Context: Process context, sleeps.  Best without any lock, as it takes ten times
 *	    as long to free a large folio as to remove it.
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

static bool gmem_release_folio(struct folio *folio, gfp_t gfp)
{
	return gmem_is_splitting(folio);
}

static void gmem_free_folio(struct folio *folio)
{
	if (gmem_let_go(folio))
		folio_put(folio);
}

static int gmem_migrate_folio(struct address_space *mapping, struct folio *dst,
			      struct folio *src, enum migrate_mode mode)
{
	return -EBUSY;
}

const struct address_space_operations gmem_aops = {
	.dirty_folio		= noop_dirty_folio,
	.release_folio		= gmem_release_folio,
	.free_folio		= gmem_free_folio,
	.migrate_folio		= gmem_migrate_folio,
};
