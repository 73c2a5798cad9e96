// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: the memory.
 *
 * A folio belongs to the file from gmem_add_folio() until gmem_let_go().  In
 * between it carries, besides the page cache's references, the one that the
 * allocator returned.  That extra reference, and being on no LRU list, keep the
 * rest of mm from moving the folio.
 * When a folio is split, all this holds for each of its pages; see split.c.
 * In a movable file it has neither, but is on the list of unevictable folios; see
 * migrate.c.
 *
 * Only remove.c takes a folio out of the mapping.  The rest of mm would drop a
 * clean page cache folio that is not mapped.  Three things are in the way: the
 * folio is always dirty (and never written back), it carries that extra
 * reference, and ->release_folio() refuses.
 */

#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/memcontrol.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>
#include <trace/events/guest_memfd.h>

#include "account.h"
#include "internal.h"
#include "lost.h"
#include "migrate.h"

/* Neither movable nor in CMA: the address does not change. */
#define GMEM_GFP	GFP_HIGHUSER

/* How often other tasks may take what one has made free. */
#define GMEM_ROOM_TRIES	16

/*
 * Zero a folio, which is locked and not uptodate, unless the allocator has.  A
 * page with PG_hwpoison is not touched, and then the folio cannot be uptodate:
 * the page may be good again by the next look-up.  Returns whether all is zero.
 */
static bool gmem_clear_folio(struct folio *folio, bool cleared)
{
	long nr = folio_nr_pages(folio);
	long i;

	/* One that becomes lost from here on has its flag before. */
	if (unlikely(gmem_has_lost(folio)))
		return false;

	for (i = 0; i < nr; i++) {
		struct page *page = folio_page(folio, i);

		if (unlikely(PageHWPoison(page)))
			return false;
		if (!cleared)
			clear_highpage(page);
	}
	return true;
}

/*
 * Zero a folio that has got its place.  If that is not possible it leaves the
 * file again, which does not need invalidate_lock for write: no look-up has
 * returned it, as it never was uptodate.
 */
static int gmem_start_folio(struct inode *inode, struct folio *folio)
{
	/*
	 * Pairs with TestSetPageHWPoison() in memory_failure(), which then looks
	 * at the mapping: if it finds none, this finds the flag.
	 */
	smp_mb__after_atomic();
	if (!gmem_clear_folio(folio, want_init_on_alloc(GMEM_GFP))) {
		filemap_remove_folio(folio);
		return -EHWPOISON;
	}
	gmem_account_folio(inode, folio);
	folio_mark_uptodate(folio);
	return 0;
}

/*
 * Insert @folio, fresh from the allocator.  On success its first reference is
 * the file's and the caller has one of its own; on failure the caller has the
 * only one.
 *
 * It is zeroed when it has got its place, under the folio lock: nothing is
 * zeroed in vain because another task was faster or there is no room for it in
 * a memory cgroup.  Until then it is not uptodate.
 */
static int gmem_add_folio(struct inode *inode, struct folio *folio,
			  pgoff_t index, gfp_t gfp)
{
	int ret;

	gmem_assert_locked(inode);

	folio_set_dirty(folio);
	/* Atomically, as memory_failure() can set its flag at any time. */
	folio_lock(folio);
	ret = __filemap_add_folio(inode->i_mapping, folio, index, gfp, NULL);
	if (!ret) {
		folio_get(folio);
		ret = gmem_start_folio(inode, folio);
	}
	folio_unlock(folio);
	if (!ret && gmem_is_movable(inode))
		gmem_put_on_lru(folio);
	return ret;
}

static gfp_t gmem_gfp(struct inode *inode, unsigned int order)
{
	if (order)
		return gmem_huge_gfp(inode);
	if (gmem_is_movable(inode))
		return GFP_HIGHUSER_MOVABLE;
	return GMEM_GFP;
}

/* What has been kept for the next try, if it is still of use. */
static struct folio *gmem_take_room(struct gmem_room *room, unsigned int order)
{
	struct folio *folio = room->folio;

