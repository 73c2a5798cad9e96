/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Helpers for tests of large folios in guest_memfd.
 *
 * How large folios are shows in fdinfo, how large KVM's mappings are in the
 * statistics of the VM.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_HUGE_H
#define SELFTEST_KVM_GUEST_MEMFD_HUGE_H

#include "guest_memfd_admin.h"
#include "guest_memfd_guest.h"

#define H	GMEM_HUGE_SIZE
#define P	GMEM_PAGE_SIZE
#define GPA	GMEM_DATA_GPA

/* Bytes of a file that are in large folios. */
static inline u64 gmem_huge(int fd)
{
	return admin_fdinfo_value(fd, "gmem-huge");
}

/* What the file has: all in all, and in large folios. */
static inline void gmem_assert_usage(int fd, u64 allocated, u64 huge,
				     const char *what)
{
	TEST_ASSERT(gmem_allocated(fd) == allocated && gmem_huge(fd) == huge,
		    "%s: 0x%lx bytes, 0x%lx of them huge; wanted 0x%lx, 0x%lx",
		    what, gmem_allocated(fd), gmem_huge(fd), allocated, huge);
}

/* Mappings of 2 MiB that KVM has. */
static inline u64 vm_nr_huge(struct kvm_vm *vm)
{
	return vm_get_stat(vm, "pages_2m");
}

/* A file without a slot, full of large folios: what tests of failures work on. */
struct huge_file {
	struct kvm_vm *vm;
	u64 size;
	u64 flags;
	int fd;
};

static inline void huge_file_setup(void *ctx)
{
	struct huge_file *f = ctx;

	f->fd = vm_create_guest_memfd(f->vm, f->size, f->flags);
	gmem_allocate(f->fd, 0, f->size);
}

static inline void huge_file_teardown(void *ctx)
{
	close(((struct huge_file *)ctx)->fd);
}

static inline bool huge_file_has(struct huge_file *f, u64 allocated, u64 huge)
{
	return gmem_allocated(f->fd) == allocated && gmem_huge(f->fd) == huge;
}

static inline void huge_require_private(void)
{
	if (!(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SW_PROTECTED_VM)))
		gmem_skip("no VMs with private memory");
}

/*
 * A VM with private memory, of which nothing is there yet; from now on THP are
 * set to @mode.  The VM's own memory is not in any.
 */
static inline void huge_start_empty(struct guest_fixture *f, u64 size,
				    const char *mode)
{
	huge_require_private();
	host_set_thp("never");
	guest_word_step = P / 4;
	guest_start_private(f, size);
	guest_do(f->vcpu, GUEST_OP_NOP, 0, 0, 0);
	host_set_thp(mode);
}

/* The same, full of pattern 1, in large folios. */
static inline void huge_start(struct guest_fixture *f, u64 size)
{
	huge_start_empty(f, size, "always");
	guest_fill(f->vcpu, GPA, size, 1);
	gmem_assert_usage(f->slot.fd, size, size / H * H, "filled");
}

#endif /* SELFTEST_KVM_GUEST_MEMFD_HUGE_H */
