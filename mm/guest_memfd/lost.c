// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: the record of pages that are in a file and lost.
 *
 * memory_failure() makes an entry when it is through with a page, see poison.c,
 * and the entry goes when the page leaves the file.  All decisions that last are
 * made by the record, as other code can set and clear PG_hwpoison at any time; see
 * DOC: memory failure.
 */

#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/xarray.h>

#include "internal.h"
#include "lost.h"

/*
 * The pages that are in a file and lost, of all files, by page frame number: a
 * folio that has just left its file, or is being split, need not know of which.
 * Entries are made, changed and erased under the folio lock.  Most systems never
 * have one, so that xa_empty() is the usual cost.
 */
static DEFINE_XARRAY(gmem_lost);

/* The page is in a large folio: it gets a reference when that is split. */
#define GMEM_LOST_IN_LARGE	xa_mk_value(0)
/* The page is a folio of its own, with one reference to be kept for good. */
#define GMEM_LOST_KEPT		xa_mk_value(1)
/* The same, and it may be on an LRU list, or on its way there: see lru.c. */
#define GMEM_LOST_LISTED	xa_mk_value(2)

/**
 * gmem_reserve_lost - have memory for gmem_record_lost()
 * @page:	The page.
 *
 * It must not fail, as the error cannot be refused, and it is one node of a tree,
 * at times a few, that GFP_KERNEL gets in any case but when this task is being
 * killed.
 *
 * Context: Process context, may sleep.
 */
void gmem_reserve_lost(struct page *page)
{
	WARN_ON_ONCE(xa_reserve(&gmem_lost, page_to_pfn(page),
				GFP_KERNEL | __GFP_NOFAIL));
}

/* Without an entry: undo gmem_reserve_lost(). */
void gmem_unreserve_lost(struct page *page)
{
	xa_release(&gmem_lost, page_to_pfn(page));
}

/**
 * gmem_record_lost - record that a page of a file is lost
 * @folio:	The folio that contains it, locked and in a file.
 * @page:	The page, after gmem_reserve_lost().
 *
 * Context: Any.
 * Return: true if the caller's reference to @folio is the one that is kept for
 *	   good.
 */
bool gmem_record_lost(struct folio *folio, struct page *page)
{
	bool large = folio_test_large(folio);
	void *old, *entry = GMEM_LOST_KEPT;

	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio), folio);

	if (gmem_is_movable(folio->mapping->host))
		entry = GMEM_LOST_LISTED;
	if (large)
		entry = GMEM_LOST_IN_LARGE;
	/* Does not allocate, as there is a reservation. */
	old = xa_store(&gmem_lost, page_to_pfn(page), entry, GFP_NOWAIT);
	if (large) {
		/* For finish_fault(), which maps all of a folio otherwise. */
		folio_set_has_hwpoisoned(folio);
		WRITE_ONCE(GMEM_I(folio->mapping->host)->has_poison, true);
	}
	/* An error in a page that is known, because its flag had got lost. */
	if (old == GMEM_LOST_LISTED)
		return false;
	return !large && old != GMEM_LOST_KEPT;
}

/**
 * gmem_lost_off_lru - note that a lost page is on no LRU list any more
 * @folio:	The page, a folio of its own, locked and in a file.
 *
 * Context: Any.
 */
void gmem_lost_off_lru(struct folio *folio)
{
	xa_cmpxchg(&gmem_lost, folio_pfn(folio), GMEM_LOST_LISTED,
		   GMEM_LOST_KEPT, GFP_NOWAIT);
}

/**
 * gmem_adopt_lost - a page, perhaps lost, has become a folio of its own
 * @folio:	The page.
 *
 * The file's reference to the large folio was one for all of its pages.
 * memory_failure() can record the page as soon as the split has unlocked it, and
 * keeps a reference itself then.
 *
 * Context: Any; invalidate_lock held for write since before the split.
 */
