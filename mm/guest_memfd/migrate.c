// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: moving folios of movable files.
 *
 * mm asks for it, by ->migrate_folio(), when it compacts memory, takes some
 * offline, allocates a contiguous area, or is told to by userspace.
 */

/**
 * DOC: migration
 *
 * The folios of a file with GUEST_MEMFD_MOVABLE are moved like those of other
 * files: one at a time, each after mm has isolated it from the LRU list, removed
 * it from user page tables, and locked it together with the new one.  What is left
 * is to have clients drop it, to put the new one in its place, and to copy.
 *
 * Nothing is done for a folio that cannot be moved: one that somebody uses, that
 * has a lost page, or is becoming private.
 * One that software cannot copy is relocated by the client, or not moved: see DOC:
 * relocation.
 * All that is looked for before clients are told to drop anything, so that it costs
 * a guest nothing, and answered with -EBUSY, which mm does not repeat.
 *
 * invalidate_lock is held for read, and keeps away all that changes a file.  mm
 * has locked the folio before, so that it must not be waited for here: if it is
 * not to be had at once, the answer is -EAGAIN.  Look-ups go on meanwhile::
 *
 *	CPU 0: migration			CPU 1: look-up
 *
 *	invalidate_lock (read), migrating
 *	no user but mm
 *						invalidate_lock (read)
 *						old folio, reference
 *	invalidate_start(): drop mappings
 *	freeze the count: no, -EAGAIN
 *	invalidate_end()
 *						(or here)
 *	freeze the count
 *	new folio into the page cache
 *	thaw
 *						new folio, not uptodate:
 *						lock it (waits)
 *	copy, uptodate
 *	invalidate_end()
 *	unlock all
 *						it is uptodate
 *
 * The new folio is in its place before it has the contents, and not the other way
 * round: what writes to a page holds invalidate_lock for read, too, and a
 * reference to the folio, so that it either defeats the freeze or waits.  A client
 * that has looked up the old folio and is about to map it finds that it has been
 * invalidated.
 *
 * If the new memory, or the old, turns out to be bad, the old folio is put back.
 * Nobody can have used the new one, as it never was uptodate.  Those that wait for
 * its lock find that it is in no file, and look again.  mm may try the same new
 * folio for another one; it is not taken while they have references to it, or they
 * would find it in another place.  Others may take it, and have it uptodate: so a
 * look-up asks for the mapping after that flag (see gmem_find_folio())::
 *
 *	CPU 0: migration			CPU 1: look-up
 *
 *	new folio into the page cache
 *						new folio, reference
 *	put back: mapping = NULL
 *	mm gives it to another file,
 *	which reads into it: uptodate
 *						uptodate
 *						the mapping is not ours
 *						look again
 *
 * A folio that is not uptodate has contents that no one may see.  It is not copied,
 * and the new one is zeroed by the next look-up, as the old one would have been.
 *
 * A second way into the page tables of the host are migration entries: mm puts them
 * in place of the old folio's, and replaces them by the new folio's, or the old
 * one's, while it holds the folio locks.  While they exist the folio does not
 * count as mapped, but mm has a reference to it.  So a conversion to private finds a
 * user; and once it has unmapped the range, the entries are gone, too.
 *
 * One folio of a file is moved at a time.
 */

#include <linux/highmem.h>
#include <linux/memcontrol.h>
#include <linux/migrate.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>
#include <trace/events/guest_memfd.h>

#include "internal.h"
#include "lost.h"
#include "state.h"

/* References to a folio that mm is about to move. */
static int gmem_migration_refs(struct folio *folio)
{
	/* The one with which it was isolated. */
	return gmem_folio_refs(folio) + 1;
}

static bool gmem_can_move(struct inode *inode, struct folio *folio)
{
	pgoff_t start = folio->index, pending = start;

	gmem_assert_locked(inode);

	if (gmem_find_pending(inode, &pending, folio_next_index(folio)))
		return false;
	if (gmem_has_bad(folio))
		return false;
	if (gmem_is_opaque(inode, start, folio_next_index(folio)) &&
	    !gmem_can_relocate(inode, folio))
		return false;
	return folio_ref_count(folio) == gmem_migration_refs(folio);
}

