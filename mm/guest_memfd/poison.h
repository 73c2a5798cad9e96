/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What memory_failure() asks of guest_memfd.
 */
#ifndef _MM_GUEST_MEMFD_POISON_H
#define _MM_GUEST_MEMFD_POISON_H

#include <linux/types.h>

struct folio;
struct page;

#ifdef CONFIG_GUEST_MEMFD
struct folio *guest_memfd_lock_poisoned(struct page *page);
void guest_memfd_unlock_poisoned(struct folio *folio, struct page *page);
void guest_memfd_contain_poisoned(struct folio *folio, struct page *page);
#else
static inline struct folio *guest_memfd_lock_poisoned(struct page *page)
{
	return NULL;
}

static inline void guest_memfd_unlock_poisoned(struct folio *folio,
					       struct page *page)
{
}

static inline void guest_memfd_contain_poisoned(struct folio *folio,
						struct page *page)
{
}
#endif

#if defined(CONFIG_GUEST_MEMFD) && defined(CONFIG_MEMORY_HOTREMOVE)
bool guest_memfd_pins_offline(struct page *page);
#else
static inline bool guest_memfd_pins_offline(struct page *page)
{
	return false;
}
#endif

#endif /* _MM_GUEST_MEMFD_POISON_H */
