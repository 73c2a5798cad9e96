// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: making large folios out of small ones again.
 *
 * What becomes shared is split, and stays so when it becomes private again.  On
 * request, folios of one page are replaced by a large one, to which their contents
 * are copied.  The file has to be movable: the memory is elsewhere afterwards.
 *
 * One large folio is made at a time.  It is allocated and charged without a lock;
 * all else is done with invalidate_lock held for write, for the time that it takes
 * to copy 2 MiB.  Nobody uses the pages meanwhile: look-ups for clients and faults
 * need the lock, clients have dropped their mappings, and a page that anybody else
 * has a reference to defeats the attempt.  Up to the store that puts the large folio in
 * place of all the small ones nothing has changed that anybody could see.
 */

#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/huge_mm.h>
#include <linux/memcontrol.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>
#include <linux/vmstat.h>
#include <trace/events/guest_memfd.h>

#include "account.h"
#include "backoff.h"
#include "internal.h"
#include "lost.h"
#include "marks.h"
#include "state.h"

/* Whether the block is there, in small folios, and of one kind; or large already. */
enum gmem_block { GMEM_NO_BLOCK, GMEM_SMALL, GMEM_LARGE };

static bool gmem_is_uniform(struct inode *inode, pgoff_t start, pgoff_t end)
{
	pgoff_t first = start, after = end;

	gmem_assert_locked(inode);

	if (gmem_is_convertible(inode)) {
		if (gmem_next_shared(inode, &first, &after) ||
		    gmem_is_opening(inode, start, end))
			return false;
	} else if (gmem_all_shared(inode)) {
		return false;
	}
	if (gmem_is_opaque(inode, start, end))
		return false;
	return gmem_end_of_claim(inode, start, end) == end &&
	       gmem_policy_is_uniform(inode, start, end);
}

/*
 * What the tree of the page cache says; folios may be replaced meanwhile, and are not
 * looked at.
 */
static enum gmem_block gmem_look_at_block(struct inode *inode, pgoff_t start)
{
	struct xarray *xa = &inode->i_mapping->i_pages;
	pgoff_t index, end = start + HPAGE_PMD_NR;

	gmem_assert_locked(inode);

	if (xa_load(xa, start) && xa_get_order(xa, start) == HPAGE_PMD_ORDER)
		return GMEM_LARGE;
	for (index = start; index < end; index++)
		if (!xa_load(xa, index))
			return GMEM_NO_BLOCK;
	return gmem_is_uniform(inode, start, end) ? GMEM_SMALL : GMEM_NO_BLOCK;
}

/* One that is not uptodate has no contents; false if it cannot be read. */
static bool gmem_fill_page(struct page *page, struct folio *from)
{
	if (folio_test_uptodate(from))
		return gmem_copy_page(page, &from->page);
	clear_highpage(page);
	return true;
}

static void gmem_unlock_block(struct folio **folios, unsigned int nr)
{
	while (nr--)
		folio_unlock(folios[nr]);
}

/*
 * Lock all folios of a block, and copy them.  Without a reference: with the lock of
 * the file held for write, they stay.
 */
static bool gmem_copy_block(struct inode *inode, struct folio *large,
			    struct folio **folios)
{
	unsigned int i;
	bool ok = true;

	gmem_assert_locked_write(inode);

	for (i = 0; i < HPAGE_PMD_NR && ok; i++) {
		folios[i] = xa_load(&inode->i_mapping->i_pages,
				    large->index + i);
		if (!folio_trylock(folios[i])) {
			gmem_unlock_block(folios, i);
			return false;
		}
		ok = !gmem_is_bad(&folios[i]->page) && !folio_mapped(folios[i]) &&
		     gmem_fill_page(folio_page(large, i), folios[i]);
		cond_resched();
	}
	if (!ok)
		gmem_unlock_block(folios, i);
	return ok;
}

static void gmem_unfreeze_block(struct folio **folios, unsigned int nr)
{
	while (nr--)
		folio_ref_unfreeze(folios[nr], gmem_folio_refs(folios[nr]));
}

static bool gmem_freeze_block(struct folio **folios)
{
	unsigned int i;

	for (i = 0; i < HPAGE_PMD_NR; i++)
		if (!folio_ref_freeze(folios[i], gmem_folio_refs(folios[i])))
			break;
	if (i == HPAGE_PMD_NR)
		return true;
	gmem_unfreeze_block(folios, i);
	return false;
}

