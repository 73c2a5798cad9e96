/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory that is private, or in a guest_memfd: what KVM common code and
 * architectures ask and offer.  For <linux/kvm_host.h>, which includes it.
 */
#ifndef _LINUX_KVM_GMEM_H
#define _LINUX_KVM_GMEM_H

#include <linux/kvm_host.h>

struct guest_memfd_range;

#ifndef __KVM_VCPU_MULTIPLE_ADDRESS_SPACE
static inline int kvm_arch_nr_memslot_as_ids(struct kvm *kvm)
{
	return KVM_ADDRESS_SPACE_NUM;
}
#endif

/*
 * Whether a VM can have memory that only the guest can access.  Architectures
 * that have such VMs define this in their kvm_host.h.
 */
#ifndef kvm_arch_has_private_mem
static inline bool kvm_arch_has_private_mem(struct kvm *kvm)
{
	return false;
}
#endif

/*
 * Whether KVM itself can, and thus does, access the private memory of a VM where
 * the guest would.  If not, as in VMs whose memory only firmware can read, KVM's
 * own accesses are to the shared side whatever the attributes say.
 */
#ifndef kvm_arch_accesses_private_mem
static inline bool kvm_arch_accesses_private_mem(struct kvm *kvm)
{
	return false;
}
#endif

/*
 * Whether userspace may see what the guest has left in private memory, by asking
 * for it to be shared as it is.  Only for VMs that are not protected from
 * userspace; architectures that have such VMs define this in their kvm_host.h.
 */
#ifndef kvm_arch_gmem_may_preserve
static inline bool kvm_arch_gmem_may_preserve(struct kvm *kvm)
{
	return false;
}
#endif

/**
 * kvm_prepare_memory_fault_exit - describe an access that KVM cannot resolve
 * @vcpu:	the vCPU, in KVM_RUN
 * @gpa:	start of the memory in the guest
 * @size:	its size in bytes
 * @is_private:	whether the access was to private memory
 *
 * Fills in KVM_EXIT_MEMORY_FAULT.  The caller makes KVM_RUN fail with -EFAULT
 * or -EHWPOISON, which is what tells userspace that the exit is valid.
 */
static inline void kvm_prepare_memory_fault_exit(struct kvm_vcpu *vcpu,
						 gpa_t gpa, gpa_t size,
						 bool is_private)
{
	vcpu->run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	vcpu->run->memory_fault.flags =
		is_private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0;
	vcpu->run->memory_fault.gpa = gpa;
	vcpu->run->memory_fault.size = size;
}

#ifdef CONFIG_KVM_GENERIC_MEMORY_ATTRIBUTES
u64 kvm_get_memory_attributes(struct kvm *kvm, gfn_t gfn);
bool kvm_try_get_memory_attributes(struct kvm *kvm, gfn_t gfn, u64 *attributes);
u64 kvm_get_memory_attributes_run(struct kvm *kvm, gfn_t gfn, gfn_t *first,
				  gfn_t *last);

gfn_t kvm_arch_next_mapped(struct kvm *kvm, gfn_t start, gfn_t end);

/* Whether the guest's accesses to @gfn are to private memory. */
static inline bool kvm_mem_is_private(struct kvm *kvm, gfn_t gfn)
{
	return kvm_arch_has_private_mem(kvm) &&
	       kvm_get_memory_attributes(kvm, gfn) &
	       KVM_MEMORY_ATTRIBUTE_PRIVATE;
}
#else
static inline bool kvm_mem_is_private(struct kvm *kvm, gfn_t gfn)
{
	return false;
}
#endif

static inline bool kvm_slot_has_gmem(const struct kvm_memory_slot *slot)
{
	return slot && (slot->flags & KVM_MEM_GUEST_MEMFD);
}

