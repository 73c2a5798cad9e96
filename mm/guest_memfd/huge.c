// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: how large a new folio is.
 *
 * As large as everything around it permits: the end of the file, what is there
 * already, what is shared, the NUMA policy, the range that is asked for, and the
 * administrator's /sys/kernel/mm/transparent_hugepage/enabled:
 *
 *	always		large folios
 *	madvise		large folios in files with GUEST_MEMFD_HUGEPAGE
 *	never		single pages
 *
 * "defrag" there says how hard to try; GUEST_MEMFD_HUGEPAGE counts as
 * madvise().  If there is no large folio, or the memory controller has no room
 * for one, single pages it is, and that shows only in the counters in
 * /proc/vmstat.
 *
 * There is one large order for now.  Only this file knows.
 */

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "internal.h"
#include "marks.h"
#include "state.h"

#define GMEM_HUGE_NR	BIT(HPAGE_PMD_ORDER)

/* No folio is in two pieces. */
static_assert(HPAGE_PMD_NR <= GMEM_PIECE);

static bool gmem_is_madvised(struct inode *inode)
{
	return GMEM_I(inode)->flags & GUEST_MEMFD_HUGEPAGE;
}

static bool gmem_wants_huge(struct inode *inode)
{
	/* With CONFIG_BASE_SMALL the page cache cannot hold it. */
	if (HPAGE_PMD_ORDER > MAX_PAGECACHE_ORDER)
		return false;
	return gmem_is_madvised(inode) ? hugepage_flags_enabled() :
					 hugepage_flags_always();
}

/* What is shared of a convertible file, or will be, is in folios of one page. */
static bool gmem_state_permits(struct inode *inode, pgoff_t start, pgoff_t end)
{
	gmem_assert_locked(inode);

	if (!gmem_is_convertible(inode))
		return true;
	return !gmem_is_opening(inode, start, end) &&
	       !gmem_next_shared(inode, &start, &end);
}

/**
 * gmem_new_order - the order to try for a new folio
 * @inode:	Inode of the file.
 * @index:	A page index where nothing is.
 * @start:	First page index of what may be allocated.
 * @end:	Page index after the last; not beyond the file.
 *
 * The answer can be old when it arrives: another task may have allocated a
 * part.  The page cache then refuses the folio with -EEXIST.
 *
 * Context: Process context, may sleep; invalidate_lock held.
 * Return: The order; a folio of it, naturally aligned, contains @index and is
 *	   inside [@start, @end).
 */
unsigned int gmem_new_order(struct inode *inode, pgoff_t index, pgoff_t start,
			    pgoff_t end)
{
	pgoff_t first = round_down(index, GMEM_HUGE_NR);
	pgoff_t after = first + GMEM_HUGE_NR;

	gmem_assert_locked(inode);

	if (!gmem_wants_huge(inode) || first < start || after > end)
		return 0;
	if (!gmem_state_permits(inode, first, after))
		return 0;
	if (!gmem_policy_is_uniform(inode, first, after))
		return 0;
	if (filemap_range_has_page(inode->i_mapping,
				   (loff_t)first << PAGE_SHIFT,
				   ((loff_t)after << PAGE_SHIFT) - 1))
		return 0;
	return HPAGE_PMD_ORDER;
}

/**
 * gmem_huge_gfp - how to allocate a large folio
 * @inode:	Inode of the file.
 *
 * Neither movable, as GFP_TRANSHUGE is, nor at the cost of the memory or life of
 * other tasks.
 * In a movable file it is movable, of course.
 *
 * Context: Any.
 * Return: GFP flags.
 */
gfp_t gmem_huge_gfp(struct inode *inode)
{
	struct vm_area_struct vma = {
		.vm_flags = gmem_is_madvised(inode) ? VM_HUGEPAGE : 0,
	};
	gfp_t reclaim = vma_thp_gfp_mask(&vma) & __GFP_RECLAIM;

	if (gmem_is_movable(inode))
		reclaim |= __GFP_MOVABLE;
	return (GFP_HIGHUSER & ~__GFP_RECLAIM) | reclaim | __GFP_COMP |
	       __GFP_NOMEMALLOC | __GFP_NOWARN | __GFP_NORETRY;
}
