// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: pages that the hardware has lost.
 *
 * A poisoned page stays where it is in the file, so that a task that wants it is
 * told, and does not find zeros where data has been.  See DOC: memory failure.
 * Of a large folio, only the poisoned pages are lost.
 */

/**
 * DOC: memory failure
 *
 * memory_failure() recognizes the page of a guest_memfd before it does anything
 * else with it: such a page is on no LRU list, where the general code gives up.
 * Nor must it split a large folio, as clients map it.
 * (A page of a movable file is on one, and is taken off when it is lost.)
 * When it returns,
 *
 * - the page has PG_hwpoison, is mapped in no user page table and by no client,
 *   and will not be mapped again;
 * - processes that had it mapped have been sent the signal that their policy says
 *   (prctl(PR_MCE_KILL)); none has been for memory that cannot be mapped;
 * - it is recorded as lost, see below;
 * - one reference to the folio is kept for good: once the page has left the
 *   file and no other task holds it any more, that is the only one, which is what
 *   unpoison_memory() expects and otherwise keeps the page from the page
 *   allocator for ever.
 * - If the folio is large, it is going to be split by a work item, and until
 *   then handed out in single pages; that reference is taken when the page has
 *   become a folio of its own.
 *
 * Page flags decide nothing of that.  PG_hwpoison belongs to memory_failure(),
 * which sets it before it knows what the page is, and takes it back if a filter
 * (hwpoison_filter()) does not want the error or if it has to start again.  It
 * is heeded where a page would be touched or handed out, which then fails with
 * -EHWPOISON, and what has failed is tried again by the next look-up: a folio
 * with a page that was not zeroed is not uptodate.  All that lasts, such as the
 * reference, follows the record, gmem_lost: an entry for each page that is in a file
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
 * Of a large folio only the page is lost.  So such a folio stays in the file if it
 * has a page that is recorded, or has the flag while there is a reference that can
 * be the one on the left; the hole waits, and splits it.  See gmem_may_leave().
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
#include <trace/events/guest_memfd.h>

#include "internal.h"
#include "lost.h"
#include "poison.h"

/*
 * Whether a folio, of which the caller has a reference, is in a guest_memfd.  It is
 * looked at under the lock with which folios leave a file.  So what takes it out
 * later than that can see the reference, and the flag.
 */
static bool gmem_is_in_file(struct folio *folio)
{
	struct address_space *mapping = READ_ONCE(folio->mapping);
	bool in_file;

	if (!gmem_owns_folio(folio))
		return false;

	xa_lock_irq(&mapping->i_pages);
	in_file = folio->mapping == mapping;
	xa_unlock_irq(&mapping->i_pages);
	return in_file;
}

/*
 * Take a reference to the folio if it is in a guest_memfd; it then can leave the
 * file, but not be used again.
 *
 * While the folio is in a mapping, its count is zero only when it is frozen.
 * Code that does so has interrupts disabled from before it freezes until it has
 * thawed, so that it cannot be preempted by this task, and the wait is as short
 * as that.  Look-ups in the page cache rely on the same.
 * A conversion freezes for a few instructions.
 * A split does for as long as it takes to write the struct pages of one folio.
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
	if (folio && !gmem_is_in_file(folio)) {
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
 * for.
 *
 * Context: Process context, may sleep; holds no folio lock.
 * Return: The folio, locked and with a reference, which may just have left its
 *	   file; NULL if @page is no guest_memfd's.
 */
struct folio *guest_memfd_lock_poisoned(struct page *page)
{
	struct folio *folio;

	while ((folio = gmem_get_if_owned(page))) {
		gmem_reserve_lost(page);
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
	gmem_unreserve_lost(page);
	folio_unlock(folio);
	folio_put(folio);
}

/* Have clients drop their mappings, and wait for their accesses to end. */
static void gmem_contain(struct inode *inode, pgoff_t start, pgoff_t end)
{
	filemap_invalidate_lock(inode->i_mapping);
	gmem_invalidate_start(inode, start, end);
	gmem_invalidate_end(inode, start, end);
	filemap_invalidate_unlock(inode->i_mapping);
}

/* Whether an LRU list may yet count a folio that has left its file. */
static bool gmem_stays_charged(struct folio *folio)
{
	/* One that is new is in a list of a CPU first, and not flagged. */
	if (!folio_test_large(folio))
		return true;
	return gmem_is_on_lru(folio);
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
	struct inode *inode = NULL;
	bool keep = true;
	bool listed;
	bool large;

	if (mapping) {
		/* A large folio has the file's references until it is split. */
		keep = gmem_record_lost(folio, page);
		/* The folio is in the file, so the inode has a reference. */
		inode = igrab(mapping->host);
		listed = gmem_is_movable(mapping->host);
	} else {
		gmem_unreserve_lost(page);
		if (!gmem_stays_charged(folio))
			mem_cgroup_uncharge(folio);
		/* The file is not known any more, nor whether it is movable. */
		listed = gmem_stays_charged(folio);
	}
	large = folio_test_large(folio);
	folio_unlock(folio);

	if (inode) {
		trace_guest_memfd_error(inode,
					start + folio_page_idx(folio, page),
					page_to_pfn(page));
		gmem_contain(inode, start, end);
		if (large)
			gmem_queue_split(inode);
	}
	if (!keep)
		folio_put(folio);
	if (listed)
		gmem_take_lost_off_lru(page);
	if (inode)
		iput(inode);
}
