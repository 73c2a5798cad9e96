// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_PRE_FAULT_MEMORY on x86.
 *
 * What is mapped is what a read by the vCPU, in its current state, would have
 * mapped: private or shared memory by the attribute of the gfn, in the address
 * space of the mode that the vCPU is in, without breaking copy-on-write.  The
 * work is done by the page fault handler, with a fault that no vCPU has taken.
 * Such a fault (kvm_page_fault.prefault) leaves no traces of an access: no
 * accessed bit, no asynchronous page fault, no MMIO SPTE, no page that is dirty
 * for the dirty log, no signal, no exit.
 *
 * Only page tables that KVM indexes by gpa can be filled like this; those that
 * shadow a guest's page tables, nested ones included, cannot.
 *
 * What is mapped already stays as it is.
 */

#include <linux/kvm_host.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "spte.h"

/*
 * A reload frees no roots that have become obsolete.  Without this, faults
 * would find them obsolete until the vCPU runs.
 */
static int kvm_pre_fault_load_root(struct kvm_vcpu *vcpu)
{
	if (kvm_check_request(KVM_REQ_MMU_FREE_OBSOLETE_ROOTS, vcpu))
		kvm_mmu_free_obsolete_roots(vcpu);

	return kvm_mmu_reload(vcpu);
}

/*
 * Slots can lie above what the page tables translate, if userspace gave the
 * vCPU fewer address bits than the host has.  A walk would ignore the bits
 * above, and map the page at another address.
 */
static bool kvm_pre_fault_can_address(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	int level = vcpu->arch.mmu->root_role.level;
	int bits = PAGE_SHIFT + level * SPTE_LEVEL_BITS;

	/* The root of PAE has four entries. */
	if (level == PT32E_ROOT_LEVEL)
		bits = 32;
	return !(gpa >> bits);
}

/* PG_LEVEL_* of the mapping that the root has for @gpa, or PG_LEVEL_NONE. */
static int kvm_pre_fault_mapped_level(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	u64 sptes[PT64_ROOT_MAX_LEVEL + 1];
	int leaf, root;

	leaf = kvm_mmu_get_walk(vcpu, gpa, sptes, &root);
	if (leaf < PG_LEVEL_4K || !is_shadow_present_pte(sptes[leaf]) ||
	    !is_last_spte(sptes[leaf], leaf))
		return PG_LEVEL_NONE;
	return leaf;
}

/* Returns the PG_LEVEL_* that was mapped, PG_LEVEL_NONE to retry, -errno. */
static int kvm_pre_fault_map(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct kvm_page_fault fault = {
		.addr = gpa,
		.prefetch = true,
		.prefault = true,
		.is_tdp = true,
		.nx_huge_page_workaround_enabled =
			is_nx_huge_page_enabled(vcpu->kvm),

		.max_level = KVM_MAX_HUGEPAGE_LEVEL,
		.req_level = PG_LEVEL_4K,
		.goal_level = PG_LEVEL_4K,
	};
	int r;

	r = kvm_tdp_page_fault(vcpu, &fault);
	switch (r) {
	case RET_PF_FIXED:
		vcpu->stat.pf_fixed++;
		return fault.goal_level;
	case RET_PF_SPURIOUS:
		return fault.goal_level;
	case RET_PF_RETRY:
		return PG_LEVEL_NONE;
	case RET_PF_EMULATE:
		return -ENOENT;
	default:
		return WARN_ON_ONCE(r >= 0) ? -EIO : r;
	}
}

/**
 * kvm_mmu_check_prefault - see whether a page is one to map in advance
 * @vcpu:	the vCPU
 * @fault:	a fault with prefault set, and with a pfn
 *
 * Return: RET_PF_CONTINUE; RET_PF_EMULATE if there is no memory; -EHWPOISON.
 */
int kvm_mmu_check_prefault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	/* No access that an MMIO SPTE could be for. */
	if (is_noslot_pfn(fault->pfn))
		return RET_PF_EMULATE;

	/* No access that a signal could be for. */
	if (fault->pfn == KVM_PFN_ERR_HWPOISON)
		return -EHWPOISON;

	/*
	 * Dirty logging counts what is mapped writable as written.  That would
	 * be wrong, and a dirty ring, of which only KVM_RUN sees to it that it
	 * does not get full, would overflow.
	 */
	if (kvm_slot_dirty_track_enabled(fault->slot))
		fault->map_writable = false;
	return RET_PF_CONTINUE;
}

/**
 * kvm_arch_vcpu_pre_fault_memory - map guest memory at an address
 * @vcpu:	the vCPU, loaded
 * @gpa:	the address, page aligned
 * @size:	bytes to map, at least a page
 *
 * Context: Within kvm->srcu; may sleep.
 * Return: bytes, at most @size, that are mapped now; 0 if the memory changed
 *	   meanwhile; -errno, see KVM_PRE_FAULT_MEMORY in api.rst.
 */
long kvm_arch_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu, gpa_t gpa, u64 size)
{
	struct kvm_memory_slot *slot;
	int r;

	if (vcpu->arch.mmu->page_fault != kvm_tdp_page_fault)
		return -EOPNOTSUPP;

	/* Until kvm->srcu is released, a slot can become invalid, not vanish. */
	slot = kvm_vcpu_gfn_to_memslot(vcpu, gpa_to_gfn(gpa));
	if (!slot)
		return -ENOENT;
	if (slot->flags & KVM_MEMSLOT_INVALID)
		return -EAGAIN;

	r = kvm_pre_fault_load_root(vcpu);
	if (r)
		return r == -ENOSPC ? -ENOMEM : r;
	if (!kvm_pre_fault_can_address(vcpu, gpa))
		return -EINVAL;

	r = kvm_pre_fault_mapped_level(vcpu, gpa);
	if (r == PG_LEVEL_NONE)
		r = kvm_pre_fault_map(vcpu, gpa);
	if (r <= 0)
		return r == -ENOSPC ? -ENOMEM : r;

	return min_t(u64, size, KVM_HPAGE_SIZE(r) - (gpa & ~KVM_HPAGE_MASK(r)));
}
