// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: from a gfn to the page of the slot's file, and what that is.
 *
 * For page faults and for KVM's own accesses.
 * All callers are in a read-side section of kvm->srcu (or hold slots_lock), which
 * keeps slot, binding and file.
 */

#include <linux/guest_memfd.h>
#include <linux/kvm_host.h>
#include <linux/lockdep.h>

#include "guest_memfd.h"

/*
 * Where the file is to have memory, if the gfns from @first to @last, and
 * perhaps others outside of the slot, are used alike.
 */
struct guest_memfd_range kvm_gmem_range(const struct kvm_memory_slot *slot,
					gfn_t first, gfn_t last)
{
	first = max(first, slot->base_gfn);
	last = min(last, slot->base_gfn + slot->npages - 1);
	return (struct guest_memfd_range) {
		.start	= kvm_gmem_get_index(slot, first),
		.end	= kvm_gmem_get_index(slot, last) + 1,
	};
}

/*
 * The same for the gfns around @gfn whose attributes are the same: where the
 * guest uses the other side of the slot, memory in the file is of no use.  If
 * they are just changing, some is wasted or some pages are small.
 */
struct guest_memfd_range
kvm_gmem_attributes_range(struct kvm *kvm, const struct kvm_memory_slot *slot,
			  gfn_t gfn)
{
	gfn_t first = 0, last = GFN_INVALID;

	if (!kvm_slot_is_gmem_only(slot))
		kvm_get_memory_attributes_run(kvm, gfn, &first, &last);
	return kvm_gmem_range(slot, first, last);
}

/* File page index of a gfn; only its alignment has a meaning outside. */
pgoff_t kvm_gmem_get_index(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	return slot->gmem->base.node.start + (gfn - slot->base_gfn);
}

/*
 * The VM of a slot with a file.  The slot stays as long as the caller is within
 * kvm->srcu or holds slots_lock.
 */
struct kvm *kvm_gmem_slot_kvm(const struct kvm_memory_slot *slot)
{
	struct kvm *kvm = slot->gmem->kvm;

	kvm_assert_slots_stay(kvm);
	return kvm;
}

/* The binding of a slot with a file; it stays as long as the slot. */
struct guest_memfd_binding *
kvm_gmem_slot_binding(const struct kvm_memory_slot *slot)
{
	kvm_assert_slots_stay(slot->gmem->kvm);
	return &slot->gmem->base;
}

/**
 * kvm_gmem_get_pfn - look up or allocate the page of the file behind a gfn
 * @kvm:	the VM
 * @slot:	the gfn's slot, with KVM_MEM_GUEST_MEMFD and not INVALID
 * @gfn:	the gfn
 * @range:	where the file is to have memory, see kvm_gmem_range()
 * @pfn:	out: the page frame, with a reference for the caller
 * @order:	out: order up to which the file's pages continue physically,
 *		aligned to the file
 *
 * The caller took its snapshot of mmu_invalidate_seq before, and compares it
 * under mmu_lock before it maps the page.
 *
 * Context: Process context, within kvm->srcu.  Takes the file's lock.
 * Return: 0; -EFAULT if the file has been closed; -EHWPOISON; -ENOMEM; -EINTR if
 *	   the task is being killed.
 *	   -EIO if the page cannot be prepared.
 */
int kvm_gmem_get_pfn(struct kvm *kvm, const struct kvm_memory_slot *slot,
		     gfn_t gfn, const struct guest_memfd_range *range,
		     kvm_pfn_t *pfn, unsigned int *order)
{
	struct guest_memfd_page page;
	int r;

	kvm_assert_slots_stay(kvm);

	r = guest_memfd_get_page(&slot->gmem->base,
				 kvm_gmem_get_index(slot, gfn), range, &page);
	/* Closed: to the vCPU, memory that is not there. */
	if (r == -ESTALE)
		return -EFAULT;
	if (WARN_ON_ONCE(r == -ENXIO))
		return -EIO;
	if (r)
		return r;

	*pfn = page.pfn;
	*order = page.order;
	return 0;
}

/*
 * What the file says of a gfn of a slot that has all its memory there; also, if
 * that is wanted, whether the gfn is becoming private.
 */
bool kvm_gmem_file_is_private(const struct kvm_memory_slot *slot, gfn_t gfn,
			      bool *pending)
{
	return !guest_memfd_is_shared(kvm_gmem_slot_binding(slot),
				      kvm_gmem_get_index(slot, gfn), pending);
}

/**
 * kvm_gmem_next_shared - find gfns of a slot that are shared and could be private
 * @slot:	a slot of a VM with private memory
 * @first:	where to begin; becomes the first such gfn
 * @end:	the gfn after the last one to look at; becomes the end of the run
 *
 * Context: Process context, within kvm->srcu; may sleep.
 * Return: false if there is none
 */
bool kvm_gmem_next_shared(const struct kvm_memory_slot *slot, gfn_t *first,
			  gfn_t *end)
{
	struct kvm *kvm = kvm_gmem_slot_kvm(slot);
	gfn_t gfn, start, last;
	pgoff_t from, to;

	if (kvm_slot_is_gmem_only(slot)) {
		from = kvm_gmem_get_index(slot, *first);
		to = from + (*end - *first);
		if (!guest_memfd_next_shared(kvm_gmem_slot_binding(slot), &from,
					     &to))
			return false;
		*end = *first + (to - kvm_gmem_get_index(slot, *first));
		*first += from - kvm_gmem_get_index(slot, *first);
		return true;
	}

	/* A run can end with the last gfn that there is. */
	for (gfn = *first; gfn < *end; gfn = last + 1) {
		u64 attributes = kvm_get_memory_attributes_run(kvm, gfn, &start,
							       &last);

		last = min(last, *end - 1);
		if (attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE)
			continue;
		*first = gfn;
		*end = last + 1;
		return true;
	}
	return false;
}

/**
 * kvm_gmem_is_private - whether the guest's accesses to a gfn are private
 * @kvm:	the VM
 * @slot:	the gfn's slot, or NULL
 * @gfn:	the gfn
 *
 * Context: Any, within kvm->srcu.  As kvm_get_memory_attributes().
 * Return: what the file says, if that is where all the slot's memory is, and
 *	   otherwise what the attribute says.
 */
bool kvm_gmem_is_private(struct kvm *kvm, const struct kvm_memory_slot *slot,
			 gfn_t gfn)
{
	if (kvm_slot_is_gmem_only(slot) && kvm_arch_has_private_mem(kvm))
		return kvm_gmem_file_is_private(slot, gfn, NULL);
	return kvm_mem_is_private(kvm, gfn);
}

/**
 * kvm_gmem_wait_conversion - wait until a gfn is not becoming private any more
 * @vcpu:	the vCPU
 * @slot:	the gfn's slot, with a file; invalid after this has returned
 * @gfn:	the gfn
 *
 * Nothing waits for the vCPU meanwhile, and a signal gets it out.
 *
 * Context: vCPU thread, within kvm->srcu by kvm_vcpu_srcu_read_lock(), which is
 *	    left for that time; sleeps.
 */
void kvm_gmem_wait_conversion(struct kvm_vcpu *vcpu,
			      const struct kvm_memory_slot *slot, gfn_t gfn)
{
	pgoff_t index = kvm_gmem_get_index(slot, gfn);
	struct inode *inode;

	inode = guest_memfd_get_pending(kvm_gmem_slot_binding(slot), index);
	if (!inode)
		return;

	kvm_vcpu_srcu_read_unlock(vcpu);
	guest_memfd_wait_pending(inode, index);
	kvm_vcpu_srcu_read_lock(vcpu);
}
