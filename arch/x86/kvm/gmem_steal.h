/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Steal time in guest memory that is in a guest_memfd: what x86.c calls.
 */
#ifndef __KVM_X86_GMEM_STEAL_H
#define __KVM_X86_GMEM_STEAL_H

#include <linux/kvm_host.h>

#ifdef CONFIG_KVM_PRIVATE_MEM
bool kvm_gmem_record_steal_time(struct kvm_vcpu *vcpu);
bool kvm_gmem_steal_time_set_preempted(struct kvm_vcpu *vcpu);
#else
static inline bool kvm_gmem_record_steal_time(struct kvm_vcpu *vcpu)
{
	return false;
}

static inline bool kvm_gmem_steal_time_set_preempted(struct kvm_vcpu *vcpu)
{
	return false;
}
#endif

#endif /* __KVM_X86_GMEM_STEAL_H */
