// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM memory attributes: what a gfn is, as ranges.
 *
 * Each VM has a red-black tree of ranges of gfns that have attributes; gfns in
 * no range have none.  Ranges do not overlap, and neighbours with equal
 * attributes are one range, so that the size of the tree follows the number of
 * changes from one gfn to the next, never the number of pages, and marking all
 * memory costs what marking a page costs.
 *
 * (Not a maple tree: in 6.1 one in RCU mode takes the metadata of an inner node
 * for a child when it frees three levels at once.)
 *
 * Attributes belong to gfns.  They exist without a memory slot and outlive it.
 *
 * Changes are made under slots_lock, between the begin and the end of an
 * invalidation of the range.  The tree has a lock of its own, the innermost of
 * all but those that are taken in interrupts, so that a look-up is possible
 * nearly everywhere, under mmu_lock, too; where it is not, it can be tried.  A
 * look-up always finds the attributes from before a change or those from after.
 *
 * A page fault takes its snapshot of mmu_invalidate_seq before it looks
 * attributes up, and so learns under mmu_lock whether what it saw still holds:
 *
 *	CPU 0: KVM_SET_MEMORY_ATTRIBUTES	CPU 1: page fault
 *
 *						snapshot of the sequence
 *						look up: shared
 *	mmu_lock: begin, declare, zap
 *	store: private
 *						mmu_lock: in progress, retry
 *	mmu_lock: end, sequence + 1
 *						mmu_lock: sequence moved, retry
 *
 * KVM's own accesses to the memory of a VM for which
 * kvm_arch_accesses_private_mem() look attributes up, too, and then access one
 * side or the other.  As with the guest's accesses on real hardware, one that
 * races with a change can be to either side; one that begins when the ioctl has
 * returned is to the new side:
 *
 *	CPU 0: KVM_SET_MEMORY_ATTRIBUTES	CPU 1: KVM for a vCPU
 *
 *						look up: shared
 *	begin, store: private, end
 *	return
 *						access the shared side
 *
 * Nobody waits for CPU 1: its access may itself be waiting for userspace to
 * provide a page, and that thread of the VMM may be the one on CPU 0; also, a
 * grace period of kvm->srcu for each of many small ranges takes very long.
 * Addresses that KVM keeps beyond an access are another matter.  Caches of pfns
 * follow the rule for changes of a file, see mmu_notifier_retry_cache(), and
 * are not used for the old side once the ioctl has returned.
 *
 * Mapping levels are derived from the range around a gfn when a fault is
 * handled.  A huge mapping that reaches across an edge of a range that is being
 * changed is kept out by declaring the whole huge pages at both edges as being
 * invalidated; only what overlaps the range itself is zapped.
 */

#include <linux/export.h>
#include <linux/kvm_host.h>
#include <linux/lockdep.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <trace/events/kvm.h>

#include "kvm_mm.h"
#include "mem_attributes.h"

/* Ranges that are removed without letting go of the lock in between. */
#define KVM_ATTR_BATCH	128

struct kvm_attr_range {
	struct rb_node node;
	gfn_t first;
	gfn_t last;
	u64 attributes;
};

#define to_attr_range(n)	rb_entry_safe(n, struct kvm_attr_range, node)

/* The range that contains @gfn or else the next one. */
static struct kvm_attr_range *kvm_attr_find(struct kvm_mem_attributes *attrs,
					    gfn_t gfn)
{
	struct rb_node *node = attrs->ranges.rb_node;
	struct kvm_attr_range *found = NULL;

	lockdep_assert_held(&attrs->lock);

	while (node) {
		struct kvm_attr_range *r = to_attr_range(node);

		if (r->last < gfn) {
			node = node->rb_right;
		} else {
			found = r;
			node = node->rb_left;
		}
	}
	return found;
}

static bool kvm_attr_less(struct rb_node *a, const struct rb_node *b)
{
	return to_attr_range(a)->first < to_attr_range(b)->first;
}

static void kvm_attr_insert(struct kvm_mem_attributes *attrs,
			    struct kvm_attr_range *r, gfn_t first, gfn_t last,
			    u64 attributes)
{
	lockdep_assert_held_write(&attrs->lock);

	r->first = first;
	r->last = last;
	r->attributes = attributes;
	rb_add(&r->node, &attrs->ranges, kvm_attr_less);
}

static void kvm_attr_remove(struct kvm_mem_attributes *attrs,
			    struct kvm_attr_range *r)
{
	lockdep_assert_held_write(&attrs->lock);

	rb_erase(&r->node, &attrs->ranges);
	kfree(r);
}

/**
 * kvm_get_memory_attributes_run - look up the run of equal attributes at a gfn
 * @kvm:	the VM
 * @gfn:	a gfn
 * @first:	out: first gfn of the run
 * @last:	out: last gfn of the run
 *
 * Context: Any.  The answer can be old unless slots_lock is held; see the head
 *	    of this file for how a page fault deals with that.
 * Return: KVM_MEMORY_ATTRIBUTE_* bits of all gfns in the run.
 */