/* What is counted by node, with interrupts off. */
static void gmem_move_counters(struct folio *from, struct folio *to,
			       struct mem_cgroup *memcg)
{
	long nr = folio_nr_pages(from);
	struct lruvec *old, *new;

	if (folio_pgdat(from) == folio_pgdat(to))
		return;

	old = mem_cgroup_lruvec(memcg, folio_pgdat(from));
	new = mem_cgroup_lruvec(memcg, folio_pgdat(to));
	__mod_lruvec_state(old, NR_FILE_PAGES, -nr);
	__mod_lruvec_state(new, NR_FILE_PAGES, nr);
	if (folio_test_pmd_mappable(from)) {
		__mod_lruvec_state(old, NR_FILE_THPS, -nr);
		__mod_lruvec_state(new, NR_FILE_THPS, nr);
	}
}

/* The tree's references to @src are left to the caller. */
static void gmem_store_folio(struct xa_state *xas, struct folio *src,
			     struct folio *dst)
{
	dst->index = src->index;
	dst->mapping = src->mapping;
	folio_ref_add(dst, folio_nr_pages(dst));
	folio_set_dirty(dst);
	xas_store(xas, dst);
	gmem_move_counters(src, dst, folio_memcg(src));
}

/*
 * Put @dst, which is not uptodate, in the place of @src.  Both are locked.  Returns
 * false if @src has another user.
 */
static bool gmem_replace_folio(struct inode *inode, struct folio *src,
			       struct folio *dst)
{
	XA_STATE(xas, &inode->i_mapping->i_pages, src->index);
	int refs = gmem_migration_refs(src);

	xas_lock_irq(&xas);
	if (!folio_ref_freeze(src, refs)) {
		xas_unlock_irq(&xas);
		return false;
	}
	gmem_store_folio(&xas, src, dst);
	folio_ref_unfreeze(src, refs - folio_nr_pages(src));
	xas_unlock_irq(&xas);
	return true;
}

/* Undo gmem_replace_folio().  There can be references to @dst, but no user. */
static void gmem_put_back(struct inode *inode, struct folio *src,
			  struct folio *dst)
{
	XA_STATE(xas, &inode->i_mapping->i_pages, src->index);
	long nr = folio_nr_pages(src);

	xas_lock_irq(&xas);
	folio_ref_add(src, nr);
	xas_store(&xas, src);
	gmem_move_counters(dst, src, folio_memcg(src));
	dst->mapping = NULL;
	xas_unlock_irq(&xas);

	folio_clear_dirty(dst);
	folio_ref_sub(dst, nr);
}

/**
 * gmem_copy_page - copy a page that may turn out to be bad
 * @dst:	The copy, which nobody uses.
 * @src:	The page, to which nobody writes.
 *
 * Context: Process context.
 * Return: false if @src cannot be read.
 */
bool gmem_copy_page(struct page *dst, struct page *src)
{
	void *from = kmap_local_page(src);
	void *to = kmap_local_page(dst);
	unsigned long left;

	left = copy_mc_to_kernel(to, from, PAGE_SIZE);
	kunmap_local(to);
	kunmap_local(from);
	return !left;
}

static bool gmem_copy_folio(struct folio *dst, struct folio *src)
{
	long i, nr = folio_nr_pages(src);

	for (i = 0; i < nr; i++) {
		if (!gmem_copy_page(folio_page(dst, i), folio_page(src, i)))
			return false;
		cond_resched();
	}
	return true;
}

/* What the client has moved is put in its place; nothing in that can fail. */
static int gmem_move_opaque(struct inode *inode, struct folio *src,
			    struct folio *dst)
{
	XA_STATE(xas, &inode->i_mapping->i_pages, src->index);
	void *client = src->private;
	int ret;

	ret = gmem_relocate(inode, src, dst, gmem_migration_refs(src));
	if (ret)
		return ret == -EAGAIN ? ret : -EBUSY;

