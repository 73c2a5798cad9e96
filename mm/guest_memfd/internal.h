/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of guest_memfd know of each other.
 *
 *   file.c	the file: creation, file operations, inode life cycle
 *   aops.c	what mm asks it about its folios
 *   folio.c	the memory: allocation and look-up
 *   remove.c	taking it out of the file
 *   binding.c	the clients' ranges, and telling them of changes
 *   piece.c	working on a range piece by piece; holes, and the end
 *   access.c	what clients get: pages for page tables, reads and writes
 *   mmap.c	mappings by host userspace
 *   policy.c	NUMA memory policy
 *   account.c	how much memory there is, by file and in total
 *   fdinfo.c	what /proc/PID/fdinfo says of a file
 *   debugfs.c	totals and a list of all files
 *   trace.c	the tracepoints
 *   lost.c	the record of pages that the hardware has lost
 *   poison.c	what memory_failure() does with such pages
 *   offline.c	memory with such pages stays online
 *   state.c	which pages of a convertible file are shared
 *   marks.c	where that is being changed
 *   convert.c	changing it
 *   convert_common.c	what both ways have in common
 *   users.c	the users of pages that shall become private
 *   close.c	to private
 *   open.c	to shared
 *   query.c	what clients ask of the state
 *   huge.c	how large a new folio is
 *   split.c	making small folios out of large ones
 *   backoff.c	waiting for references to be dropped
 *   lru.c	the LRU list that folios of movable files are on
 *   migrate.c	moving them
 *   place.c	moving them to where the NUMA policy says
 *   collapse.c	making large folios out of small ones again
 *   prepare.c	pages that hardware is prepared for
 *   relocate.c	moving pages that software cannot copy
 *
 * Calls between the files go one way: no two call each other, not even by way of
 * others.
 *
 * "start" and "last" are inclusive, "end" is exclusive; all three are page
 * indices.  "offset" and "size" are in bytes.
 */
#ifndef _MM_GUEST_MEMFD_INTERNAL_H
#define _MM_GUEST_MEMFD_INTERNAL_H

#include <linux/fs.h>
#include <linux/guest_memfd.h>
#include <linux/mempolicy.h>
#include <linux/migrate_mode.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/range_map.h>
#include <linux/spinlock_types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct gmem_backoff;
struct seq_file;

/**
 * struct gmem_state - what of a convertible file is shared; see state.c
 * @shared:	The ranges that are shared have the value 1.  Changed with
 *		invalidate_lock held for write.
 * @pending:	The ranges that are going to be private and can have users.  The
 *		value tells whose they are.  Set with invalidate_lock held for
 *		write, and cleared by the same conversion.
 * @wait:	For the end of anything in @pending.
 */
struct gmem_state {
	struct range_map shared;
	struct range_map pending;
	wait_queue_head_t wait;
};

/**
 * struct gmem_marks - conversions under way; see marks.c
 * @lock:	Protects @tree and what is in it.  Innermost.
 * @tree:	The ranges; no two overlap.
 * @wait:	For the end of anything in @tree.
 */
struct gmem_marks {
	spinlock_t lock;	/* protects the tree */
	struct rb_root_cached tree;
	wait_queue_head_t wait;
};

/**
 * struct gmem_inode - a file's memory and everything that is a property of it
 * @vfs_inode:	The inode; its i_size is set once, at creation.
 * @ops:	The client's operations.  Constant.
 * @flags:	GUEST_MEMFD_* bits.  Constant.
 * @bindings:	All bindings, by range; no two overlap.  Changed under
 *		invalidate_lock held for write, read with it held either way.
 * @policy:	NUMA policies by range; has a lock of its own.
 * @policy_lock: Held to change @policy.
 * @files:	Entry in the list of all files; see account.c.
 * @nr_huge:	Pages in folios that can be mapped as a PMD.
 * @prepared:	Which pages are prepared; see prepare.c.
 * @state:	Which pages are shared, if the file is convertible.
 * @marks:	Ranges that are being converted.
 * @was_mapped:	Host userspace has mapped the file, or is about to.  Set before there
 *		is a mapping, never cleared.
 * @splitting:	The folio that split.c has at work.  Under invalidate_lock held
 *		for write and the folio lock.
 * @has_poison:	There is or was a lost page in a large folio.  Set under the
 *		folio lock, never cleared.
 * @abandoned:	Release has waited long enough for references to large folios with
 *		lost pages, which are going to be lost as a whole.
 * @closing:	The file is being released, and nothing in it can be looked up.
 *		Set under invalidate_lock held for write, never cleared.
 * @split_work:	Splits such folios; has a reference to the inode.
 * @was_bound:	When the release began there was a binding.
 * @readers:	Waits for those who found the inode in a binding, after release.
 * @unused:	Then gives the inode up.
 * @migrating:	Held for the migration of a folio, inside of invalidate_lock held
 *		for read.
 */
