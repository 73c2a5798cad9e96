// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: setting the NUMA policy of a range, and moving memory to where that
 * says.
 *
 * mbind() does both for what is mapped, and walks page tables to find it.  Here it is
 * the file that is walked, so that private memory is found as well.
 *
 * Piece by piece, as everything: folios are looked up and isolated with the lock
 * held, and moved without.  What has left the file in between is passed over.
 */

#include <linux/capability.h>
#include <linux/export.h>
#include <linux/mempolicy.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>

#include "../internal.h"
#include "internal.h"

/**
 * struct gmem_place - what guest_memfd_set_policy() is at
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 * @flags:	MPOL_MF_*.
 * @nodes:	Nodes whose memory can stay.
 */
struct gmem_place {
	struct inode *inode;
	pgoff_t start;
	pgoff_t end;
	unsigned int flags;
	nodemask_t nodes;
};

/* As mbind() does, leave alone what others have mapped unless told otherwise. */
static bool gmem_isolate_folio(struct gmem_place *p, struct folio *folio,
			       struct list_head *list)
{
	if (page_mapcount(&folio->page) > 1 && !(p->flags & MPOL_MF_MOVE_ALL))
		return false;
	if (folio_isolate_lru(folio))
		return false;

	list_add_tail(&folio->lru, list);
	node_stat_mod_folio(folio, NR_ISOLATED_FILE, folio_nr_pages(folio));
	return true;
}

/*
 * Isolate what is in the wrong place, into @list if there is one.  Returns how many
 * folios are not.
 */
static unsigned long gmem_isolate_range(struct gmem_place *p, pgoff_t start,
					pgoff_t end, struct list_head *list)
{
	struct folio_batch fbatch;
	unsigned long left = 0;
	struct folio *folio;
	unsigned int i;

	gmem_assert_locked(p->inode);

	folio_batch_init(&fbatch);
	while (start < end && filemap_get_folios(p->inode->i_mapping, &start,
						 end - 1, &fbatch)) {
		for (i = 0; i < folio_batch_count(&fbatch); i++) {
			folio = fbatch.folios[i];
			if (node_isset(folio_nid(folio), p->nodes))
				continue;
			if (!list || !gmem_isolate_folio(p, folio, list))
				left++;
		}
		folio_batch_release(&fbatch);
		cond_resched();
	}
	return left;
}

/* Where the policy says.  A page that has left the file has one, too. */
static struct page *gmem_new_page(struct page *page, unsigned long private)
{
	struct inode *inode = (struct inode *)private;
	struct folio *src = page_folio(page), *dst;
	gfp_t gfp = GFP_HIGHUSER_MOVABLE;

	/* Where policies differ inside of it, mm splits it, for want of a new one. */
	if (folio_test_large(src) &&
	    !gmem_policy_is_uniform(inode, src->index, folio_next_index(src)))
		return NULL;
	if (folio_test_large(src))
		gfp = gmem_huge_gfp(inode);
	dst = gmem_alloc_folio(inode, src->index, gfp, folio_order(src));
	return dst ? &dst->page : NULL;
}

/* Returns how many folios could not be moved. */
static unsigned long gmem_move_list(struct gmem_place *p, struct list_head *list)
{
	int ret;

	if (list_empty(list))
		return 0;
	ret = migrate_pages(list, gmem_new_page, NULL, (unsigned long)p->inode,
			    MIGRATE_SYNC, MR_MEMPOLICY_MBIND, NULL);
	if (!ret)
		return 0;
	putback_movable_pages(list);
	/* Out of memory is one of the reasons, and no other error for mbind(). */
	return ret < 0 ? 1 : ret;
}

