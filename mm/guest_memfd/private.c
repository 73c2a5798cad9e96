// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: which pages a client has made private.
 *
 * Confidential hardware wants to be told which guest a page belongs to before
 * the page is mapped, when it ceases to, and before the host uses it again.
 * A client that serves such hardware marks its bindings as private, and has
 * operations.  A page of the file goes through
 *
 *		make_private()		 reclaim()
 *	in the file ------> private		 ------> page allocator
 *		    <------		 folio removed
 *		end_private()
 *
 * and each arrow is one call for the page.  Private pages always belong to the
 * binding that covers their index: when it ends, they are private no more, and
 * the next one makes them private anew.  So at the time of its removal a folio
 * has no private page.
 *
 * The state is two bits per page, whether it is private and whether it has been
 * since it was allocated, kept by index in chunks that exist only where a page
 * has been private.  It is not in the folio on purpose.  The flags of
 * tail pages do not survive a split, and private data of a folio would have to
 * be divided by it, moved by migration, and allocated for each large folio;
 * bits by index need none of that.  Files whose clients do not care have no
 * chunk.
 *
 * What a folio does carry, in folio->private and without PG_private, which has
 * a meaning to mm, is the operations of the client that is to reclaim it:
 * ->free_folio() knows no inode any more.  Who splits or replaces a folio of a
 * file passes it on to each folio that takes its place, and of which a page has
 * been private.
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
	DECLARE_BITMAP(private, GMEM_CHUNK_PAGES);
	/* Has been private, or is: reclaim() is due when it leaves the file. */
	DECLARE_BITMAP(known, GMEM_CHUNK_PAGES);
};

void gmem_init_private(struct inode *inode)
{
	xa_init_flags(&GMEM_I(inode)->private, XA_FLAGS_ACCOUNT);
}

/* Nothing else knows the inode, and no binding is left. */
void gmem_destroy_private(struct inode *inode)
{
	struct gmem_inode *gi = GMEM_I(inode);
	struct gmem_chunk *chunk;
	unsigned long n;

	xa_for_each(&gi->private, n, chunk) {
		WARN_ON_ONCE(!bitmap_empty(chunk->private, GMEM_CHUNK_PAGES));
		kfree(chunk);
	}
	xa_destroy(&gi->private);
}

static bool gmem_binding_is_private(struct inode *inode,
				    const struct guest_memfd_binding *binding)
{
	return binding->private && binding->ops->make_private &&
	       !gmem_all_shared(inode);
}

/* Find or make the chunk for @index. */
static struct gmem_chunk *gmem_get_chunk(struct inode *inode, pgoff_t index)
{
	struct xarray *xa = &GMEM_I(inode)->private;
	struct gmem_chunk *chunk, *old;

	gmem_assert_locked(inode);

	chunk = xa_load(xa, index >> GMEM_CHUNK_SHIFT);
	if (chunk)
		return chunk;

	chunk = kzalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return ERR_PTR(-ENOMEM);

	old = xa_cmpxchg(xa, index >> GMEM_CHUNK_SHIFT, NULL, chunk,
			 GFP_KERNEL_ACCOUNT);
	if (!old)
		return chunk;

	/* For another folio, another task was faster; or out of memory. */
	kfree(chunk);
	return xa_is_err(old) ? ERR_PTR(xa_err(old)) : old;
}

static int gmem_make_run_private(struct guest_memfd_binding *binding,
				 struct folio *folio, pgoff_t index,
				 unsigned long nr)
{
	unsigned long pfn = page_to_pfn(folio_file_page(folio, index));
	int ret;

	ret = binding->ops->make_private(binding, index, pfn, nr);
	if (ret)
		return ret;

	if (GMEM_I(binding->inode)->ops->reclaim)
		folio->private = (void *)GMEM_I(binding->inode)->ops;
	return 0;
}

/* [start, end) is in one folio and in one chunk. */
static int gmem_make_chunk_private(struct guest_memfd_binding *binding,
				   struct folio *folio, pgoff_t start,
				   pgoff_t end)
{
	pgoff_t base = round_down(start, GMEM_CHUNK_PAGES);
	struct gmem_chunk *chunk;
	unsigned long first, after, bit;
	int ret;

	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio), folio);

	chunk = gmem_get_chunk(binding->inode, start);
	if (IS_ERR(chunk))
		return PTR_ERR(chunk);

	first = start - base;
	for_each_clear_bitrange_from(first, after, chunk->private, end - base) {
		ret = gmem_make_run_private(binding, folio, base + first,
					    after - first);
		if (ret)
			return ret;

		/* Atomic: other folios have bits in the same words. */
		for (bit = first; bit < after; bit++) {
			set_bit(bit, chunk->known);
			set_bit(bit, chunk->private);
		}
	}
	return 0;
}

