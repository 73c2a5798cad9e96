/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM_X86_SW_PROTECTED_VM: what the rest of KVM x86 calls.
 */
#ifndef __KVM_X86_SW_PROTECTED_H
#define __KVM_X86_SW_PROTECTED_H

#include <linux/kvm_host.h>

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
