/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM_PRE_FAULT_MEMORY: what kvm_main.c calls.
 */
#ifndef __KVM_PRE_FAULT_H
#define __KVM_PRE_FAULT_H

struct kvm_pre_fault_memory;
struct kvm_vcpu;

int kvm_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu,
			      struct kvm_pre_fault_memory *range);

#endif /* __KVM_PRE_FAULT_H */
