// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: how a client gets at the memory.
 *
 * guest_memfd_get_page() is for page tables of a guest: it allocates what is not
 * there, and the page frame number that it returns stays good until the client is
 * told otherwise.
 *
 * A hypervisor also accesses guest memory itself: it walks page tables, emulates
 * instructions, updates pages that it shares with the guest.  Memory in a file
 * has no address in any user's address space that could be used for that.  So there
 * are two more ways.  guest_memfd_map_page() may sleep and may allocate, and keeps the
 * file's lock until guest_memfd_unmap_page(): what is between the two is an
 * access, neither a mapping to be kept nor a place to touch user memory.
 * guest_memfd_try_get_page() never sleeps and takes no lock, is good only where
 * an invalidation cannot begin, and fails where it would have to wait.
 */

#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/rcupdate.h>
#include <trace/events/guest_memfd.h>

#include "internal.h"
#include "lost.h"

/* Largest order for @index in @folio that stays inside @binding. */
static unsigned int gmem_page_order(struct guest_memfd_binding *binding,
				    struct folio *folio, pgoff_t index)
{
	unsigned int order = folio_order(folio);

	/* Until it is split, see DOC: memory failure. */
	if (gmem_has_lost(folio))
		return 0;

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

static int gmem_binding_get_page(struct guest_memfd_binding *binding,
				 struct inode *inode, pgoff_t index,
				 const struct guest_memfd_range *range,
				 struct gmem_room *room,
				 struct guest_memfd_page *page)
{
	struct folio *folio;
	int ret;

	ret = gmem_check_bound(binding, inode, index);
	if (ret)
		return ret;

	folio = gmem_get_folio_for(binding, inode, index, range, room);
	if (IS_ERR(folio))
		return PTR_ERR(folio);

	if (gmem_is_bad(folio_file_page(folio, index))) {
		folio_put(folio);
		return -EHWPOISON;
	}

	page->folio = folio;
	page->pfn = folio_pfn(folio) + (index - folio->index);
	page->order = gmem_page_order(binding, folio, index);

	ret = gmem_prepare(inode, binding, folio, index, page->order, room);
	if (ret) {
		folio_put(folio);
		return ret;
	}
	return 0;
}

/**
 * guest_memfd_get_page - get the page at an index of a bound range
 * @binding:	The binding.
 * @index:	Page index in the file, not in the binding.
 * @range:	Where the client wants memory; contains @index.
 * @page:	Filled in on success; the caller does folio_put(page->folio).
 *
 * Allocates the page if it is not there.  The caller may use the page frame number
 * beyond its reference until @binding->ops->invalidate_start.
 * The client is called to prepare the page, if that is needed, and all that it
 * could map together with it.
 *
 * Context: Process context, may sleep; takes invalidate_lock for read.  The
 *	    caller is in a read-side section for which the client's put
 *	    operation waits after guest_memfd_unbind_next() (for KVM, srcu), so
 *	    that a file which is being released stays until this is over.
 * Return: 0; -ESTALE if the file has been or is being closed; -ENXIO if @index
 *	   is outside the binding; -EINTR if the task is being killed; -ENOMEM.
 *	   -EHWPOISON if the page is poisoned.
 *	   -EIO if the client cannot prepare the page.
 */
int guest_memfd_get_page(struct guest_memfd_binding *binding, pgoff_t index,
			 const struct guest_memfd_range *range,
			 struct guest_memfd_page *page)
{
	struct inode *inode = gmem_binding_inode(binding);
	struct gmem_room room = {};
	int ret;

	if (!inode)
		return -ESTALE;

	do {
		ret = gmem_lock_shared_killable(inode);
		if (ret)
			break;
		ret = gmem_binding_get_page(binding, inode, index, range, &room,
					    page);
		filemap_invalidate_unlock_shared(inode->i_mapping);
	} while (ret && gmem_make_room(inode, index, &room, ret));
	gmem_end_room(&room);
	return ret;
}
EXPORT_SYMBOL_GPL(guest_memfd_get_page);

static struct folio *gmem_access_folio(struct guest_memfd_binding *binding,
				       struct inode *inode, pgoff_t index,
				       const struct guest_memfd_range *range,
				       struct gmem_room *room)
{
	struct folio *folio;

	gmem_assert_locked(inode);

	if (range)
		return gmem_get_folio_for(binding, inode, index, range, room);

	folio = gmem_find_folio(inode, index);
	if (!folio)
		return ERR_PTR(-ENOENT);
	if (!IS_ERR(folio))
		trace_guest_memfd_get_folio(inode, index, folio, false);
	return folio;
}

static int gmem_map_page_locked(struct guest_memfd_binding *binding,
				pgoff_t index,
				const struct guest_memfd_range *range,
				struct gmem_room *room,
				struct guest_memfd_map *map)
{
	struct inode *inode = map->inode;
	struct folio *folio;
	int ret;

	ret = gmem_check_bound(binding, inode, index);
	if (ret)
		return ret;

	folio = gmem_access_folio(binding, inode, index, range, room);
	if (IS_ERR(folio))
		return PTR_ERR(folio);

