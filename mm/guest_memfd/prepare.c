// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: pages that hardware has been prepared for a guest's use.
 *
 * Confidential hardware wants to be told which guest a page belongs to before
 * the page is mapped, when it ceases to, and before the host uses it again.
 * A client that serves such hardware asks for it in its bindings, and has
 * operations.  A page of the file goes through
 *
 *		prepare()		 restore()
 *	in the file ------> prepared		 ------> page allocator
 *		    <------		 folio removed
 *		unprepare()
 *
 * and each arrow is one call for the page.  Prepared pages always belong to the
 * binding that covers their index: when it ends, they are unprepared, and the
 * next one prepares them anew.  So at the time of its removal a folio has no
 * prepared page.
 *
 * The state is two bits per page, whether it is prepared and whether it has been
 * since it was allocated, kept by index in chunks that exist only where a page
 * has been prepared.  It is not in the folio on purpose.  The flags of tail pages
 * do not survive a split, and private data of a folio would have to be divided by
 * it, moved by migration, and allocated for each large folio; bits by index need
 * none of that.  Files whose clients do not care have no chunk.
 *
 * What a folio does carry, in folio->private and without PG_private, which has
 * a meaning to mm, is the operations of the client that is to restore it:
 * ->free_folio() knows no inode any more.  Code that splits or replaces a folio of
 * a file passes them on to each folio that takes its place, and of which a page
 * has been prepared.
 *
 * A bit is set by the holder of the folio lock, with invalidate_lock held for
 * read, so that of two look-ups of a page one waits for the other's call.  It
 * is cleared, and chunks go, with invalidate_lock held for write.
 */

#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "internal.h"
#include "state.h"

#define GMEM_CHUNK_SHIFT	9
#define GMEM_CHUNK_PAGES	BIT(GMEM_CHUNK_SHIFT)

struct gmem_chunk {
	DECLARE_BITMAP(prepared, GMEM_CHUNK_PAGES);
	/* Has been prepared, or is: restore() is due when it leaves the file. */
	DECLARE_BITMAP(known, GMEM_CHUNK_PAGES);
};

void gmem_init_prepared(struct inode *inode)
{
	xa_init_flags(&GMEM_I(inode)->prepared, XA_FLAGS_ACCOUNT);
}

/* Nothing else knows the inode, and no binding is left. */
void gmem_destroy_prepared(struct inode *inode)
{
	struct gmem_inode *gi = GMEM_I(inode);
	struct gmem_chunk *chunk;
	unsigned long n;

	xa_for_each(&gi->prepared, n, chunk) {
		WARN_ON_ONCE(!bitmap_empty(chunk->prepared, GMEM_CHUNK_PAGES));
		kfree(chunk);
	}
	xa_destroy(&gi->prepared);
}

static bool gmem_binding_prepares(struct inode *inode,
				  const struct guest_memfd_binding *binding)
{
	return binding->prepare && binding->ops->prepare &&
	       !gmem_all_shared(inode);
}

/* What is not free is not looked for, as the lock is held: see gmem_make_room(). */
#define GMEM_CHUNK_GFP	(GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN)

/* Find or make the chunk for @index. */
static struct gmem_chunk *gmem_get_chunk(struct inode *inode, pgoff_t index)
{
	struct xarray *xa = &GMEM_I(inode)->prepared;
	struct gmem_chunk *chunk, *old;

	gmem_assert_locked(inode);

	chunk = xa_load(xa, index >> GMEM_CHUNK_SHIFT);
	if (chunk)
		return chunk;

	chunk = kzalloc(sizeof(*chunk), GMEM_CHUNK_GFP);
	if (!chunk)
		return ERR_PTR(-ENOMEM);

	old = xa_cmpxchg(xa, index >> GMEM_CHUNK_SHIFT, NULL, chunk,
			 GMEM_CHUNK_GFP);
	if (!old)
		return chunk;

	/* For another folio, another task was faster; or out of memory. */
	kfree(chunk);
	return xa_is_err(old) ? ERR_PTR(xa_err(old)) : old;
}

static int gmem_prepare_run(struct guest_memfd_binding *binding,
			    struct folio *folio, pgoff_t index,
			    unsigned long nr)
{
	unsigned long pfn = page_to_pfn(folio_file_page(folio, index));
	int ret;

	ret = binding->ops->prepare(binding, index, pfn, nr);
	if (ret)
		return ret;

	if (GMEM_I(binding->inode)->ops->restore)
		folio->private = (void *)GMEM_I(binding->inode)->ops;
	return 0;
}

