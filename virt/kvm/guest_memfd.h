/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM as a client of guest_memfd: what kvm_main.c calls.
 */
#ifndef __KVM_GUEST_MEMFD_H
#define __KVM_GUEST_MEMFD_H

#include <linux/kvm_host.h>

struct guest_memfd_binding;
struct guest_memfd_range;

#ifdef CONFIG_KVM_PRIVATE_MEM
/*
 * Have KVM's own accesses to a slot that is being created follow the VM's
 * attributes, file or no file.  Memory of KVM's own is no guest's.
 */
static inline void kvm_slot_init_attributes(struct kvm *kvm,
					    struct kvm_memory_slot *slot)
{
	if (kvm_arch_accesses_private_mem(kvm) && slot->id < KVM_USER_MEM_SLOTS)
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

void kvm_gmem_init(struct module *module);
u64 kvm_gmem_supported_flags(struct kvm *kvm);
int kvm_gmem_create(struct kvm *kvm, const struct kvm_create_guest_memfd *args);
int kvm_gmem_bind(struct kvm *kvm, struct kvm_memory_slot *slot,
		  unsigned int fd, u64 offset);
void kvm_gmem_slot_ready(struct kvm *kvm, struct kvm_memory_slot *slot);
void kvm_gmem_unbind(struct kvm_memory_slot *slot);
struct guest_memfd_range
kvm_gmem_attributes_range(struct kvm *kvm, const struct kvm_memory_slot *slot,
			  gfn_t gfn);
struct guest_memfd_binding *
kvm_gmem_slot_binding(const struct kvm_memory_slot *slot, struct kvm **kvm);
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

static inline u64 kvm_gmem_supported_flags(struct kvm *kvm)
{
	return 0;
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
