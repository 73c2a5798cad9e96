/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM memory attributes: what kvm_main.c calls.
 */
#ifndef __KVM_MEM_ATTRIBUTES_H
#define __KVM_MEM_ATTRIBUTES_H

#include <linux/kvm_host.h>

#ifdef CONFIG_KVM_GENERIC_MEMORY_ATTRIBUTES
void kvm_init_memory_attributes(struct kvm *kvm);
void kvm_destroy_memory_attributes(struct kvm *kvm);
u64 kvm_supported_memory_attributes(struct kvm *kvm);
int kvm_vm_ioctl_set_memory_attributes(struct kvm *kvm,
				       const struct kvm_memory_attributes __user *argp);
#else
static inline void kvm_init_memory_attributes(struct kvm *kvm)
{
}

static inline void kvm_destroy_memory_attributes(struct kvm *kvm)
{
}

static inline u64 kvm_supported_memory_attributes(struct kvm *kvm)
{
	return 0;
}

static inline int
kvm_vm_ioctl_set_memory_attributes(struct kvm *kvm,
				   const struct kvm_memory_attributes __user *argp)
{
	return -ENOTTY;
}
#endif

#endif /* __KVM_MEM_ATTRIBUTES_H */