	if (gmem_is_bad(folio_file_page(folio, index))) {
		folio_put(folio);
		return -EHWPOISON;
	}

	/* For the client's own accesses, too, it has to be the binding's. */
	ret = gmem_prepare(inode, binding, folio, index, 0, room);
	if (ret) {
		folio_put(folio);
		return ret;
	}

	map->folio = folio;
	map->addr = kmap_local_page(folio_file_page(folio, index));
	return 0;
}

/**
 * guest_memfd_map_page - begin an access to a page of a bound range
 * @binding:	The binding.
 * @index:	Page index in the file, not in the binding.
 * @range:	Where the client wants memory, if the page is to be allocated when
 *		it is not there; otherwise, NULL.
 * @map:	Filled in on success, for guest_memfd_unmap_page().
 *
 * @map->addr is the page in the kernel's address space, to be used by this
 * thread until guest_memfd_unmap_page(), which must follow soon: the file's
 * lock is held, so user memory must not be touched.
 *
 * Context: Process context, may sleep; takes invalidate_lock for read.  The
 *	    caller is in a read-side section as for guest_memfd_get_page().
 * Return: 0; -ENOENT if the page is a hole and @range is NULL; -ESTALE,
 *	   -ENXIO, -EINTR, -ENOMEM, -EIO and -EHWPOISON as
 *	   guest_memfd_get_page().
 */
int guest_memfd_map_page(struct guest_memfd_binding *binding, pgoff_t index,
			 const struct guest_memfd_range *range,
			 struct guest_memfd_map *map)
{
	struct gmem_room room = {};
	int ret;

	map->inode = gmem_binding_inode(binding);
	if (!map->inode)
		return -ESTALE;

	do {
		ret = gmem_lock_shared_killable(map->inode);
		if (ret)
			break;
		ret = gmem_map_page_locked(binding, index, range, &room, map);
		if (!ret)
			break;
		filemap_invalidate_unlock_shared(map->inode->i_mapping);
	} while (gmem_make_room(map->inode, index, &room, ret));
	gmem_end_room(&room);
	return ret;
}
EXPORT_SYMBOL_GPL(guest_memfd_map_page);

/**
 * guest_memfd_unmap_page - end what guest_memfd_map_page() began
 * @map:	The same.
 *
 * Context: The thread that began.
 */
void guest_memfd_unmap_page(struct guest_memfd_map *map)
{
	kunmap_local(map->addr);
	folio_put(map->folio);
	filemap_invalidate_unlock_shared(map->inode->i_mapping);
}
EXPORT_SYMBOL_GPL(guest_memfd_unmap_page);

/*
 * One look, not a loop as in filemap_get_folio(): the task that has
 * frozen the reference count may be waiting for a lock that the caller holds.
 */
static struct folio *gmem_try_get_folio(struct inode *inode, pgoff_t index)
{
	struct folio *folio;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "no RCU read lock");

	folio = xa_load(&inode->i_mapping->i_pages, index);
	if (!folio || xa_is_value(folio) || !folio_try_get(folio))
		return NULL;

	/* Freed and used again before the reference was there? */
	if (folio != xa_load(&inode->i_mapping->i_pages, index) ||
	    !folio_test_uptodate(folio)) {
		folio_put(folio);
		return NULL;
	}
	return folio;
}

/**
 * guest_memfd_try_get_page - look a page up without sleeping
 * @binding:	The binding.
 * @index:	Page index in the file, not in the binding.
 * @page:	Filled in on success; the caller does folio_put(page->folio).
 *		@page->order is zero.
 *
 * The client excludes invalidate_start() for the range for as long as it uses
 * the page, that is, holds the lock which its invalidate_start() takes and has
 * seen that no invalidation is in progress.  The page cannot leave the file
 * then, and folio_put() does not put the last reference.
 *
 * Context: Any.  In a read-side section as for guest_memfd_get_page().
 * Return: 0; -EAGAIN if the page is a hole or cannot be had without waiting;
 *	   -ESTALE, -ENXIO and -EHWPOISON as guest_memfd_get_page().
 */
int guest_memfd_try_get_page(struct guest_memfd_binding *binding,
			     pgoff_t index, struct guest_memfd_page *page)
{
	struct inode *inode = gmem_binding_inode(binding);
	struct folio *folio;

	if (!inode)
		return -ESTALE;
	/*
	 * Pairs with WRITE_ONCE() in guest_memfd_unbind_next().  The client's
	 * lock orders it: if the page has been invalidated, this is seen.
	 */
	if (READ_ONCE(GMEM_I(inode)->closing))
		return -ESTALE;
	if (index < binding->node.start || index > binding->node.last)
		return -ENXIO;

	rcu_read_lock();
	folio = gmem_try_get_folio(inode, index);
	rcu_read_unlock();
	if (!folio)
		return -EAGAIN;

	if (gmem_is_bad(folio_file_page(folio, index))) {
		folio_put(folio);
		return -EHWPOISON;
	}

	page->folio = folio;
	page->pfn = folio_pfn(folio) + (index - folio->index);
	page->order = 0;
	return 0;
}
EXPORT_SYMBOL_GPL(guest_memfd_try_get_page);
