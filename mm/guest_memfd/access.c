// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: how a client itself reads and writes the memory.
 *
 * A hypervisor accesses guest memory, too: it walks page tables, emulates
 * instructions, updates pages that it shares with the guest.  Memory in a file
 * has no address in any user's address space that could be used for that.
 *
 * There are two ways.  guest_memfd_map_page() may sleep and may allocate, and
 * keeps the file's lock until guest_memfd_unmap_page(): what is between the two
 * is an access, neither a mapping to be kept nor a place to touch user memory.
 * guest_memfd_try_get_page() never sleeps and takes no lock, is good only where
 * an invalidation cannot begin, and fails where it would have to wait.
 */

#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/rcupdate.h>
#include <trace/events/guest_memfd.h>

#include "internal.h"

static struct folio *gmem_access_folio(struct guest_memfd_binding *binding,
				       struct inode *inode, pgoff_t index,
				       const struct guest_memfd_range *range)
{
	struct folio *folio;

	gmem_assert_locked(inode);

	if (range)
		return gmem_get_folio_for(binding, inode, index, range);

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
				struct guest_memfd_map *map)
{
	struct inode *inode = map->inode;
	struct folio *folio;
	struct page *page;
	int ret;

	ret = gmem_check_bound(binding, inode, index);
	if (ret)
		return ret;

	folio = gmem_access_folio(binding, inode, index, range);
	if (IS_ERR(folio))
		return PTR_ERR(folio);

	ret = -EHWPOISON;
	page = folio_file_page(folio, index);
	if (gmem_is_bad(page))
		goto err_put;

	/* For the client's own accesses, too, it has to be the binding's. */
	ret = gmem_make_private(inode, binding, folio, index, 0);
	if (ret)
		goto err_put;

	map->folio = folio;
	map->addr = kmap_local_page(page);
	return 0;

err_put:
	folio_put(folio);
	return ret;
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
	int ret;

	/* Pairs with WRITE_ONCE() in gmem_detach(). */
	map->inode = READ_ONCE(binding->inode);
	if (!map->inode)
		return -ESTALE;

	ret = gmem_lock_shared_killable(map->inode);
	if (ret)
		return ret;
	ret = gmem_map_page_locked(binding, index, range, map);
	if (ret)
		filemap_invalidate_unlock_shared(map->inode->i_mapping);
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
	/* Pairs with WRITE_ONCE() in gmem_detach(). */
	struct inode *inode = READ_ONCE(binding->inode);
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
