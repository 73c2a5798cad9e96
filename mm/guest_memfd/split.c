// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: large folios are split where a part of them changes.
 *
 * A hole that begins inside of a large folio, a page in it that the hardware
 * has lost: what is to change becomes a folio of its own first.  The pages stay
 * where they are in memory and keep what is in them.
 */

/**
 * DOC: splitting
 *
 * A folio is split in place, with invalidate_lock held for write, and after
 * clients have been told to drop their mappings of all of it, not just of the
 * part that is to change: one that was about to map the folio as a whole would
 * map that part, too::
 *
 *	CPU 0: a hole is punched		CPU 1: fault, guest
 *
 *						note the sequence number
 *						invalidate_lock (read)
 *						page 0 of the folio, order 9
 *						unlock
 *	invalidate_lock (write)
 *	  invalidate_start(pages 8 to 15)
 *						client's lock
 *						page 0 is not among these:
 *						map all 512 pages
 *						unlock
 *	  split, free pages 8 to 15
 *
 * So before a range changes, the folios at its edges are split, each in an
 * invalidation of its own that covers all of it.  They stay split for as long as
 * the lock is held, and what then changes are whole folios.
 *
 * split_huge_page_to_list() demands that all references are the page cache's and
 * its caller's, and freezes the count while it works.  The reference
 * with which the file pins the folio is dropped for that time; afterwards the
 * one that comes with the list of tail pages is each one's new pin.  The folio
 * lock is held throughout, invalidate_lock keeps the folio from being
 * looked up for a client or a fault, and what still finds it otherwise cannot do
 * worse than take a reference, whereupon the split fails.
 *
 * Then there are two kinds of others: those that are about to let go, such as a
 * fault that is going to find itself outdated, and those that keep the page,
 * such as vmsplice() or a DMA to a shared file.  So look again, with the locks
 * dropped in between, for about a second in all, and then report -EBUSY.  If the
 * folio is pinned (FOLL_PIN) that comes after 15 ms: such a pin is either that
 * of a copy, which is over by then, or stays.  The references are looked at
 * before clients are told to drop anything, so that a folio that cannot be
 * split costs them nothing, however often it is tried.
 *
 * The nodes that the page cache needs for more entries are allocated with the
 * lock held.  split_huge_page_to_list() takes the flags for that from
 * mapping_gfp_mask(), which has __GFP_NORETRY for this reason and is used for
 * nothing else: a memory cgroup without room makes the split fail with -ENOMEM,
 * and does not look for a task to kill, which may wait for the lock.
 *
 * mm itself would split folios, too, without telling clients: to migrate them,
 * or to offline one of their pages.  It asks ->release_folio() before, which
 * refuses unless split.c is at work on the folio.
 * The folios of movable files it may split, by guest_memfd_split().
 */

#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/sched.h>
#include <trace/events/guest_memfd.h>

#include "../internal.h"
#include "account.h"
#include "backoff.h"
#include "internal.h"
#include "lost.h"
#include "migrate.h"

/* The first step of a wait for references. */
#define GMEM_SPLIT_DELAY_NS	NSEC_PER_MSEC

/* Steps of 1, 2, 4 ... 512 ms, and what they come to if a folio is pinned. */
#define GMEM_SPLIT_WAIT_MS	1023
#define GMEM_SPLIT_PINNED_MS	15

/* A page that has become a folio gets what the large one had. */
static void gmem_adopt_prepared(struct inode *inode, struct folio *folio,
				void *client)
{
	folio->private = NULL;
	if (client && gmem_was_prepared(inode, folio->index))
		folio->private = client;
}

/* A large folio that is being split. */
struct gmem_split {
	struct inode *inode;
	struct page *head;
	pgoff_t index;
	unsigned int order;
	bool huge;
	void *client;
};

static void gmem_begin_split(struct gmem_split *s, struct inode *inode,
			     struct folio *folio)
{
	gmem_assert_locked_write(inode);
	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio), folio);

	*s = (struct gmem_split) {
		.inode	= inode,
		.head	= &folio->page,
		.index	= folio->index,
		.order	= folio_order(folio),
		.huge	= folio_test_pmd_mappable(folio),
		.client	= folio->private,
	};

	/*
	 * Here and not by the split: in older 6.1 that replaces the PTE of a page
	 * with PG_hwpoison by an entry which a hole leaves in place, and while
	 * memory_failure() waits for the folio lock it has set the flag already.
	 */
	if (folio_mapped(folio))
		unmap_mapping_folio(folio);
	WRITE_ONCE(GMEM_I(inode)->splitting, folio);
}