/* Returns the number of folios that are in the wrong place, or -EINTR. */
static long gmem_place_pieces(struct gmem_place *p, bool move)
{
	pgoff_t start = p->start, end;
	long left = 0;
	LIST_HEAD(list);

	while (gmem_next_piece(p->inode, &start, p->end, &end)) {
		if (fatal_signal_pending(current) ||
		    gmem_lock_shared_killable(p->inode))
			return -EINTR;
		left += gmem_isolate_range(p, start, end, move ? &list : NULL);
		filemap_invalidate_unlock_shared(p->inode->i_mapping);
		left += gmem_move_list(p, &list);
		start = end;
		cond_resched();
	}
	return left;
}

/* What has to be in vain disturbs nobody. */
static long gmem_move_pieces(struct gmem_place *p)
{
	long left;

	if (!IS_ENABLED(CONFIG_MIGRATION) || !gmem_is_movable(p->inode))
		return gmem_place_pieces(p, false);

	/* Folios on their way to an LRU list cannot be isolated. */
	lru_cache_disable();
	left = gmem_place_pieces(p, true);
	lru_cache_enable();
	return left;
}

static int gmem_place_range(struct gmem_place *p, struct mempolicy *policy)
{
	bool move = p->flags & (MPOL_MF_MOVE | MPOL_MF_MOVE_ALL);
	bool strict = p->flags & MPOL_MF_STRICT;
	long left;
	int ret;

	if (strict && !move) {
		left = gmem_place_pieces(p, false);
		if (left)
			return left < 0 ? left : -EIO;
	}

	ret = gmem_set_policy_range(p->inode, p->start, p->end, policy);
	if (ret || !move)
		return ret;

	left = gmem_move_pieces(p);
	if (left < 0)
		return left;
	return left && strict ? -EIO : 0;
}

/**
 * guest_memfd_set_policy - set the NUMA memory policy of a range
 * @file:	A guest_memfd of the calling client (see guest_memfd_priv()).
 * @args:	What mbind(2) would be asked for.
 *
 * With MPOL_MF_MOVE, memory of a movable file that is on other nodes than these is
 * moved; memory of one that is not stays where it is.  A large folio of which a part
 * has another policy is split.
 *
 * Context: Process context, sleeps; takes invalidate_lock for read, for one piece at
 *	    a time.  The caller holds a reference to @file and no lock.
 * Return: 0; -EINVAL if the range is empty, not page aligned or not inside the file,
 *	   or for a bad mode, flag or set of nodes; -EFAULT if @args->nodes cannot be
 *	   read; -EPERM for MPOL_MF_MOVE_ALL without CAP_SYS_NICE; -ENOMEM.  On these
 *	   nothing has changed, and neither on -EIO if with MPOL_MF_STRICT alone
 *	   memory is on other nodes.
 *	   Only if there were hundreds of policies in the range, -ENOMEM and -EINTR can
 *	   leave it set in the first part.
 *	   -EIO also if with MPOL_MF_STRICT and MPOL_MF_MOVE some memory could not be
 *	   moved, and -EINTR if the task is being killed: the policy has been set, and
 *	   some memory may have been moved.
 */
int guest_memfd_set_policy(struct file *file,
			   const struct guest_memfd_policy *args)
{
	struct gmem_place p = { .inode = file_inode(file) };
	struct mempolicy *policy;
	int ret;

	if (!gmem_range_is_valid(p.inode, args->offset, args->size))
		return -EINVAL;
	if (args->flags & ~MPOL_MF_VALID)
		return -EINVAL;
	if (args->flags & MPOL_MF_MOVE_ALL && !capable(CAP_SYS_NICE))
		return -EPERM;

	policy = mpol_from_user(args->mode, args->nodes, args->maxnode, &p.nodes);
	if (IS_ERR(policy))
		return PTR_ERR(policy);

	p.start = args->offset >> PAGE_SHIFT;
	p.end = p.start + (args->size >> PAGE_SHIFT);
	p.flags = args->flags;
	/* As mbind(): no node is the wrong one. */
	if (!policy)
		p.flags &= ~MPOL_MF_STRICT;
	ret = gmem_place_range(&p, policy);
	mpol_put(policy);
	return ret;
}
EXPORT_SYMBOL_GPL(guest_memfd_set_policy);