/* Of the references to each small folio, one is left, which is the caller's. */
static void gmem_count_collapsed(struct inode *inode, struct folio *large,
				 struct folio **folios)
{
	struct lruvec *lruvec;
	unsigned int i;

	for (i = 0; i < HPAGE_PMD_NR; i++) {
		lruvec = folio_lruvec(folios[i]);
		__mod_lruvec_state(lruvec, NR_FILE_PAGES, -1);
		folios[i]->mapping = NULL;
		folio_ref_unfreeze(folios[i], 1);
	}
	lruvec = folio_lruvec(large);
	__mod_lruvec_state(lruvec, NR_FILE_PAGES, HPAGE_PMD_NR);
	__mod_lruvec_state(lruvec, NR_FILE_THPS, HPAGE_PMD_NR);
	gmem_account_folio(inode, large);
}

/* One store puts @large, which is charged and locked, in the place of all of them. */
static bool gmem_replace_block(struct inode *inode, struct folio *large,
			       struct folio **folios)
{
	XA_STATE_ORDER(xas, &inode->i_mapping->i_pages, large->index,
		       HPAGE_PMD_ORDER);

	gmem_assert_locked_write(inode);

	xas_lock_irq(&xas);
	if (!gmem_freeze_block(folios)) {
		xas_unlock_irq(&xas);
		return false;
	}
	large->mapping = inode->i_mapping;
	/*
	 * Pairs with TestSetPageHWPoison() in memory_failure(), which then looks
	 * at the mapping: if it finds none, this finds the flag.
	 */
	smp_mb();
	if (gmem_has_bad(large)) {
		large->mapping = NULL;
		gmem_unfreeze_block(folios, HPAGE_PMD_NR);
		xas_unlock_irq(&xas);
		return false;
	}
	folio_ref_add(large, HPAGE_PMD_NR);
	folio_set_dirty(large);
	folio_mark_uptodate(large);
	/* Frees nodes of the tree, and needs none. */
	xas_store(&xas, large);
	gmem_count_collapsed(inode, large, folios);
	xas_unlock_irq(&xas);
	return true;
}

/* What can be seen to be in the way, so that clients need not be told for nothing. */
static bool gmem_block_is_idle(struct inode *inode, pgoff_t start)
{
	struct folio *folio;
	unsigned int i;

	gmem_assert_locked_write(inode);

	for (i = 0; i < HPAGE_PMD_NR; i++) {
		folio = xa_load(&inode->i_mapping->i_pages, start + i);
		if (folio_test_large(folio) || gmem_is_bad(&folio->page) ||
		    folio_ref_count(folio) != gmem_folio_refs(folio))
			return false;
	}
	return true;
}

/* Between gmem_invalidate_start() and gmem_invalidate_end(). */
static int gmem_collapse_locked(struct inode *inode, struct folio *large,
				struct folio **folios, struct list_head *removed)
{
	unsigned int i;

	if (!gmem_copy_block(inode, large, folios))
		return -EBUSY;
	gmem_unprepare_range(inode, large->index, large->index + HPAGE_PMD_NR);
	if (!gmem_replace_block(inode, large, folios)) {
		gmem_unlock_block(folios, HPAGE_PMD_NR);
		return -EBUSY;
	}
	for (i = 0; i < HPAGE_PMD_NR; i++)
		gmem_drop_movable(folios[i], removed);
	gmem_forget_prepared(inode, large->index, large->index + HPAGE_PMD_NR);
	return 0;
}

/* @large has been allocated and charged.  If it is not used, the caller frees it. */
static int gmem_collapse_to(struct inode *inode, struct folio *large,
			    struct folio **folios)
{
	pgoff_t start = large->index, end = start + HPAGE_PMD_NR;
	LIST_HEAD(removed);
	int ret;

	ret = gmem_lock_killable(inode);
	if (ret)
		return ret;