	room->folio = NULL;
	if (folio && folio_order(folio) != order) {
		folio_put(folio);
		return NULL;
	}
	return folio;
}

/* What is not free is not looked for, as the lock is held: see gmem_make_room(). */
static struct folio *gmem_new_folio(struct inode *inode, pgoff_t index,
				    unsigned int order, struct gmem_room *room)
{
	gfp_t gfp = gmem_gfp(inode, order) & ~__GFP_DIRECT_RECLAIM;
	struct folio *folio;
	int ret;

	gfp |= __GFP_NOWARN;
	index = round_down(index, 1UL << order);
	folio = gmem_take_room(room, order);
	if (!folio)
		folio = gmem_alloc_folio(inode, index, gfp, order);
	if (!folio)
		return ERR_PTR(-ENOMEM);

	ret = gmem_add_folio(inode, folio, index, gfp);
	if (!ret)
		return folio;
	if (ret == -ENOMEM)
		room->folio = folio;
	else
		folio_put(folio);
	return ERR_PTR(ret);
}

static void gmem_count_huge(struct folio *folio, unsigned int order)
{
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) && order && !IS_ERR(folio))
		count_vm_event(THP_FILE_ALLOC);
}

static void gmem_fall_back(struct gmem_room *room)
{
	room->small = true;
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		count_vm_event(THP_FILE_FALLBACK);
}

/*
 * Charge a folio, and give the charge back for the next try.  That charges nodes of
 * the page cache's tree, too: from a page at a time, which is enough for all the
 * nodes on the way to one index.
 */
static bool gmem_reclaim_charge(struct folio *folio, gfp_t gfp)
{
	struct folio *nodes;
	bool done = false;

	if (mem_cgroup_charge(folio, NULL, gfp))
		return false;

	nodes = folio_alloc(gfp, 0);
	if (nodes) {
		done = !mem_cgroup_charge(nodes, NULL, gfp);
		folio_put(nodes);
	}
	mem_cgroup_uncharge(folio);
	return done;
}

static bool gmem_fill_room(struct inode *inode, pgoff_t index,
			   struct gmem_room *room)
{
	unsigned int order = room->order;
	gfp_t gfp = gmem_gfp(inode, order);
	struct folio *folio;

	folio = gmem_take_room(room, order);
	if (!folio)
		folio = gmem_alloc_folio(inode, round_down(index, 1UL << order),
					 gfp, order);
	if (!folio)
		return false;

	if (!gmem_reclaim_charge(folio, gfp)) {
		folio_put(folio);
		return false;
	}
	room->folio = folio;
	return true;
}

/**
 * gmem_make_room - make memory free that a look-up has not found to be
 * @inode:	Inode of the file.
 * @index:	Page index.
 * @room:	The same as for the look-up.
 * @err:	What that has returned.
 *
 * To reclaim memory can take long, and so can a memory cgroup at its limit; other
 * tasks that need the file's lock must not wait for it.  So it is done here.  The
 * folio is kept for the next try, and what that will charge has been free: if other
 * tasks take it meanwhile, it is done again.
 *
 * Context: Process context, sleeps; no lock of the file held.
 * Return: true if the look-up has a chance now, false if @err is the answer.
 */
bool gmem_make_room(struct inode *inode, pgoff_t index, struct gmem_room *room,
		    int err)
{
	if (err != -ENOMEM || !room->wanted || fatal_signal_pending(current))
		return false;
	room->wanted = false;

	if (room->tries++ < GMEM_ROOM_TRIES &&
	    gmem_fill_room(inode, index, room))
		return true;
	if (room->order) {
		gmem_fall_back(room);
		room->tries = 0;
		return true;
	}
	return false;
}

/**
 * gmem_end_room - give back what look-ups have not taken
 * @room:	The same as for the look-ups, for which it can be used again.
 *
 * Context: Any.
 */
void gmem_end_room(struct gmem_room *room)
{
	if (room->folio)
		folio_put(room->folio);
	*room = (struct gmem_room) {};
}

