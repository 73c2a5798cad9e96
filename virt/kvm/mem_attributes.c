// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM memory attributes: what a gfn is, as ranges.
 *
 * Each VM has a map from ranges of gfns to attributes, see lib/range_map.c.  Its
 * size follows the number of changes from one gfn to the next, never the number
 * of pages, and marking all memory costs what marking a page costs.
 *
 * (Not a maple tree: in 6.1 one in RCU mode takes the metadata of an inner node
 * for a child when it frees three levels at once.)
 *
 * Attributes belong to gfns.  They exist without a memory slot and outlive it.
 *
 * Changes are made under a lock of their own, between the begin and the end of an
 * invalidation of the range.  Inside of that lock, what is mapped is zapped under
 * mmu_lock, 512 gfns at a time, each time within kvm->srcu: an update of memory
 * slots waits for no more than that.  It must not be slots_lock instead, as others
 * wait for the end of an invalidation:
 *
 *	CPU 0: change		CPU 1: slot update	CPU 2: cache of a pfn
 *
 *	begin
 *				slots_lock		[kvm->srcu
 *				synchronize_srcu(),	being invalidated: again,
 *				for CPU 2		until CPU 0 ends
 *	slots_lock: for CPU 1
 *
 * A look-up takes no lock and is possible nearly everywhere, under mmu_lock, too;
 * where it must not wait for a change, it can be tried.  It always finds the
 * attributes from before a change or those from after.  The map keeps up to two
 * ranges that a change has removed: making a page shared and private again
 * allocates nothing, however fragmented the map is.
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
 * kvm_arch_accesses_private_mem() is true look attributes up, too, and then access one
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
 * The change does not wait for CPU 1: its access may itself be waiting for userspace to
 * provide a page, and that thread of the VMM may be the one on CPU 0; also, a
 * grace period of kvm->srcu for each of many small ranges takes very long.
 * Addresses that KVM keeps beyond an access are another matter.  Caches of pfns
 * follow the rule for changes of a file, see gpc_is_stale() in pfncache.c, and
 * are not used for the old side once the ioctl has returned.
 *
 * Mapping levels are derived from the range around a gfn when a fault is
 * handled.  A huge mapping that would reach across an edge of a range that is
 * being changed, or has been since, is kept out by kvm_mmu_invalidate_window();
 * the fault maps a smaller page then, without waiting for the change.
 */

#include <linux/export.h>
#include <linux/kvm_host.h>
#include <linux/lockdep.h>
#include <linux/range_map.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <trace/events/kvm.h>

#include "kvm_mm.h"
#include "mem_attributes.h"

/* Gfns that are zapped without letting go of mmu_lock. */
#define KVM_ATTR_PIECE	512

/* Gfns are indices of the map. */
static_assert(sizeof(gfn_t) == sizeof(unsigned long));

/**
 * kvm_get_memory_attributes_run - look up the run of equal attributes at a gfn
 * @kvm:	the VM
 * @gfn:	a gfn
 * @first:	out: first gfn of the run
 * @last:	out: last gfn of the run
 *
 * Context: Any but interrupts and the scheduler.  The answer can be old unless
 *	    mem_attributes.lock is held; see the head of this file for how a page
 *	    fault deals with that.
 * Return: KVM_MEMORY_ATTRIBUTE_* bits of all gfns in the run.
 */
u64 kvm_get_memory_attributes_run(struct kvm *kvm, gfn_t gfn, gfn_t *first,
				  gfn_t *last)
{
	struct range_map_run run;

	range_map_lookup(&kvm->mem_attributes.map, gfn, &run);
	*first = run.first;
	*last = run.last;
	return run.value;
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
	struct range_map_run run;

	range_map_lookup(&kvm->mem_attributes.map, gfn, &run);
	return run.value;
}
EXPORT_SYMBOL_GPL(kvm_get_memory_attributes);

/**
 * kvm_try_get_memory_attributes - look up the attributes of a gfn, or do not
 * @kvm:	the VM
 * @gfn:	the gfn
 * @attributes:	out: KVM_MEMORY_ATTRIBUTE_* bits
 *
 * Context: Any, even inside the scheduler or in an interrupt.
 * Return: false if attributes are being changed just now
 */
bool kvm_try_get_memory_attributes(struct kvm *kvm, gfn_t gfn, u64 *attributes)
{
	struct range_map_run run;

	if (!range_map_try_lookup(&kvm->mem_attributes.map, gfn, &run))
		return false;

	*attributes = run.value;
	return true;
}

/* Zap what is mapped of a range, which has been declared as invalidated. */
static void kvm_unmap_changing_range(struct kvm *kvm, gfn_t start, gfn_t end)
{
	struct kvm_gfn_range range = {
		.may_block	= true,
		.backing	= KVM_BACKED_BY_ANY,
	};
	struct kvm_memslot_iter iter;
	int i;

	lockdep_assert(srcu_read_lock_held(&kvm->srcu));
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
			 * mmu_lock, and the task that takes it then may free
			 * memory of this one, for which it finds no mapping to
			 * flush.
			 */
			if (kvm_unmap_gfn_range(kvm, &range))
				kvm_flush_remote_tlbs(kvm);
		}
	}
}

