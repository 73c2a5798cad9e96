// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: pages that the hardware has lost.
 *
 * A poisoned page stays where it is in the file, so that whoever wants it is
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
 *   (prctl(PR_MCE_KILL)); nobody has been for memory that nobody can map;
 * - one reference to the folio is kept for good: once the page has left the
 *   file and nobody else holds it any more, that is the only one, which is what
 *   unpoison_memory() expects and otherwise keeps the page from the page
 *   allocator for ever;
 * - if the folio is large, it is going to be split by a work item, and until
 *   then handed out in single pages; that reference is taken when the page has
 *   become a folio of its own.
 *
 * guest_memfd_get_page() and fallocate() answer -EHWPOISON for the page, and
 * the access of a host mapping is answered with SIGBUS, until a hole is punched
 * for it, which makes room for a new one.  Everything around it stays in use.
 *
 * The order is: set PG_hwpoison, then drop mappings.  Those who create one look
 * at the bit first and have their mapping dropped if they are late:
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
 *	unmap, unlock folio
 *
 * A client maps under its own lock, after a check for invalidations since it
 * has asked for the page; error() is one, from beginning to end::
 *
 *	CPU 0: memory_failure()			CPU 1: fault, guest
 *
 *						note the sequence number
 *						guest_memfd_get_page():
 *						not poisoned
 *	set PG_hwpoison
 *	lock folio, unmap, unlock
 *	invalidate_lock (read)
 *	  error():
 *	    client's lock
 *	    drop mappings, next number
 *	    client's unlock
 *	unlock
 *						client's lock
 *						number has changed: again
 *						unlock
 *						-EHWPOISON
 *
 * A fault that notes the number after error() sees the bit.
 *
 * A page that leaves the file meanwhile had its mappings dropped for that
 * reason.  What remains to be done is to keep the reference::
 *
 *	CPU 0: memory_failure()			CPU 1: punch a hole
 *
 *	set PG_hwpoison				invalidate_lock (write)
 *	is ours: take a reference		invalidate_start()
 *	lock folio (waits)			lock folio, remove it, unlock
 *	mapping is gone: unlock			invalidate_end()
 *						unlock
 *
 * And when the inode is being evicted, it has no bindings and no mappings any
 * more, and there is nothing left to tell anybody.
 *
 * The folio is locked first, to find the inode and get a reference to that.  It
 * is unlocked before invalidate_lock is taken: the order of these two is the
 * other one.  So the page can leave the file in between, too, and the range be
 * filled again; a mapping is then dropped that could have stayed.
 */

#include <linux/memcontrol.h>
#include <linux/rcupdate.h>
#include <linux/uaccess.h>
#include <trace/events/guest_memfd.h>

#include "internal.h"
#include "poison.h"

/*
 * Any page of the system comes along here, so ->mapping may be anything.  If it
 * is one, RCU keeps the inode that contains it.
 */
static bool gmem_owns_folio(struct folio *folio)
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
		/* Frozen by a split, or by a conversion: not for long. */
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
 * Context: Process context, may sleep; holds no folio lock.
 * Return: The folio, locked and with a reference, which may just have left its
 *	   file; NULL if @page is no guest_memfd's.
 */
struct folio *guest_memfd_lock_poisoned(struct page *page)
{
	struct folio *folio;

	while ((folio = gmem_get_if_owned(page))) {
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
		folio_unlock(folio);
		folio_put(folio);
	}
	return folio;
}

/**
 * gmem_note_poison - a page of a folio is poisoned
 * @folio:	The folio, in a file.  Unless it is just that page, it is handed
 *		out in single pages from here on, and split when there is time.
 *
 * Context: Any; folio lock held.
 */
void gmem_note_poison(struct folio *folio)
{
	if (!folio_test_large(folio))
		return;

	folio_set_has_hwpoisoned(folio);
	WRITE_ONCE(GMEM_I(folio->mapping->host)->has_poison, true);
}