/**
 * guest_memfd_throttle - pay for memory of which the calling task has too much
 *
 * For calls that look up many pages, before the next one.  A look-up itself does not
 * sleep for the memory controller.  Without this, a task whose group is above
 * memory.high would pay but once, when it returns to user mode.
 *
 * Context: Process context, sleeps for seconds, but can be killed.  Neither a lock nor
 *	    a reference held that others wait for; in a page fault mmap_lock is,
 *	    as in any charge there.
 */
void guest_memfd_throttle(void)
{
	mem_cgroup_handle_over_high(GFP_KERNEL);
}
EXPORT_SYMBOL_GPL(guest_memfd_throttle);

static int gmem_make_uptodate(struct inode *inode, struct folio *folio)
{
	int ret = 0;

	folio_lock(folio);
	if (folio->mapping != inode->i_mapping)
		ret = -EAGAIN;
	else if (folio_test_uptodate(folio))
		ret = 0;
	else if (gmem_clear_folio(folio, false))
		folio_mark_uptodate(folio);
	else
		ret = -EHWPOISON;
	folio_unlock(folio);
	return ret;
}

/*
 * A folio can have left the file although invalidate_lock is held: one to which
 * another was to be moved, when that failed.  It never was uptodate while it was in
 * the file; if it is, because mm has used it for something else, this sees that
 * it is not the file's.
 */
static bool gmem_is_still_in_file(struct inode *inode, struct folio *folio)
{
	/* The flag before the mapping, which was taken away before it was set. */
	smp_rmb();
	return READ_ONCE(folio->mapping) == inode->i_mapping;
}

/**
 * gmem_find_folio - look up the folio at an index
 * @inode:	Inode of the file.
 * @index:	Page index.
 *
 * If it is not uptodate it is new, and another task is zeroing it, or could not.
 * Or it has been converted, and its memory is what the last owner left.
 * Then it is zeroed here, by the first task that wants it.
 *
 * Context: Process context, may sleep; invalidate_lock held.
 * Return: The folio, uptodate and with a reference for the caller; NULL if there
 *	   is none; ERR_PTR(-EHWPOISON) if it is a page that cannot be zeroed.
 */
struct folio *gmem_find_folio(struct inode *inode, pgoff_t index)
{
	struct folio *folio;
	int ret;

	gmem_assert_locked(inode);

	do {
		folio = filemap_get_folio(inode->i_mapping, index);
		if (!folio)
			return NULL;

		ret = 0;
		if (unlikely(!folio_test_uptodate(folio)))
			ret = gmem_make_uptodate(inode, folio);
		else if (unlikely(!gmem_is_still_in_file(inode, folio)))
			ret = -EAGAIN;
		if (ret)
			folio_put(folio);
		/* A new one that has been given back: look again. */
	} while (ret == -EAGAIN);
	return ret ? ERR_PTR(ret) : folio;
}

/**
 * gmem_get_folio_within - look up or allocate the folio at an index
 * @inode:	Inode of the file.
 * @index:	Page index, inside the range.
 * @start:	First page index of what may be allocated.
 * @end:	Page index after the last; not beyond the end of the file.
 * @room:	Zeros at first.
 *
 * Context: Process context, may sleep; invalidate_lock held.
 * Return: The folio, zeroed if it is new, with a reference for the caller;
 *	   ERR_PTR(-ENOMEM), also when the memory controller refuses, and then the
 *	   caller drops the lock and asks gmem_make_room() whether to try again,
 *	   and calls gmem_end_room() after the last try;
 *	   ERR_PTR(-EHWPOISON) as for gmem_find_folio().
 */
struct folio *gmem_get_folio_within(struct inode *inode, pgoff_t index,
				    pgoff_t start, pgoff_t end,
				    struct gmem_room *room)
{
	unsigned int order = 0;
	bool created = false;
	struct folio *folio;

	gmem_assert_locked(inode);

