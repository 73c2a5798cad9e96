/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hyper-V's isolated VMs: what a guest says of its memory.  See hv_isolation.c.
 */
#ifndef __KVM_X86_HV_ISOLATION_H
#define __KVM_X86_HV_ISOLATION_H

#include <linux/kvm_host.h>

#include "hyperv.h"

#ifdef CONFIG_KVM_SW_PROTECTED_VM
bool kvm_hv_isolation_available(struct kvm *kvm);
int kvm_hv_modify_visibility(struct kvm_vcpu *vcpu, u64 param, gpa_t list,
			     bool longmode);
bool kvm_hv_exit_for_os_id(struct kvm_vcpu *vcpu, u32 msr, u64 data);
#else
static inline bool kvm_hv_isolation_available(struct kvm *kvm)
{
	return false;
}

static inline int kvm_hv_modify_visibility(struct kvm_vcpu *vcpu, u64 param,
					   gpa_t list, bool longmode)
{
	return kvm_hv_hypercall_complete(vcpu, HV_STATUS_INVALID_HYPERCALL_CODE);
}

static inline bool kvm_hv_exit_for_os_id(struct kvm_vcpu *vcpu, u32 msr,
					 u64 data)
{
	return false;
}
#endif

#endif /* __KVM_X86_HV_ISOLATION_H */
