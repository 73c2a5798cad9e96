// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: NUMA memory policy.
 *
 * The policy belongs to the memory, hence to the inode, by range of page
 * indices.  mbind() on any mapping sets it for all that allocate: the guest,
 * the host, fallocate().  It outlives the mapping, and says nothing about
 * memory that is already there.  Where no policy is set, the one of the
 * allocating task applies.
 */

#include <linux/mempolicy.h>
#include <linux/mm.h>

#include "internal.h"

/* Ranges with a policy that are replaced without letting those wait who allocate. */
#define GMEM_POLICY_PIECE	256

/* The first range with a policy in what is from @start on and before @end. */
static struct sp_node *gmem_first_policy(struct shared_policy *policy,
					 pgoff_t start, pgoff_t end)
{
	struct rb_node *node = policy->root.rb_node;
	struct sp_node *found = NULL;

	while (node) {
		struct sp_node *p = rb_entry(node, struct sp_node, nd);

		if (p->end <= start) {
			node = node->rb_right;
			continue;
		}
		if (p->start < end)
			found = p;
		node = node->rb_left;
	}
	return found;
}

/* Where a piece of [start, end) ends: with a range that has a policy. */
static pgoff_t gmem_policy_piece_end(struct shared_policy *policy, pgoff_t start,
				     pgoff_t end)
{
	unsigned int n = 0;
	struct sp_node *p;

	read_lock(&policy->lock);
	p = gmem_first_policy(policy, start, end);
	while (p && p->start < end && ++n < GMEM_POLICY_PIECE) {
		struct rb_node *next = rb_next(&p->nd);

		p = next ? rb_entry(next, struct sp_node, nd) : NULL;
	}
	if (p)
		end = min(end, p->end);
	read_unlock(&policy->lock);
	return end;
}

static bool gmem_policy_is(const struct sp_node *p, struct mempolicy *mpol)
{
	/* What is stored differs in this flag. */
	struct mempolicy stored = *mpol;

	stored.flags |= MPOL_F_SHARED;
	return mpol_equal(&stored, p->policy);
}

/*
 * Ranges that adjoin and have the same policy become one: or a policy that was set
 * page by page would cost memory for each, and forbid large folios.
 */
static void gmem_widen_policy(struct shared_policy *policy, pgoff_t *start,
			      pgoff_t *end, struct mempolicy *mpol)
{
	struct sp_node *p;

	read_lock(&policy->lock);
	p = *start ? gmem_first_policy(policy, *start - 1, *start) : NULL;
	if (p && gmem_policy_is(p, mpol))
		*start = p->start;
	p = gmem_first_policy(policy, *end, *end + 1);
	if (p && gmem_policy_is(p, mpol))
		*end = p->end;
	read_unlock(&policy->lock);
}

static int gmem_set_policy_piece(struct inode *inode, pgoff_t start, pgoff_t end,
				 struct mempolicy *mpol)
{
	struct shared_policy *policy = &GMEM_I(inode)->policy;
	struct vm_area_struct vma;

	lockdep_assert_held(&GMEM_I(inode)->policy_lock);

	if (mpol)
		gmem_widen_policy(policy, &start, &end, mpol);
	/* Of a mapping that consists of nothing else, see gmem_alloc_folio(). */
	vma_init(&vma, NULL);
	vma.vm_pgoff = start;
	vma.vm_end = (end - start) << PAGE_SHIFT;
	return mpol_set_shared_policy(policy, &vma, mpol);
}

/**
 * gmem_set_policy_range - set the policy of a range
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 * @mpol:	The policy, of which a copy is made, or NULL.
 *
 * Tasks that allocate look for their policy under a lock that spins.  So ranges that
 * have one now are replaced a piece at a time.
 *
 * Context: Process context, may sleep.
 * Return: 0; -ENOMEM or, if the task is being killed, -EINTR: then a part of the
 *	   range, from its start on, can have the policy, if more than
 *	   GMEM_POLICY_PIECE policies were set in it before.
 */
int gmem_set_policy_range(struct inode *inode, pgoff_t start, pgoff_t end,
			  struct mempolicy *mpol)
{
	struct gmem_inode *gi = GMEM_I(inode);
	pgoff_t next;
	int ret = 0;

