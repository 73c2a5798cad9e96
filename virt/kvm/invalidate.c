// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invalidations: what backs guest memory changes.
 *
 * A change of what backs gfns, such as that of which an MMU notifier tells, is
 * enclosed by kvm_mmu_invalidate_begin() and
 * kvm_mmu_invalidate_end(), with the same range.  Mappings of the range are
 * zapped after begin and before the change.  For page faults there is one rule:
 *
 *	No mapping covers a gfn that was invalidated since the fault took its
 *	snapshot of mmu_invalidate_seq, and none one that is being invalidated.
 *
 * A fault takes the snapshot before it looks anything up.  With mmu_lock held,
 * kvm_mmu_invalidate_window() tells it how far a mapping may extend: if not even
 * to the gfn that faulted, it starts again; if not to the whole of a huge page,
 * it maps a smaller one.  What changes elsewhere, be it the next page, does not
 * concern it, however many invalidations there are and whenever they end.
 *
 *	CPU 0: invalidation of page 1		CPU 1: fault on page 0
 *
 *						snapshot of the sequence
 *						look up: 0 and 1 in a huge page
 *	mmu_lock: begin, zap
 *	change
 *						mmu_lock: 1 is in progress,
 *						map page 0 alone
 *	mmu_lock: end, sequence + 1
 *						(or here: 1 has ended at the
 *						snapshot or later, the same)
 *
 * Ranges in progress are in an array of fixed size, as an MMU notifier can
 * neither fail nor sleep.  Those which find no room are merged into one range
 * from the first to the last, until all of the latter have ended.  The last
 * KVM_ENDED_INVALIDATIONS that have ended are remembered; a fault whose snapshot
 * is older starts again.  Its next attempt finds the memory that the last one
 * provided, and is fast.
 *
 * A range says on which side of a slot it is, see KVM_BACKED_BY_HVA.  A fault
 * knows which side it maps.  If attributes decide that, a change of them is an
 * invalidation of both.
 */

#include <linux/kvm_host.h>

#include "kvm_mm.h"

/* Elsewhere nothing is mapped that could change. */
#if defined(CONFIG_MMU_NOTIFIER) && defined(KVM_ARCH_WANT_MMU_NOTIFIER)

/* Piece by piece, as kvm_mmu_is_invalidating() reads it without mmu_lock. */
static void kvm_invalidation_set(struct kvm_invalidation *inv, gfn_t start,
				 gfn_t end, unsigned int backing)
{
	WRITE_ONCE(inv->start, start);
	WRITE_ONCE(inv->end, end);
	WRITE_ONCE(inv->backing, backing);
}

static void kvm_invalidation_merge(struct kvm_invalidation *inv, gfn_t start,
				   gfn_t end, unsigned int backing)
{
	kvm_invalidation_set(inv, min(inv->start, start), max(inv->end, end),
			     inv->backing | backing);
}

/**
 * kvm_mmu_invalidate_begin - start to change what backs a range of gfns
 * @kvm:	the VM
 * @start:	first gfn
 * @end:	gfn after the last
 * @backing:	KVM_BACKED_BY_*: mappings of what are concerned
 *
 * Until kvm_mmu_invalidate_end() with the same arguments, no such mapping is
 * installed for a gfn of the range.
 *
 * Context: mmu_lock held for write.
 */
void kvm_mmu_invalidate_begin(struct kvm *kvm, gfn_t start, gfn_t end,
			      unsigned int backing)
{
	struct kvm_invalidations *invs = &kvm->mmu_invalidations;

	kvm_lockdep_assert_mmu_lock_held_write(kvm);
	WARN_ON_ONCE(start >= end);

	/*
	 * Becomes visible, with the range, when mmu_lock is dropped: no SPTE
	 * can be established without taking it.
	 */
	kvm->mmu_invalidate_in_progress++;

	if (likely(invs->nr_active < KVM_ACTIVE_INVALIDATIONS)) {
		kvm_invalidation_set(&invs->active[invs->nr_active], start, end,
				     backing);
		WRITE_ONCE(invs->nr_active, invs->nr_active + 1);
		return;
	}

	if (!invs->nr_surplus)
		kvm_invalidation_set(&invs->surplus, start, end, backing);
	else
		kvm_invalidation_merge(&invs->surplus, start, end, backing);
	WRITE_ONCE(invs->nr_surplus, invs->nr_surplus + 1);
}

/*
 * Of several that are equal it does not matter which one goes; of those in
 * the surplus nothing is left but their number.
 */
static void kvm_invalidation_remove(struct kvm_invalidations *invs, gfn_t start,
				    gfn_t end, unsigned int backing)
{
	unsigned int i, last = invs->nr_active - 1;

	for (i = 0; i < invs->nr_active; i++) {
		struct kvm_invalidation *inv = &invs->active[i];

		if (inv->start != start || inv->end != end ||
		    inv->backing != backing)
			continue;

		kvm_invalidation_set(inv, invs->active[last].start,
				     invs->active[last].end,
				     invs->active[last].backing);
		WRITE_ONCE(invs->nr_active, last);
		return;
	}

	if (!WARN_ON_ONCE(!invs->nr_surplus))
		WRITE_ONCE(invs->nr_surplus, invs->nr_surplus - 1);
}