u64 kvm_get_memory_attributes_run(struct kvm *kvm, gfn_t gfn, gfn_t *first,
				  gfn_t *last)
{
	struct kvm_mem_attributes *attrs = &kvm->mem_attributes;
	struct kvm_attr_range *r, *prev;
	u64 attributes = 0;

	*first = 0;
	*last = GFN_INVALID;

	read_lock(&attrs->lock);
	r = kvm_attr_find(attrs, gfn);
	if (r && r->first <= gfn) {
		*first = r->first;
		*last = r->last;
		attributes = r->attributes;
	} else {
		prev = to_attr_range(r ? rb_prev(&r->node) :
					 rb_last(&attrs->ranges));
		if (prev)
			*first = prev->last + 1;
		if (r)
			*last = r->first - 1;
	}
	read_unlock(&attrs->lock);
	return attributes;
}

static u64 kvm_attr_lookup(struct kvm_mem_attributes *attrs, gfn_t gfn)
{
	struct kvm_attr_range *r = kvm_attr_find(attrs, gfn);

	return r && r->first <= gfn ? r->attributes : 0;
}

/**
 * kvm_get_memory_attributes - look up the attributes of a gfn
 * @kvm:	the VM
 * @gfn:	the gfn
 *
 * Context: as for kvm_get_memory_attributes_run().
 * Return: KVM_MEMORY_ATTRIBUTE_* bits.
 */
u64 kvm_get_memory_attributes(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_mem_attributes *attrs = &kvm->mem_attributes;
	u64 attributes;

	read_lock(&attrs->lock);
	attributes = kvm_attr_lookup(attrs, gfn);
	read_unlock(&attrs->lock);
	return attributes;
}
EXPORT_SYMBOL_GPL(kvm_get_memory_attributes);

/**
 * kvm_try_get_memory_attributes - look up the attributes of a gfn, or do not
 * @kvm:	the VM
 * @gfn:	the gfn
 * @attributes:	out: KVM_MEMORY_ATTRIBUTE_* bits
 *
 * Context: Any but NMI, even inside the scheduler or in an interrupt.
 * Return: false if somebody is changing attributes just now
 */
bool kvm_try_get_memory_attributes(struct kvm *kvm, gfn_t gfn, u64 *attributes)
{
	struct kvm_mem_attributes *attrs = &kvm->mem_attributes;

	if (!read_trylock(&attrs->lock))
		return false;

	*attributes = kvm_attr_lookup(attrs, gfn);
	read_unlock(&attrs->lock);
	return true;
}

/* Whether all gfns in [start, end) have just these attributes. */
static bool kvm_range_has_memory_attributes(struct kvm *kvm, gfn_t start,
					    gfn_t end, u64 attributes)
{
	gfn_t first, last;

	return kvm_get_memory_attributes_run(kvm, start, &first, &last) ==
	       attributes && last >= end - 1;
}

/*
 * Clear [first, last], or as much from its start as contains KVM_ATTR_BATCH
 * ranges.  @spare becomes the rear part of a range that begins before and ends
 * after.  Returns the last gfn that is clear.
 */
static gfn_t kvm_attr_clear_batch(struct kvm_mem_attributes *attrs, gfn_t first,
				  gfn_t last, struct kvm_attr_range **spare)
{
	struct kvm_attr_range *r, *next;
	int i;

	lockdep_assert_held_write(&attrs->lock);

	r = kvm_attr_find(attrs, first);
	for (i = 0; r && r->first <= last; r = next, i++) {
		if (i == KVM_ATTR_BATCH)
			return r->first - 1;

		next = to_attr_range(rb_next(&r->node));
		if (r->first >= first && r->last <= last) {
			kvm_attr_remove(attrs, r);
		} else if (r->first >= first) {
			r->first = last + 1;
		} else if (r->last <= last) {
			r->last = first - 1;
		} else {
			kvm_attr_insert(attrs, *spare, last + 1, r->last,
					r->attributes);
			*spare = NULL;
			r->last = first - 1;
		}
	}
	return last;
}

/* Give [first, last], which has no attributes, some; merge with neighbours. */
static void kvm_attr_fill(struct kvm_mem_attributes *attrs, gfn_t first,
			  gfn_t last, u64 attributes,
			  struct kvm_attr_range **spare)
{
	struct kvm_attr_range *prev, *next;

	lockdep_assert_held_write(&attrs->lock);

	next = kvm_attr_find(attrs, last);
	prev = to_attr_range(next ? rb_prev(&next->node) :
				    rb_last(&attrs->ranges));
	if (next && (next->first != last + 1 || next->attributes != attributes))
		next = NULL;
	if (prev && (prev->last + 1 != first || prev->attributes != attributes))
		prev = NULL;

	if (prev) {
		prev->last = next ? next->last : last;
		if (next)
			kvm_attr_remove(attrs, next);
	} else if (next) {
		next->first = first;
	} else {
		kvm_attr_insert(attrs, *spare, first, last, attributes);
		*spare = NULL;
	}
}

/*
 * Replace the attributes of [start, end).  @rear and @fresh are for ranges that
 * come into being; what is not needed is left to the caller.
 */
