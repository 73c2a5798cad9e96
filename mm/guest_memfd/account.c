// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: how much memory there is, by file and in total.
 *
 * What a file has is mapping->nrpages, which the page cache keeps; of that,
 * only the part that is in huge folios needs a counter here.  Totals are summed
 * up over all files when somebody asks, so that allocating a page costs nothing
 * and a total cannot drift from what it is the sum of.
 *
 * The list of files is read under RCU.  An inode leaves it after its memory is
 * gone, and is freed a grace period later.
 */

#include <linux/mm.h>
#include <linux/rculist.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "account.h"
#include "internal.h"

LIST_HEAD(gmem_files);
static DEFINE_SPINLOCK(gmem_files_lock);

/* From here on the file is counted; its flags are what they will be. */
void gmem_account_file(struct inode *inode)
{
	spin_lock(&gmem_files_lock);
	list_add_tail_rcu(&GMEM_I(inode)->files, &gmem_files);
	spin_unlock(&gmem_files_lock);
}

/* The memory is gone; nothing to do for an inode that never became a file. */
void gmem_unaccount_file(struct inode *inode)
{
	struct gmem_inode *gi = GMEM_I(inode);

	if (list_empty(&gi->files))
		return;

	spin_lock(&gmem_files_lock);
	list_del_rcu(&gi->files);
	spin_unlock(&gmem_files_lock);
}

/**
 * gmem_account_folio - count a folio that has been added to a file
 * @inode:	Inode of the file.
 * @folio:	The folio.
 *
 * Context: Any; invalidate_lock held.
 */
void gmem_account_folio(struct inode *inode, struct folio *folio)
{
	gmem_assert_locked(inode);
	if (folio_test_pmd_mappable(folio))
		atomic_long_add(folio_nr_pages(folio),
				&GMEM_I(inode)->nr_huge);
}

/**
 * gmem_unaccount_huge - a huge folio of the file is about to be split
 * @inode:	Inode of the file.
 * @nr_pages:	Its size.
 *
 * Context: Any; invalidate_lock held for write.
 */
void gmem_unaccount_huge(struct inode *inode, unsigned long nr_pages)
{
	gmem_assert_locked_write(inode);
	atomic_long_sub(nr_pages, &GMEM_I(inode)->nr_huge);
}

/* Pages of [start, end) in huge folios; none crosses an edge of the range. */
static unsigned long gmem_count_huge(struct inode *inode, pgoff_t start,
				     pgoff_t end)
{
	XA_STATE(xas, &inode->i_mapping->i_pages, start);
	unsigned long nr_huge = 0;
	struct folio *folio;

	rcu_read_lock();
	xas_for_each(&xas, folio, end - 1) {
		if (xas_retry(&xas, folio) || xa_is_value(folio))
			continue;
		if (folio_test_pmd_mappable(folio))
			nr_huge += folio_nr_pages(folio);
		if (need_resched()) {
			xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();
	return nr_huge;
}

/**
 * gmem_unaccount_folios - the folios of a range are about to be removed
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Process context, may sleep; invalidate_lock held for write, so that
 *	    the folios that are counted are those that are removed.
 */
void gmem_unaccount_folios(struct inode *inode, pgoff_t start, pgoff_t end)
{
	gmem_assert_locked_write(inode);
	/* Often there is none, and then this need not cost a walk. */
	if (atomic_long_read(&GMEM_I(inode)->nr_huge))
		gmem_unaccount_huge(inode, gmem_count_huge(inode, start, end));
}

/**
 * gmem_usage_of - what one file has
 * @inode:	Inode of the file; need not be locked.
 * @usage:	Filled in.
 *
 * Context: Any.
 */
void gmem_usage_of(struct inode *inode, struct gmem_usage *usage)
{
	unsigned long nr_pages = READ_ONCE(inode->i_mapping->nrpages);
	unsigned long nr_huge = atomic_long_read(&GMEM_I(inode)->nr_huge);

	usage->nr_files = 1;
	usage->nr_pages = nr_pages;
	/* The two are not changed at the same moment. */
	usage->nr_huge = min(nr_huge, nr_pages);
	usage->nr_private = gmem_all_shared(inode) ? 0 : nr_pages;
}

/**
 * gmem_usage_total - what all files have
 * @total:	Filled in.
 *
 * Context: Any.
 */
void gmem_usage_total(struct gmem_usage *total)
{
	struct gmem_usage usage;
	struct gmem_inode *gi;

	*total = (struct gmem_usage) {};
	rcu_read_lock();
	list_for_each_entry_rcu(gi, &gmem_files, files) {
		gmem_usage_of(&gi->vfs_inode, &usage);
		total->nr_files += usage.nr_files;
		total->nr_pages += usage.nr_pages;
		total->nr_huge += usage.nr_huge;
		total->nr_private += usage.nr_private;
	}
	rcu_read_unlock();
}

/**
 * guest_memfd_has_private - whether there is memory that is not shared
 *
 * Hibernation would write it to disk.  Only files that are shared as a whole do
 * not count, and pages are the file's until they are freed.
 *
 * Context: Any.  Without anything that keeps others from allocating, the
 *	    answer can be old when it arrives.
 * Return: true if a file that is not all shared has memory.
 */
bool guest_memfd_has_private(void)
{
	struct gmem_usage total;

	gmem_usage_total(&total);
	return total.nr_private;
}
