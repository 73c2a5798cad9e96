// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: conversion between private and shared, in place.
 */

/**
 * DOC: conversion
 *
 * In a convertible file each page is either private or shared.  The host can map
 * and use what is shared; guest_memfd_convert() changes a range from one to the
 * other, and the memory stays where it is.
 *
 * To shared is simple: clients drop their mappings, the state changes, and what
 * was in the pages is gone before it can be seen: a folio that is not up to date
 * is zeroed when it is looked up next.
 * Large folios are split before (see DOC: splitting).  Only that can fail, so of
 * a large range everything is split first.
 *
 * To private, no user of a page may be left in the host.  Users are page
 * tables, which can be told to let go, and holders of references, which cannot:
 * get_user_pages() for a read with O_DIRECT, a pipe that has been fed by
 * vmsplice(), a long-term pin (which is therefore refused).  What is left to do
 * is to wait for them, or to give up with -EAGAIN.  Either all of the range is
 * converted or nothing is, unless the task is killed in the middle: then the
 * first part is (see DOC: progress).
 *
 * A piece, without waiting, is converted under invalidate_lock held for write.
 * No page fault can begin; one that has passed its check maps its page under the
 * folio lock alone::
 *
 *	CPU 0: fault				CPU 1: conversion
 *
 *	invalidate_lock (read)
 *	  page is shared, lock folio
 *	unlock
 *						invalidate_lock (write)
 *						  unmap the range
 *	set the PTE, unlock folio
 *						  mapped again: lock folio,
 *						  unmap, unlock
 *						  references as expected?
 *						  freeze and thaw each folio
 *						  clients drop mappings
 *						  state = private
 *						unlock
 *
 * After its PTE is gone, a page can be had only by a fault, which waits for
 * invalidate_lock and then sees the new state.  So a count of references which is
 * as expected stays so: a page that has passed need not be looked at again while
 * others are.  get_user_pages_fast() takes its reference first and looks at the
 * PTE afterwards, and the conversion does it in the opposite order::
 *
 *	CPU 0: get_user_pages_fast()		CPU 1: conversion
 *
 *	read the PTE
 *	take a reference
 *	read the PTE again			clear the PTE
 *						read the count
 *
 * Either CPU 0 sees that the PTE has changed, and drops its reference without
 * using the page, or CPU 1 sees the reference.  All of these are full barriers.
 * A folio whose count is frozen cannot get a reference at all.
 *
 * To wait, invalidate_lock must be dropped: a user of a page may need the lock
 * to be done with it.  So it must for more than a piece.  From then on it is a
 * mark in the state, "pending", that keeps new users out.  The conversion looks
 * at one piece after the other, and when it has seen each page without users, it
 * converts one piece after the other, and takes the mark from what it has done.
 * It need not look again: while a page is pending, and in no page table,
 *
 * =========================  ================================================
 * what could get the page    and why that does not make a user of it
 * =========================  ================================================
 * a new fault                sees the mark, as it holds invalidate_lock, and
 *                            the mark was made with that held for write
 * a fault that has passed    has a reference, with the folio lock, until the
 * before                     page is mapped: so it has been seen as a user,
 *                            or as a mapping, which has been removed
 * get_user_pages_fast()      read the PTE before it was cleared: either its
 *                            reference has been seen, or it will see that the
 *                            PTE has changed, and drop it
 * get_user_pages()           needs a PTE, or a fault
 * fork(), mremap()           copy or move what is in a page table; what the
 *                            second one has moved is in the count of mappings
 * fallocate()                puts a page into the file that has not been
 *                            looked at, and uses it no more: all zeros, in no
 *                            page table
 * a client's fault           may map it until invalidate_start() for the piece
 * a client's own accesses    hold invalidate_lock, or the client's lock, which
 *                            invalidate_start() takes
 * a pre-fault by a client    is refused
 * a hole                     takes the page out of the file; what comes in its
 *                            place is one of the above
 * memory_failure()           unmaps it, and it stays lost
 * compaction, reclaim        find it on no list
 * migration                  finds that it is pending
 * =========================  ================================================
 *
 * A fault in user mode on a pending page waits for the conversion of its piece,
 * or for the failure of it all, without any lock, and is tried again.  So does
 * any other access if the conversion does not wait for users.  If it does, such
 * an access is refused at once, since it may be by a task that holds another
 * page of the range and would wait for itself::
 *
 *	read(2) with O_DIRECT			conversion of pages 0 and 1
 *
 *	get page 0
 *						page 0 has a user: pending
 *	get page 1: pending, -EFAULT
 *	put page 0
 *						free: convert
 *
 * Clients may use pending pages until the conversion is complete: their mappings
 * go in the end.  They are better off to wait, too, as a VMM that shares memory
 * with a guest knows when it is not to be touched.
 *
 * Another conversion of a part of the range waits for the first one, and can be
 * killed, if that depends on nothing but itself; if it waits for users, the other
 * one is refused with -EAGAIN.  See marks.c.
 *
 * The locks, from outside to inside::
 *
 *	mmap_lock
 *	  invalidate_lock
 *	    folio lock
 *	      i_mmap_rwsem, page table locks	unmapping
 *	    i_pages lock			freezing
 *	    locks of clients			invalidate_start()
 *	      range_map.lock
 */

