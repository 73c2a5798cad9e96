// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: folios of movable files, and the LRU list that they are on.
 *
 * That list, of unevictable folios, is where mm looks for what it can move.  A
 * folio gets there when it is new.  One that is lost must not be moved any more,
 * and one that has left the file is put on a list of our own.
 */

#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/workqueue.h>

#include "../internal.h"
#include "backoff.h"
#include "internal.h"
#include "lost.h"

/* How often the caller looks at a lost page, after one more jiffy each time. */
#define GMEM_LRU_TRIES	10

/**
 * gmem_put_on_lru - let mm move a folio
 * @folio:	A new folio of a movable file, with the reference that pins others,
 *		which is dropped.
 *
 * Context: Any; the caller has a reference of its own.
 */
void gmem_put_on_lru(struct folio *folio)
{
	folio_add_lru(folio);
	folio_put(folio);
}

/**
 * gmem_take_off_lru - have a folio be on no LRU list, for good
 * @folio:	The folio of a movable file, or one that has just left it.
 *
 * Context: Any; the caller has a reference.
 * Return: false if it is on none just now: somebody else has taken it, or is about
 *	   to add it, or it has been taken off before.
 */
bool gmem_take_off_lru(struct folio *folio)
{
	if (folio_isolate_lru(folio))
		return false;

	/* As it is freed without having been on the list again. */
	folio_clear_unevictable(folio);
	folio_put(folio);
	return true;
}

/* A lost page that was not to be had at once. */
struct gmem_late {
	struct delayed_work work;
	struct page *page;
	unsigned long delay;
};

/* Returns whether @folio, which is locked, is off the list for good. */
static bool gmem_settle_folio(struct folio *folio)
{
	/* That which is kept for good, the caller's, and the page cache's. */
	int refs = 2 + !!folio->mapping;

	/* It is going to be split; or it is lost as a whole, and off the list. */
	if (folio_test_large(folio))
		return !folio->mapping;
	/* Whoever has isolated it, or is about to add it, has a reference. */
	if (!gmem_take_off_lru(folio) &&
	    (folio_test_lru(folio) || folio_ref_count(folio) > refs))
		return false;
	/* See gmem_forget_lost(). */
	if (folio->mapping)
		gmem_lost_off_lru(folio);
	else
		mem_cgroup_uncharge(folio);
	return true;
}

static bool gmem_settle_page(struct page *page)
{
	struct folio *folio = page_folio(page);
	bool done = false;

	/* unpoison_memory() has given it back. */
	if (!PageHWPoison(page) || !folio_try_get(folio))
		return true;
	if (folio_trylock(folio)) {
		done = page_folio(page) == folio && gmem_settle_folio(folio);
		folio_unlock(folio);
	}
	folio_put(folio);
	return done;
}

static void gmem_settle_late(struct work_struct *work)
{
	struct gmem_late *l = container_of(to_delayed_work(work),
					   struct gmem_late, work);

	/* As long as it is in a large folio, that is not what is in the way. */
	if (!PageTransCompound(l->page))
		lru_add_drain_all();
	if (gmem_settle_page(l->page)) {
		kfree(l);
		return;
	}
	l->delay = min_t(unsigned long, 2 * l->delay, HZ);
	schedule_delayed_work(&l->work, l->delay);
}

/**
 * gmem_take_lost_off_lru - take a lost page off its LRU list
 * @page:	The page, with a reference that is kept for good; or it is in a large
 *		folio, and gets that when this is split.
 *
 * Memory hot-unplug expects none that is poisoned there.  Whoever has isolated it
 * meanwhile finds that it cannot be moved, and puts it back.  If that takes long, a
 * work item goes on with it.
 *
 * Context: Process context, sleeps; no lock but memory_failure()'s.
 */
void gmem_take_lost_off_lru(struct page *page)
{
	unsigned int tries = PageTransCompound(page) ? 0 : GMEM_LRU_TRIES, i;
	struct gmem_late *l;

	for (i = 0; i < tries; i++) {
		if (gmem_settle_page(page))
			return;
		/* It is on its way, or somebody has it. */
		gmem_drain_lists();
		if (!PageLRU(page))
			schedule_timeout_uninterruptible(i);
	}

	/* As little as for gmem_reserve_lost(). */
	l = kmalloc(sizeof(*l), GFP_KERNEL | __GFP_NOFAIL);
	INIT_DELAYED_WORK(&l->work, gmem_settle_late);
	l->page = page;
	l->delay = HZ / 20 + 1;
	schedule_delayed_work(&l->work, l->delay);
}
