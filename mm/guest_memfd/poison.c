// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: pages that the hardware has lost.
 *
 * A poisoned page stays where it is in the file, so that a task that wants it is
 * told, and does not find zeros where data has been.  Of a large folio, only
 * the poisoned pages are lost.  See DOC: memory failure.
 */

/**
 * DOC: memory failure
 *
 * memory_failure() recognizes the page of a guest_memfd before it does anything
 * else with it: such a page is on no LRU list, where the general code gives up,
 * and a large folio must not be split while clients map it.  When it returns,
 *
 * - the page has PG_hwpoison, is mapped in no user page table and by no client,
 *   and will not be mapped again;
 * - those who had it mapped have been sent the signal that their policy says
 *   (prctl(PR_MCE_KILL)); none has been for memory that cannot be mapped;
 * - it is recorded as lost, see below;
 * - one reference to the folio is kept for good: once the page has left the
 *   file and no other task holds it any more, that is the only one, which is what
 *   unpoison_memory() expects and otherwise keeps the page from the page
 *   allocator for ever;
 * - if the folio is large, it is going to be split by a work item, and until
 *   then handed out in single pages; that reference is taken when the page has
 *   become a folio of its own.
 *
 * Page flags decide nothing of that.  PG_hwpoison belongs to memory_failure(),
 * which sets it before it knows what the page is, and takes it back if a filter
 * (hwpoison_filter()) does not want the error or if it has to start again.  It
 * is heeded where a page would be touched or handed out, which then fails with
 * -EHWPOISON, and what has failed is tried again by the next look-up: a folio
 * with a page that was not zeroed is not uptodate.  All that lasts (the
 * reference, the end of the charge, the split, conversions that pass over the
 * page) follows the record, gmem_lost: an entry for each page that is in a file
 * and that memory_failure() is through with.  It is made, after the filter was
 * asked, and erased, when the page leaves the file, under the folio lock.
 *
 * guest_memfd_get_page() and fallocate() answer -EHWPOISON for the page, and
 * the access of a host mapping is answered with SIGBUS, until a hole is punched
 * for it, which makes room for a new one.  Everything around it stays in use.
 *
 * The order is: set PG_hwpoison, record, drop mappings.  A fault handler looks
 * first, and has its mapping dropped if it is late:
 *
 * A page table of the host changes under the folio lock, as does the check::
 *
 *	CPU 0: memory_failure()			CPU 1: fault, host
 *
 *						lock folio
 *						not poisoned
 *	set PG_hwpoison
 *	lock folio (waits)			map page
 *						unlock folio
 *	unmap, record, unlock folio
 *
 * A client maps under its own lock, after a check for invalidations since it
 * has asked for the page; this is one, from beginning to end::
 *
 *	CPU 0: memory_failure()			CPU 1: fault, guest
 *
 *						note the sequence number
 *						guest_memfd_get_page():
 *						not poisoned
 *	set PG_hwpoison
 *	lock folio, unmap, record, unlock
 *	invalidate_lock (write)
 *	  invalidate_start():
 *	    client's lock
 *	    drop mappings, next number
 *	    client's unlock
 *	  invalidate_end()
 *	unlock
 *						client's lock
 *						number has changed: again
 *						unlock
 *						-EHWPOISON
 *
 * A fault that notes the number after invalidate_end() finds the record.
 *
 * The lock is held for write, although no memory goes, because of the client's
 * own accesses: guest_memfd_map_page() holds it for read until the access is
 * over.  When memory_failure() returns, and its caller takes the page out of the
 * kernel's direct map, no copy from or to the page is under way, and the next
 * one finds the record.  What guest_memfd_try_get_page() returns is used under
 * the client's lock, for which invalidate_start() waits.
 *
 * A page that leaves the file meanwhile had its mappings dropped for that
 * reason, and there is nothing to record.  What remains to be done is to keep
 * the reference::
 *
 *	CPU 0: memory_failure()			CPU 1: punch a hole
 *
 *	set PG_hwpoison				invalidate_lock (write)
 *	is ours: take a reference		invalidate_start()
 *	lock folio (waits)			lock folio, remove it, unlock
 *	mapping is gone: unlock			invalidate_end()
 *						unlock
 *
 * The folio is locked first, to find the inode and get a reference to that: as
 * long as a folio is in a file, so long has its inode one, since release removes
 * all folios, with each one's lock, before it drops the file's.  It is unlocked
 * before invalidate_lock is taken: the order of these two is the other one.  So
 * the page can leave the file in between, too, and the range be filled again; a
 * mapping is then dropped that could have stayed.  And the file can be released:
 * then the reference is the last one, and there is no client to be told.
 */

