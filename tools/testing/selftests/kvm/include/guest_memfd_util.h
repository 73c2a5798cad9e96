/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for tests of guest_memfd and of per-VM memory attributes.
 *
 * vm_*() and __vm_*() wrap one ioctl each: the plain form asserts success, the
 * form with two underscores returns what the ioctl returned and leaves errno.
 * gmem_*() are built from them.
 *
 * A gmem_slot is a memslot with two backings, the way a VMM sets one up:
 * anonymous memory for the gfns that are shared and a guest_memfd file for
 * those that are private.  It is kept outside of the library's own list of
 * regions, so addr_gpa2hva() does not know it; use gmem_slot_hva().
 *
 * A test binary is a table of functions run by gmem_run_tests(), one TAP line
 * per function.  Each function runs in a process of its own: a failed
 * TEST_ASSERT(), a crash or a hang is one "not ok" and the rest still runs.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_UTIL_H
#define SELFTEST_KVM_GUEST_MEMFD_UTIL_H

#include <linux/bits.h>
#include <sys/stat.h>

#include "kvm_util.h"

/* Not part of the first uapi patches. */
#ifndef KVM_CAP_GUEST_MEMFD_FLAGS
#define KVM_CAP_GUEST_MEMFD_FLAGS	244
#endif

#define GMEM_PAGE_SIZE		4096ULL
#define GMEM_HUGE_SIZE		(2ULL << 20)
#define GMEM_MAX_FILE_SIZE	(BIT_ULL(63) - GMEM_PAGE_SIZE)

/* Where gmem_vm_create() puts its data slot, in the guest also virtually. */
#define GMEM_DATA_GPA		BIT_ULL(32)
#define GMEM_DATA_SLOT		10

/* Slot and address used for a moment by the gmem_*_is_free() probes. */
#define GMEM_PROBE_GPA		BIT_ULL(38)
#define GMEM_PROBE_SLOT		300

/*
 * Test runner
 */

struct gmem_test {
	const char *name;
	void (*fn)(void);
};

#define GMEM_TEST(fn)	{ #fn, fn }

/* Seconds until a test counts as hung, unless the environment has GMEM_TIMEOUT. */
#define GMEM_TEST_TIMEOUT	300

/*
 * Print plan and results, return the exit code for main(): 0, 1 if anything
 * failed, 4 if nothing failed but nothing passed either. A warning or worse in
 * the kernel log fails the test that ran.  GMEM_TESTS in the environment is a
 * shell pattern: only tests whose name matches are run, and none is a failure.
 */
int gmem_run_tests(const struct gmem_test *tests, unsigned int nr);

/* End the running test as skipped. Never returns. */
void __noreturn __printf(1, 2) gmem_skip(const char *fmt, ...);

/* To be called first in main(): skip the binary unless @type is supported. */
void gmem_require_vm_type(unsigned long type);

/* What a call has returned, or -errno. */
static inline int errno_of(int ret)
{
	return ret < 0 ? -errno : ret;
}

/* A negative case: @expr fails with exactly this errno. */
#define GMEM_ASSERT_ERRNO(expr, err, fmt, ...) do {			\
	int __want = (err), __err;					\
	long __ret;							\
									\
	errno = 0;							\
	__ret = (long)(expr);						\
	__err = errno;							\
	TEST_ASSERT(__ret == -1 && __err == __want,			\
		    "%s = %ld, errno %d, wanted -1 and errno %d (%s): "	\
		    fmt, #expr, __ret, __err, __want,			\
		    strerror(__want), ##__VA_ARGS__);			\
} while (0)

/*
 * ioctls
 */

struct kvm_vm *gmem_vm_create_barebones(void);	/* SW_PROTECTED_VM */

int __vm_create_guest_memfd(struct kvm_vm *vm, u64 size, u64 flags);
int vm_create_guest_memfd(struct kvm_vm *vm, u64 size, u64 flags);

int __vm_set_user_memory_region2(struct kvm_vm *vm, u32 slot,
				 u32 flags, u64 gpa, u64 size,
				 void *hva, int fd, u64 offset);
