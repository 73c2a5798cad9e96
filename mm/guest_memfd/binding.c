// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: bindings, the clients' ranges of a file.
 *
 * Bindings live in an interval tree of the inode, so that an invalidation
 * reaches only those that overlap it.  The tree changes only under
 * invalidate_lock held for write, and every invalidation holds that lock from
 * start to end: the two therefore always see the same bindings.
 * (The migration of a folio holds it for read, which does as well.)
 */

#include <linux/export.h>
#include <linux/log2.h>
#include <trace/events/guest_memfd.h>

#include "internal.h"

struct guest_memfd_binding *gmem_first_binding(struct inode *inode,
					       pgoff_t start, pgoff_t last)
{
	struct interval_tree_node *node;

	node = interval_tree_iter_first(&GMEM_I(inode)->bindings, start, last);
	return node ? container_of(node, struct guest_memfd_binding, node) :
		      NULL;
}

static struct guest_memfd_binding *
gmem_next_binding(struct guest_memfd_binding *binding, pgoff_t start,
		  pgoff_t last)
{
	struct interval_tree_node *node;

	node = interval_tree_iter_next(&binding->node, start, last);
	return node ? container_of(node, struct guest_memfd_binding, node) :
		      NULL;
}

/* The first page of [start, end) on which a client has a claim, or @end. */
pgoff_t gmem_first_bound(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct guest_memfd_binding *b;

	gmem_assert_locked(inode);

	b = gmem_first_binding(inode, start, end - 1);
	return b ? max(start, b->node.start) : end;
}

/**
 * gmem_end_of_claim - how far a range is of one client, or of none
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Any; invalidate_lock held.
 * Return: The page index after the last one of that part.
 */
pgoff_t gmem_end_of_claim(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct guest_memfd_binding *b;

	gmem_assert_locked(inode);

	b = gmem_first_binding(inode, start, end - 1);
	if (!b)
		return end;
	return b->node.start > start ? b->node.start :
				       min(end, b->node.last + 1);
}

/**
 * gmem_invalidate_start - have all clients drop their mappings of a range
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Process context, may sleep; invalidate_lock held for write until
 *	    after gmem_invalidate_end().
 *	    Or it is held for read, and &gmem_inode.migrating.
 */
void gmem_invalidate_start(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct guest_memfd_binding *b;

	gmem_assert_changing(inode);
	trace_guest_memfd_invalidate_start(inode, start, end);
	for (b = gmem_first_binding(inode, start, end - 1); b;
	     b = gmem_next_binding(b, start, end - 1))
		b->ops->invalidate_start(b, max(start, b->node.start),
					 min(end, b->node.last + 1));
}

/**
 * gmem_unprepare_range - take prepared pages of a range from their bindings
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Process context, may sleep; invalidate_lock held for write, between
 *	    gmem_invalidate_start() and gmem_invalidate_end().
 */
void gmem_unprepare_range(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct guest_memfd_binding *b;

	gmem_assert_locked_write(inode);
	if (!gmem_has_prepared(inode))
		return;
	for (b = gmem_first_binding(inode, start, end - 1); b;
	     b = gmem_next_binding(b, start, end - 1))
		gmem_unprepare(inode, b, max(start, b->node.start),
			       min(end, b->node.last + 1));
}

/**
 * gmem_invalidate_end - end what gmem_invalidate_start() began
 * @inode:	Inode of the file.
 * @start:	The same as there.
 * @end:	The same as there.
 *
 * Context: Process context, may sleep; invalidate_lock held as there.
 */
void gmem_invalidate_end(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct guest_memfd_binding *b;

	gmem_assert_changing(inode);
	for (b = gmem_first_binding(inode, start, end - 1); b;
	     b = gmem_next_binding(b, start, end - 1))
		b->ops->invalidate_end(b, max(start, b->node.start),
				       min(end, b->node.last + 1));
	trace_guest_memfd_invalidate_end(inode, start, end);
}

/* What a binding prepares in a movable file, software can copy, or the client moves. */
static bool gmem_can_be_moved(struct inode *inode,
			      const struct guest_memfd_binding *binding)
{
	if (!gmem_is_movable(inode) || !gmem_needs_relocation(inode))
		return true;
	return !binding->prepare || binding->ops->relocate;
}

