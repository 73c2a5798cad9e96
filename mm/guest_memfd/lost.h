/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages that are in a file and lost; see lost.c.
 */
#ifndef _MM_GUEST_MEMFD_LOST_H
#define _MM_GUEST_MEMFD_LOST_H

#include <linux/types.h>

struct folio;
struct page;

void gmem_reserve_lost(struct page *page);
void gmem_unreserve_lost(struct page *page);
bool gmem_record_lost(struct folio *folio, struct page *page);
void gmem_adopt_lost(struct folio *folio);
bool gmem_has_lost_in(struct folio *folio, pgoff_t start, pgoff_t end);
bool gmem_has_lost(struct folio *folio);
bool gmem_is_bad(struct page *page);
bool gmem_forget_lost(struct folio *folio);

#endif /* _MM_GUEST_MEMFD_LOST_H */