	while (!ret && start < end) {
		if (mutex_lock_killable(&gi->policy_lock))
			return -EINTR;
		next = gmem_policy_piece_end(&gi->policy, start, end);
		ret = gmem_set_policy_piece(inode, start, next, mpol);
		mutex_unlock(&gi->policy_lock);
		start = next;
		cond_resched();
	}
	return ret;
}

/**
 * gmem_set_policy - the set_policy operation of mappings
 * @vma:	The mapping: its range of the file gets the policy.
 * @mpol:	The policy, or NULL to remove what is set.
 *
 * Context: Process context, mmap_lock held for write.
 * Return: As gmem_set_policy_range().
 */
int gmem_set_policy(struct vm_area_struct *vma, struct mempolicy *mpol)
{
	return gmem_set_policy_range(file_inode(vma->vm_file), vma->vm_pgoff,
				     vma->vm_pgoff + vma_pages(vma), mpol);
}

/**
 * gmem_free_policy - forget all policies of a file
 * @inode:	Inode of the file, which nobody uses any more.
 *
 * Context: Process context, may sleep.
 */
void gmem_free_policy(struct inode *inode)
{
	struct shared_policy *policy = &GMEM_I(inode)->policy;
	const pgoff_t all = ULONG_MAX >> PAGE_SHIFT;
	pgoff_t start = 0, end;

	while (policy->root.rb_node && start < all) {
		mutex_lock(&GMEM_I(inode)->policy_lock);
		end = gmem_policy_piece_end(policy, start, all);
		/* It ends where a policy does: nothing is allocated. */
		gmem_set_policy_piece(inode, start, end, NULL);
		mutex_unlock(&GMEM_I(inode)->policy_lock);
		start = end;
		cond_resched();
	}
}

/**
 * gmem_get_policy - the get_policy operation of mappings
 * @vma:	The mapping.
 * @addr:	An address in it.
 *
 * Context: Any, mmap_lock held.
 * Return: The policy of the page, with a reference, or NULL if none is set.
 */
struct mempolicy *gmem_get_policy(struct vm_area_struct *vma,
				  unsigned long addr)
{
	struct inode *inode = file_inode(vma->vm_file);

	return mpol_shared_policy_lookup(&GMEM_I(inode)->policy,
					 linear_page_index(vma, addr));
}

/**
 * gmem_policy_is_uniform - whether one policy applies to all of a range
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Any.
 * Return: false if policies begin or end inside.
 */
bool gmem_policy_is_uniform(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct shared_policy *policy = &GMEM_I(inode)->policy;
	struct rb_node *node;
	bool uniform = true;

	read_lock(&policy->lock);
	node = policy->root.rb_node;
	while (node) {
		struct sp_node *p = rb_entry(node, struct sp_node, nd);

		if (end <= p->start) {
			node = node->rb_left;
		} else if (start >= p->end) {
			node = node->rb_right;
		} else {
			uniform = start >= p->start && end <= p->end;
			break;
		}
	}
	read_unlock(&policy->lock);
	return uniform;
}

/**
 * gmem_alloc_folio - allocate a folio as the policy of its place demands
 * @inode:	Inode of the file.
 * @index:	Page index, aligned to @order.
 * @gfp:	How to allocate.
 * @order:	Order of the folio.
 *
 * The page allocator takes policies from VMAs only, so give it one that
 * consists of nothing else.  Its start is address 0, which makes vm_pgoff the
 * offset by which MPOL_INTERLEAVE chooses the node.  The inode number is added
 * so that small files do not all begin on the same node.
 *
 * Context: Process context, may sleep.
 * Return: The folio, or NULL.
 */
struct folio *gmem_alloc_folio(struct inode *inode, pgoff_t index, gfp_t gfp,
			       unsigned int order)
{
	struct vm_area_struct vma;
	struct folio *folio;

	vma_init(&vma, NULL);
	vma.vm_pgoff = index + inode->i_ino;
	vma.vm_policy = mpol_shared_policy_lookup(&GMEM_I(inode)->policy,
						  index);
	/* Rather small folios nearby than a large one on a distant node. */
	folio = vma_alloc_folio(gfp, order, &vma, 0, order > 0);
	mpol_cond_put(vma.vm_policy);
	return folio;
}