/* [start, end) is in one folio and in one chunk. */
static int gmem_prepare_chunk(struct guest_memfd_binding *binding,
			      struct folio *folio, pgoff_t start,
			      pgoff_t end, struct gmem_room *room)
{
	pgoff_t base = round_down(start, GMEM_CHUNK_PAGES);
	struct gmem_chunk *chunk;
	unsigned long first, after, bit;
	int ret;

	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio), folio);

	chunk = gmem_get_chunk(binding->inode, start);
	if (IS_ERR(chunk)) {
		room->order = 0;
		room->wanted = true;
		return PTR_ERR(chunk);
	}

	first = start - base;
	for_each_clear_bitrange_from(first, after, chunk->prepared, end - base) {
		ret = gmem_prepare_run(binding, folio, base + first,
				       after - first);
		if (ret)
			return ret;

		/* Atomic: other folios have bits in the same words. */
		for (bit = first; bit < after; bit++) {
			set_bit(bit, chunk->known);
			set_bit(bit, chunk->prepared);
		}
	}
	return 0;
}

/**
 * gmem_prepare - have the client prepare pages that are not
 * @inode:	Inode of the file.
 * @binding:	The binding through which the pages are handed out.
 * @folio:	The folio that contains them.
 * @index:	Page index that was asked for.
 * @order:	The aligned 2^@order pages around it are meant; they are inside
 *		@folio and inside @binding.
 * @room:	That of the look-up, for gmem_make_room().
 *
 * Pages for which the client has succeeded stay prepared if it fails for later
 * ones.
 *
 * Context: Process context, may sleep; invalidate_lock held for read, and a
 *	    reference to @folio, which is not locked.
 * Return: 0, also if the pages need not be prepared; -ENOMEM; -EIO.
 */
int gmem_prepare(struct inode *inode, struct guest_memfd_binding *binding,
		 struct folio *folio, pgoff_t index, unsigned int order,
		 struct gmem_room *room)
{
	pgoff_t start = round_down(index, 1UL << order);
	pgoff_t end = start + (1UL << order);
	int ret = 0;

	gmem_assert_locked(inode);

	/* All of a folio is shared, or nothing of it. */
	if (!gmem_binding_prepares(inode, binding) ||
	    gmem_is_shared(inode, index))
		return 0;

	folio_lock(folio);
	while (start < end && !ret) {
		pgoff_t edge = min(end, round_down(start, GMEM_CHUNK_PAGES) +
					GMEM_CHUNK_PAGES);

		ret = gmem_prepare_chunk(binding, folio, start, edge, room);
		start = edge;
	}
	folio_unlock(folio);
	return ret;
}

/* A run of prepared pages, which may be in more than one folio. */
static void gmem_unprepare_run(struct inode *inode,
			       struct guest_memfd_binding *binding,
			       pgoff_t index, pgoff_t end)
{
	gmem_assert_locked_write(inode);

	while (index < end) {
		struct folio *folio = filemap_get_folio(inode->i_mapping, index);
		unsigned long nr;

		/* Prepared pages are in the file. */
		if (WARN_ON_ONCE(!folio))
			return;

		nr = min(end, folio_next_index(folio)) - index;
		binding->ops->unprepare(binding, index,
					page_to_pfn(folio_file_page(folio, index)),
					nr);
		folio_put(folio);
		index += nr;
	}
}

static void gmem_unprepare_chunk(struct inode *inode,
				 struct guest_memfd_binding *binding,
				 struct gmem_chunk *chunk, pgoff_t base,
				 pgoff_t start, pgoff_t end)
{
	unsigned long first = start > base ? start - base : 0;
	unsigned long size = min(end - base, GMEM_CHUNK_PAGES);
	unsigned long after;

	for_each_set_bitrange_from(first, after, chunk->prepared, size) {
		gmem_unprepare_run(inode, binding, base + first, base + after);
		bitmap_clear(chunk->prepared, first, after - first);
	}
}

/**
 * gmem_unprepare - take prepared pages from a binding
 * @inode:	Inode of the file.
 * @binding:	The binding.
 * @start:	First page index, inside @binding.
 * @end:	Page index after the last.
 *
 * Context: Process context, may sleep; invalidate_lock held for write.  The
 *	    client has no mapping of the range and cannot install one: between
 *	    its invalidate_start() and invalidate_end(), or because it has given
 *	    the binding up.
 */
void gmem_unprepare(struct inode *inode, struct guest_memfd_binding *binding,
		    pgoff_t start, pgoff_t end)
{
	struct xarray *xa = &GMEM_I(inode)->prepared;
	struct gmem_chunk *chunk;
	unsigned long n;

	gmem_assert_locked_write(inode);

	if (!gmem_has_prepared(inode) ||
	    !gmem_binding_prepares(inode, binding))
		return;

	xa_for_each_range(xa, n, chunk, start >> GMEM_CHUNK_SHIFT,
			  (end - 1) >> GMEM_CHUNK_SHIFT) {
		gmem_unprepare_chunk(inode, binding, chunk, n << GMEM_CHUNK_SHIFT,
				     start, end);
		cond_resched();
	}
}