struct gmem_inode {
	struct inode vfs_inode;
	const struct guest_memfd_client_ops *ops;
	unsigned long flags;
	struct rb_root_cached bindings;
	struct shared_policy policy;
	struct mutex policy_lock;	/* see policy.c */
	struct list_head files;
	atomic_long_t nr_huge;
	struct xarray prepared;
	struct gmem_state state;
	struct gmem_marks marks;
	bool was_mapped;
	struct folio *splitting;
	bool has_poison;
	bool abandoned;
	bool closing;
	struct work_struct split_work;
	bool was_bound;
	struct rcu_head readers;
	struct work_struct unused;
	struct mutex migrating;	/* see migrate.c */
};

/**
 * struct gmem_room - memory that a look-up wants, and that is not free
 * @folio:	Memory for the next try, or NULL.
 * @wanted:	A look-up has failed for want of memory.
 * @order:	The order of the folio.
 * @small:	Large folios are not to be had.
 * @tries:	How often it was made free, and gone again.
 */
struct gmem_room {
	struct folio *folio;
	bool wanted;
	unsigned int order;
	bool small;
	unsigned int tries;
};

static inline struct gmem_inode *GMEM_I(struct inode *inode)
{
	return container_of(inode, struct gmem_inode, vfs_inode);
}

static inline bool gmem_range_is_valid(struct inode *inode, u64 offset, u64 size)
{
	return PAGE_ALIGNED(offset) && PAGE_ALIGNED(size) && size &&
	       offset + size > offset && offset + size <= i_size_read(inode);
}

static inline bool gmem_is_convertible(struct inode *inode)
{
	return GMEM_I(inode)->flags & GUEST_MEMFD_CONVERTIBLE;
}

/* Whether mm may move the folios; otherwise the file pins them. */
static inline bool gmem_is_movable(struct inode *inode)
{
	return GMEM_I(inode)->flags & GUEST_MEMFD_MOVABLE;
}

/* Whether nothing in the file is kept from host userspace, now or later. */
static inline bool gmem_all_shared(struct inode *inode)
{
	const unsigned long shared = GUEST_MEMFD_MAPPABLE | GUEST_MEMFD_SHARED;

	if (gmem_is_convertible(inode))
		return false;
	return (GMEM_I(inode)->flags & shared) == shared;
}

/*
 * Inode of the file of a binding that may be going, NULL when it has gone; good
 * for the client's read-side section, see guest_memfd_get_page().
 */
static inline struct inode *
gmem_binding_inode(const struct guest_memfd_binding *binding)
{
	/* Pairs with WRITE_ONCE() in gmem_detach(). */
	return READ_ONCE(binding->inode);
}

/* For ->release_folio(): whether split.c is at work on a folio, which is locked. */
static inline bool gmem_is_splitting(struct folio *folio)
{
	return READ_ONCE(GMEM_I(folio->mapping->host)->splitting) == folio;
}

/* References to a folio in a file that has no other user. */
static inline int gmem_folio_refs(struct folio *folio)
{
	if (gmem_is_movable(folio->mapping->host))
		return folio_nr_pages(folio);
	/* The page cache's, and the one that pins it. */
	return folio_nr_pages(folio) + 1;
}

/* Whether there is no memory but in large folios; invalidate_lock held for write. */
static inline bool gmem_all_huge(struct inode *inode)
{
	return atomic_long_read(&GMEM_I(inode)->nr_huge) ==
	       inode->i_mapping->nrpages;
}

/*
 * Whether host userspace can have a page in a page table.  While a mapping is being
 * resized it is not in the tree of the file's mappings, so that a look at that tree
 * without its lock, as by mapping_mapped(), says nothing.
 */
static inline bool gmem_was_mapped(struct inode *inode)
{
	/* Pairs with WRITE_ONCE() in gmem_mmap(). */
	return READ_ONCE(GMEM_I(inode)->was_mapped);
}

/* Whether software cannot copy what has been prepared. */
static inline bool gmem_needs_relocation(struct inode *inode)
{
	return GMEM_I(inode)->flags & GUEST_MEMFD_RELOCATE;
}

