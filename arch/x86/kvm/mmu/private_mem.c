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
 * slot can have another side at userspace_addr, to which lpage_info belongs.
 * And there are slots that have no memory but the file, in VMs that know nothing
 * private, and where the file itself says what is private; of these, lpage_info is
 * made for the file, and counts the page tables that are shadowed.
 */

#include <linux/guest_memfd.h>
#include <linux/kvm_host.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "spte.h"
#include "tdp_iter.h"
#include "tdp_mmu.h"

/* SPTEs to look at before mmu_lock is let go of. */
#define KVM_MMU_SEARCH_STEPS	2048

/**
 * kvm_mmu_attributes_max_level - cap a mapping by the attributes around it
 * @kvm:	the VM
 * @gfn:	a gfn
 * @max_level:	PG_LEVEL_* up to which a mapping is possible otherwise
 *
 * Context: Any, for a hint.  Page faults, which need more than that, look up
 *	    the attributes only once, see kvm_mmu_check_attributes().
 * Return: the largest level at which all gfns have the attributes of @gfn.
 */
int kvm_mmu_attributes_max_level(struct kvm *kvm, gfn_t gfn, int max_level)
{
	gfn_t first, last;

	if (!kvm_arch_has_private_mem(kvm) || max_level == PG_LEVEL_4K)
		return max_level;

	kvm_get_memory_attributes_run(kvm, gfn, &first, &last);
	return kvm_mmu_range_max_level(first, last, gfn, max_level);
}

/**
 * kvm_mmu_gmem_max_level - how large a mapping of memory in a file can be
 * @slot:	the slot, with KVM_MEM_GUEST_MEMFD
 * @gfn:	the gfn that faulted
 * @max_level:	PG_LEVEL_* that the order of the folio and the attributes permit
 *
 * Return: PG_LEVEL_*
 */
int kvm_mmu_gmem_max_level(const struct kvm_memory_slot *slot, gfn_t gfn,
			   int max_level)
{
	pgoff_t index = kvm_gmem_get_index(slot, gfn);

	if (kvm_slot_is_gmem_only(slot))
		return kvm_mmu_lpage_max_level(slot, gfn, max_level);

	max_level = kvm_mmu_range_max_level(slot->base_gfn,
					    slot->base_gfn + slot->npages - 1,
					    gfn, max_level);
	while (max_level > PG_LEVEL_4K &&
	       (gfn ^ index) & (KVM_PAGES_PER_HPAGE(max_level) - 1))
		max_level--;
	return max_level;
}

static int kvm_mmu_gmem_fault_exit(struct kvm_vcpu *vcpu,
				   struct kvm_page_fault *fault, int r)
{
	/* A prefetch has no result that userspace would see. */
	if ((r == -EFAULT || r == -EHWPOISON) && !fault->prefetch)
		kvm_prepare_memory_fault_exit(vcpu, gfn_to_gpa(fault->gfn),
					      PAGE_SIZE, fault->is_private);
	return r;
}

/*
 * The memory is in the file, whatever it is.
 * While a gfn is becoming private, mappings stay that there are, but none is
 * added.
 */
static int kvm_mmu_check_gmem_only(struct kvm_vcpu *vcpu,
				   struct kvm_page_fault *fault)
{
	bool is_private, pending;

	fault->from_gmem = true;

	/* Being deleted: there is nothing to find out. */
	if (fault->slot->flags & KVM_MEMSLOT_INVALID)
		return RET_PF_CONTINUE;

	is_private = kvm_gmem_file_is_private(fault->slot, fault->gfn, &pending);
	if (pending) {
		if (fault->prefault)
			return -EAGAIN;
		if (!fault->prefetch)
			kvm_gmem_wait_conversion(vcpu, fault->slot, fault->gfn);
		return RET_PF_RETRY;
	}

	fault->is_private = is_private && kvm_arch_has_private_mem(vcpu->kvm);
	return RET_PF_CONTINUE;
}

