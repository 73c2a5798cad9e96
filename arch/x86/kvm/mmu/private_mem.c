// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page faults on private memory, and how far a mapping of it may reach.
 *
 * Memory that comes from a guest_memfd has no host virtual address.  What KVM
 * otherwise learns from the host's page tables, the alignment of userspace_addr
 * and lpage_info, comes from the file here: the order of the folio, the
 * alignment of the gfn against the file, the ends of the slot, and the range of
 * equal attributes around the gfn.
 */

#include <linux/kvm_host.h>

#include "mmu_internal.h"

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
int kvm_mmu_private_max_level(struct kvm *kvm,
			      const struct kvm_memory_slot *slot, gfn_t gfn,
			      int max_level)
{
	gfn_t last = slot->base_gfn + slot->npages - 1;
	pgoff_t index = kvm_gmem_get_index(slot, gfn);

	while (max_level > PG_LEVEL_4K &&
	       (((gfn ^ index) & (KVM_PAGES_PER_HPAGE(max_level) - 1)) ||
		!kvm_gfn_range_contains(slot->base_gfn, last, gfn, max_level)))
		max_level--;
	return kvm_mmu_attributes_max_level(kvm, gfn, max_level);
}

/* Mappings do not exceed KVM_MAX_HUGEPAGE_LEVEL. */
void kvm_arch_memory_attributes_edges(struct kvm *kvm, gfn_t *start,
				      gfn_t *end)
{
	*start = round_down(*start, KVM_PAGES_PER_HPAGE(KVM_MAX_HUGEPAGE_LEVEL));
	*end = round_up(*end, KVM_PAGES_PER_HPAGE(KVM_MAX_HUGEPAGE_LEVEL));
}

static int kvm_mmu_private_fault_exit(struct kvm_vcpu *vcpu,
				      struct kvm_page_fault *fault, int r)
{
	if (r == -EFAULT || r == -EHWPOISON)
		kvm_prepare_memory_fault_exit(vcpu, gfn_to_gpa(fault->gfn),
					      PAGE_SIZE, true);
	return r;
}

/**
 * kvm_mmu_check_private - decide whether a fault is on private memory
 * @vcpu:	the vCPU
 * @fault:	the fault; gfn, slot and mmu_seq are set
 *
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
	fault->is_private = kvm_mem_is_private(vcpu->kvm, fault->gfn);
	if (!fault->is_private)
		return RET_PF_CONTINUE;

	/* An asynchronous page fault was set up while the gfn was shared. */
	if (fault->prefetch)
		return RET_PF_RETRY;

	/* Being deleted: wait for what comes after. */
	if (fault->slot && (fault->slot->flags & KVM_MEMSLOT_INVALID))
		return RET_PF_RETRY;

	if (!kvm_slot_has_gmem(fault->slot))
		return kvm_mmu_private_fault_exit(vcpu, fault, -EFAULT);

	return RET_PF_CONTINUE;
}

/**
 * kvm_mmu_faultin_private - get the page for a fault on private memory
 * @vcpu:	the vCPU
 * @fault:	the fault; pfn, map_writable and max_level are set here
 *
 * Context: Within kvm->srcu; may sleep.
 * Return: RET_PF_CONTINUE, with a reference to the page; -EFAULT or -EHWPOISON
 *	   with an exit to userspace; -ENOMEM.
 */
int kvm_mmu_faultin_private(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	unsigned int order;
	int r;

	r = kvm_gmem_get_pfn(vcpu->kvm, fault->slot, fault->gfn, &fault->pfn,
			     &order);
	if (r)
		return kvm_mmu_private_fault_exit(vcpu, fault, r);

	fault->map_writable = true;
	while (fault->max_level > PG_LEVEL_4K &&
	       order < KVM_HPAGE_GFN_SHIFT(fault->max_level))
		fault->max_level--;
	return RET_PF_CONTINUE;
}
