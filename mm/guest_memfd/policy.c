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

/**
 * gmem_set_policy - the set_policy operation of mappings
 * @vma:	The mapping: its range of the file gets the policy.
 * @mpol:	The policy, or NULL to remove what is set.
 *
 * Context: Process context, mmap_lock held for write.
 * Return: 0 or -ENOMEM.
 */
int gmem_set_policy(struct vm_area_struct *vma, struct mempolicy *mpol)
{
	struct inode *inode = file_inode(vma->vm_file);

	return mpol_set_shared_policy(&GMEM_I(inode)->policy, vma, mpol);
}

/**
 * gmem_set_policy_range - set the policy of a range
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 * @mpol:	The policy, of which a copy is made, or NULL.
 *
 * Context: Process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int gmem_set_policy_range(struct inode *inode, pgoff_t start, pgoff_t end,
			  struct mempolicy *mpol)
{
	struct vm_area_struct vma;

	/* Of a mapping that consists of nothing else, see gmem_alloc_folio(). */
	vma_init(&vma, NULL);
	vma.vm_pgoff = start;
	vma.vm_end = (end - start) << PAGE_SHIFT;
	return mpol_set_shared_policy(&GMEM_I(inode)->policy, &vma, mpol);
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
