// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: what clients ask of the state of a convertible file.
 */

#include <linux/export.h>
#include <linux/sched/signal.h>
#include <linux/xarray.h>

#include "convert.h"
#include "internal.h"
#include "state.h"

/**
 * guest_memfd_is_shared - whether the host may access a page of a bound range
 * @binding:	The binding.
 * @index:	Page index in the file, not in the binding.
 * @pending:	If not NULL, becomes whether a conversion is making the page
 *		private, which can be old at once.
 *
 * Context: Any but interrupts and the scheduler.  In a read-side section as for
 *	    guest_memfd_get_page().  The answer holds until invalidate_start(),
 *	    and during a change is from before or from after it.
 * Return: true if it may; false also if the file has been closed.
 */
bool guest_memfd_is_shared(struct guest_memfd_binding *binding, pgoff_t index,
			   bool *pending)
{
	struct inode *inode = gmem_binding_inode(binding);

	if (pending)
		*pending = inode && gmem_is_pending(inode, index);
	return inode && gmem_is_shared(inode, index);
}
EXPORT_SYMBOL_GPL(guest_memfd_is_shared);

/**
 * guest_memfd_next_shared - find what of a convertible file is shared
 * @binding:	The binding.
 * @start:	Page index in the file to begin with; becomes the first one of a run.
 * @end:	Page index after the last to look at; becomes the end of the run.
 *
 * Context: Process context, may sleep; takes invalidate_lock for read.  In a
 *	    read-side section as for guest_memfd_get_page().
 * Return: false if nothing is, the file has been closed, or nothing of it can be
 *	   private; or if the task is being killed.
 */
bool guest_memfd_next_shared(struct guest_memfd_binding *binding, pgoff_t *start,
			     pgoff_t *end)
{
	struct inode *inode = gmem_binding_inode(binding);
	bool found;

	if (!inode || !gmem_is_convertible(inode))
		return false;
	if (gmem_lock_shared_killable(inode))
		return false;
	found = gmem_next_shared(inode, start, end);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return found;
}
EXPORT_SYMBOL_GPL(guest_memfd_next_shared);

/**
 * guest_memfd_get_pending - see whether a page is becoming private
 * @binding:	The binding.
 * @index:	Page index in the file, not in the binding.
 *
 * Context: In a read-side section as for guest_memfd_get_page().
 * Return: What to pass to guest_memfd_wait_pending(), which must follow, or NULL
 *	   if there is nothing to wait for.
 */
struct inode *guest_memfd_get_pending(struct guest_memfd_binding *binding,
				      pgoff_t index)
{
	struct inode *inode = gmem_binding_inode(binding);

	if (!inode || !gmem_is_pending(inode, index))
		return NULL;

	/* The section keeps it; from its end on, this does. */
	ihold(inode);
	return inode;
}
EXPORT_SYMBOL_GPL(guest_memfd_get_pending);

/**
 * guest_memfd_wait_pending - wait until a page is not becoming private any more
 * @inode:	From guest_memfd_get_pending().
 * @index:	The same as there.
 *
 * Context: Process context, sleeps; no locks held, and outside of the section
 *	    of guest_memfd_get_pending().  A signal ends the wait.
 */
void guest_memfd_wait_pending(struct inode *inode, pgoff_t index)
{
	gmem_wait_pending(inode, index);
	iput(inode);
}
EXPORT_SYMBOL_GPL(guest_memfd_wait_pending);

/*
 * How much memory there is in a range; changes while we look.  No lock, so that
 * nothing has to wait, and no references, which a conversion would take for
 * users.  So the folios may be gone and must not be looked at: what is asked for
 * their size is the page cache.
 */
static int gmem_resident(struct inode *inode, pgoff_t start, pgoff_t end,
			 u64 *resident)
{
	XA_STATE(xas, &inode->i_mapping->i_pages, start);
	pgoff_t first, after, nr;
	struct folio *folio;
	u64 nr_pages = 0;
	int ret = 0;

	rcu_read_lock();
	xas_for_each(&xas, folio, end - 1) {
		if (xas_retry(&xas, folio))
			continue;
		nr = 1UL << xa_get_order(xas.xa, xas.xa_index);
		first = max(start, round_down(xas.xa_index, nr));
		after = min(end, round_down(xas.xa_index, nr) + nr);
		/* Pages of a folio that is split here are not counted twice. */
		if (first < after) {
			nr_pages += after - first;
			start = after;
		}
		if (!need_resched())
			continue;
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		/* Not xas_pause(): @start can be inside of the first. */
		xas_set(&xas, start);
		cond_resched_rcu();
	}
	rcu_read_unlock();
	*resident = nr_pages << PAGE_SHIFT;
	return ret;
}

/**
 * guest_memfd_get_run - find out what a range of a file begins with
 * @file:	A guest_memfd of the calling client (see guest_memfd_priv()).
 * @offset:	Start of the range in bytes.
 * @size:	Its size in bytes; becomes that of the part, from the start on, of
 *		which all is private or all is shared.
 * @shared:	Which of them it is.
 * @resident:	How many bytes of that part are in memory, roughly if that changes
 *		meanwhile.
 *
 * Context: Process context, may sleep; takes invalidate_lock for read.
 * Return: 0; -EINVAL as guest_memfd_convert(); -EINTR if the task is being
 *	   killed.
 */
int guest_memfd_get_run(struct file *file, u64 offset, u64 *size, bool *shared,
			u64 *resident)
{
	struct inode *inode = file_inode(file);
	pgoff_t start, end;
	int ret;

	if (!gmem_is_convertible(inode) ||
	    !gmem_range_is_valid(inode, offset, *size))
		return -EINVAL;

	start = offset >> PAGE_SHIFT;
	end = start + (*size >> PAGE_SHIFT);

	ret = gmem_lock_shared_killable(inode);
	if (ret)
		return ret;
	*shared = gmem_is_shared(inode, start);
	if (*shared)
		gmem_next_shared(inode, &start, &end);
	else
		gmem_next_private(inode, &start, &end);
	filemap_invalidate_unlock_shared(inode->i_mapping);

	*size = (u64)(end - start) << PAGE_SHIFT;
	return gmem_resident(inode, start, end, resident);
}
EXPORT_SYMBOL_GPL(guest_memfd_get_run);