/* Whether a client has prepared pages, and been told of their end or not. */
static inline bool gmem_has_prepared(struct inode *inode)
{
	return !xa_empty(&GMEM_I(inode)->prepared);
}

static inline void gmem_assert_locked(struct inode *inode)
{
	lockdep_assert_held(&inode->i_mapping->invalidate_lock);
}

static inline void gmem_assert_locked_write(struct inode *inode)
{
	lockdep_assert_held_write(&inode->i_mapping->invalidate_lock);
}

/* Between gmem_invalidate_start() and gmem_invalidate_end(). */
static inline void gmem_assert_changing(struct inode *inode)
{
	/* Nothing changes but where the memory is. */
	if (IS_ENABLED(CONFIG_LOCKDEP) &&
	    lockdep_is_held(&GMEM_I(inode)->migrating)) {
		gmem_assert_locked(inode);
		return;
	}
	gmem_assert_locked_write(inode);
}

/* Pages of the largest folio, and of what is done under one hold of the lock. */
#define GMEM_PIECE	512
/* As many large folios are removed in less time than the pages of one piece. */
#define GMEM_PIECE_LARGE	PAGEVEC_SIZE

static inline pgoff_t gmem_block_end(pgoff_t index)
{
	return round_down(index, GMEM_PIECE) + GMEM_PIECE;
}

/* For write: waits for at most a piece, see DOC: progress, and can be killed. */
static inline int gmem_lock_killable(struct inode *inode)
{
	return down_write_killable(&inode->i_mapping->invalidate_lock);
}

static inline int gmem_lock_shared_killable(struct inode *inode)
{
	return down_read_killable(&inode->i_mapping->invalidate_lock);
}

/* piece.c */
pgoff_t gmem_removal_end(struct inode *inode, pgoff_t start, pgoff_t end,
			 pgoff_t piece_end);
pgoff_t gmem_state_piece_end(struct inode *inode, pgoff_t start, pgoff_t end);
int gmem_punch_hole(struct inode *inode, pgoff_t start, pgoff_t end);
void gmem_remove_all(struct inode *inode);

/* aops.c */
extern const struct address_space_operations gmem_aops;

/* Of a folio, so that it can be something else than it looks like. */
static inline bool gmem_owns_mapping(const struct address_space *mapping)
{
	return mapping && !((unsigned long)mapping & PAGE_MAPPING_FLAGS) &&
	       mapping->a_ops == &gmem_aops;
}

/* folio.c */
struct folio *gmem_find_folio(struct inode *inode, pgoff_t index);
struct folio *gmem_get_folio(struct inode *inode, pgoff_t index,
			     struct gmem_room *room);
struct folio *gmem_get_folio_for(struct guest_memfd_binding *binding,
				 struct inode *inode, pgoff_t index,
				 const struct guest_memfd_range *range,
				 struct gmem_room *room);
struct folio *gmem_get_folio_within(struct inode *inode, pgoff_t index,
				    pgoff_t start, pgoff_t end,
				    struct gmem_room *room);
bool gmem_make_room(struct inode *inode, pgoff_t index, struct gmem_room *room,
		    int err);
void gmem_end_room(struct gmem_room *room);
bool gmem_owns_folio(struct folio *folio);
bool gmem_next_piece(struct inode *inode, pgoff_t *start, pgoff_t end,
		     pgoff_t *piece_end);

/* remove.c */
bool gmem_let_go(struct folio *folio);
void gmem_drop_movable(struct folio *folio, struct list_head *removed);
pgoff_t gmem_remove_folios(struct inode *inode, pgoff_t start, pgoff_t end,
			   struct list_head *removed);
void gmem_free_folios(struct list_head *removed);

/* huge.c */
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
unsigned int gmem_new_order(struct inode *inode, pgoff_t index, pgoff_t start,
			    pgoff_t end);
gfp_t gmem_huge_gfp(struct inode *inode);
#else
static inline unsigned int gmem_new_order(struct inode *inode, pgoff_t index,
					  pgoff_t start, pgoff_t end)
{
	return 0;
}

static inline gfp_t gmem_huge_gfp(struct inode *inode)
{
	return GFP_HIGHUSER;
}
#endif

