/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What mm asks of guest_memfd when it moves memory, or takes a page out of use.
 */
#ifndef _MM_GUEST_MEMFD_MIGRATE_H
#define _MM_GUEST_MEMFD_MIGRATE_H

#include <linux/huge_mm.h>
#include <linux/mm.h>

#if defined(CONFIG_GUEST_MEMFD) && defined(CONFIG_TRANSPARENT_HUGEPAGE)
bool guest_memfd_owns_folio(struct folio *folio);
int guest_memfd_split(struct page *page, struct list_head *list);
#else
static inline bool guest_memfd_owns_folio(struct folio *folio)
{
	return false;
}

static inline int guest_memfd_split(struct page *page, struct list_head *list)
{
	return -EBUSY;
}
#endif

/*
 * split_huge_page_to_list(), also for the folio of a guest_memfd, whose clients have
 * to be told.  The caller holds the folio lock.
 */
static inline int gmem_split_huge_page_to_list(struct page *page,
					       struct list_head *list)
{
	if (guest_memfd_owns_folio(page_folio(page)))
		return guest_memfd_split(page, list);
	return split_huge_page_to_list(page, list);
}

#endif /* _MM_GUEST_MEMFD_MIGRATE_H */