	while (!(folio = gmem_find_folio(inode, index))) {
		if (!room->small)
			order = gmem_new_order(inode, index, start, end);
		folio = gmem_new_folio(inode, index, order, room);
		created = !IS_ERR(folio);
		gmem_count_huge(folio, order);
		/* Another task was faster; perhaps only with a part of it. */
		if (folio == ERR_PTR(-EEXIST))
			continue;
		/* Memory that has gone bad does not come a second time. */
		if (folio == ERR_PTR(-EHWPOISON) && !order)
			continue;
		if (folio == ERR_PTR(-ENOMEM) &&
		    gmem_gfp(inode, order) & __GFP_DIRECT_RECLAIM) {
			room->order = order;
			room->wanted = true;
			break;
		}
		if (IS_ERR(folio) && order) {
			gmem_fall_back(room);
			order = 0;
			continue;
		}
		break;
	}
	if (!IS_ERR(folio))
		trace_guest_memfd_get_folio(inode, index, folio, created);
	return folio;
}

/**
 * gmem_get_folio - look up or allocate the folio at an index
 * @inode:	Inode of the file.
 * @index:	Page index, below the end of the file.
 * @room:	Zeros at first.
 *
 * Context: Process context, may sleep; invalidate_lock held.
 * Return: As for gmem_get_folio_within().
 */
struct folio *gmem_get_folio(struct inode *inode, pgoff_t index,
			     struct gmem_room *room)
{
	return gmem_get_folio_within(inode, index, 0,
				     i_size_read(inode) >> PAGE_SHIFT, room);
}

/**
 * gmem_get_folio_for - look up or allocate the folio at an index for a client
 * @binding:	The client's binding.
 * @inode:	Inode of the file.
 * @index:	Page index, inside the binding and the range.
 * @range:	Where the client wants memory.
 * @room:	Zeros at first.
 *
 * What is outside of the binding, or of no use to the client, is not allocated.
 *
 * Context: Process context, may sleep; invalidate_lock held.
 * Return: As for gmem_get_folio_within().
 */
struct folio *gmem_get_folio_for(struct guest_memfd_binding *binding,
				 struct inode *inode, pgoff_t index,
				 const struct guest_memfd_range *range,
				 struct gmem_room *room)
{
	gmem_assert_locked(inode);

	return gmem_get_folio_within(inode, index,
				     max(range->start, binding->node.start),
				     min(range->end, binding->node.last + 1),
				     room);
}

/**
 * gmem_next_piece - find the first memory of a range
 * @inode:	Inode of the file.
 * @start:	First page index; becomes that of a piece with memory in it.
 * @end:	Page index after the last.
 * @piece_end:	Becomes the page index after the last one of the piece.
 *
 * Context: Any.  Without invalidate_lock the answer can be old at once.
 * Return: false if there is no memory in the range.
 */
bool gmem_next_piece(struct inode *inode, pgoff_t *start, pgoff_t end,
		     pgoff_t *piece_end)
{
	unsigned long index = *start;

	if (index >= end || !xa_find(&inode->i_mapping->i_pages, &index,
				     end - 1, XA_PRESENT))
		return false;

	*start = max(*start, round_down(index, GMEM_PIECE));
	*piece_end = min(end, gmem_block_end(index));
	return true;
}

/**
 * gmem_owns_folio - whether a folio is in a guest_memfd
 * @folio:	Any folio, or what looks like one.
 *
 * Any page of the system comes along here, so ->mapping may be anything.  If it
 * is one, RCU keeps the inode that contains it.
 *
 * Context: Any; RCU read lock held.
 * Return: true if it is, or just was.
 */
bool gmem_owns_folio(struct folio *folio)
{
	const struct address_space_operations *a_ops;
	struct address_space *mapping;

	mapping = READ_ONCE(folio->mapping);
	if (!mapping || (unsigned long)mapping & PAGE_MAPPING_FLAGS)
		return false;
	if (get_kernel_nofault(a_ops, &mapping->a_ops))
		return false;
	return a_ops == &gmem_aops;
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
/**
 * guest_memfd_owns_folio - whether a folio is in a guest_memfd
 * @folio:	A folio that user page tables can map, locked.
 *
 * Context: Any.
 * Return: true if it is.
 */
bool guest_memfd_owns_folio(struct folio *folio)
{
	return gmem_owns_mapping(folio->mapping);
}
#endif
