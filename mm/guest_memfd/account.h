/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How much memory files have; see account.c.
 */
#ifndef _MM_GUEST_MEMFD_ACCOUNT_H
#define _MM_GUEST_MEMFD_ACCOUNT_H

#include <linux/list.h>
#include <linux/types.h>

struct folio;
struct inode;

/**
 * struct gmem_usage - memory of a file, or of all
 * @nr_files:	Files, including those that are being released.
 * @nr_pages:	All pages.
 * @nr_huge:	Those in folios that can be mapped as a PMD.
 * @nr_private:	Those of files of which not everything is shared for ever.
 */
struct gmem_usage {
	unsigned long nr_files;
	unsigned long nr_pages;
	unsigned long nr_huge;
	unsigned long nr_private;
};

/* All files, &struct gmem_inode.files; for readers under RCU. */
extern struct list_head gmem_files;

void gmem_account_file(struct inode *inode);
void gmem_unaccount_file(struct inode *inode);
void gmem_account_folio(struct inode *inode, struct folio *folio);
void gmem_unaccount_huge(struct inode *inode, unsigned long nr_pages);
void gmem_usage_of(struct inode *inode, struct gmem_usage *usage);
void gmem_usage_total(struct gmem_usage *total);

#endif /* _MM_GUEST_MEMFD_ACCOUNT_H */
