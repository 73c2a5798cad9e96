// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: bindings, the clients' ranges of a file.
 *
 * Bindings live in an interval tree of the inode, so that an invalidation
 * reaches only those that overlap it.  The tree changes only under
 * invalidate_lock held for write, and every invalidation holds that lock from
 * start to end: the two therefore always see the same bindings.
 */

#include <linux/export.h>
#include <linux/log2.h>
#include <trace/events/guest_memfd.h>

#include "internal.h"

static struct guest_memfd_binding *
gmem_first_binding(struct inode *inode, pgoff_t start, pgoff_t last)
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
 */
void gmem_invalidate_start(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct guest_memfd_binding *b;

	gmem_assert_locked_write(inode);
	trace_guest_memfd_invalidate_start(inode, start, end);
	for (b = gmem_first_binding(inode, start, end - 1); b;
	     b = gmem_next_binding(b, start, end - 1))
		b->ops->invalidate_start(b, max(start, b->node.start),
					 min(end, b->node.last + 1));
}

/**
 * gmem_end_private_range - take private pages of a range from their bindings
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Process context, may sleep; invalidate_lock held for write, between
 *	    gmem_invalidate_start() and gmem_invalidate_end().
 */
void gmem_end_private_range(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct guest_memfd_binding *b;

	gmem_assert_locked_write(inode);
	if (!gmem_has_private(inode))
		return;
	for (b = gmem_first_binding(inode, start, end - 1); b;
	     b = gmem_next_binding(b, start, end - 1))
		gmem_end_private(inode, b, max(start, b->node.start),
				 min(end, b->node.last + 1));
}

/**
 * gmem_invalidate_end - end what gmem_invalidate_start() began
 * @inode:	Inode of the file.
 * @start:	The same as there.
 * @end:	The same as there.
 *
 * Context: Process context, may sleep; invalidate_lock held for write.
 */
void gmem_invalidate_end(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct guest_memfd_binding *b;

	gmem_assert_locked_write(inode);
	for (b = gmem_first_binding(inode, start, end - 1); b;
	     b = gmem_next_binding(b, start, end - 1))
		b->ops->invalidate_end(b, max(start, b->node.start),
				       min(end, b->node.last + 1));
	trace_guest_memfd_invalidate_end(inode, start, end);
}

/**
 * guest_memfd_bind - claim a range of a file
 * @file:	A guest_memfd of the calling client (see guest_memfd_priv()).
 * @binding:	The claim; @binding->ops and @binding->private are set, the rest
 *		is filled in here.
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
 *	   On failure nothing has changed.
 */
int guest_memfd_bind(struct file *file, struct guest_memfd_binding *binding,
		     u64 offset, u64 size)
{
	struct inode *inode = file_inode(file);
	u64 file_size = i_size_read(inode);
	int ret;

	if (!PAGE_ALIGNED(offset) || !PAGE_ALIGNED(size) || !size)
		return -EINVAL;
	if (offset + size < offset || offset + size > file_size)
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

/* Nothing of it is private any more. */
static void gmem_detach(struct inode *inode, struct guest_memfd_binding *b)
{
	gmem_assert_locked_write(inode);
	interval_tree_remove(&b->node, &GMEM_I(inode)->bindings);
	/* Pairs with READ_ONCE() in guest_memfd_get_page(). */
	WRITE_ONCE(b->inode, NULL);
	trace_guest_memfd_unbind(inode, b->node.start, b->node.last + 1);
}

/**
 * guest_memfd_unbind - give a claim up
 * @binding:	A binding, or one that guest_memfd_unbind_next() has detached.
 *
 * No invalidation is sent: the client has already dropped its mappings, and asks
 * for no page.  Its private pages stay in the file and are private no more.
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

	/* Private pages are in the file. */
	while (binding->private && binding->ops->end_private &&
	       gmem_next_piece(inode, &start, binding->node.last + 1, &end)) {
		filemap_invalidate_lock(inode->i_mapping);
		gmem_end_private(inode, binding, start, end);
		filemap_invalidate_unlock(inode->i_mapping);
		start = end;
		cond_resched();
	}

	filemap_invalidate_lock(inode->i_mapping);
	gmem_detach(inode, binding);
	filemap_invalidate_unlock(inode->i_mapping);
}
EXPORT_SYMBOL_GPL(guest_memfd_unbind);

/*
 * Where the folios before @end begin that do not reach beyond it.  One that does
 * may still be mapped by the next binding, and leaves the file with that.
 */
static pgoff_t gmem_end_of_whole(struct inode *inode, pgoff_t end)
{
	struct folio *folio;

	gmem_assert_locked_write(inode);

	if (IS_ALIGNED(end, GMEM_PIECE))
		return end;
	folio = xa_load(&inode->i_mapping->i_pages, end);
	return folio ? min(end, folio->index) : end;
}

/* The first memory of @b from @from on; or there is none, and @b ends. */
static void gmem_unbind_piece(struct inode *inode,
			      struct guest_memfd_binding *b, pgoff_t *from,
			      struct list_head *removed)
{
	pgoff_t start = max(*from, b->node.start);
	pgoff_t after = b->node.last + 1;
	pgoff_t end = after, whole;