/**
 * gmem_claim_poison - ask for the right to keep a poisoned page for good
 * @folio:	The page, a folio of its own.
 *
 * A split does it, and memory_failure(); there is no order between the two.
 * PG_error, which has no other meaning here, says that one has been.
 *
 * Context: Any; the caller has a reference to @folio.
 * Return: true for the first who asks, who then keeps a reference.
 */
bool gmem_claim_poison(struct folio *folio)
{
	return !test_and_set_bit(PG_error, folio_flags(folio, 0));
}

/**
 * gmem_is_lost - whether the hardware has lost a page for good
 * @folio:	The page, a folio of its own.
 *
 * PG_hwpoison alone can be taken back, and is set before the page is unmapped.
 *
 * Context: Any.
 * Return: true if memory_failure() is through with it: nobody has it mapped, and
 *	   nobody will.
 */
bool gmem_is_lost(struct folio *folio)
{
	return folio_test_hwpoison(folio) && folio_test_error(folio);
}

static void gmem_contain(struct inode *inode, pgoff_t start, pgoff_t end)
{
	filemap_invalidate_lock_shared(inode->i_mapping);
	gmem_error(inode, start, end);
	filemap_invalidate_unlock_shared(inode->i_mapping);
}

/**
 * guest_memfd_contain_poisoned - have clients drop a folio with a poisoned page
 * @folio:	From guest_memfd_lock_poisoned(), not mapped by user page tables
 *		any more.  It is unlocked here; the reference is kept for good
 *		if it is one to the page alone, or if a large folio is lost.
 * @page:	The page of @folio that is poisoned.
 *
 * Context: Process context, may sleep; takes invalidate_lock for read.
 */
void guest_memfd_contain_poisoned(struct folio *folio, struct page *page)
{
	struct address_space *mapping = folio->mapping;
	pgoff_t end = folio_next_index(folio);
	pgoff_t start = folio->index;
	bool large = folio_test_large(folio);
	struct inode *inode = NULL;
	bool queued = false;
	bool keep;

	if (mapping) {
		gmem_note_poison(folio);
		/* If it is being evicted there is no client left. */
		inode = igrab(mapping->host);
	} else {
		mem_cgroup_uncharge(folio);
	}
	/* A large folio has the file's references until it is split. */
	keep = large ? !mapping : gmem_claim_poison(folio);
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
 * gmem_has_poison - look for poisoned pages in a part of a folio
 * @folio:	The folio, in the file or just removed.
 * @start:	First page index.
 * @end:	Page index after the last; both may be outside of @folio.
 *
 * Context: Any; the caller has a reference to @folio.
 * Return: true if there is one.
 */
bool gmem_has_poison(struct folio *folio, pgoff_t start, pgoff_t end)
{
	pgoff_t index;

	start = max(start, folio->index);
	end = min(end, folio_next_index(folio));
	for (index = start; index < end; index++)
		if (PageHWPoison(folio_page(folio, index - folio->index)))
			return true;
	return false;
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
	if (folio_test_large(folio) && folio_test_has_hwpoisoned(folio))
		return 0;
	return folio_order(folio);
}

/**
 * gmem_release_poison - a folio, perhaps poisoned, has left the file
 * @folio:	The folio, just removed.
 *
 * If it is, then it is never freed, which is when a folio is uncharged
 * otherwise.  A failure that is noticed only later finds the folio without a
 * mapping.
 *
 * Context: Any; folio lock held.
 * Return: true if the file's reference has to be kept for good: the folio is
 *	   large, because it could not be split in time, and lost as a whole.
 */
bool gmem_release_poison(struct folio *folio)
{
	bool large = folio_test_large(folio);

	if (large ? folio_test_has_hwpoisoned(folio) :
		    folio_test_hwpoison(folio))
		mem_cgroup_uncharge(folio);
	return large && folio_test_has_hwpoisoned(folio);
}
