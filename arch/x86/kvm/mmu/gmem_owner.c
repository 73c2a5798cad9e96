// SPDX-License-Identifier: GPL-2.0-only
/*
 * The checker of the owners of private pages and the page tables of guests.
 *
 * See virt/kvm/gmem_owner_check.c.  VMs with private memory use the TDP MMU;
 * shared mappings of others, which must not be of private pages, are checked
 * whatever MMU they use.
 */

#include <linux/kvm_host.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "spte.h"
#include "tdp_iter.h"

/* A leaf SPTE at @level is going to be installed; @pfn may be of no memory. */
void kvm_mmu_gmem_owner_check(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
			      int level)
{
	kvm_gmem_owner_check_mapping(kvm, gfn, pfn, KVM_PAGES_PER_HPAGE(level));
}

/* Whether a leaf SPTE maps one of the gfns from @gfn on to its page. */
static bool gmem_owner_maps(const struct tdp_iter *iter, gfn_t gfn,
			    kvm_pfn_t pfn)
{
	gfn_t first = max(iter->gfn, gfn);

	if (!is_shadow_present_pte(iter->old_spte) ||
	    !is_last_spte(iter->old_spte, iter->level))
		return false;

	return spte_to_pfn(iter->old_spte) + (first - iter->gfn) ==
	       pfn + (first - gfn);
}

/*
 * The other side of the slot may stay mapped.  Roots that are being freed count,
 * too: a vCPU may still use them.
 */
bool kvm_arch_gmem_is_mapped(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
			     unsigned long nr)
{
	struct kvm_mmu_page *root;
	struct tdp_iter iter;
	bool mapped = false;

	if (!is_tdp_mmu_enabled(kvm))
		return false;

	write_lock(&kvm->mmu_lock);
	rcu_read_lock();
	list_for_each_entry(root, &kvm->arch.tdp_mmu_roots, link) {
		for_each_tdp_pte(iter, root, gfn, gfn + nr)
			mapped |= gmem_owner_maps(&iter, gfn, pfn);
	}
	rcu_read_unlock();
	write_unlock(&kvm->mmu_lock);
	return mapped;
}
