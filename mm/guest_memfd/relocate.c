// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: moving pages that software cannot copy.
 */

/**
 * DOC: relocation
 *
 * Confidential hardware can keep what is in a guest's page from the host, or bind it
 * to its address, so that a copy would be of no use.  But it can have an operation of
 * its own that moves the page.  A client of such hardware says so when it
 * creates a file (GUEST_MEMFD_RELOCATE), and gives its bindings a relocate operation.
 * Without that no range of the file can be bound if it is movable.
 *
 * It is called for pages that are prepared, one at a time.  Others are copied, if they
 * have not been prepared since they were allocated.  What has been prepared once and
 * now belongs to no binding stays where it is, and so does a large folio with any such
 * page, unless mm splits it first, as soft offline does; both are found before a
 * mapping is dropped.  Neither are such pages collapsed.
 *
 * The operation may fail.  So the new folio must not be in its place before, as it is
 * when mm copies.  Instead, look-ups are made to wait for the lock of the old one,
 * which is not uptodate for that time::
 *
 *	CPU 0: migration			CPU 1: look-up
 *
 *	lock both folios
 *	invalidate_start(): drop mappings
 *	old folio is not uptodate
 *						reference, not uptodate:
 *						lock it (waits)
 *	others have references: put the flag
 *	back, invalidate_end(), -EAGAIN
 *	relocate(): if it fails, likewise
 *	new folio into the page cache
 *	invalidate_end()
 *	unlock all
 *						it is in no file: look again
 *
 * A reference that was taken before the flag was cleared can be that of a task which
 * uses the page: this is what the count of references is compared for, once.  Later
 * ones are those of tasks that wait, or only look at struct page; they do not matter.
 *
 * If the new memory turns out to be bad it is too late to put the old folio back.
 * memory_failure() finds no file then, and sets PG_hwpoison.  So look-ups answer
 * -EHWPOISON from then on, and the page allocator keeps the page when it is punched.
 */

#include <linux/pagemap.h>

#include "internal.h"
#include "lost.h"

/**
 * gmem_is_opaque - whether there is a page in a range that software cannot copy
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Any; invalidate_lock held, and the folio locks, or the answer can be old.
 * Return: true if there is one.
 */
bool gmem_is_opaque(struct inode *inode, pgoff_t start, pgoff_t end)
{
	return gmem_needs_relocation(inode) && gmem_has_known(inode, start, end);
}

/**
 * gmem_can_relocate - whether the client can move a folio
 * @inode:	Inode of the file.
 * @folio:	The folio, locked, for which gmem_is_opaque() is true.
 *
 * Context: Any; invalidate_lock held.
 * Return: true if it is of one page, which is prepared.
 */
bool gmem_can_relocate(struct inode *inode, struct folio *folio)
{
	return !folio_test_large(folio) && gmem_is_prepared(inode, folio->index);
}

/**
 * gmem_relocate - have the client move a page
 * @inode:	Inode of the file.
 * @src:	The folio, for which gmem_can_relocate() is true.
 * @dst:	A new one; both are locked.
 * @refs:	What the count of references to @src is if it has no users.
 *
 * Context: Process context, sleeps; invalidate_lock held for read, between
 *	    gmem_invalidate_start() and gmem_invalidate_end().
 * Return: 0, and the caller puts @dst in the place of @src, which is not uptodate;
 *	   -EAGAIN if @src is used, or as the client says, -EBUSY if @dst cannot be,
 *	   or the error of the client, and then nothing has changed.
 */
int gmem_relocate(struct inode *inode, struct folio *src, struct folio *dst,
		  int refs)
{
	struct guest_memfd_binding *b;
	int ret = -EBUSY;

	gmem_assert_changing(inode);

	b = gmem_first_binding(inode, src->index, src->index);
	/* Prepared pages are bound. */
	if (WARN_ON_ONCE(!b) || gmem_has_bad(dst))
		return ret;

	folio_clear_uptodate(src);
	/* Pairs with the reference that a look-up takes before it reads the flag. */
	smp_mb__after_atomic();
	ret = folio_ref_count(src) == refs ? 0 : -EAGAIN;
	if (!ret)
		ret = b->ops->relocate(b, src->index, folio_pfn(src),
				       folio_pfn(dst));
	if (ret)
		folio_mark_uptodate(src);
	return ret;
}
