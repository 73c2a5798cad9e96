/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Holders of pages of host memory: each takes references in one of the ways that
 * the kernel has, keeps them, and gives them up on command.
 *
 *   pipe	vmsplice(2); a plain reference
 *   pin	process_vm_readv(2) that is stopped by a userfaultfd on the memory
 *		to which it copies; FOLL_PIN
 *   disk	read(2) with O_DIRECT from a network block device whose server, a
 *		thread here, does not answer; a plain reference
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_HOLDER_H
#define SELFTEST_KVM_GUEST_MEMFD_HOLDER_H

#include "kvm_util.h"

enum gmem_holder_kind {
	GMEM_HOLD_PIPE,
	GMEM_HOLD_PIN,
	GMEM_HOLD_DISK,
	GMEM_NR_HOLDERS,
};

struct gmem_holder;

extern const char *const gmem_holder_names[GMEM_NR_HOLDERS];

/* When this returns, the @size bytes at @mem are held.  Up to 16 pages. */
struct gmem_holder *gmem_hold(enum gmem_holder_kind kind, void *mem, u64 size);

/*
 * Give them up.  Return: what read(2) or process_vm_readv(2) has, -errno if it
 * failed; @size for a pipe.
 */
s64 gmem_release(struct gmem_holder *holder);

/* What disk holders write to the memory, in each byte, when released. */
#define GMEM_DISK_BYTE	0xd5

/* A userfaultfd on anonymous memory that is not there: accesses stop. */
struct gmem_stopper {
	void *mem;
	u64 size;
	int uffd;
};

void gmem_stopper_init(struct gmem_stopper *s, u64 size);
/* Return when a thread has stopped. */
void gmem_stopper_wait(struct gmem_stopper *s);
/* Let all of them go on, with zeros. */
void gmem_stopper_open(struct gmem_stopper *s);
void gmem_stopper_free(struct gmem_stopper *s);

#endif /* SELFTEST_KVM_GUEST_MEMFD_HOLDER_H */