/*
 * Look up the attributes of a fault, once: whether it is private and how far
 * that goes hold as long as the fault is not stale.
 */
static void kvm_mmu_check_attributes(struct kvm *kvm,
				     struct kvm_page_fault *fault)
{
	u64 attributes;

	if (!kvm_arch_has_private_mem(kvm))
		return;

	attributes = kvm_get_memory_attributes_run(kvm, fault->gfn,
						   &fault->first, &fault->last);
	fault->is_private = attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

/* Whether an asynchronous page fault has ended, for which this is done. */
static bool kvm_mmu_fault_is_async(const struct kvm_page_fault *fault)
{
	if (fault->prefault)
		return false;
	return fault->prefetch;
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
 * Where all memory is in the file, that is so whether or not it is private.
 *
 * Return: RET_PF_CONTINUE; RET_PF_RETRY for an access that the guest repeats
 *	   anyhow; -EFAULT, with an exit to userspace, if there is no memory.
 */
int kvm_mmu_check_private(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	if (kvm_slot_is_gmem_only(fault->slot))
		return kvm_mmu_check_gmem_only(vcpu, fault);

	kvm_mmu_check_attributes(vcpu->kvm, fault);
	fault->from_gmem = fault->is_private;
	if (!fault->is_private)
		return RET_PF_CONTINUE;

	/* It was set up while the gfn was shared. */
	if (kvm_mmu_fault_is_async(fault))
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
 * Return: RET_PF_CONTINUE, with a reference to the page; RET_PF_RETRY if the
 *	   task is being killed; -EFAULT or -EHWPOISON with an exit to userspace;
 *	   -ENOMEM or -EIO.
 */
int kvm_mmu_faultin_gmem(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	struct guest_memfd_range range;
	unsigned int order;
	int r;

	range = kvm_gmem_range(fault->slot, fault->first, fault->last);
	r = kvm_gmem_get_pfn(vcpu->kvm, fault->slot, fault->gfn, &range,
			     &fault->pfn, &order);
	/* Being killed: KVM_RUN looks for signals before it enters the guest. */
	if (r == -EINTR)
		return RET_PF_RETRY;
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
 * kvm_mmu_range_concerns - whether a mapping is one that an operation is about
 * @kvm:	the VM
 * @range:	the range of the operation
 * @gfn:	a gfn for which there is a leaf SPTE, of whatever level
 *
 * The VM's page tables hold mappings of both sides of a slot.  Of which one a
 * mapping is can be read off the attribute of its gfn at any time, even while
 * attributes change.  For a huge mapping, any of its gfns will do:
 *
 *	CPU 0: KVM_SET_MEMORY_ATTRIBUTES	CPU 1: MMU notifier
 *
 *	mmu_lock: begin, zap some
 *	(drops the lock on the way)
 *						mmu_lock: zap; a mapping that is
 *						left is of the old side, and the
 *						attribute is the old one
 *	mmu_lock: zap the rest
 *	store the attribute
 *						mmu_lock: zap; the attribute is
 *						either, but there is no mapping
 *						until the end
 *	mmu_lock: end
 *						mmu_lock: zap; mappings and
 *						attribute are of the new side
 *
 * What is not yet mapped is another matter.  While both changes are in progress
 * a fault starts again for either; afterwards, a fault that looked userspace's
 * memory up before the MMU notifier ended is kept out by the sequence:
 *
 *	CPU 0: munmap()		CPU 1: to shared	CPU 2: fault
 *
 *				begin, zap, store
 *				end
 *							snapshot
 *							shared: hva -> old page
 *	begin: nothing to zap
 *	free the page
 *	end
 *							mmu_lock: ended since,
 *							retry
 *
 * Context: mmu_lock held.
 * Return: false if the mapping can stay as it is.
 */
bool kvm_mmu_range_concerns(struct kvm *kvm, const struct kvm_gfn_range *range,
			    gfn_t gfn)
{
	unsigned int backing;

	lockdep_assert_held(&kvm->mmu_lock);

	if (range->backing == KVM_BACKED_BY_ANY)
		return true;
	/* All of the slot is of the one side that the range is about. */
	if (!kvm_arch_has_private_mem(kvm))
		return true;
	if (kvm_slot_is_gmem_only(range->slot))
		return true;

	backing = kvm_mem_is_private(kvm, gfn) ? KVM_BACKED_BY_FILE :
						 KVM_BACKED_BY_HVA;
	return range->backing & backing;
}

/*
 * Unlike an MMU notifier this also drops the shadow pages of guest page tables
 * in the range: a table that has become zeros must not stay in effect until the
 * guest flushes its TLB, which it has no reason to do.
 */
static bool kvm_mmu_unmap_gmem_only(struct kvm *kvm, struct kvm_gfn_range *range)
{
	bool flush = false;

	if (kvm_mmu_slot_has_rmaps(range->slot))
		flush = kvm_unmap_gfn_range(kvm, range);
	else if (is_tdp_mmu_enabled(kvm))
		flush = kvm_tdp_mmu_unmap_gfn_range(kvm, range, false);

	kvm_mmu_zap_shadowed_range(kvm, range->slot->as_id, range->start,
				   range->end);
	return flush;
}

/**
 * kvm_arch_gmem_unmap - the memory of a range of a slot goes away
 * @kvm:	the VM
 * @range:	the range, inside of one slot
 *
 * Context: mmu_lock held for write; the range has been declared as invalidated.
 *	    May drop the lock for others, and flushes TLBs before it does.
 * Return: true if the caller has to flush TLBs before it drops the lock.
 */
bool kvm_arch_gmem_unmap(struct kvm *kvm, struct kvm_gfn_range *range)
{
	if (kvm_slot_is_gmem_only(range->slot))
		return kvm_mmu_unmap_gmem_only(kvm, range);
	/* What is in the file of any other slot is mapped if it is private. */
	if (!kvm_arch_has_private_mem(kvm))
		return false;
	return kvm_tdp_mmu_unmap_gfn_range(kvm, range, false);
}

/*
 * Where the first mapping below @root begins in [start, end), or where a search
 * that takes long has come to; @end if there is none.
 */
static gfn_t kvm_mmu_root_next_mapped(struct kvm_mmu_page *root, gfn_t start,
				      gfn_t end)
{
	int steps = KVM_MMU_SEARCH_STEPS;
	struct tdp_iter iter;

	for_each_tdp_pte(iter, root, start, end) {
		bool mapped = is_shadow_present_pte(iter.old_spte) &&
			      is_last_spte(iter.old_spte, iter.level);

		/* A huge page can begin before. */
		if (mapped || !steps--)
			return max(start, iter.gfn);
	}
	return end;
}

/**
 * kvm_arch_next_mapped - skip gfns for which there is no mapping
 * @kvm:	the VM, which has private memory and so the TDP MMU
 * @start:	first gfn
 * @end:	gfn after the last
 *
 * What zaps a large range bit by bit need not look at each bit of it.  Roots that
 * are being freed count, too: a vCPU may still use them.
 *
 * Context: Takes mmu_lock for read.  If an invalidation keeps mappings out of the
 *	    range, the answer stays true.
 * Return: a gfn before which nothing of the range is mapped; @end if nothing of
 *	   it is mapped at all.
 */
gfn_t kvm_arch_next_mapped(struct kvm *kvm, gfn_t start, gfn_t end)
{
	gfn_t limit = min(end, kvm_mmu_max_gfn() + 1);
	struct kvm_mmu_page *root;
	gfn_t next = limit;

	read_lock(&kvm->mmu_lock);
	rcu_read_lock();
	list_for_each_entry_rcu(root, &kvm->arch.tdp_mmu_roots, link) {
		if (start < next)
			next = kvm_mmu_root_next_mapped(root, start, next);
	}
	rcu_read_unlock();
	read_unlock(&kvm->mmu_lock);
	return next < limit ? next : end;
}
