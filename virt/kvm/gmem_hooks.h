/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What confidential hardware and the checker of owners learn of private pages:
 * what virt/kvm/guest_memfd.c calls.
 */
#ifndef __KVM_GMEM_HOOKS_H
#define __KVM_GMEM_HOOKS_H

#include <linux/kvm_host.h>

/* Functions for an operations table: none if no code wants to know. */
#define kvm_gmem_hook(fn)	PTR_IF(IS_ENABLED(CONFIG_KVM_GMEM_HOOKS), fn)

/* Whether private pages are more than what can be read of them and copied. */
static inline bool kvm_gmem_has_hardware_hooks(void)
{
	return IS_ENABLED(CONFIG_HAVE_KVM_ARCH_GMEM_CONVERT) ||
	       IS_ENABLED(CONFIG_HAVE_KVM_ARCH_GMEM_INVALIDATE) ||
	       IS_ENABLED(CONFIG_HAVE_KVM_ARCH_GMEM_RECLAIM);
}

static inline bool kvm_gmem_can_move(void)
{
	return !kvm_gmem_has_hardware_hooks() ||
	       IS_ENABLED(CONFIG_HAVE_KVM_ARCH_GMEM_RELOCATE);
}

#ifdef CONFIG_KVM_GMEM_HOOKS
int kvm_gmem_hook_prepare(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
			  unsigned long nr);
void kvm_gmem_hook_unprepare(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
			     unsigned long nr);
void kvm_gmem_hook_restore(unsigned long pfn, unsigned long nr);
void kvm_gmem_hook_moved(unsigned long from, unsigned long to,
			 unsigned long nr);
bool kvm_gmem_hook_relocates(void);
int kvm_gmem_hook_relocate(struct kvm *kvm, gfn_t gfn, kvm_pfn_t from,
			   kvm_pfn_t to);
#else
static inline int kvm_gmem_hook_prepare(struct kvm *kvm, gfn_t gfn,
					kvm_pfn_t pfn, unsigned long nr)
{
	return 0;
}

static inline void kvm_gmem_hook_unprepare(struct kvm *kvm, gfn_t gfn,
					   kvm_pfn_t pfn, unsigned long nr)
{
}

static inline void kvm_gmem_hook_restore(unsigned long pfn, unsigned long nr)
{
}

static inline void kvm_gmem_hook_moved(unsigned long from, unsigned long to,
				       unsigned long nr)
{
}

static inline bool kvm_gmem_hook_relocates(void)
{
	return false;
}

static inline int kvm_gmem_hook_relocate(struct kvm *kvm, gfn_t gfn,
					 kvm_pfn_t from, kvm_pfn_t to)
{
	return -EOPNOTSUPP;
}
#endif

#endif /* __KVM_GMEM_HOOKS_H */
