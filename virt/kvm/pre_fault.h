/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM_PRE_FAULT_MEMORY: what kvm_main.c calls.
 */
#ifndef __KVM_PRE_FAULT_H
#define __KVM_PRE_FAULT_H

#include <linux/kvm_host.h>

#ifdef CONFIG_KVM_GENERIC_PRE_FAULT_MEMORY
int kvm_vcpu_ioctl_pre_fault_memory(struct kvm_vcpu *vcpu,
				    struct kvm_pre_fault_memory __user *argp);
#else
static inline int
kvm_vcpu_ioctl_pre_fault_memory(struct kvm_vcpu *vcpu,
				struct kvm_pre_fault_memory __user *argp)
{
	return -ENOTTY;
}
#endif

#endif /* __KVM_PRE_FAULT_H */