#include <linux/memcontrol.h>
#include <linux/rcupdate.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>
#include <trace/events/guest_memfd.h>

#include "internal.h"
#include "poison.h"

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

/*
 * Take a reference to the folio if it is in a guest_memfd; it then can leave the
 * file, but not become anybody else's.
 *
 * While the folio is in a mapping, its count is zero only when it is frozen: by
 * a conversion, for a few instructions, or by a split, for as long as it takes
 * to write the struct pages of one folio.  Both have interrupts disabled from
 * before they freeze until they have thawed, so that they cannot be preempted by
 * this task, and the wait is as short as that.  Look-ups in the page cache rely
 * on the same.
 */
static struct folio *gmem_get_if_owned(struct page *page)
{
	struct folio *folio;

	rcu_read_lock();
	for (;;) {
		folio = page_folio(page);
		if (!gmem_owns_folio(folio)) {
			folio = NULL;
			break;
		}
		if (folio_try_get(folio))
			break;
		cpu_relax();
	}
	if (folio && !gmem_owns_folio(folio)) {
		folio_put(folio);
		folio = NULL;
	}
	rcu_read_unlock();
	return folio;
}

/**
 * guest_memfd_lock_poisoned - lock a folio of a guest_memfd
 * @page:	Any page, with PG_hwpoison set.
 *
 * Nothing is recorded yet, but from here on there is memory to do so.  It is
 * allocated before the folio is locked, when reclaim has nothing of ours to wait
 * for.  It must not fail, as the error cannot be refused, and it is one node of a
 * tree, at times a few, that GFP_KERNEL gets in any case but when this task is
 * being killed.
 *
 * Context: Process context, may sleep; holds no folio lock.
 * Return: The folio, locked and with a reference, which may just have left its
 *	   file; NULL if @page is no guest_memfd's.
 */
struct folio *guest_memfd_lock_poisoned(struct page *page)
{
	struct folio *folio;

	while ((folio = gmem_get_if_owned(page))) {
		WARN_ON_ONCE(xa_reserve(&gmem_lost, page_to_pfn(page),
					GFP_KERNEL | __GFP_NOFAIL));
		folio_lock(folio);
		if (page_folio(page) == folio) {
			/*
			 * A split that was at work when the flag was set can
			 * have lost it: it writes the flags of tail pages not
			 * atomically.  The folio lock keeps splits away.
			 */
			SetPageHWPoison(page);
			break;
		}
		/* It has been split. */
		guest_memfd_unlock_poisoned(folio, page);
	}
	return folio;
}

/**
 * guest_memfd_unlock_poisoned - undo guest_memfd_lock_poisoned()
 * @folio:	From there.
 * @page:	The same.  Nothing is remembered of it.
 *
 * Context: Process context.
 */
void guest_memfd_unlock_poisoned(struct folio *folio, struct page *page)
{
	xa_release(&gmem_lost, page_to_pfn(page));
	folio_unlock(folio);
	folio_put(folio);
}

/*
 * Record that @page is lost.  Returns whether the caller's reference to @folio is
 * the one that is kept for good.
 */
