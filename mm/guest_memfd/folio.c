// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: the memory.
 *
 * A folio belongs to the file from gmem_add_folio() until the page cache calls
 * ->free_folio().  In between it carries, besides the page cache's references,
 * the one that the allocator returned: that extra reference, and being on no
 * LRU list, is what keeps everybody else from moving it.
 *
 * Only this file takes a folio out of the mapping.  Against the rest of mm,
 * which would gladly drop a clean page cache folio that nobody maps, stand
 * three things: the folio is always dirty (and never written back), it carries
 * that extra reference, and ->release_folio() says no.
 */

#include <linux/memcontrol.h>
#include <linux/pagemap.h>
#include <trace/events/guest_memfd.h>

#include "account.h"
#include "internal.h"

/*
 * Neither movable nor in CMA: the address does not change.  Zeroed by the
 * allocator in one straight loop, and once also if it zeroes everything anyhow.
 */
#define GMEM_GFP	(GFP_HIGHUSER | __GFP_ZERO)

/*
 * Insert @folio, fresh from the allocator.  On success its first reference is
 * the file's and the caller has one of its own; on failure the caller still
 * owns the first.
 */
static int gmem_add_folio(struct inode *inode, struct folio *folio,
			  pgoff_t index)
{
	int ret;

	gmem_assert_locked(inode);

	folio_mark_uptodate(folio);
	folio_set_dirty(folio);
	/* Atomically, as memory_failure() can set its flag at any time. */
	folio_lock(folio);
	ret = __filemap_add_folio(inode->i_mapping, folio, index, GMEM_GFP,
				  NULL);
	if (!ret) {
		folio_get(folio);
		gmem_account_folio(inode, folio);
		/*
		 * Pairs with TestSetPageHWPoison() in memory_failure(), which
		 * then looks at the mapping: if it finds none, whoever gets the
		 * folio from here on finds the flag.
		 */
		smp_mb__after_atomic();
	}
	folio_unlock(folio);
	return ret;
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
	struct folio *folio;
	int ret;

	gmem_assert_locked(inode);

	do {
		folio = filemap_get_folio(inode->i_mapping, index);
		if (folio) {
			trace_guest_memfd_get_folio(inode, index, folio, false);
			return folio;
		}

		folio = gmem_alloc_folio(inode, index, GMEM_GFP, 0);
		if (!folio)
			return ERR_PTR(-ENOMEM);

		ret = gmem_add_folio(inode, folio, index);
		if (!ret) {
			trace_guest_memfd_get_folio(inode, index, folio, true);
			return folio;
		}
		folio_put(folio);
	} while (ret == -EEXIST);	/* Somebody else was faster. */

	return ERR_PTR(ret);
}

/**
 * gmem_remove_folios - give the memory of a range back
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Process context, may sleep; invalidate_lock held for write, between
 *	    gmem_invalidate_start() and gmem_invalidate_end().
 */
void gmem_remove_folios(struct inode *inode, pgoff_t start, pgoff_t end)
{
	gmem_assert_locked_write(inode);
	gmem_unaccount_folios(inode, start, end);
	truncate_inode_pages_range(inode->i_mapping,
				   (loff_t)start << PAGE_SHIFT,
				   ((loff_t)end << PAGE_SHIFT) - 1);
}

static bool gmem_release_folio(struct folio *folio, gfp_t gfp)
{
	return false;
}

/* Out of the mapping: drop the reference that pinned the folio there. */
static void gmem_free_folio(struct folio *folio)
{
	gmem_reclaim(folio);
	gmem_release_poison(folio);
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
