/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM as a client of guest_memfd: what kvm_main.c calls.
 */
#ifndef __KVM_GUEST_MEMFD_H
#define __KVM_GUEST_MEMFD_H

#include <linux/guest_memfd.h>
#include <linux/kvm_host.h>

#ifdef CONFIG_KVM_PRIVATE_MEM
/**
 * struct kvm_gmem_binding - the private memory of a slot
 * @base:	What mm/guest_memfd/ knows of it.
 * @kvm:	The VM.
 * @slot:	The slot; lives at least as long as the binding.
 * @ready:	The slot's arch data exists, so something can be mapped.  Set
 *		under mmu_lock.
 */
struct kvm_gmem_binding {
	struct guest_memfd_binding base;
	struct kvm *kvm;
	struct kvm_memory_slot *slot;
	bool ready;
};

/*
 * Have KVM's own accesses to a slot that is being created follow the VM's
 * attributes, file or no file.  That holds for slots that KVM has created for
 * itself, too: an instruction that KVM emulates accesses them for the guest.
 */
static inline void kvm_slot_init_attributes(struct kvm *kvm,
					    struct kvm_memory_slot *slot)
{
	if (kvm_arch_accesses_private_mem(kvm))
		slot->attributes_of = kvm;
}

/*
 * The copy has the flags of a slot with a file, so it must have the file: KVM
 * still asks whether a gfn of a slot that is being deleted is private.
 */
static inline void kvm_gmem_copy_slot(struct kvm_memory_slot *dest,
				      const struct kvm_memory_slot *src)
{
	dest->gmem = src->gmem;
	dest->attributes_of = src->attributes_of;
}

/* What keeps slots and bindings; a VM that is being destroyed has no other user. */
static inline void kvm_assert_slots_stay(struct kvm *kvm)
{
	lockdep_assert(srcu_read_lock_held(&kvm->srcu) ||
		       lockdep_is_held(&kvm->slots_lock) ||
		       !refcount_read(&kvm->users_count));
}

void kvm_gmem_init(struct module *module);
void kvm_gmem_destroy_vm(struct kvm *kvm);
u64 kvm_gmem_supported_flags(struct kvm *kvm);
int kvm_vm_ioctl_create_guest_memfd(struct kvm *kvm,
				    const struct kvm_create_guest_memfd __user *argp);
int kvm_gmem_bind(struct kvm *kvm, struct kvm_memory_slot *slot,
		  unsigned int fd, u64 offset);
void kvm_gmem_slot_ready(struct kvm *kvm, struct kvm_memory_slot *slot);
void kvm_gmem_unbind(struct kvm_memory_slot *slot);
struct guest_memfd_range
kvm_gmem_attributes_range(struct kvm *kvm, const struct kvm_memory_slot *slot,
			  gfn_t gfn);
struct guest_memfd_binding *
kvm_gmem_slot_binding(const struct kvm_memory_slot *slot);
struct kvm *kvm_gmem_slot_kvm(const struct kvm_memory_slot *slot);
#else
static inline void kvm_slot_init_attributes(struct kvm *kvm,
					    struct kvm_memory_slot *slot)
{
}

static inline void kvm_gmem_copy_slot(struct kvm_memory_slot *dest,
				      const struct kvm_memory_slot *src)
{
}

static inline void kvm_gmem_init(struct module *module)
{
}

static inline void kvm_gmem_destroy_vm(struct kvm *kvm)
{
}

static inline u64 kvm_gmem_supported_flags(struct kvm *kvm)
{
	return 0;
}

static inline int
kvm_vm_ioctl_create_guest_memfd(struct kvm *kvm,
				const struct kvm_create_guest_memfd __user *argp)
{
	return -ENOTTY;
}

static inline int kvm_gmem_bind(struct kvm *kvm, struct kvm_memory_slot *slot,
				unsigned int fd, u64 offset)
{
	return -EINVAL;
}

static inline void kvm_gmem_slot_ready(struct kvm *kvm,
				       struct kvm_memory_slot *slot)
{
}

static inline void kvm_gmem_unbind(struct kvm_memory_slot *slot)
{
}
#endif

#endif /* __KVM_GUEST_MEMFD_H */
