/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The attributes of a VM's gfns.  See virt/kvm/mem_attributes.c.
 */
#ifndef _LINUX_KVM_MEM_ATTRIBUTES_H
#define _LINUX_KVM_MEM_ATTRIBUTES_H

#include <linux/mutex.h>
#include <linux/range_map.h>

/*
 * struct kvm_mem_attributes - ranges of gfns with equal attributes
 * @lock:	held to change them; outer to slots_lock
 * @map:	KVM_MEMORY_ATTRIBUTE_* by gfn; read without a lock
 * @spares:	ranges for the next change
 */
struct kvm_mem_attributes {
	struct mutex lock;	/* changes of @map and @spares */
	struct range_map map;
	struct range_map_range *spares;
};

#endif /* _LINUX_KVM_MEM_ATTRIBUTES_H */
