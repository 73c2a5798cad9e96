/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What get_user_pages() asks of guest_memfd.
 *
 * Long-term pins of convertible files are refused: until they are given up, which
 * may be never, nothing could become private.  Files that are shared for ever
 * can be pinned.
 */
#ifndef _MM_GUEST_MEMFD_GUP_H
#define _MM_GUEST_MEMFD_GUP_H

#include <linux/mm.h>

#ifdef CONFIG_GUEST_MEMFD
bool guest_memfd_vma_is_convertible(struct vm_area_struct *vma);
bool guest_memfd_folio_is_convertible(struct folio *folio);
#else
static inline bool guest_memfd_vma_is_convertible(struct vm_area_struct *vma)
{
	return false;
}

static inline bool guest_memfd_folio_is_convertible(struct folio *folio)
{
	return false;
}
#endif

/* Slow path: for all of a mapping. */
static inline bool guest_memfd_refuses_vma(struct vm_area_struct *vma,
					   unsigned int gup_flags)
{
	return unlikely(gup_flags & FOLL_LONGTERM) &&
	       guest_memfd_vma_is_convertible(vma);
}

/* Fast path: for a folio that was in the page table, with a reference. */
static inline bool guest_memfd_refuses_folio(struct folio *folio,
					     unsigned int gup_flags)
{
	return unlikely(gup_flags & FOLL_LONGTERM) &&
	       guest_memfd_folio_is_convertible(folio);
}

#endif /* _MM_GUEST_MEMFD_GUP_H */
