/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NUMA policy of a guest_memfd without a mapping: see gmem_policy.c.
 */
#ifndef __KVM_GMEM_POLICY_H
#define __KVM_GMEM_POLICY_H

#include <linux/kvm.h>

struct file;

int kvm_gmem_set_policy(struct file *file, struct kvm_gmem_policy __user *upolicy);
int kvm_gmem_collapse(struct file *file, struct kvm_gmem_collapse __user *ucollapse);

#endif /* __KVM_GMEM_POLICY_H */