/**
 * guest_memfd_bind - claim a range of a file
 * @file:	A guest_memfd of the calling client (see guest_memfd_priv()).
 * @binding:	The claim; @binding->ops is set, node and inode are filled in here.
 *		@binding->prepare is set, too.
 * @offset:	Start of the range in bytes.
 * @size:	Its size in bytes.
 *
 * The client can be called back as soon as the file's lock is dropped, that
 * is, before this function returns.
 *
 * Context: Process context, may sleep; takes invalidate_lock for write.  The
 *	    caller holds a reference to @file, and the lock that orders this
 *	    against guest_memfd_unbind() and guest_memfd_unbind_next().
 * Return: 0; -EINVAL if offset or size are not multiples of PAGE_SIZE, the
 *	   size is zero, or the range is not inside the file; -EEXIST if part
 *	   of the range is bound already; -EINTR if the task is being killed.
 *	   Also -EINVAL if the file needs a relocate operation.
 *	   On failure nothing has changed.
 */
int guest_memfd_bind(struct file *file, struct guest_memfd_binding *binding,
		     u64 offset, u64 size)
{
	struct inode *inode = file_inode(file);
	int ret;

	if (!gmem_range_is_valid(inode, offset, size))
		return -EINVAL;
	if (!gmem_can_be_moved(inode, binding))
		return -EINVAL;

	binding->node.start = offset >> PAGE_SHIFT;
	binding->node.last = ((offset + size) >> PAGE_SHIFT) - 1;

	ret = gmem_lock_killable(inode);
	if (ret)
		return ret;
	if (gmem_first_binding(inode, binding->node.start,
			       binding->node.last)) {
		ret = -EEXIST;
	} else {
		interval_tree_insert(&binding->node, &GMEM_I(inode)->bindings);
		WRITE_ONCE(binding->inode, inode);
		trace_guest_memfd_bind(inode, binding->node.start,
				       binding->node.last + 1);
	}
	filemap_invalidate_unlock(inode->i_mapping);
	return ret;
}
EXPORT_SYMBOL_GPL(guest_memfd_bind);

/**
 * gmem_detach - end a binding
 * @inode:	Inode of the file.
 * @b:		The binding.
 *		Nothing in it is prepared any more.
 *
 * Context: invalidate_lock held for write.
 */
void gmem_detach(struct inode *inode, struct guest_memfd_binding *b)
{
	gmem_assert_locked_write(inode);
	interval_tree_remove(&b->node, &GMEM_I(inode)->bindings);
	/* Pairs with READ_ONCE() in gmem_binding_inode(). */
	WRITE_ONCE(b->inode, NULL);
	trace_guest_memfd_unbind(inode, b->node.start, b->node.last + 1);
}

/**
 * guest_memfd_unbind - give a claim up
 * @binding:	A binding, or one that guest_memfd_unbind_next() has detached.
 *
 * No invalidation is sent: the client has already dropped its mappings, and asks
 * for no page.
 * Its prepared pages stay in the file and are unprepared.
 *
 * Context: Process context, may sleep; takes invalidate_lock for write.  The
 *	    caller holds the lock under which the client's release operation
 *	    calls guest_memfd_unbind_next().  That lock is also what keeps the
 *	    inode of a file alive whose last reference is already gone.
 */
void guest_memfd_unbind(struct guest_memfd_binding *binding)
{
	struct inode *inode = binding->inode;
	pgoff_t start = binding->node.start, end;

	if (!inode)
		return;

	/* Prepared pages are in the file. */
	while (binding->prepare && binding->ops->unprepare &&
	       gmem_next_piece(inode, &start, binding->node.last + 1, &end)) {
		filemap_invalidate_lock(inode->i_mapping);
		gmem_unprepare(inode, binding, start, end);
		filemap_invalidate_unlock(inode->i_mapping);
		start = end;
		cond_resched();
	}

	filemap_invalidate_lock(inode->i_mapping);
	gmem_detach(inode, binding);
	filemap_invalidate_unlock(inode->i_mapping);
}
EXPORT_SYMBOL_GPL(guest_memfd_unbind);

/**
 * gmem_check_bound - whether an index is, still, bound
 * @binding:	The binding.
 * @inode:	Inode of the file that was found in it without the lock.
 * @index:	Page index.
 *
 * Context: Any; invalidate_lock held.
 * Return: 0; -ESTALE if the binding is no longer the file's, or the file is being
 *	   released; -ENXIO if @index is outside of it.
 */
int gmem_check_bound(const struct guest_memfd_binding *binding,
		     struct inode *inode, pgoff_t index)
{
	gmem_assert_locked(inode);

	if (binding->inode != inode || GMEM_I(inode)->closing)
		return -ESTALE;
	if (index < binding->node.start || index > binding->node.last)
		return -ENXIO;
	return 0;
}