/* split.c */
int gmem_split_range(struct inode *inode, pgoff_t start, pgoff_t end);
int gmem_split_all(struct inode *inode, pgoff_t start, pgoff_t end);
void gmem_init_split_wait(struct gmem_backoff *b, unsigned int state);
int gmem_split_wait(struct gmem_backoff *b, int err);
int gmem_split_piece(struct inode *inode, pgoff_t start, pgoff_t end);
void gmem_split_for_release(struct inode *inode, struct gmem_backoff *b);
void gmem_queue_split(struct inode *inode);
void gmem_init_split(struct inode *inode);

/* binding.c */
struct guest_memfd_binding *gmem_first_binding(struct inode *inode,
					       pgoff_t start, pgoff_t last);
void gmem_detach(struct inode *inode, struct guest_memfd_binding *b);
pgoff_t gmem_first_bound(struct inode *inode, pgoff_t start, pgoff_t end);
pgoff_t gmem_end_of_claim(struct inode *inode, pgoff_t start, pgoff_t end);
int gmem_check_bound(const struct guest_memfd_binding *binding,
		     struct inode *inode, pgoff_t index);
void gmem_invalidate_start(struct inode *inode, pgoff_t start, pgoff_t end);
void gmem_unprepare_range(struct inode *inode, pgoff_t start, pgoff_t end);
void gmem_invalidate_end(struct inode *inode, pgoff_t start, pgoff_t end);

/* mmap.c */
int gmem_mmap(struct file *file, struct vm_area_struct *vma);
void gmem_unmap(struct inode *inode, pgoff_t start, pgoff_t end);

/* policy.c */
#ifdef CONFIG_NUMA
int gmem_set_policy(struct vm_area_struct *vma, struct mempolicy *mpol);
int gmem_set_policy_range(struct inode *inode, pgoff_t start, pgoff_t end,
			  struct mempolicy *mpol);
struct mempolicy *gmem_get_policy(struct vm_area_struct *vma,
				  unsigned long addr);
void gmem_free_policy(struct inode *inode);
bool gmem_policy_is_uniform(struct inode *inode, pgoff_t start, pgoff_t end);
struct folio *gmem_alloc_folio(struct inode *inode, pgoff_t index, gfp_t gfp,
			       unsigned int order);
#else
static inline void gmem_free_policy(struct inode *inode)
{
}

static inline bool gmem_policy_is_uniform(struct inode *inode, pgoff_t start,
					  pgoff_t end)
{
	return true;
}

static inline struct folio *gmem_alloc_folio(struct inode *inode, pgoff_t index,
					     gfp_t gfp, unsigned int order)
{
	return folio_alloc(gfp, order);
}
#endif

/* lru.c */
void gmem_put_on_lru(struct folio *folio);
bool gmem_take_off_lru(struct folio *folio);
void gmem_take_lost_off_lru(struct page *page);

/* migrate.c */
#ifdef CONFIG_MIGRATION
bool gmem_copy_page(struct page *dst, struct page *src);
int gmem_migrate_movable(struct inode *inode, struct folio *dst,
			 struct folio *src, enum migrate_mode mode);
#else
static inline int gmem_migrate_movable(struct inode *inode, struct folio *dst,
				       struct folio *src, enum migrate_mode mode)
{
	return -EBUSY;
}
#endif

/* fdinfo.c */
void gmem_show_fdinfo(struct seq_file *m, struct file *file);
void gmem_show_flags(struct seq_file *m, unsigned long flags, char sep);

/* prepare.c */
void gmem_init_prepared(struct inode *inode);
void gmem_destroy_prepared(struct inode *inode);
int gmem_prepare(struct inode *inode, struct guest_memfd_binding *binding,
		 struct folio *folio, pgoff_t index, unsigned int order,
		 struct gmem_room *room);
void gmem_unprepare(struct inode *inode, struct guest_memfd_binding *binding,
		    pgoff_t start, pgoff_t end);
void gmem_forget_prepared(struct inode *inode, pgoff_t start, pgoff_t end);
bool gmem_was_prepared(struct inode *inode, pgoff_t index);
bool gmem_is_prepared(struct inode *inode, pgoff_t index);
bool gmem_has_known(struct inode *inode, pgoff_t start, pgoff_t end);
void gmem_move_prepared(struct folio *src, struct folio *dst, void *client);
void gmem_restore(struct folio *folio);

/* relocate.c */
bool gmem_is_opaque(struct inode *inode, pgoff_t start, pgoff_t end);
bool gmem_can_relocate(struct inode *inode, struct folio *folio);
int gmem_relocate(struct inode *inode, struct folio *src, struct folio *dst,
		  int refs);

#endif /* _MM_GUEST_MEMFD_INTERNAL_H */
