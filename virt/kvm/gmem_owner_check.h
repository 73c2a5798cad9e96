/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The checker of the owners of private pages: see gmem_owner_check.c.
 */
#ifndef __KVM_GMEM_OWNER_CHECK_H
#define __KVM_GMEM_OWNER_CHECK_H

#include <linux/kvm_host.h>

#ifdef CONFIG_KVM_GMEM_OWNER_CHECK
void kvm_gmem_owner_init(struct dentry *kvm_dir);
void kvm_gmem_owner_exit(void);
int kvm_gmem_owner_reserve(kvm_pfn_t pfn, unsigned long nr);
void kvm_gmem_owner_cancel(kvm_pfn_t pfn, unsigned long nr);
void kvm_gmem_owner_make(const void *vm, gfn_t gfn, kvm_pfn_t pfn,
			 unsigned long nr);
void kvm_gmem_owner_end(const void *vm, gfn_t gfn, kvm_pfn_t pfn,
			unsigned long nr, bool mapped);
void kvm_gmem_owner_reclaim(unsigned long pfn, unsigned long nr);
void kvm_gmem_owner_move(unsigned long from, unsigned long to,
			 unsigned long nr);
bool kvm_gmem_owner_relocates(void);
int kvm_gmem_owner_allow_relocation(void);
void kvm_gmem_owner_relocate(const void *vm, gfn_t gfn, kvm_pfn_t from,
			     kvm_pfn_t to, bool mapped);
void kvm_gmem_owner_vm_gone(const void *vm);

/* The rest is for gmem_owner_debugfs.c. */

/**
 * struct kvm_gmem_owner_counters - what the checker has seen
 * @made:	Pages made private.
 * @ended:	Pages that ceased to be private to a gfn.
 * @reclaimed:	Pages given back to the host.
 * @failed:	Attempts to make pages private that failed.
 * @owned:	Pages that are private now.
 * @known:	Pages that are not reclaimed yet.
 * @relocated:	Pages relocated.
 * @reports:	Violations.
 * @canaries:	Violations that were committed on purpose.
 *
 * All but @owned and @known since KVM was initialized.
 */
struct kvm_gmem_owner_counters {
	u64 made;
	u64 ended;
	u64 reclaimed;
	u64 failed;
	u64 owned;
	u64 known;
	u64 relocated;
	u64 reports;
	u64 canaries;
};

extern struct task_struct *kvm_gmem_owner_canary;
extern bool kvm_gmem_owner_relocating;

void kvm_gmem_owner_check_page(const void *vm, gfn_t gfn, kvm_pfn_t pfn,
			       bool is_private);
void kvm_gmem_owner_forget(kvm_pfn_t pfn);
void kvm_gmem_owner_get_counters(struct kvm_gmem_owner_counters *c);
void kvm_gmem_owner_init_fault(struct dentry *dir);
#else
static inline void kvm_gmem_owner_init(struct dentry *kvm_dir)
{
}

static inline void kvm_gmem_owner_exit(void)
{
}

static inline int kvm_gmem_owner_reserve(kvm_pfn_t pfn, unsigned long nr)
{
	return 0;
}

static inline void kvm_gmem_owner_cancel(kvm_pfn_t pfn, unsigned long nr)
{
}

static inline void kvm_gmem_owner_make(const void *vm, gfn_t gfn,
				       kvm_pfn_t pfn, unsigned long nr)
{
}

static inline void kvm_gmem_owner_end(const void *vm, gfn_t gfn, kvm_pfn_t pfn,
				      unsigned long nr, bool mapped)
{
}

static inline void kvm_gmem_owner_reclaim(unsigned long pfn, unsigned long nr)
{
}

static inline void kvm_gmem_owner_move(unsigned long from, unsigned long to,
				       unsigned long nr)
{
}

static inline bool kvm_gmem_owner_relocates(void)
{
	return false;
}

static inline int kvm_gmem_owner_allow_relocation(void)
{
	return 0;
}

static inline void kvm_gmem_owner_relocate(const void *vm, gfn_t gfn,
					   kvm_pfn_t from, kvm_pfn_t to,
					   bool mapped)
{
}

static inline void kvm_gmem_owner_vm_gone(const void *vm)
{
}
#endif

#endif /* __KVM_GMEM_OWNER_CHECK_H */