static int gmem_end_split(struct gmem_split *s, int ret)
{
	unsigned long nr = 1UL << s->order, i;
	struct folio *folio;

	WRITE_ONCE(GMEM_I(s->inode)->splitting, NULL);
	trace_guest_memfd_split(s->inode, s->index, s->order, ret);
	if (ret)
		return ret == -ENOMEM ? ret : -EAGAIN;

	if (s->huge)
		gmem_unaccount_huge(s->inode, nr);
	for (i = 0; i < nr; i++) {
		folio = page_folio(s->head + i);
		gmem_adopt_lost(folio);
		if (gmem_is_movable(s->inode) && gmem_has_lost(folio))
			gmem_take_off_lru(folio);
		gmem_adopt_prepared(s->inode, folio, s->client);
	}
	return 0;
}

/*
 * Of the pages that become folios, @page stays locked and keeps the reference that the
 * caller has.  All go to where the large folio was: to the LRU list, or to @list,
 * each with a reference, if that is not NULL.
 */
static int gmem_split_movable(struct inode *inode, struct page *page,
			      struct list_head *list)
{
	struct gmem_split s;

	gmem_begin_split(&s, inode, page_folio(page));
	return gmem_end_split(&s, split_huge_page_to_list(page, list));
}

/*
 * The pin is dropped for the time of the split.  Then it is the head's, and the
 * references that come with the list are those of the tails.
 */
static int gmem_split_locked(struct inode *inode, struct folio *folio)
{
	struct page *tail, *next;
	struct gmem_split s;
	LIST_HEAD(tails);
	int ret;

	if (gmem_is_movable(inode))
		return gmem_split_movable(inode, &folio->page, NULL);

	gmem_begin_split(&s, inode, folio);
	folio_put(folio);
	ret = split_huge_page_to_list(&folio->page, &tails);
	folio_get(folio);
	list_for_each_entry_safe(tail, next, &tails, lru)
		list_del(&tail->lru);
	return gmem_end_split(&s, ret);
}

/*
 * Whether references to a large folio, of which the caller has one, keep it from
 * being split.  Page tables of the host have one for each mapping.
 */
static int gmem_split_refused(struct folio *folio)
{
	int others = folio_ref_count(folio) - folio_mapcount(folio) - 1;

	if (others <= gmem_folio_refs(folio))
		return 0;
	return folio_maybe_dma_pinned(folio) ? -EBUSY : -EAGAIN;
}

/*
 * The caller has a reference to the folio, which is large and in the file.
 * Clients do not have to fault it in again for a split that has no prospects.
 */