	ret = -EBUSY;
	if (gmem_look_at_block(inode, start) == GMEM_SMALL &&
	    gmem_block_is_idle(inode, start)) {
		folio_lock(large);
		gmem_invalidate_start(inode, start, end);
		ret = gmem_collapse_locked(inode, large, folios, &removed);
		gmem_invalidate_end(inode, start, end);
		folio_unlock(large);
	}
	if (!ret) {
		folio_get(large);
		gmem_put_on_lru(large);
	}
	filemap_invalidate_unlock(inode->i_mapping);
	gmem_free_folios(&removed);
	return ret;
}

static int gmem_collapse_block(struct inode *inode, pgoff_t start,
			       struct folio **folios)
{
	gfp_t gfp = gmem_huge_gfp(inode);
	struct folio *large;
	int ret = -ENOMEM;

	large = gmem_alloc_folio(inode, start, gfp, HPAGE_PMD_ORDER);
	if (!large)
		return ret;
	large->index = start;
	if (!mem_cgroup_charge(large, NULL, gfp))
		ret = gmem_collapse_to(inode, large, folios);
	trace_guest_memfd_collapse(inode, start, folio_pfn(large), ret);
	folio_put(large);
	return ret;
}

static bool gmem_may_be_huge(void)
{
	unsigned int order = HPAGE_PMD_ORDER;

	/* With CONFIG_BASE_SMALL the page cache cannot hold it. */
	return order <= MAX_PAGECACHE_ORDER && hugepage_flags_enabled();
}

/* Returns the bytes of the block that are in a large folio, or -EINTR. */
static long gmem_try_block(struct inode *inode, pgoff_t start,
			   struct folio **folios)
{
	enum gmem_block block;
	int ret;

	if (fatal_signal_pending(current) || gmem_lock_shared_killable(inode))
		return -EINTR;
	block = gmem_look_at_block(inode, start);
	filemap_invalidate_unlock_shared(inode->i_mapping);

	if (block == GMEM_SMALL && gmem_may_be_huge()) {
		guest_memfd_throttle();
		ret = gmem_collapse_block(inode, start, folios);
		if (ret == -EINTR)
			return ret;
		if (!ret)
			block = GMEM_LARGE;
	}
	return block == GMEM_LARGE ? HPAGE_PMD_SIZE : 0;
}

/**
 * guest_memfd_collapse - have memory in large folios again
 * @file:	A guest_memfd of the calling client (see guest_memfd_priv()).
 * @offset:	Start of the range in bytes.
 * @size:	Its size in bytes.
 * @done:	Becomes the bytes of the range that are in large folios now.
 *
 * A block of 2 MiB that is wholly inside of the range is collapsed if all of it is
 * there and private, has no users, and is of one binding and one NUMA policy.
 *
 * Context: Process context, sleeps; takes invalidate_lock for write, for one block at
 *	    a time.  The caller holds a reference to @file and no lock.
 * Return: 0, also if nothing was to be done, or could be; -EINVAL if the file is not
 *	   movable, or the range is empty, not page aligned or not inside the file;
 *	   -ENOMEM; -EINTR if the task is being killed.
 */
int guest_memfd_collapse(struct file *file, u64 offset, u64 size, u64 *done)
{
	struct inode *inode = file_inode(file);
	pgoff_t start = DIV_ROUND_UP_ULL(offset, HPAGE_PMD_SIZE) * HPAGE_PMD_NR;
	pgoff_t end, after;
	struct folio **folios;
	long ret = 0;

	*done = 0;
	if (!gmem_is_movable(inode) || !gmem_range_is_valid(inode, offset, size))
		return -EINVAL;

	folios = kvmalloc_array(HPAGE_PMD_NR, sizeof(*folios), GFP_KERNEL);
	if (!folios)
		return -ENOMEM;
	/* What is on its way to an LRU list has one more reference. */
	ret = gmem_drain_lists();
	end = (offset + size) >> PAGE_SHIFT;
	while (!ret && gmem_next_piece(inode, &start, end, &after)) {
		start = round_down(start, HPAGE_PMD_NR);
		if (start + HPAGE_PMD_NR > end)
			break;
		ret = gmem_try_block(inode, start, folios);
		if (ret < 0)
			break;
		*done += ret;
		ret = 0;
		start += HPAGE_PMD_NR;
		cond_resched();
	}
	kvfree(folios);
	return ret;
}
EXPORT_SYMBOL_GPL(guest_memfd_collapse);
