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
 * which would gladly drop a clean page cache folio that nobody maps, stand
 * three things: the folio is always dirty (and never written back), it carries
 * that extra reference, and ->release_folio() says no to everybody but us.
 */

#include <linux/highmem.h>
#include <linux/memcontrol.h>
#include <linux/pagemap.h>
#include <linux/vmstat.h>
#include <trace/events/guest_memfd.h>

#include "account.h"
#include "internal.h"

/* Neither movable nor in CMA: the address does not change. */
#define GMEM_GFP	GFP_HIGHUSER

/*
 * Zero a folio, which is locked, and of which nobody has seen anything so far,
 * unless the allocator has.  A page that is poisoned already is not touched, and
 * keeps others from being mapped together with it.
 */
static void gmem_clear_folio(struct folio *folio, bool cleared)
{
	long nr = folio_nr_pages(folio);
	long i;

	for (i = 0; i < nr; i++) {
		struct page *page = folio_page(folio, i);

		if (unlikely(PageHWPoison(page)))
			gmem_note_poison(folio);
		else if (!cleared)
			clear_highpage(page);
	}
}

/*
 * Insert @folio, fresh from the allocator.  On success its first reference is
 * the file's and the caller has one of its own; on failure the caller still
 * owns the first.
 *
 * It is zeroed when it has got its place, under the folio lock: nothing is
 * zeroed in vain because somebody else was faster or there is no room for it in
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
		gmem_account_folio(inode, folio);
		/*
		 * Pairs with TestSetPageHWPoison() in memory_failure(), which
		 * then looks at the mapping: if it finds none, whoever gets the
		 * folio from here on finds the flag.
		 */
		smp_mb__after_atomic();
		gmem_clear_folio(folio, want_init_on_alloc(GMEM_GFP));
		folio_mark_uptodate(folio);
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

/**
 * gmem_find_folio - look up the folio at an index
 * @inode:	Inode of the file.
 * @index:	Page index.
 *
 * If it is not uptodate it is either new, and somebody is zeroing it, or it has
 * been converted, and its memory is what the last owner left.  The latter is
 * zeroed here, by the first who wants it: nobody else has to wait.
 *
 * Context: Process context, may sleep; invalidate_lock held.
 * Return: The folio, with a reference for the caller, or NULL.
 */
struct folio *gmem_find_folio(struct inode *inode, pgoff_t index)
{
	struct folio *folio;

	gmem_assert_locked(inode);

	folio = filemap_get_folio(inode->i_mapping, index);
	if (!folio || likely(folio_test_uptodate(folio)))
		return folio;

	folio_lock(folio);
	if (!folio_test_uptodate(folio)) {
		gmem_clear_folio(folio, false);
		folio_mark_uptodate(folio);
	}
	folio_unlock(folio);
	return folio;
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

		/* Somebody else was faster; perhaps only with a part of it. */
		if (PTR_ERR(folio) == -EEXIST)
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
 * Return: The folio, zeroed if it is new, with a reference for the caller, or
 *	   ERR_PTR(-ENOMEM), also when the memory controller refuses.
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
 * @index:	Page index, inside the binding.
 *
 * What is outside of the binding, or of no use to the client, is not allocated.
 *
 * Context: Process context, may sleep; invalidate_lock held.
 * Return: As for gmem_get_folio().
 */
struct folio *gmem_get_folio_for(struct guest_memfd_binding *binding,
				 struct inode *inode, pgoff_t index)
{
	pgoff_t start = binding->node.start;
	pgoff_t end = binding->node.last + 1;

	gmem_assert_locked(inode);

	if (binding->ops->limit)
		binding->ops->limit(binding, index, &start, &end);
	return gmem_get_folio_within(inode, index, start, end);
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
	gmem_assert_locked_write(inode);
	gmem_unaccount_folios(inode, start, end);
	truncate_inode_pages_range(inode->i_mapping,
				   (loff_t)start << PAGE_SHIFT,
				   ((loff_t)end << PAGE_SHIFT) - 1);
	gmem_forget_private(inode, start, end);
}

static bool gmem_release_folio(struct folio *folio, gfp_t gfp)
{
	return gmem_is_splitting(folio);
}

/*
 * Out of the mapping: drop the reference that pinned the folio there, unless it
 * is to keep a poisoned page from the allocator.
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
