/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages that are in a file and lost; see lost.c.
 */
#ifndef _MM_GUEST_MEMFD_LOST_H
#define _MM_GUEST_MEMFD_LOST_H

#include <linux/page-flags.h>
#include <linux/types.h>

struct folio;
struct page;

/*
 * Then the LRU list counts for its memory cgroup, or it is about to be put there.
 * That says little of a folio of a single page: a new one is in a list of a CPU
 * first, and not flagged.
 */
static inline bool gmem_is_on_lru(struct folio *folio)
{
	return folio_test_lru(folio) || folio_test_unevictable(folio);
}

void gmem_reserve_lost(struct page *page);
void gmem_unreserve_lost(struct page *page);
bool gmem_record_lost(struct folio *folio, struct page *page);
void gmem_lost_off_lru(struct folio *folio);
void gmem_adopt_lost(struct folio *folio);
bool gmem_has_lost_in(struct folio *folio, pgoff_t start, pgoff_t end);
bool gmem_has_lost(struct folio *folio);
bool gmem_is_bad(struct page *page);
bool gmem_has_bad(struct folio *folio);
bool gmem_forget_lost(struct folio *folio);

#endif /* _MM_GUEST_MEMFD_LOST_H */
