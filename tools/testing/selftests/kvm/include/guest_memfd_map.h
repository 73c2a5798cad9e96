/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for tests of guest_memfd files that the host maps.
 *
 * A gmem_map is a file of a VM and one mapping of all of it.  Contents are
 * patterns: each 8-byte word has a value made of its offset in the file and of
 * a tag, so that a page in the wrong place is noticed as well as a stale one.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_MAP_H
#define SELFTEST_KVM_GUEST_MEMFD_MAP_H

#include <sys/mman.h>

#include "guest_memfd_util.h"

#define GMEM_SHARED_FLAGS	(GUEST_MEMFD_FLAG_MMAP | \
				 GUEST_MEMFD_FLAG_INIT_SHARED)

struct gmem_map {
	struct kvm_vm *vm;
	int fd;
	u64 size;
	char *mem;
};

/* A VM of type @vm_type, a file with @flags, and a mapping of all of it. */
void __gmem_map_setup(struct gmem_map *m, unsigned long vm_type, u64 size,
		      u64 flags);
/* The usual: a default VM and a file that is shared. */
void gmem_map_setup(struct gmem_map *m, u64 size);
/* Also checks that the file still works. */
void gmem_map_teardown(struct gmem_map *m);

/* Map @size bytes at @offset for reading and writing, shared. */
char *gmem_mmap(int fd, u64 size, u64 offset);
/* The same at an address that is aligned to 2 MiB. */
char *gmem_mmap_aligned(int fd, u64 size);

/*
 * Replace the memory that the library gave slot 0 by a file with the same in it;
 * the library's own mapping is one of the file from then on.  Return: the file.
 */
int gmem_vm_to_file(struct kvm_vm *vm);

static inline u64 gmem_pattern(u64 offset, u64 tag)
{
	return ((offset + tag * 0x10001) * 0x9e3779b97f4a7c15ULL) | 1;
}

/*
 * @mem is what is mapped at @offset of the file, however it was mapped.  The
 * checks look at each word.
 */
void gmem_fill(void *mem, u64 offset, u64 size, u64 tag);
void gmem_check(const void *mem, u64 offset, u64 size, u64 tag);
void gmem_check_zero(const void *mem, u64 size);

/*
 * Read or write a byte. Return: 0, or the signal that this gave.  Signal handlers
 * belong to the process: no other thread may await SIGBUS or SIGSEGV meanwhile.
 */
int gmem_touch(void *addr, bool write);
/* The si_code of the signal that gmem_touch() returned last. */
int gmem_touch_code(void);
/* Reading and writing both give SIGBUS with BUS_ADRERR. */
void gmem_assert_sigbus(void *addr);

/* The entry in /proc/self/pagemap. */
u64 gmem_pagemap(const void *addr);

static inline bool gmem_is_mapped(const void *addr)
{
	return gmem_pagemap(addr) & BIT_ULL(63);
}

static inline u64 gmem_mapped_pfn(const void *addr)
{
	return gmem_pagemap(addr) & (BIT_ULL(55) - 1);
}

#endif /* SELFTEST_KVM_GUEST_MEMFD_MAP_H */