	gmem_assert_locked_write(inode);

	if (gmem_next_piece(inode, &start, end, &after)) {
		after = gmem_removal_end(inode, start, end, after);
		b->ops->invalidate_start(b, start, after);
		gmem_end_private(inode, b, start, after);
		whole = gmem_end_of_whole(inode, after);
		if (start < whole)
			gmem_remove_folios(inode, start, whole, removed);
		b->ops->invalidate_end(b, start, after);
	}
	if (after == end)
		gmem_detach(inode, b);
	*from = after;
}

/**
 * guest_memfd_unbind_next - end claims on a file that is being released
 * @file:	The file.
 * @from:	Where to go on; 0 for the first call.
 *
 * From the first call on, nothing in the file can be looked up.  Call it until
 * it returns false.  Of the first binding at or behind @from, a piece is
 * invalidated, and its memory freed; after its last one it is detached.  The
 * client still owns the binding and calls guest_memfd_unbind() as usual, perhaps
 * before that.
 *
 * Context: The client's release operation, with the lock that orders this
 *	    against guest_memfd_unbind(), which is best dropped between calls.
 *	    Takes invalidate_lock for write.
 * Return: false if there is no binding left.
 */
bool guest_memfd_unbind_next(struct file *file, pgoff_t *from)
{
	struct inode *inode = file_inode(file);
	struct guest_memfd_binding *b;
	LIST_HEAD(removed);

	filemap_invalidate_lock(inode->i_mapping);
	/* Pairs with READ_ONCE() in guest_memfd_try_get_page(). */
	WRITE_ONCE(GMEM_I(inode)->closing, true);
	b = gmem_first_binding(inode, *from, ULONG_MAX);
	if (b)
		gmem_unbind_piece(inode, b, from, &removed);
	filemap_invalidate_unlock(inode->i_mapping);
	gmem_free_folios(&removed);
	return b;
}
EXPORT_SYMBOL_GPL(guest_memfd_unbind_next);

/* Largest order for @index in @folio that stays inside @binding. */
static unsigned int gmem_page_order(struct guest_memfd_binding *binding,
				    struct folio *folio, pgoff_t index)
{
	unsigned int order = gmem_max_order(folio);

	/* Folios are naturally aligned, in memory and in the file. */
	while (order) {
		pgoff_t start = round_down(index, 1UL << order);

		if (start >= binding->node.start &&
		    start + (1UL << order) - 1 <= binding->node.last)
			break;
		order--;
	}
	return order;
}

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

static int gmem_binding_get_page(struct guest_memfd_binding *binding,
				 struct inode *inode, pgoff_t index,
				 const struct guest_memfd_range *range,
				 struct guest_memfd_page *page)
{
	struct folio *folio;
	int ret;

	ret = gmem_check_bound(binding, inode, index);
	if (ret)
		return ret;

	folio = gmem_get_folio_for(binding, inode, index, range);
	if (IS_ERR(folio))
		return PTR_ERR(folio);

	if (gmem_is_bad(folio_file_page(folio, index))) {
		folio_put(folio);
		return -EHWPOISON;
	}

	page->folio = folio;
	page->pfn = folio_pfn(folio) + (index - folio->index);
	page->order = gmem_page_order(binding, folio, index);

	ret = gmem_make_private(inode, binding, folio, index, page->order);
	if (ret)
		folio_put(folio);
	return ret;
}

/**
 * guest_memfd_get_page - get the page at an index of a bound range
 * @binding:	The binding.
 * @index:	Page index in the file, not in the binding.
 * @range:	Where the client wants memory; contains @index.
 * @page:	Filled in on success; the caller does folio_put(page->folio).
 *
 * Allocates the page if it is not there, and has the client make private what
 * is not, as far as the order reaches that is returned.  The caller may use the
 * page frame number beyond its reference until @binding->ops->invalidate_start.
 *
 * Context: Process context, may sleep; takes invalidate_lock for read.  The
 *	    caller is in a read-side section for which the client's release
 *	    operation waits after guest_memfd_unbind_next() (for KVM, srcu), so
 *	    that a file which is being released stays until this is over.
 * Return: 0; -ESTALE if the file has been or is being closed; -ENXIO if @index
 *	   is outside the binding; -EINTR if the task is being killed; -ENOMEM;
 *	   -EHWPOISON if the page is poisoned; -EIO if the client cannot make it
 *	   private.
 */
int guest_memfd_get_page(struct guest_memfd_binding *binding, pgoff_t index,
			 const struct guest_memfd_range *range,
			 struct guest_memfd_page *page)
{
	/* Pairs with WRITE_ONCE() in gmem_detach(). */
	struct inode *inode = READ_ONCE(binding->inode);
	int ret;

	if (!inode)
		return -ESTALE;

	ret = gmem_lock_shared_killable(inode);
	if (ret)
		return ret;
	ret = gmem_binding_get_page(binding, inode, index, range, page);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return ret;
}
EXPORT_SYMBOL_GPL(guest_memfd_get_page);
