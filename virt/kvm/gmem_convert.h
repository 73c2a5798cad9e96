/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Conversion of guest memory between private and shared: what
 * virt/kvm/guest_memfd.c calls.
 */
#ifndef __KVM_GMEM_CONVERT_H
#define __KVM_GMEM_CONVERT_H

struct file;

long kvm_gmem_ioctl(struct file *file, void *priv, unsigned int cmd,
		    unsigned long arg);

#endif /* __KVM_GMEM_CONVERT_H */