	/* Tasks that wait for @src have references, and look again. */
	xas_lock_irq(&xas);
	gmem_store_folio(&xas, src, dst);
	folio_put_refs(src, folio_nr_pages(src));
	xas_unlock_irq(&xas);

	folio_migrate_flags(dst, src);
	folio_clear_dirty(src);
	folio_mark_uptodate(dst);
	gmem_move_prepared(src, dst, client);
	return MIGRATEPAGE_SUCCESS;
}

static int gmem_move_folio(struct inode *inode, struct folio *src,
			   struct folio *dst)
{
	void *client;

	/* It has been put back once, and a task has not noticed yet. */
	if (folio_ref_count(dst) != 1)
		return -EAGAIN;
	if (gmem_is_opaque(inode, src->index, folio_next_index(src)))
		return gmem_move_opaque(inode, src, dst);

	if (!gmem_replace_folio(inode, src, dst))
		return -EAGAIN;
	/*
	 * Pairs with TestSetPageHWPoison() in memory_failure(), which then looks
	 * at the mapping: if it finds none, this finds the flag.
	 */
	smp_mb();
	if (gmem_has_bad(dst)) {
		gmem_put_back(inode, src, dst);
		return -EAGAIN;
	}
	if (folio_test_uptodate(src) && !gmem_copy_folio(dst, src)) {
		gmem_put_back(inode, src, dst);
		return -EBUSY;
	}

	client = src->private;
	folio_migrate_flags(dst, src);
	folio_clear_dirty(src);
	gmem_move_prepared(src, dst, client);
	return MIGRATEPAGE_SUCCESS;
}

static int gmem_migrate_locked(struct inode *inode, struct folio *dst,
			       struct folio *src)
{
	pgoff_t start = src->index, end = folio_next_index(src);
	int ret;

	lockdep_assert_held(&GMEM_I(inode)->migrating);

	if (!gmem_can_move(inode, src))
		return -EBUSY;
	/* No guest is disturbed for memory that cannot be used. */
	if (gmem_has_bad(dst))
		return -EBUSY;

	gmem_invalidate_start(inode, start, end);
	ret = gmem_move_folio(inode, src, dst);
	gmem_invalidate_end(inode, start, end);
	return ret;
}

/*
 * An allocation that compacts memory can be made by a task that is moving a folio
 * of the same file.  That is why no other mode waits.
 */
static bool gmem_begin_migration(struct inode *inode, enum migrate_mode mode)
{
	if (mode != MIGRATE_SYNC)
		return mutex_trylock(&GMEM_I(inode)->migrating);
	mutex_lock(&GMEM_I(inode)->migrating);
	return true;
}

/**
 * gmem_migrate_movable - the migrate_folio operation of movable files
 * @inode:	Inode of the file.
 * @dst:	A new folio, locked.
 * @src:	The folio to be moved, locked and in the file; isolated, and not in
 *		user page tables.
 * @mode:	How long to wait.
 *
 * Context: Process context, may sleep; takes invalidate_lock for read if it can be
 *	    had at once.
 * Return: MIGRATEPAGE_SUCCESS; -EAGAIN if the file is being changed, or @src has just
 *	   been looked up; -EBUSY if it has users, is lost, or becomes private.  On
 *	   failure nothing has changed, but clients can have dropped @src.
 */
int gmem_migrate_movable(struct inode *inode, struct folio *dst,
			 struct folio *src, enum migrate_mode mode)
{
	int ret = -EAGAIN;

	/* Somebody else would copy, who does not know of bad memory. */
	if (mode == MIGRATE_SYNC_NO_COPY)
		return -EBUSY;
	if (!filemap_invalidate_trylock_shared(inode->i_mapping))
		return -EAGAIN;

	if (gmem_begin_migration(inode, mode)) {
		ret = gmem_migrate_locked(inode, dst, src);
		mutex_unlock(&GMEM_I(inode)->migrating);
	}
	trace_guest_memfd_migrate(inode, src, dst, ret);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return ret;
}