/**
 * gmem_make_private - have the client make pages private that are not
 * @inode:	Inode of the file.
 * @binding:	The binding through which the pages are handed out.
 * @folio:	The folio that contains them.
 * @index:	Page index that was asked for.
 * @order:	The aligned 2^@order pages around it are meant; they are inside
 *		@folio and inside @binding.
 *
 * Pages for which the client has succeeded stay private if it fails for later
 * ones.
 *
 * Context: Process context, may sleep; invalidate_lock held for read, and a
 *	    reference to @folio, which is not locked.
 * Return: 0, also if the pages need not be private; -ENOMEM; -EIO.
 */
int gmem_make_private(struct inode *inode, struct guest_memfd_binding *binding,
		      struct folio *folio, pgoff_t index, unsigned int order)
{
	pgoff_t start = round_down(index, 1UL << order);
	pgoff_t end = start + (1UL << order);
	int ret = 0;

	gmem_assert_locked(inode);

	/* All of a folio is shared, or nothing of it. */
	if (!gmem_binding_is_private(inode, binding) ||
	    gmem_is_shared(inode, index))
		return 0;

	folio_lock(folio);
	while (start < end && !ret) {
		pgoff_t edge = min(end, round_down(start, GMEM_CHUNK_PAGES) +
					GMEM_CHUNK_PAGES);

		ret = gmem_make_chunk_private(binding, folio, start, edge);
		start = edge;
	}
	folio_unlock(folio);
	return ret;
}

/* A run of private pages, which may be in more than one folio. */
static void gmem_end_run(struct inode *inode,
			 struct guest_memfd_binding *binding, pgoff_t index,
			 pgoff_t end)
{
	gmem_assert_locked_write(inode);

	while (index < end) {
		struct folio *folio = filemap_get_folio(inode->i_mapping, index);
		unsigned long nr;

		/* Private pages are in the file. */
		if (WARN_ON_ONCE(!folio))
			return;

		nr = min(end, folio_next_index(folio)) - index;
		binding->ops->end_private(binding, index,
					  page_to_pfn(folio_file_page(folio, index)),
					  nr);
		folio_put(folio);
		index += nr;
	}
}

static void gmem_end_chunk(struct inode *inode,
			   struct guest_memfd_binding *binding,
			   struct gmem_chunk *chunk, pgoff_t base,
			   pgoff_t start, pgoff_t end)
{
	unsigned long first = start > base ? start - base : 0;
	unsigned long size = min(end - base, GMEM_CHUNK_PAGES);
	unsigned long after;

	for_each_set_bitrange_from(first, after, chunk->private, size) {
		gmem_end_run(inode, binding, base + first, base + after);
		bitmap_clear(chunk->private, first, after - first);
	}
}

/**
 * gmem_end_private - take private pages from a binding
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
void gmem_end_private(struct inode *inode, struct guest_memfd_binding *binding,
		      pgoff_t start, pgoff_t end)
{
	struct xarray *xa = &GMEM_I(inode)->private;
	struct gmem_chunk *chunk;
	unsigned long n;

	gmem_assert_locked_write(inode);

	if (!gmem_has_private(inode) ||
	    !gmem_binding_is_private(inode, binding))
		return;

	xa_for_each_range(xa, n, chunk, start >> GMEM_CHUNK_SHIFT,
			  (end - 1) >> GMEM_CHUNK_SHIFT) {
		gmem_end_chunk(inode, binding, chunk, n << GMEM_CHUNK_SHIFT,
			       start, end);
		cond_resched();
	}
}

/**
 * gmem_forget_private - pages have left the file
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Process context, may sleep; invalidate_lock held for write, after
 *	    gmem_end_private() for all bindings.
 */
void gmem_forget_private(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct xarray *xa = &GMEM_I(inode)->private;
	struct gmem_chunk *chunk;
	unsigned long n;

	gmem_assert_locked_write(inode);

	/* Nearly always: a client that makes pages private is rare. */
	if (!gmem_has_private(inode))
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
 * gmem_was_private - whether reclaim() is due for a page
 * @inode:	Inode of the file.
 * @index:	Page index.
 *
 * Context: Any; invalidate_lock held for write.
 * Return: true if the page is or has been private.
 */
bool gmem_was_private(struct inode *inode, pgoff_t index)
{
	struct gmem_chunk *chunk;

	gmem_assert_locked_write(inode);

	chunk = xa_load(&GMEM_I(inode)->private, index >> GMEM_CHUNK_SHIFT);
	return chunk && test_bit(index & (GMEM_CHUNK_PAGES - 1), chunk->known);
}

/**
 * gmem_reclaim - give a folio that no client has as private any more to the host
 * @folio:	The folio.
 *
 * Context: Any in which ->free_folio() is called, or with invalidate_lock held
 *	    for write; does not sleep.
 */
void gmem_reclaim(struct folio *folio)
{
	const struct guest_memfd_client_ops *ops = folio->private;

	if (!ops)
		return;

	folio->private = NULL;
	ops->reclaim(folio_pfn(folio), folio_nr_pages(folio));
}
