// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: how much memory there is, by file and in total.
 *
 * What a file has is mapping->nrpages, which the page cache keeps.
 * Only the part of it that is in huge folios needs a counter here.
 * Totals are summed up over all files when a reader asks, so that allocating a page
 * costs nothing and a total cannot drift from what it is the sum of.
 *
 * The list of files is read under RCU.  An inode leaves it after its memory is
 * gone, and is freed a grace period later.
 */

#include <linux/mm.h>
#include <linux/rculist.h>
#include <linux/spinlock.h>

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
 * gmem_unaccount_huge - a huge folio of the file is being split or removed
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

	usage->nr_files = 1;
	usage->nr_pages = nr_pages;
	/* The two are not changed at the same moment. */
	usage->nr_huge = min_t(unsigned long, nr_pages,
			       atomic_long_read(&GMEM_I(inode)->nr_huge));
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