/*
 * Zap the whole range, which has been declared as invalidated, by pieces of which
 * each is mapped at least in part.
 */
static int kvm_unmap_changing_pieces(struct kvm *kvm, gfn_t start, gfn_t end)
{
	gfn_t next;
	int idx;

	lockdep_assert_held(&kvm->mem_attributes.lock);

	for ( ; start < end; start = next) {
		if (fatal_signal_pending(current))
			return -EINTR;

		start = kvm_arch_next_mapped(kvm, start, end);
		next = min(end, round_down(start, KVM_ATTR_PIECE) +
				KVM_ATTR_PIECE);
		if (start < end) {
			idx = srcu_read_lock(&kvm->srcu);
			KVM_MMU_LOCK(kvm);
			kvm_unmap_changing_range(kvm, start, next);
			KVM_MMU_UNLOCK(kvm);
			srcu_read_unlock(&kvm->srcu, idx);
		}
		cond_resched();
	}
	return 0;
}

/*
 * Slots can come and go meanwhile: no mapping comes with one, and deletion zaps
 * what one has.
 */
static int kvm_memory_attributes_begin(struct kvm *kvm, gfn_t start, gfn_t end)
{
	bool small = end - start <= KVM_ATTR_PIECE;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_begin(kvm, start, end, KVM_BACKED_BY_ANY);
	if (small)
		kvm_unmap_changing_range(kvm, start, end);
	KVM_MMU_UNLOCK(kvm);
	srcu_read_unlock(&kvm->srcu, idx);

	gfn_to_pfn_cache_invalidate_gfns(kvm, start, end);
	return small ? 0 : kvm_unmap_changing_pieces(kvm, start, end);
}

static void kvm_memory_attributes_end(struct kvm *kvm, gfn_t start, gfn_t end)
{
	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_end(kvm, start, end, KVM_BACKED_BY_ANY);
	KVM_MMU_UNLOCK(kvm);
}

static int kvm_set_memory_attributes(struct kvm *kvm, gfn_t start, gfn_t end,
				     u64 attributes)
{
	struct kvm_mem_attributes *attrs = &kvm->mem_attributes;
	int r = 0, change;

	if (mutex_lock_killable(&attrs->lock))
		return -EINTR;

	/* All that can fail, before anything changes. */
	change = range_map_prepare(&attrs->map, start, end - 1, attributes,
				   &attrs->spares, GFP_KERNEL_ACCOUNT);
	if (change > 0) {
		r = kvm_memory_attributes_begin(kvm, start, end);
		if (!r)
			range_map_store(&attrs->map, start, end - 1, attributes,
					&attrs->spares);
		kvm_memory_attributes_end(kvm, start, end);
	}
	if (change >= 0 && !r)
		trace_kvm_set_memory_attributes(start, end, attributes, change);
	mutex_unlock(&attrs->lock);
	return r ?: min(change, 0);
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
				       const struct kvm_memory_attributes __user *argp)
{
	struct kvm_memory_attributes attrs;

	if (copy_from_user(&attrs, argp, sizeof(attrs)))
		return -EFAULT;
	if (attrs.flags)
		return -EINVAL;
	if (attrs.attributes & ~kvm_supported_memory_attributes(kvm))
		return -EINVAL;
	if (!attrs.size || attrs.address + attrs.size < attrs.address)
		return -EINVAL;
	if (!PAGE_ALIGNED(attrs.address) || !PAGE_ALIGNED(attrs.size))
		return -EINVAL;

	return kvm_set_memory_attributes(kvm, gpa_to_gfn(attrs.address),
					 gpa_to_gfn(attrs.address + attrs.size),
					 attrs.attributes);
}

void kvm_init_memory_attributes(struct kvm *kvm)
{
	mutex_init(&kvm->mem_attributes.lock);
	range_map_init(&kvm->mem_attributes.map);
}

/* No look-up is under way, and none comes. */
void kvm_destroy_memory_attributes(struct kvm *kvm)
{
	range_map_destroy(&kvm->mem_attributes.map);
	range_map_free_spares(&kvm->mem_attributes.spares);
}