void vm_set_user_memory_region2(struct kvm_vm *vm, u32 slot,
				u32 flags, u64 gpa, u64 size,
				void *hva, int fd, u64 offset);

int __vm_set_memory_attributes(struct kvm_vm *vm, u64 gpa, u64 size,
			       u64 attributes);
void vm_set_memory_attributes(struct kvm_vm *vm, u64 gpa, u64 size,
			      u64 attributes);

static inline void vm_mem_set_private(struct kvm_vm *vm, u64 gpa,
				      u64 size)
{
	vm_set_memory_attributes(vm, gpa, size, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

static inline void vm_mem_set_shared(struct kvm_vm *vm, u64 gpa,
				     u64 size)
{
	vm_set_memory_attributes(vm, gpa, size, 0);
}

/* KVM_CHECK_EXTENSION without an assertion, on any fd that knows it. */
int gmem_check_cap(int fd, long cap);

/*
 * Files
 */

int __gmem_allocate(int fd, u64 offset, u64 len);
void gmem_allocate(int fd, u64 offset, u64 len);
int __gmem_punch_hole(int fd, u64 offset, u64 len);
void gmem_punch_hole(int fd, u64 offset, u64 len);

/* Bytes that the file owns, from st_blocks. */
u64 gmem_allocated(int fd);

/* What a refused operation must not have changed. */
struct gmem_state {
	u64 ino;
	u64 size;
	u64 blocks;
	u64 blksize;
	u64 mode;
	u64 nlink;
};

void gmem_state_get(int fd, struct gmem_state *state);
void gmem_state_assert_same(int fd, const struct gmem_state *before,
			    const char *what);

/* A file of GMEM_FILE_SIZE with pages 1 and 2 allocated, and its state. */
#define GMEM_FILE_PAGES		16
#define GMEM_FILE_SIZE		(GMEM_FILE_PAGES * GMEM_PAGE_SIZE)

struct gmem_file {
	struct kvm_vm *vm;
	int fd;
	struct gmem_state state;
};

void gmem_file_setup(struct gmem_file *f);
void gmem_file_assert_unchanged(struct gmem_file *f, const char *what);
/* Also checks that the file still works. */
void gmem_file_teardown(struct gmem_file *f);

/*
 * State of a VM, seen through two probes that leave no trace: a range is free
 * if a slot can be put there.
 */
bool gmem_gpa_is_free(struct kvm_vm *vm, u64 gpa, u64 size);
bool gmem_file_range_is_free(struct kvm_vm *vm, int fd, u64 offset,
			     u64 size);

/*
 * Host memory
 */

/* Anonymous memory, address congruent to @gpa modulo 2 MiB. */
void *gmem_alloc_hva(u64 gpa, u64 size);
void gmem_free_hva(void *hva, u64 size);

/* First number in a file under /proc; write a string to one (or skip). */
long gmem_proc_number(const char *path);
void gmem_proc_write(const char *path, const char *val);

/* A figure of /proc/meminfo in KiB, e.g. "MemTotal". */
u64 gmem_meminfo_kb(const char *name);

/*
 * Memory that this test takes: it is charged to a control group of the test's
 * own, which the first call of any of these functions creates and enters.  What
 * the rest of the machine does has no influence.
 */

/* Memory in KiB that this test would have if nothing else had any. */
u64 gmem_free_kb(void);

/*
 * Wait for free memory to come back to @before_kb less @tolerance_kb. Freeing
 * can be deferred (task work, RCU), so poll for up to a minute.
 */
void gmem_assert_mem_returned(u64 before_kb, u64 tolerance_kb);

/* Bytes, out of memory.stat and memory.numa_stat, e.g. "file". */
u64 gmem_group_stat(const char *key);
u64 gmem_group_node_stat(const char *key, int node);

void gmem_group_enter(void);
/* Create a group, removed when the test ends.  Return: its inode number. */
u64 gmem_cgroup_mkdir(const char *path);
/* From another group to this one, or to the root if there is none. */
void gmem_group_return(void);

/*
 * Free memory of the whole machine in KiB after dropping clean caches and empty
 * slabs, for what no group is charged for. Others use memory, too: look again
 * before drawing conclusions.
 */
u64 gmem_machine_free_kb(void);

/*
 * Files of guest_memfd in the machine, from debugfs; wait for it to come back
 * to @before. Skips the test if the kernel does not say.
 */
s64 gmem_nr_files(void);
void gmem_assert_files_returned(s64 before);

/*
 * Slots with two backings
 */

struct gmem_slot {
	struct kvm_vm *vm;
	u32 slot;
	int fd;
	u64 offset;	/* of the slot's first page in fd */
	u64 gpa;
	u64 size;
	void *hva;
	bool own_fd;
	bool own_hva;
};

/*
 * Fill in @s and add the slot. With fd = -1 create a file of @size, with hva
 * = NULL allocate anonymous memory; what was created here is freed by
 * gmem_slot_free().
 */
void gmem_slot_add(struct gmem_slot *s, struct kvm_vm *vm, u32 slot,
		   u64 gpa, u64 size, void *hva, int fd,
		   u64 offset);
int __gmem_slot_bind(struct gmem_slot *s);	/* the ioctl alone, again */
void gmem_slot_bind(struct gmem_slot *s);
int __gmem_slot_delete(struct gmem_slot *s);
void gmem_slot_delete(struct gmem_slot *s);	/* remove it from the VM */
/* Free fd and memory; usable before and after kvm_vm_free(). */
void gmem_slot_free(struct gmem_slot *s);

static inline void *gmem_slot_hva(struct gmem_slot *s, u64 gpa)
{
	TEST_ASSERT(gpa >= s->gpa && gpa - s->gpa < s->size,
		    "gpa 0x%lx is outside of the slot", gpa);
	return s->hva + (gpa - s->gpa);
}

/* Allocate or punch the file's pages behind a gpa range of the slot. */
void gmem_slot_allocate(struct gmem_slot *s, u64 gpa, u64 size);
void gmem_slot_punch_hole(struct gmem_slot *s, u64 gpa, u64 size);

/*
 * A SW_PROTECTED_VM with vCPUs and one data slot of @size bytes at
 * GMEM_DATA_GPA, mapped in the guest at the same virtual address with 4 KiB
 * pages. Everything is shared until vm_mem_set_private(). Free with
 * gmem_vm_free().
 */
struct kvm_vm *gmem_vm_create(u32 nr_vcpus, struct kvm_vcpu *vcpus[],
			      void *guest_code, u64 size,
			      struct gmem_slot *slot);

static inline struct kvm_vm *
gmem_vm_create_one_vcpu(struct kvm_vcpu **vcpu, void *guest_code,
			u64 size, struct gmem_slot *slot)
{
	return gmem_vm_create(1, vcpu, guest_code, size, slot);
}

void gmem_vm_free(struct kvm_vm *vm, struct gmem_slot *slot);

/*
 * KVM_PRE_FAULT_MEMORY, once: 0 or -errno. Asserts what holds for any call: it
 * succeeds if and only if the range becomes shorter, and the rest is its end.
 */
int vcpu_pre_fault_once(struct kvm_vcpu *vcpu,
			struct kvm_pre_fault_memory *range);

/* To the end, or to the first error but EINTR; what is then left. */
int __vcpu_pre_fault(struct kvm_vcpu *vcpu, u64 gpa, u64 size, u64 *left);
void vcpu_pre_fault(struct kvm_vcpu *vcpu, u64 gpa, u64 size);

/*
 * KVM_RUN must have left with KVM_EXIT_MEMORY_FAULT: call __vcpu_run(), check
 * -1 with @err (EFAULT or EHWPOISON) and the exit's three fields.
 */
void gmem_vcpu_run_memory_fault(struct kvm_vcpu *vcpu, int err, u64 flags,
				u64 gpa, u64 size);

#endif /* SELFTEST_KVM_GUEST_MEMFD_UTIL_H */