static int gmem_split_folio(struct inode *inode, struct folio *folio)
{
	pgoff_t end = folio_next_index(folio);
	pgoff_t start = folio->index;
	int ret;

	ret = gmem_split_refused(folio);
	if (ret)
		return ret;

	gmem_invalidate_start(inode, start, end);
	folio_lock(folio);
	ret = gmem_split_locked(inode, folio);
	folio_unlock(folio);
	gmem_invalidate_end(inode, start, end);
	return ret;
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
/**
 * guest_memfd_split - split a folio for mm
 * @page:	A page of a large folio of a guest_memfd.
 * @list:	As for split_huge_page_to_list().
 *
 * Context: Process context, may sleep; the folio is locked, and the caller has the
 *	    only reference besides the file's.
 * Return: As split_huge_page_to_list(); -EBUSY also if the folio is pinned;
 *	   -EAGAIN also if a task holds invalidate_lock.
 */
int guest_memfd_split(struct page *page, struct list_head *list)
{
	struct folio *folio = page_folio(page);
	struct address_space *mapping = folio->mapping;
	pgoff_t start = folio->index;
	pgoff_t end = folio_next_index(folio);
	struct inode *inode = mapping->host;
	int ret;

	if (!gmem_is_movable(inode))
		return -EBUSY;
	/* The other way round than others lock: do not wait. */
	if (!down_write_trylock(&mapping->invalidate_lock))
		return -EAGAIN;

	/* The page that stays locked stays in the file, and keeps the inode. */
	ret = gmem_split_refused(folio);
	if (!ret) {
		gmem_invalidate_start(inode, start, end);
		ret = gmem_split_movable(inode, page, list);
		gmem_invalidate_end(inode, start, end);
	}
	filemap_invalidate_unlock(mapping);
	return ret;
}
#endif

/* Afterwards no folio has pages on both sides of @index. */
static int gmem_split_at(struct inode *inode, pgoff_t index)
{
	struct folio *folio;
	int ret = 0;

	/* No folio is larger than a piece, and all are naturally aligned. */
	if (IS_ALIGNED(index, GMEM_PIECE))
		return 0;
	folio = filemap_get_folio(inode->i_mapping, index);
	if (!folio)
		return 0;
	if (folio->index < index)
		ret = gmem_split_folio(inode, folio);
	folio_put(folio);
	return ret;
}

static bool gmem_is_large(struct folio *folio)
{
	return folio_test_large(folio);
}

static bool gmem_is_large_poisoned(struct folio *folio)
{
	return folio_test_large(folio) && gmem_has_lost(folio);
}

/*
 * Split what @match says, of all that has pages in [start, end), to the end in
 * any case.  Returns the first error.
 */
static int gmem_split_matching(struct inode *inode, pgoff_t start, pgoff_t end,
			       bool (*match)(struct folio *folio))
{
	struct folio_batch fbatch;
	int err, ret = 0;
	unsigned int i;

	gmem_assert_locked_write(inode);

	folio_batch_init(&fbatch);
	while (start < end &&
	       filemap_get_folios(inode->i_mapping, &start, end - 1, &fbatch)) {
		for (i = 0; i < folio_batch_count(&fbatch); i++) {
			if (!match(fbatch.folios[i]))
				continue;
			err = gmem_split_folio(inode, fbatch.folios[i]);
			ret = ret ?: err;
		}
		folio_batch_release(&fbatch);
		cond_resched();
	}
	return ret;
}

/**
 * gmem_split_range - have no folio reach across the edges of a range
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Afterwards the range consists of whole folios, none of them larger than a
 * page if it contains a poisoned one, and can be removed.
 *
 * Context: Process context, may sleep; invalidate_lock held for write, before
 *	    gmem_invalidate_start() for the range.
 * Return: 0; -EAGAIN if there are other references, -EBUSY if they are pins, see
 *	   gmem_split_wait(); -ENOMEM.  Whatever was split or not, all pages are
 *	   as before.
 */
int gmem_split_range(struct inode *inode, pgoff_t start, pgoff_t end)
{
	int ret;

	gmem_assert_locked_write(inode);

	ret = gmem_split_at(inode, start);
	if (!ret)
		ret = gmem_split_at(inode, end);
	/* Often there has never been one, and then this need not cost a walk. */
	if (!ret && READ_ONCE(GMEM_I(inode)->has_poison))
		ret = gmem_split_matching(inode, start, end,
					  gmem_is_large_poisoned);
	return ret;
}

/**
 * gmem_split_all - have only folios of one page in a range
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: As for gmem_split_range().
 * Return: As for gmem_split_range().
 */
int gmem_split_all(struct inode *inode, pgoff_t start, pgoff_t end)
{
	return gmem_split_matching(inode, start, end, gmem_is_large);
}

/**
 * gmem_init_split_wait - prepare for gmem_split_wait()
 * @b:		Filled in.
 * @state:	TASK_KILLABLE, or TASK_UNINTERRUPTIBLE where it has to be done.
 *
 * Context: Any.
 */
void gmem_init_split_wait(struct gmem_backoff *b, unsigned int state)
{
	gmem_init_backoff(b, GMEM_SPLIT_DELAY_NS, NSEC_PER_SEC, state);
	b->deadline = ktime_add_ms(b->start, GMEM_SPLIT_WAIT_MS);
}

/**
 * gmem_split_wait - wait for references that keep a folio from being split
 * @b:		The wait.
 * @err:	What the split has returned: -EAGAIN or -EBUSY.
 *
 * A pin is either over soon or there for long.
 *
 * Context: As for gmem_backoff().
 * Return: 0 to try again; -EBUSY if it has been enough; -EINTR if the task is
 *	   being killed.
 */
int gmem_split_wait(struct gmem_backoff *b, int err)
{
	int ret;

	if (err == -EBUSY &&
	    ktime_ms_delta(ktime_get(), b->start) >= GMEM_SPLIT_PINNED_MS)
		return -EBUSY;

	ret = gmem_backoff(b);
	return ret == -EAGAIN ? -EBUSY : ret;
}

/**
 * gmem_split_piece - gmem_split_range(), waiting for what is in the way
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last; at most a piece.
 *
 * Context: Process context, sleeps; takes invalidate_lock for write, again and
 *	    again.
 * Return: 0; -EBUSY if a reference stays; -ENOMEM; -EINTR if the task is being
 *	   killed.  Whatever was split or not, all pages are as before.
 */
int gmem_split_piece(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct gmem_backoff backoff;
	int ret;

	gmem_init_split_wait(&backoff, TASK_KILLABLE);
	do {
		ret = gmem_lock_killable(inode);
		if (ret)
			return ret;
		ret = gmem_split_range(inode, start, end);
		filemap_invalidate_unlock(inode->i_mapping);
		if (ret != -EAGAIN && ret != -EBUSY)
			return ret;
		ret = gmem_split_wait(&backoff, ret);
	} while (!ret);
	return ret;
}

/* Of all pieces, the last error that is worth another try. */
static int gmem_split_poisoned_once(struct inode *inode)
{
	pgoff_t start = 0, end;
	int err, ret = 0;

	while (gmem_next_piece(inode, &start, ULONG_MAX, &end)) {
		filemap_invalidate_lock(inode->i_mapping);
		err = gmem_split_matching(inode, start, end,
					  gmem_is_large_poisoned);
		filemap_invalidate_unlock(inode->i_mapping);
		if (!ret || err == -EAGAIN)
			ret = err ?: ret;
		start = end;
		cond_resched();
	}
	return ret;
}

/*
 * Make each poisoned page a folio of its own.  If that is not possible within a
 * second, large folios stay as they are.
 */
static void gmem_split_poisoned(struct inode *inode)
{
	struct gmem_backoff backoff;
	int ret;

	gmem_init_split_wait(&backoff, TASK_UNINTERRUPTIBLE);
	do {
		ret = gmem_split_poisoned_once(inode);
	} while (ret && !gmem_split_wait(&backoff, ret));
}

/**
 * gmem_split_for_release - go on with a release that has met a lost page
 * @inode:	Inode of the file.
 * @b:		The wait, from gmem_init_split_wait().
 *
 * The page is in a large folio, which would be lost as a whole if it left the file
 * as such.  When the time of @b is over that is so.  It does not matter here whether
 * the task is being killed: that time is a second.
 *
 * Context: Process context, sleeps; takes invalidate_lock for write.
 */
void gmem_split_for_release(struct inode *inode, struct gmem_backoff *b)
{
	gmem_split_poisoned_once(inode);
	if (gmem_split_wait(b, -EAGAIN))
		WRITE_ONCE(GMEM_I(inode)->abandoned, true);
}

static void gmem_split_work(struct work_struct *work)
{
	struct gmem_inode *gi = container_of(work, struct gmem_inode,
					     split_work);

	gmem_split_poisoned(&gi->vfs_inode);
	iput(&gi->vfs_inode);
}

/**
 * gmem_queue_split - have gmem_split_poisoned() called soon
 * @inode:	Inode of the file; the caller has a reference.
 *
 * memory_failure() cannot do it itself: it holds a lock that is the whole
 * system's, and others may have to drop references first.
 *
 * Context: Any in which iput() may be called.
 */
void gmem_queue_split(struct inode *inode)
{
	ihold(inode);
	if (!queue_work(system_unbound_wq, &GMEM_I(inode)->split_work))
		iput(inode);
}

void gmem_init_split(struct inode *inode)
{
	struct gmem_inode *gi = GMEM_I(inode);

	gi->splitting = NULL;
	gi->has_poison = false;
	gi->abandoned = false;
	INIT_WORK(&gi->split_work, gmem_split_work);
}
