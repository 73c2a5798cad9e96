// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page faults on memory in guest_memfd, and how far a mapping of it may reach.
 *
 * Memory that comes from a guest_memfd has no host virtual address.  What KVM
 * otherwise learns from the host's page tables and the alignment of
 * userspace_addr comes from the file here: the order of the folio, the
 * alignment of the gfn against the file, the ends of the slot, and the range of
 * equal attributes around the gfn.
 *
 * There are two reasons why memory is in a file.  Private memory always is; its
 * slot can have another side at userspace_addr, to which lpage_info belongs.  And
 * there are slots to which the file is all the memory they have, in VMs that
 * know nothing private, and where the file itself says what is private; of these,
 * lpage_info is made for the file, and counts the page tables that are shadowed.
 */

#include <linux/kvm_host.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "tdp_mmu.h"

static bool kvm_gfn_range_contains(gfn_t first, gfn_t last, gfn_t gfn,
				   int level)
{
	gfn_t start = gfn & -KVM_PAGES_PER_HPAGE(level);

	return start >= first &&
	       start + KVM_PAGES_PER_HPAGE(level) - 1 <= last;
}

/**
 * kvm_mmu_attributes_max_level - cap a mapping by the attributes around it
 * @kvm:	the VM
 * @gfn:	the gfn that faulted
 * @max_level:	PG_LEVEL_* up to which a mapping is possible otherwise
 *
 * Context: To install a mapping: mmu_lock held, after the check that nothing
 *	    around @gfn is being invalidated, as a change of attributes declares
 *	    the largest huge pages at its edges.  Elsewhere it is a hint.
 * Return: the largest level at which all gfns have the attributes of @gfn.
 */
int kvm_mmu_attributes_max_level(struct kvm *kvm, gfn_t gfn, int max_level)
{
	gfn_t first, last;

	if (!kvm_arch_has_private_mem(kvm) || max_level == PG_LEVEL_4K)
		return max_level;

	kvm_get_memory_attributes_run(kvm, gfn, &first, &last);
	while (max_level > PG_LEVEL_4K &&
	       !kvm_gfn_range_contains(first, last, gfn, max_level))
		max_level--;
	return max_level;
}

/**
 * kvm_mmu_private_max_level - how large a mapping of private memory can be
 * @kvm:	the VM
 * @slot:	the slot, with KVM_MEM_GUEST_MEMFD
 * @gfn:	the gfn that faulted
 * @max_level:	PG_LEVEL_* that the order of the folio permits
 *
 * Context: as for kvm_mmu_attributes_max_level().
 * Return: PG_LEVEL_*
 */
static int kvm_mmu_private_max_level(struct kvm *kvm,
				     const struct kvm_memory_slot *slot,
				     gfn_t gfn, int max_level)
{
	gfn_t last = slot->base_gfn + slot->npages - 1;
	pgoff_t index = kvm_gmem_get_index(slot, gfn);

	while (max_level > PG_LEVEL_4K &&
	       (((gfn ^ index) & (KVM_PAGES_PER_HPAGE(max_level) - 1)) ||
		!kvm_gfn_range_contains(slot->base_gfn, last, gfn, max_level)))
		max_level--;
	return kvm_mmu_attributes_max_level(kvm, gfn, max_level);
}

/**
 * kvm_mmu_gmem_max_level - how large a mapping of memory in a file can be
 * @kvm:	the VM
 * @slot:	the slot, with KVM_MEM_GUEST_MEMFD
 * @gfn:	the gfn that faulted
 * @max_level:	PG_LEVEL_* that the order of the folio permits
 *
 * Context: as for kvm_mmu_attributes_max_level().
 * Return: PG_LEVEL_*
 */
int kvm_mmu_gmem_max_level(struct kvm *kvm, const struct kvm_memory_slot *slot,
			   gfn_t gfn, int max_level)
{
	if (kvm_slot_is_gmem_only(slot))
		return kvm_mmu_lpage_max_level(slot, gfn, max_level);

	return kvm_mmu_private_max_level(kvm, slot, gfn, max_level);
}

/* Mappings do not exceed KVM_MAX_HUGEPAGE_LEVEL. */
void kvm_arch_memory_attributes_edges(struct kvm *kvm, gfn_t *start,
				      gfn_t *end)
{
	*start = round_down(*start, KVM_PAGES_PER_HPAGE(KVM_MAX_HUGEPAGE_LEVEL));
	*end = round_up(*end, KVM_PAGES_PER_HPAGE(KVM_MAX_HUGEPAGE_LEVEL));
}

static int kvm_mmu_gmem_fault_exit(struct kvm_vcpu *vcpu,
				   struct kvm_page_fault *fault, int r)
{
	/* Nobody sees the result of a prefetch. */
	if ((r == -EFAULT || r == -EHWPOISON) && !fault->prefetch)
		kvm_prepare_memory_fault_exit(vcpu, gfn_to_gpa(fault->gfn),
					      PAGE_SIZE, fault->is_private);
	return r;
}

