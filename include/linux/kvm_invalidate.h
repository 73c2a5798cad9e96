/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Invalidations: what backs guest memory changes.  See virt/kvm/invalidate.c.
 */
#ifndef _LINUX_KVM_INVALIDATE_H
#define _LINUX_KVM_INVALIDATE_H

#include <linux/bits.h>
#include <linux/kvm_types.h>

struct kvm;

/*
 * What backs a gfn: memory at the slot's userspace_addr, or a file, without an
 * address.  A set of these says which of it changes, or is mapped.
 */
#define KVM_BACKED_BY_HVA	BIT(0)
#define KVM_BACKED_BY_FILE	BIT(1)
#define KVM_BACKED_BY_ANY	(KVM_BACKED_BY_HVA | KVM_BACKED_BY_FILE)

/* So many invalidations in progress are told apart. */
#define KVM_ACTIVE_INVALIDATIONS	16
/* So many are remembered when they have ended.  A power of two. */
#define KVM_ENDED_INVALIDATIONS	256

/* Gfns [start, end), in so far as they are backed by one of backing. */
struct kvm_invalidation {
	gfn_t start;
	gfn_t end;
	unsigned int backing;
};

/*
 * Written with mmu_lock held for write; read with it held, or, for a hint,
 * without.
 */
struct kvm_invalidations {
	/* In progress, in no order. */
	struct kvm_invalidation active[KVM_ACTIVE_INVALIDATIONS];
	unsigned int nr_active;
	/* Those for which there was no room: all from the first to the last. */
	unsigned int nr_surplus;
	struct kvm_invalidation surplus;
	/* Indexed by the mmu_invalidate_seq at which they ended. */
	struct kvm_invalidation ended[KVM_ENDED_INVALIDATIONS];
};

void kvm_mmu_invalidate_begin(struct kvm *kvm, gfn_t start, gfn_t end,
			      unsigned int backing);
void kvm_mmu_invalidate_end(struct kvm *kvm, gfn_t start, gfn_t end,
			    unsigned int backing);
bool kvm_mmu_is_invalidating(struct kvm *kvm, gfn_t gfn, unsigned int backing);
bool kvm_mmu_invalidate_window(struct kvm *kvm, unsigned long mmu_seq,
			       unsigned int backing, gfn_t gfn, gfn_t *first,
			       gfn_t *last);

#endif /* _LINUX_KVM_INVALIDATE_H */