static bool gmem_record(struct folio *folio, struct page *page)
{
	bool large = folio_test_large(folio);
	void *old;

	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio), folio);

	/* Does not allocate, as there is a reservation. */
	old = xa_store(&gmem_lost, page_to_pfn(page),
		       large ? GMEM_LOST_IN_LARGE : GMEM_LOST_KEPT, GFP_NOWAIT);
	if (large) {
		/* For finish_fault(), which maps all of a folio otherwise. */
		folio_set_has_hwpoisoned(folio);
		WRITE_ONCE(GMEM_I(folio->mapping->host)->has_poison, true);
	}
	/* An error in a page that is known, because its flag had got lost. */
	return !large && old != GMEM_LOST_KEPT;
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
	if (xa_empty(&gmem_lost))
		return;
	if (xa_cmpxchg(&gmem_lost, folio_pfn(folio), GMEM_LOST_IN_LARGE,
		       GMEM_LOST_KEPT, GFP_NOWAIT) == GMEM_LOST_IN_LARGE)
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

/* Have clients drop their mappings, and wait for their accesses to end. */
static void gmem_contain(struct inode *inode, pgoff_t start, pgoff_t end)
{
	filemap_invalidate_lock(inode->i_mapping);
	gmem_invalidate_start(inode, start, end);
	gmem_invalidate_end(inode, start, end);
	filemap_invalidate_unlock(inode->i_mapping);
}

/**
 * guest_memfd_contain_poisoned - have clients drop a folio with a poisoned page
 * @folio:	From guest_memfd_lock_poisoned(), not mapped by user page tables
 *		any more.  It is unlocked here; the reference is kept for good
 *		if it is one to the page alone, or if a large folio is lost.
 * @page:	The page of @folio that is poisoned, and no longer to be spared.
 *
 * Context: Process context, may sleep; takes invalidate_lock for write, for the
 *	    time that clients take for one folio.
 */
void guest_memfd_contain_poisoned(struct folio *folio, struct page *page)
{
	struct address_space *mapping = folio->mapping;
	pgoff_t end = folio_next_index(folio);
	pgoff_t start = folio->index;
	bool large = folio_test_large(folio);
	struct inode *inode = NULL;
	bool queued = false;
	bool keep = true;

	if (mapping) {
		/* A large folio has the file's references until it is split. */
		keep = gmem_record(folio, page);
		/* The folio is in the file, so the inode has a reference. */
		inode = igrab(mapping->host);
	} else {
		xa_release(&gmem_lost, page_to_pfn(page));
		mem_cgroup_uncharge(folio);
	}
	folio_unlock(folio);

	if (inode) {
		trace_guest_memfd_error(inode,
					start + folio_page_idx(folio, page),
					page_to_pfn(page));
		gmem_contain(inode, start, end);
		queued = large && gmem_queue_split(inode);
	}
	if (!keep)
		folio_put(folio);
	/* Perhaps the last one: the split that comes first is without us. */
	if (inode && !queued)
		iput(inode);
}

/**
 * gmem_max_order - largest order at which a folio may be mapped
 * @folio:	The folio.
 *
 * Context: Any; the caller has a reference to @folio.
 * Return: The folio's order, or 0 if not all of its pages are usable.
 */
unsigned int gmem_max_order(struct folio *folio)
{
	return gmem_has_lost(folio) ? 0 : folio_order(folio);
}

/**
 * gmem_release_poison - a folio, perhaps with lost pages, has left the file
 * @folio:	The folio, just removed.
 *
 * If one is, then the folio is never freed, which is when it is uncharged
 * otherwise.  A failure that is noticed only later finds the folio without a
 * mapping.
 *
 * Context: Any; folio lock held.
 * Return: true if the file's reference has to be kept for good: the folio is
 *	   large, because it could not be split in time, and lost as a whole.
 */
bool gmem_release_poison(struct folio *folio)
{
	unsigned long pfn = folio_pfn(folio);
	unsigned long last = pfn + folio_nr_pages(folio) - 1;
	bool found = false;
	void *entry;

	if (xa_empty(&gmem_lost))
		return false;

	xa_for_each_range(&gmem_lost, pfn, entry, pfn, last) {
		xa_erase(&gmem_lost, pfn);
		found = true;
	}
	if (found)
		mem_cgroup_uncharge(folio);
	return found && folio_test_large(folio);
}
