/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that runs from private memory.
 *
 * A VM of type KVM_X86_SW_PROTECTED_VM whose text, page tables and descriptor
 * tables are private, as is its data slot; only what the library's commands
 * need, which is the rest of the guest's data and its stacks, is shared.  Where
 * a gfn is private, what is at userspace_addr is poison: KVM and guest fail if
 * they read it, and private_vm_check() if anything writes it.
 *
 * The library keeps a copy of the page tables as they were, and so still knows
 * where everything is.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_PRIVATE_H
#define SELFTEST_KVM_GUEST_MEMFD_PRIVATE_H

#include "guest_memfd_emul.h"

/* From the linker: where the program begins, and where its text ends. */
extern char __executable_start[], etext[];

struct private_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[2];
	struct kvm_vcpu *vcpu;

	/* The data slot, all private; see guest_memfd_emul.h. */
	struct gmem_slot slot;

	/* The VM's own memory: file, size, and what is at userspace_addr. */
	int fd;
	u64 size;
	u8 *hva;
	bool *is_private;	/* for each page */
};

/* The pattern of what is at the data slot's userspace_addr. */
#define POISON_TAG	0x666

/*
 * Up to the point where all is still shared: more can be mapped and installed
 * before private_vm_lock().
 */
void private_vm_create(struct private_vm *p, u32 nr_vcpus);
void private_vm_lock(struct private_vm *p);

/* Both. */
void private_vm_start(struct private_vm *p, u32 nr_vcpus);

/* Nothing has written where private memory is not. */
void private_vm_check(struct private_vm *p);

/* Check it, and free everything. */
void private_vm_end(struct private_vm *p);

/*
 * Make pages of the data slot shared, which puts the host's words of the
 * poison pattern before the guest, or private.
 */
void private_vm_share(struct private_vm *p, u64 gpa, u64 size);
void private_vm_unshare(struct private_vm *p, u64 gpa, u64 size);

static inline void *private_vm_hva(struct private_vm *p, u64 gpa)
{
	return gmem_slot_hva(&p->slot, gpa);
}

#endif /* SELFTEST_KVM_GUEST_MEMFD_PRIVATE_H */