static inline bool kvm_slot_is_gmem_only(const struct kvm_memory_slot *slot)
{
	return IS_ENABLED(CONFIG_KVM_PRIVATE_MEM) && slot &&
	       (slot->flags & KVM_MEMSLOT_GMEM_ONLY);
}

#ifdef CONFIG_KVM_PRIVATE_MEM
static inline bool kvm_slot_follows_attributes(const struct kvm_memory_slot *slot)
{
	return slot && slot->attributes_of;
}

bool kvm_slot_gfn_is_private(const struct kvm_memory_slot *slot, gfn_t gfn);
#else
static inline bool kvm_slot_follows_attributes(const struct kvm_memory_slot *slot)
{
	return false;
}

static inline bool kvm_slot_gfn_is_private(const struct kvm_memory_slot *slot,
					   gfn_t gfn)
{
	return false;
}
#endif

/*
 * Whether KVM's own accesses to a gfn of the slot can be to its guest_memfd.
 * Which they are is then asked each time: an hva is good for one access.
 */
static inline bool kvm_slot_may_use_gmem(const struct kvm_memory_slot *slot)
{
	if (!slot || slot->flags & KVM_MEMSLOT_INVALID)
		return false;
	if (kvm_slot_follows_attributes(slot))
		return true;
	return kvm_slot_is_gmem_only(slot);
}

/*
 * Whether KVM's own accesses to @gfn are to the slot's guest_memfd and not to
 * its userspace_addr.  There is no hva then; if there is no guest_memfd, there
 * is no memory either.
 *
 * Where attributes decide, the answer is that of a moment.  So ask once for each
 * access and act upon it right away; keep nothing that follows from it but by
 * the rules of gfn_to_pfn_cache.  Within kvm->srcu; not in the scheduler, and not
 * under a lock that is taken in interrupts.
 */
static inline bool kvm_gfn_in_gmem(const struct kvm_memory_slot *slot,
				   gfn_t gfn)
{
	if (!kvm_slot_may_use_gmem(slot))
		return false;
	if (!kvm_slot_is_gmem_only(slot))
		return kvm_slot_gfn_is_private(slot, gfn);
	return true;
}

/*
 * The same for the page frame of a gfn.  KVM maps those of its own slots for
 * itself, whatever the gfn is: that is no access by the guest.
 */
static inline bool kvm_pfn_in_gmem(const struct kvm_memory_slot *slot,
				   gfn_t gfn)
{
	return slot && slot->id < KVM_USER_MEM_SLOTS &&
	       kvm_gfn_in_gmem(slot, gfn);
}

/* Without CONFIG_KVM_PRIVATE_MEM no slot has a file, and no call remains. */
struct guest_memfd_range kvm_gmem_range(const struct kvm_memory_slot *slot,
					gfn_t first, gfn_t last);
int kvm_gmem_get_pfn(struct kvm *kvm, const struct kvm_memory_slot *slot,
		     gfn_t gfn, const struct guest_memfd_range *range,
		     kvm_pfn_t *pfn, unsigned int *order);
pgoff_t kvm_gmem_get_index(const struct kvm_memory_slot *slot, gfn_t gfn);

#ifdef CONFIG_KVM_PRIVATE_MEM
/*
 * Drop the mappings of memory in a slot's file, and what has been derived from
 * its contents.  mmu_lock is held for write.  True: the caller flushes TLBs.
 */
bool kvm_arch_gmem_unmap(struct kvm *kvm, struct kvm_gfn_range *range);
#endif

int kvm_gmem_read(const struct kvm_memory_slot *slot, gfn_t gfn, void *data,
		  int offset, int len);
int kvm_gmem_read_private(const struct kvm_memory_slot *slot, gfn_t gfn,
			  void *data, int offset, int len);
int kvm_gmem_write(const struct kvm_memory_slot *slot, gfn_t gfn,
		   const void *data, int offset, int len);
int kvm_gmem_cmpxchg(const struct kvm_memory_slot *slot, gfn_t gfn, void *old,
		     const void *new, int offset, int len);