/**
 * gmem_forget_prepared - pages have left the file
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Process context, may sleep; invalidate_lock held for write, after
 *	    gmem_unprepare() for all bindings.
 */
void gmem_forget_prepared(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct xarray *xa = &GMEM_I(inode)->prepared;
	struct gmem_chunk *chunk;
	unsigned long n;

	gmem_assert_locked_write(inode);

	/* Nearly always: a client that prepares pages is rare. */
	if (!gmem_has_prepared(inode))
		return;

	xa_for_each_range(xa, n, chunk, start >> GMEM_CHUNK_SHIFT,
			  (end - 1) >> GMEM_CHUNK_SHIFT) {
		pgoff_t base = n << GMEM_CHUNK_SHIFT;
		unsigned long first = start > base ? start - base : 0;
		unsigned long size = min(end - base, GMEM_CHUNK_PAGES);

		bitmap_clear(chunk->known, first, size - first);
		if (bitmap_empty(chunk->known, GMEM_CHUNK_PAGES)) {
			xa_erase(xa, n);
			kfree(chunk);
		}
		cond_resched();
	}
}

/**
 * gmem_was_prepared - whether restore() is due for a page
 * @inode:	Inode of the file.
 * @index:	Page index.
 *
 * Context: Any; invalidate_lock held for write.
 * Return: true if the page is or has been prepared.
 */
bool gmem_was_prepared(struct inode *inode, pgoff_t index)
{
	struct gmem_chunk *chunk;

	gmem_assert_locked_write(inode);

	chunk = xa_load(&GMEM_I(inode)->prepared, index >> GMEM_CHUNK_SHIFT);
	return chunk && test_bit(index & (GMEM_CHUNK_PAGES - 1), chunk->known);
}

/**
 * gmem_is_prepared - whether a page belongs to the guest of a binding
 * @inode:	Inode of the file.
 * @index:	Page index.
 *
 * Context: Any; invalidate_lock held, and the folio lock, or nothing else changes it.
 * Return: true if it does.
 */
bool gmem_is_prepared(struct inode *inode, pgoff_t index)
{
	struct gmem_chunk *chunk;

	gmem_assert_locked(inode);

	chunk = xa_load(&GMEM_I(inode)->prepared, index >> GMEM_CHUNK_SHIFT);
	return chunk && test_bit(index & (GMEM_CHUNK_PAGES - 1), chunk->prepared);
}

/**
 * gmem_has_known - whether a page of a range is, or has been, prepared
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Any; invalidate_lock held, and the folio locks, or the answer can be old.
 * Return: true if there is one since it was allocated.
 */
bool gmem_has_known(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct xarray *xa = &GMEM_I(inode)->prepared;
	struct gmem_chunk *chunk;
	unsigned long n;

	gmem_assert_locked(inode);

	xa_for_each_range(xa, n, chunk, start >> GMEM_CHUNK_SHIFT,
			  (end - 1) >> GMEM_CHUNK_SHIFT) {
		pgoff_t base = n << GMEM_CHUNK_SHIFT;
		unsigned long first = start > base ? start - base : 0;
		unsigned long size = min(end - base, GMEM_CHUNK_PAGES);

		if (find_next_bit(chunk->known, size, first) < size)
			return true;
	}
	return false;
}

/**
 * gmem_move_prepared - a folio has been replaced by another one
 * @src:	The old folio.
 * @dst:	The new one, in the place of @src, with its contents.
 * @client:	&folio.private of @src, when that was in the file.
 *
 * Which pages are prepared is known by index.
 *
 * Context: Process context, may sleep; both are locked.
 */
void gmem_move_prepared(struct folio *src, struct folio *dst, void *client)
{
	const struct guest_memfd_client_ops *ops = client;

	if (!ops)
		return;

	dst->private = client;
	if (ops->moved)
		ops->moved(folio_pfn(src), folio_pfn(dst), folio_nr_pages(src));
}

/**
 * gmem_restore - make a folio with no prepared page any more the host's
 * @folio:	The folio.
 *
 * Context: Any in which ->free_folio() is called, or with invalidate_lock held
 *	    for write; does not sleep.
 */
void gmem_restore(struct folio *folio)
{
	const struct guest_memfd_client_ops *ops = folio->private;

	if (!ops)
		return;

	folio->private = NULL;
	ops->restore(folio_pfn(folio), folio_nr_pages(folio));
}