#include <linux/export.h>
#include <linux/fs.h>
#include <trace/events/guest_memfd.h>

#include "convert.h"
#include "internal.h"
#include "state.h"

/* Whether a reference can be one that gmem_drain_lists() drops. */
static bool gmem_is_worth_draining(struct gmem_convert *c, int ret)
{
	return ret == -EAGAIN && !c->args->wait &&
	       c->args->reason != GUEST_MEMFD_BUSY_PENDING &&
	       c->args->reason != GUEST_MEMFD_BUSY_PINNED;
}

static int gmem_convert_range(struct gmem_convert *c)
{
	int ret;

	if (c->args->shared)
		return gmem_convert_to_shared(c);

	ret = gmem_convert_to_private(c);
	if (gmem_is_worth_draining(c, ret)) {
		/* It waits for all CPUs: without the lock, and only if needed. */
		ret = gmem_drain_lists() ?: gmem_convert_to_private(c);
	}
	return ret;
}

/**
 * guest_memfd_convert - change what a range of a file is
 * @file:	A guest_memfd of the calling client (see guest_memfd_priv()).
 * @args:	The range, what it becomes, and how.
 *
 * Any range of pages will do, whatever it is and whether or not there is memory.
 * What is as it should be already stays so, with its contents.  Pages that become
 * private keep their contents.  Those that become shared lose them, unless
 * @args->preserve.
 *
 * Context: Process context, may sleep; takes invalidate_lock for write, for one
 *	    piece at a time.  The caller holds a reference to @file and no lock
 *	    that a user of the memory could want.
 * Return: 0, and all of the range is what was asked for.  Otherwise nothing has
 *	   changed, except that user mappings can be gone for a while: -EINVAL if
 *	   the file is not convertible, or the range is empty, not page aligned or
 *	   not inside the file; -ENOMEM; -EAGAIN if a page is in use that shall
 *	   become private, or another conversion waits for users of a part of the
 *	   range, see @args->error_offset and @args->reason;
 *	   -EAGAIN also if a reference keeps a large folio from being split;
 *	   -EINTR if a signal has ended
 *	   the wait, without @args->wait one that kills.  If the task is being
 *	   killed, a part of the range, from its start on, can have been
 *	   converted.
 */
int guest_memfd_convert(struct file *file, struct guest_memfd_conversion *args)
{
	struct gmem_convert c = { .inode = file_inode(file), .args = args };
	int ret;

	if (!gmem_is_convertible(c.inode) ||
	    !gmem_range_is_valid(c.inode, args->offset, args->size))
		return -EINVAL;

	c.start = args->offset >> PAGE_SHIFT;
	c.end = c.start + (args->size >> PAGE_SHIFT);
	if (!gmem_alloc_ranges(&c.spare))
		return -ENOMEM;

	ret = gmem_convert_range(&c);
	gmem_free_ranges(&c.spare);
	trace_guest_memfd_convert(c.inode, c.start, c.end, args->shared, ret);
	return ret;
}
EXPORT_SYMBOL_GPL(guest_memfd_convert);