int kvm_gmem_xchg8(const struct kvm_memory_slot *slot, gfn_t gfn, u8 *val,
		   int offset);
int kvm_gmem_read_atomic(const struct kvm_memory_slot *slot, gfn_t gfn,
			 void *data, int offset, int len);
int kvm_gmem_write_nowait(const struct kvm_memory_slot *slot, gfn_t gfn,
			  const void *data, int offset, int len);
kvm_pfn_t kvm_gmem_to_pfn(const struct kvm_memory_slot *slot, gfn_t gfn,
			  bool atomic);

bool kvm_gmem_is_private(struct kvm *kvm, const struct kvm_memory_slot *slot,
			 gfn_t gfn);
bool kvm_gmem_next_shared(const struct kvm_memory_slot *slot, gfn_t *first,
			  gfn_t *end);
bool kvm_gmem_file_is_private(const struct kvm_memory_slot *slot, gfn_t gfn,
			      bool *pending);
void kvm_gmem_wait_conversion(struct kvm_vcpu *vcpu,
			      const struct kvm_memory_slot *slot, gfn_t gfn);

/* Whether KVM's own accesses to @gfn are to private memory, if there is any. */
static inline bool kvm_access_is_private(struct kvm *kvm, gfn_t gfn)
{
	return kvm_arch_accesses_private_mem(kvm) &&
	       kvm_gmem_is_private(kvm, gfn_to_memslot(kvm, gfn), gfn);
}

#ifdef CONFIG_KVM_GENERIC_PRE_FAULT_MEMORY
/*
 * Map guest memory at gpa as a read by the vCPU would.  Returns how many bytes
 * are mapped, 0 if it is worth trying again, or -errno.
 */
long kvm_arch_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu, gpa_t gpa, u64 size);
#endif

/*
 * What confidential hardware learns of private pages, once per page and change.
 * Called for VMs with private memory; virt/kvm/gmem_hooks.c says when.
 */
#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_CONVERT
int kvm_arch_gmem_make_private(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
			       unsigned long nr);
#else
static inline int kvm_arch_gmem_make_private(struct kvm *kvm, gfn_t gfn,
					     kvm_pfn_t pfn, unsigned long nr)
{
	return 0;
}
#endif

#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_INVALIDATE
void kvm_arch_gmem_invalidate_range(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
				    unsigned long nr);
#else
static inline void kvm_arch_gmem_invalidate_range(struct kvm *kvm, gfn_t gfn,
						  kvm_pfn_t pfn,
						  unsigned long nr)
{
}
#endif

#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_RECLAIM
void kvm_arch_gmem_reclaim(kvm_pfn_t pfn, unsigned long nr);
#else
static inline void kvm_arch_gmem_reclaim(kvm_pfn_t pfn, unsigned long nr)
{
}
#endif

/* Move a page that software cannot copy: 0, or -errno and nothing has changed. */
#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_RELOCATE
int kvm_arch_gmem_relocate(struct kvm *kvm, gfn_t gfn, kvm_pfn_t from,
			   kvm_pfn_t to);
#else
static inline int kvm_arch_gmem_relocate(struct kvm *kvm, gfn_t gfn,
					 kvm_pfn_t from, kvm_pfn_t to)
{
	return 0;
}
#endif

#ifdef CONFIG_KVM_GMEM_OWNER_CHECK
/* For the architecture, before it installs a mapping. */
void kvm_gmem_owner_check_mapping(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
				  unsigned long nr);
/* By the architecture: whether one of @nr gfns is mapped to its page. */
bool kvm_arch_gmem_is_mapped(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
			     unsigned long nr);
#else
static inline bool kvm_arch_gmem_is_mapped(struct kvm *kvm, gfn_t gfn,
					   kvm_pfn_t pfn, unsigned long nr)
{
	return false;
}
#endif

#endif /* _LINUX_KVM_GMEM_H */