static void kvm_store_memory_attributes(struct kvm *kvm, gfn_t start, gfn_t end,
					u64 attributes,
					struct kvm_attr_range **rear,
					struct kvm_attr_range **fresh)
{
	struct kvm_mem_attributes *attrs = &kvm->mem_attributes;
	gfn_t last;

	lockdep_assert_held(&kvm->slots_lock);

	/* Clear and fill piece by piece: nobody may see what is only cleared. */
	while (start < end) {
		write_lock(&attrs->lock);
		last = kvm_attr_clear_batch(attrs, start, end - 1, rear);
		if (attributes)
			kvm_attr_fill(attrs, start, last, attributes, fresh);
		write_unlock(&attrs->lock);

		start = last + 1;
		cond_resched();
	}
}

/* Zap what is mapped of a range, which has been declared as invalidated. */
static void kvm_unmap_changing_range(struct kvm *kvm, gfn_t start, gfn_t end)
{
	struct kvm_gfn_range range = { .may_block = true };
	struct kvm_memslot_iter iter;
	int i;

	lockdep_assert_held(&kvm->slots_lock);
	kvm_lockdep_assert_mmu_lock_held_write(kvm);

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		struct kvm_memslots *slots = __kvm_memslots(kvm, i);

		kvm_for_each_memslot_in_gfn_range(&iter, slots, start, end) {
			range.slot = iter.slot;
			range.start = max(start, range.slot->base_gfn);
			range.end = min(end, range.slot->base_gfn +
					     range.slot->npages);
			/*
			 * Not once for all slots: zapping the next one may drop
			 * mmu_lock, and who takes it then may free memory of
			 * this one for which it finds no mapping to flush.
			 */
			if (kvm_unmap_gfn_range(kvm, &range))
				kvm_flush_remote_tlbs(kvm);
		}
	}
}

static void kvm_memory_attributes_begin(struct kvm *kvm, gfn_t start, gfn_t end)
{
	gfn_t edge_start = start, edge_end = end;

	kvm_arch_memory_attributes_edges(kvm, &edge_start, &edge_end);
	kvm_gmem_invalidate_caches_begin(kvm, start, end);

	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_begin(kvm);
	kvm_mmu_invalidate_range_add(kvm, edge_start, edge_end);
	kvm_unmap_changing_range(kvm, start, end);
	KVM_MMU_UNLOCK(kvm);
}

static void kvm_memory_attributes_end(struct kvm *kvm)
{
	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_end(kvm);
	KVM_MMU_UNLOCK(kvm);

	kvm_gmem_invalidate_caches_end(kvm);
}

static int kvm_set_memory_attributes(struct kvm *kvm, gfn_t start, gfn_t end,
				     u64 attributes)
{
	struct kvm_attr_range *rear, *fresh;
	bool change;
	int r = -ENOMEM;

	/* All that can fail, before anything changes. */
	rear = kmalloc(sizeof(*rear), GFP_KERNEL_ACCOUNT);
	fresh = kmalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	if (!rear || !fresh)
		goto out_free;

	mutex_lock(&kvm->slots_lock);
	change = !kvm_range_has_memory_attributes(kvm, start, end, attributes);
	if (change) {
		kvm_memory_attributes_begin(kvm, start, end);
		kvm_store_memory_attributes(kvm, start, end, attributes, &rear,
					    &fresh);
		kvm_memory_attributes_end(kvm);
	}
	trace_kvm_set_memory_attributes(start, end, attributes, change);
	mutex_unlock(&kvm->slots_lock);
	r = 0;

out_free:
	kfree(rear);
	kfree(fresh);
	return r;
}

/* The attributes that gfns of a VM can have; of any VM if @kvm is NULL. */
u64 kvm_supported_memory_attributes(struct kvm *kvm)
{
	if (kvm && !kvm_arch_has_private_mem(kvm))
		return 0;
	return KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

/* KVM_SET_MEMORY_ATTRIBUTES */
int kvm_vm_ioctl_set_memory_attributes(struct kvm *kvm,
				       const struct kvm_memory_attributes *attrs)
{
	if (attrs->flags)
		return -EINVAL;
	if (attrs->attributes & ~kvm_supported_memory_attributes(kvm))
		return -EINVAL;
	if (!attrs->size || attrs->address + attrs->size < attrs->address)
		return -EINVAL;
	if (!PAGE_ALIGNED(attrs->address) || !PAGE_ALIGNED(attrs->size))
		return -EINVAL;

	return kvm_set_memory_attributes(kvm, gpa_to_gfn(attrs->address),
					 gpa_to_gfn(attrs->address +
						    attrs->size),
					 attrs->attributes);
}

void kvm_init_memory_attributes(struct kvm *kvm)
{
	rwlock_init(&kvm->mem_attributes.lock);
	kvm->mem_attributes.ranges = RB_ROOT;
}

/* Nobody looks anything up any more. */
void kvm_destroy_memory_attributes(struct kvm *kvm)
{
	struct kvm_attr_range *r, *next;

	rbtree_postorder_for_each_entry_safe(r, next,
					     &kvm->mem_attributes.ranges, node) {
		kfree(r);
		cond_resched();
	}
}