void gmem_adopt_lost(struct folio *folio)
{
	void *kept = GMEM_LOST_KEPT;

	if (xa_empty(&gmem_lost))
		return;
	if (gmem_is_movable(folio->mapping->host))
		kept = GMEM_LOST_LISTED;
	if (xa_cmpxchg(&gmem_lost, folio_pfn(folio), GMEM_LOST_IN_LARGE, kept,
		       GFP_NOWAIT) != GMEM_LOST_IN_LARGE)
		return;

	folio_get(folio);
}

/**
 * gmem_has_lost_in - look for lost pages in a part of a folio
 * @folio:	The folio, in the file or just removed.
 * @start:	First page index.
 * @end:	Page index after the last; both may be outside of @folio.
 *
 * Context: Any; the caller has a reference to @folio, or holds the lock of the
 *	    file's page cache.
 * Return: true if memory_failure() is through with one: no user page table maps
 *	   it, and none will.
 */
bool gmem_has_lost_in(struct folio *folio, pgoff_t start, pgoff_t end)
{
	unsigned long pfn = folio_pfn(folio) - folio->index;

	/* Nearly always, and then it does not matter how many pages there are. */
	if (xa_empty(&gmem_lost))
		return false;

	start = pfn + max(start, folio->index);
	end = pfn + min(end, folio_next_index(folio));
	return start < end &&
	       xa_find(&gmem_lost, &start, end - 1, XA_PRESENT);
}

/* The same for all of it. */
bool gmem_has_lost(struct folio *folio)
{
	return gmem_has_lost_in(folio, 0, ULONG_MAX);
}

/**
 * gmem_is_bad - whether a page is not to be touched now
 * @page:	The page.
 *
 * Context: Any; the caller has a reference to the folio.
 * Return: true if it is lost, or if memory_failure() is looking at it and may
 *	   yet let it pass.
 */
bool gmem_is_bad(struct page *page)
{
	return PageHWPoison(page) ||
	       (!xa_empty(&gmem_lost) &&
		xa_load(&gmem_lost, page_to_pfn(page)));
}

/**
 * gmem_has_bad - whether a folio has a page that is not to be touched now
 * @folio:	The folio.
 *
 * Context: Any; the caller has a reference to the folio, or the only one has been
 *	    frozen.
 * Return: true if gmem_is_bad() is true for one of its pages.
 */
bool gmem_has_bad(struct folio *folio)
{
	long i, nr = folio_nr_pages(folio);

	for (i = 0; i < nr; i++)
		if (gmem_is_bad(folio_page(folio, i)))
			return true;
	return false;
}

/**
 * gmem_forget_lost - a folio, perhaps with lost pages, has left the file
 * @folio:	The folio, just removed.
 *
 * If one is, then the folio is never freed, which is when it is uncharged
 * otherwise.  A failure that is noticed only later finds the folio without a
 * mapping.
 * One that an LRU list may count for its memory cgroup is uncharged when it has been
 * taken off, see gmem_take_lost_off_lru().
 *
 * Context: Any; folio lock held.
 * Return: true if the file's reference has to be kept for good: the folio is
 *	   large, because it could not be split in time, and lost as a whole.
 */
bool gmem_forget_lost(struct folio *folio)
{
	unsigned long pfn = folio_pfn(folio);
	unsigned long last = pfn + folio_nr_pages(folio) - 1;
	bool listed = false;
	bool found = false;
	void *entry;

	if (xa_empty(&gmem_lost))
		return false;

	xa_for_each_range(&gmem_lost, pfn, entry, pfn, last) {
		xa_erase(&gmem_lost, pfn);
		listed |= entry == GMEM_LOST_LISTED;
		found = true;
	}
	/* It may be on its way to a list: gmem_take_lost_off_lru() goes on. */
	if (listed)
		return false;
	if (found && !gmem_is_on_lru(folio))
		mem_cgroup_uncharge(folio);
	return found && folio_test_large(folio);
}