/*
 * The memory is in the file, whatever it is.  While a gfn is becoming private,
 * mappings stay that there are, but none is added.
 */
static int kvm_mmu_check_gmem_only(struct kvm_vcpu *vcpu,
				   struct kvm_page_fault *fault)
{
	fault->from_gmem = true;

	if (fault->slot->flags & KVM_MEMSLOT_INVALID)
		return RET_PF_CONTINUE;

	if (fault->prefetch && kvm_gmem_is_pending(fault->slot, fault->gfn))
		return fault->prefault ? -EAGAIN : RET_PF_RETRY;
	if (!fault->prefetch &&
	    kvm_gmem_wait_conversion(vcpu, fault->slot, fault->gfn))
		return RET_PF_RETRY;

	fault->is_private = kvm_gmem_is_private(vcpu->kvm, fault->slot,
						fault->gfn);
	return RET_PF_CONTINUE;
}

/**
 * kvm_mmu_check_private - decide whether a fault is on private memory
 * @vcpu:	the vCPU
 * @fault:	the fault; gfn, slot and mmu_seq are set
 *
 * And whether the memory is in a file, which it can be without being private.
 * In a software-protected VM the attribute decides where an access goes, so
 * the access always matches it.  Comes before everything that could emulate or
 * repair the access: private memory without a file behind it is userspace's to
 * provide, and never MMIO.
 *
 * Return: RET_PF_CONTINUE; RET_PF_RETRY for an access that the guest repeats
 *	   anyhow; -EFAULT, with an exit to userspace, if there is no memory.
 */
int kvm_mmu_check_private(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	if (kvm_slot_is_gmem_only(fault->slot))
		return kvm_mmu_check_gmem_only(vcpu, fault);

	fault->is_private = kvm_mem_is_private(vcpu->kvm, fault->gfn);
	fault->from_gmem = fault->is_private;
	if (!fault->is_private)
		return RET_PF_CONTINUE;

	/* An asynchronous page fault was set up while the gfn was shared. */
	if (fault->prefetch && !fault->prefault)
		return RET_PF_RETRY;

	/* Being deleted: wait for what comes after. */
	if (fault->slot && (fault->slot->flags & KVM_MEMSLOT_INVALID))
		return RET_PF_RETRY;

	if (!kvm_slot_has_gmem(fault->slot))
		return kvm_mmu_gmem_fault_exit(vcpu, fault, -EFAULT);

	return RET_PF_CONTINUE;
}

/**
 * kvm_mmu_faultin_gmem - get the page for a fault on memory in a file
 * @vcpu:	the vCPU
 * @fault:	the fault; pfn, map_writable and max_level are set here
 *
 * Context: Within kvm->srcu; may sleep.
 * Return: RET_PF_CONTINUE, with a reference to the page; -EFAULT or -EHWPOISON
 *	   with an exit to userspace; -ENOMEM or -EIO.
 */
int kvm_mmu_faultin_gmem(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	unsigned int order;
	int r;

	r = kvm_gmem_get_pfn(vcpu->kvm, fault->slot, fault->gfn, &fault->pfn,
			     &order);
	if (r)
		return kvm_mmu_gmem_fault_exit(vcpu, fault, r);

	fault->map_writable = true;
	while (fault->max_level > PG_LEVEL_4K &&
	       order < KVM_HPAGE_GFN_SHIFT(fault->max_level))
		fault->max_level--;
	return RET_PF_CONTINUE;
}

/*
 * A slot that is being deleted has been replaced by a copy.  If rmaps come into
 * use just then, the copy gets them; it is never mapped, and neither was the
 * slot by way of rmaps that it does not have.
 */
static bool kvm_mmu_slot_has_rmaps(const struct kvm_memory_slot *slot)
{
	int i;

	for (i = 0; i < KVM_NR_PAGE_SIZES; i++) {
		if (!READ_ONCE(slot->arch.rmap[i]))
			return false;
	}
	return true;
}

/**
 * kvm_arch_gmem_unmap - the memory of a range of a slot goes away
 * @kvm:	the VM
 * @range:	the range, inside of one slot
 *
 * Unlike an MMU notifier this also drops the shadow pages of guest page tables
 * in the range: a table that has become zeros must not stay in effect until the
 * guest flushes its TLB, which it has no reason to do.
 *
 * Context: mmu_lock held for write; the range has been declared as invalidated.
 *	    May drop the lock for others.  The caller flushes TLBs.
 */
void kvm_arch_gmem_unmap(struct kvm *kvm, struct kvm_gfn_range *range)
{
	if (kvm_mmu_slot_has_rmaps(range->slot))
		kvm_unmap_gfn_range(kvm, range);
	else if (is_tdp_mmu_enabled(kvm))
		kvm_tdp_mmu_unmap_gfn_range(kvm, range, false);

	kvm_mmu_zap_shadowed_range(kvm, range->slot->as_id, range->start,
				   range->end);
}