/**
 * kvm_mmu_invalidate_end - the change is done
 * @kvm:	the VM
 * @start:	as in kvm_mmu_invalidate_begin()
 * @end:	the same
 * @backing:	the same
 *
 * Page faults on the range that looked memory up before or during the change
 * start again.
 *
 * Context: mmu_lock held for write.
 */
void kvm_mmu_invalidate_end(struct kvm *kvm, gfn_t start, gfn_t end,
			    unsigned int backing)
{
	struct kvm_invalidations *invs = &kvm->mmu_invalidations;
	unsigned long seq = kvm->mmu_invalidate_seq;

	kvm_lockdep_assert_mmu_lock_held_write(kvm);

	kvm_invalidation_remove(invs, start, end, backing);
	kvm_invalidation_set(&invs->ended[seq % KVM_ENDED_INVALIDATIONS], start,
			     end, backing);

	/*
	 * The change is visible to a fault whose snapshot is the new value.
	 * Pairs with the smp_rmb() after a fault has taken its snapshot.
	 */
	smp_store_release(&kvm->mmu_invalidate_seq, seq + 1);
	/*
	 * The above sequence increase must be visible before the below count
	 * decrease.  Pairs with the smp_rmb() in mmu_invalidate_retry().
	 */
	smp_wmb();
	kvm->mmu_invalidate_in_progress--;
	KVM_BUG_ON(kvm->mmu_invalidate_in_progress < 0, kvm);
}

static bool kvm_invalidation_has(const struct kvm_invalidation *inv, gfn_t gfn,
				 unsigned int backing)
{
	return gfn >= READ_ONCE(inv->start) && gfn < READ_ONCE(inv->end) &&
	       READ_ONCE(inv->backing) & backing;
}

/**
 * kvm_mmu_is_invalidating - whether a gfn is being invalidated
 * @kvm:	the VM
 * @gfn:	the gfn
 * @backing:	KVM_BACKED_BY_*: what the gfn is, or shall be, mapped to
 *
 * Context: Any.  With mmu_lock held, the answer holds until it is dropped.
 *	    Without, it is a hint, wrong in either direction at times.
 */
bool kvm_mmu_is_invalidating(struct kvm *kvm, gfn_t gfn, unsigned int backing)
{
	struct kvm_invalidations *invs = &kvm->mmu_invalidations;
	unsigned int i, nr = READ_ONCE(invs->nr_active);

	for (i = 0; i < nr; i++) {
		if (kvm_invalidation_has(&invs->active[i], gfn, backing))
			return true;
	}
	return unlikely(READ_ONCE(invs->nr_surplus)) &&
	       kvm_invalidation_has(&invs->surplus, gfn, backing);
}

/* Narrow the window around @gfn; false if it does not even contain that. */
static bool kvm_window_exclude(const struct kvm_invalidation *inv,
			       unsigned int backing, gfn_t gfn, gfn_t *first,
			       gfn_t *last)
{
	if (!(inv->backing & backing))
		return true;

	if (gfn < inv->start)
		*last = min(*last, inv->start - 1);
	else if (gfn >= inv->end)
		*first = max(*first, inv->end);
	else
		return false;
	return true;
}

/**
 * kvm_mmu_invalidate_window - how far around a gfn nothing has been invalidated
 * @kvm:	the VM
 * @mmu_seq:	mmu_invalidate_seq as it was before the gfn was looked up
 * @backing:	KVM_BACKED_BY_*: what shall be mapped
 * @gfn:	the gfn
 * @first:	in: first gfn that could be mapped together with @gfn.  out:
 *		first one that may
 * @last:	the same for the last
 *
 * Context: mmu_lock held, and until the mapping has been installed.
 * Return: false if @gfn itself was or is being invalidated, or that is not
 *	   known any more: start again.
 */
bool kvm_mmu_invalidate_window(struct kvm *kvm, unsigned long mmu_seq,
			       unsigned int backing, gfn_t gfn, gfn_t *first,
			       gfn_t *last)
{
	const struct kvm_invalidations *invs = &kvm->mmu_invalidations;
	unsigned long seq = kvm->mmu_invalidate_seq;
	unsigned int i;

	lockdep_assert_held(&kvm->mmu_lock);

	if (seq - mmu_seq > KVM_ENDED_INVALIDATIONS)
		return false;

	for ( ; mmu_seq != seq; mmu_seq++) {
		i = mmu_seq % KVM_ENDED_INVALIDATIONS;
		if (!kvm_window_exclude(&invs->ended[i], backing, gfn, first,
					last))
			return false;
	}
	for (i = 0; i < invs->nr_active; i++) {
		if (!kvm_window_exclude(&invs->active[i], backing, gfn, first,
					last))
			return false;
	}
	return !invs->nr_surplus ||
	       kvm_window_exclude(&invs->surplus, backing, gfn, first, last);
}

#endif /* CONFIG_MMU_NOTIFIER && KVM_ARCH_WANT_MMU_NOTIFIER */
