/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM_X86_SW_PROTECTED_VM: what the rest of KVM x86 calls.
 */
#ifndef __KVM_X86_SW_PROTECTED_H
#define __KVM_X86_SW_PROTECTED_H

#include <linux/kvm_host.h>

/*
 * What a VM with private memory cannot have, be it the guest that asks,
 * userspace for the guest, or an ioctl.
 */

/* A gfn has one set of attributes, so there is one address space, and no SMM. */
static inline bool kvm_vm_allows_smm(struct kvm *kvm)
{
	return !kvm || !kvm_arch_has_private_mem(kvm);
}

/* Nothing may shadow a guest page table, which could be private. */
static inline bool kvm_vm_allows_nested(struct kvm *kvm, u64 efer, u64 cr4)
{
	return !kvm_arch_has_private_mem(kvm) ||
	       !(efer & EFER_SVME || cr4 & X86_CR4_VMXE);
}

/* SEV encrypts what is at an hva, which private memory has none of. */
static inline bool kvm_vm_allows_memory_encryption(struct kvm *kvm)
{
	return !kvm_arch_has_private_mem(kvm);
}

#ifdef CONFIG_KVM_SW_PROTECTED_VM
u32 kvm_sw_protected_vm_types(void);
int kvm_sw_protected_init_vm(struct kvm *kvm);
void kvm_sw_protected_update_cpuid(struct kvm_vcpu *vcpu,
				   struct kvm_cpuid_entry2 *entries, int nent);
#else
static inline u32 kvm_sw_protected_vm_types(void)
{
	return 0;
}

static inline int kvm_sw_protected_init_vm(struct kvm *kvm)
{
	return 0;
}

static inline void
kvm_sw_protected_update_cpuid(struct kvm_vcpu *vcpu,
			      struct kvm_cpuid_entry2 *entries, int nent)
{
}
#endif

#endif /* __KVM_X86_SW_PROTECTED_H */
