// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: the memory.
 *
 * A folio belongs to the file from gmem_add_folio() until the page cache calls
 * ->free_folio().  In between it carries, besides the page cache's references,
 * the one that the allocator returned: that extra reference, and being on no
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
#include <linux/pagevec.h>
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
 * Lock a folio that is about to be removed.  With others locked already this
 * must not wait: they are locked in the order of the file, and anything else may
 * lock in another.
 */
static bool gmem_lock_for_removal(struct folio *folio, bool wait)
{
	if (wait)
		folio_lock(folio);
	else if (!folio_trylock(folio))
		return false;

	/*
	 * A fault that had passed the checks before the range was unmapped has
	 * mapped it again, under the folio lock.  Without a mapping of the file
	 * this cannot be, and need not be looked for in each page.
	 */
	if (mapping_mapped(folio->mapping) && folio_mapped(folio))
		unmap_mapping_folio(folio);
	return true;
}

/*
 * Take locked folios, all that there are between the first and the last of them,
 * out of the page cache.  As shmem does it: filemap.c looks at each page of a
 * large folio for a mapping, which has been done here, or could not be.
 */
static void gmem_delete_folios(struct inode *inode, struct folio_batch *locked)
{
	struct address_space *mapping = inode->i_mapping;
	XA_STATE(xas, &mapping->i_pages, locked->folios[0]->index);
	unsigned int i, n = folio_batch_count(locked);
	struct folio *folio;
	long nr;

	gmem_assert_locked_write(inode);

	xas_lock_irq(&xas);
	for (i = 0; i < n; i++) {
		folio = xas_find(&xas, ULONG_MAX);
		if (WARN_ON_ONCE(folio != locked->folios[i])) {
			n = i;
			break;
		}

		trace_mm_filemap_delete_from_page_cache(folio);
		nr = folio_nr_pages(folio);
		__lruvec_stat_mod_folio(folio, NR_FILE_PAGES, -nr);
		if (folio_test_pmd_mappable(folio)) {
			__lruvec_stat_mod_folio(folio, NR_FILE_THPS, -nr);
			filemap_nr_thps_dec(mapping);
			gmem_unaccount_huge(inode, nr);
		}
		xas_store(&xas, NULL);
		folio->mapping = NULL;
		mapping->nrpages -= nr;
	}
	xas_unlock_irq(&xas);

	for (i = 0; i < n; i++)
		filemap_free_folio(mapping, locked->folios[i]);
}

/* Remove folios from the file; returns how many of them have been. */
static unsigned int gmem_remove_batch(struct inode *inode,
				      struct folio_batch *fbatch)
{
	struct folio_batch locked;
	unsigned int i;

	folio_batch_init(&locked);
	for (i = 0; i < folio_batch_count(fbatch); i++) {
		struct folio *folio = fbatch->folios[i];

		if (!gmem_lock_for_removal(folio, !i))
			break;
		folio_batch_add(&locked, folio);
	}

	gmem_delete_folios(inode, &locked);
	for (i = 0; i < folio_batch_count(&locked); i++)
		folio_unlock(locked.folios[i]);
	return folio_batch_count(&locked);
}

/**
 * gmem_remove_folios - give the memory of a range back
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Process context, may sleep; invalidate_lock held for write, between
 *	    gmem_invalidate_start() and gmem_invalidate_end(), and after
 *	    gmem_split_range().
 */
void gmem_remove_folios(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct folio_batch fbatch;
	pgoff_t index = start;
	unsigned int nr;

	gmem_assert_locked_write(inode);

	folio_batch_init(&fbatch);
	while (index < end && filemap_get_folios(inode->i_mapping, &index,
						 end - 1, &fbatch)) {
		nr = gmem_remove_batch(inode, &fbatch);
		if (nr < folio_batch_count(&fbatch))
			index = fbatch.folios[nr]->index;
		folio_batch_release(&fbatch);
		cond_resched();
	}
	gmem_forget_private(inode, start, end);
}

static bool gmem_release_folio(struct folio *folio, gfp_t gfp)
{
	return gmem_is_splitting(folio);
}

/*
 * Out of the mapping: drop the reference that pinned the folio there, unless it
 * is to keep a lost page from the allocator.
 */
static void gmem_free_folio(struct folio *folio)
{
	gmem_reclaim(folio);
	if (!gmem_release_poison(folio))
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
