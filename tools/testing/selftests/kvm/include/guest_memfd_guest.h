/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that does as it is told, and the host's side of it.
 *
 * Each vCPU runs guest_cmd_loop(): it takes a command from a structure in
 * ordinary shared memory, carries it out with plain loads and stores, and
 * leaves with GUEST_SYNC().  The test decides, one command at a time, what
 * the guest does and compares it with what it should have seen.
 *
 * Addresses are guest physical; the guest reaches them at the same virtual
 * address, so they must be mapped with virt_map() (gmem_vm_create() does it
 * for its data slot).  A pattern gives each 8-byte word a value derived from
 * its address and a tag: a page in the wrong place or half a page is noticed.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_GUEST_H
#define SELFTEST_KVM_GUEST_MEMFD_GUEST_H

#include "guest_memfd_util.h"

#define GMEM_PAGES(n)		((n) * GMEM_PAGE_SIZE)

#define GUEST_CMD_MAX_VCPUS	4
/* Pages that one GUEST_OP_CHECK_SIDES can look at. */
#define GUEST_CMD_MAX_SIDES	2048

enum guest_op {
	GUEST_OP_NOP,
	GUEST_OP_READ,		/* value = word at gpa */
	GUEST_OP_WRITE,		/* word at gpa = value */
	GUEST_OP_CALL,		/* value = function at gpa() */
	GUEST_OP_FILL,		/* write the pattern of tag */
	GUEST_OP_CHECK,		/* each word has the pattern of tag */
	GUEST_OP_CHECK_ZERO,	/* each word is zero */
	GUEST_OP_CHECK_EITHER,	/* each word is zero or has the pattern */
	GUEST_OP_CHECK_SIDES,	/* each page's first word: see guest_side */
};

/* What GUEST_OP_CHECK_SIDES expects of a page. */
enum guest_side {
	GUEST_SIDE_SHARED,	/* the pattern of tag */
	GUEST_SIDE_PRIVATE,	/* the pattern of tag + 1 */
	GUEST_SIDE_ZERO,
};

struct guest_cmd {
	u64 op;
	u64 gpa;
	u64 nr_pages;
	u64 word_step;	/* bytes from one word to the next */
	u64 tag;
	u64 value;	/* in or out */
	u64 nr_bad;	/* out: words that are not as expected */
	u64 bad_gpa;	/* out: the first of them */
	u64 bad_value;
};

/* The word of pattern @tag at @gpa, never zero. */
static inline u64 guest_pattern(u64 gpa, u64 tag)
{
	return ((gpa + tag * 0x10001) * 0x9e3779b97f4a7c15ULL) | 1;
}

/*
 * Distance of the words that filling and checking looks at, in guest and host;
 * a test that needs speed more than coverage makes it larger than 8.
 */
extern u64 guest_word_step;

/* The guest's entry point; its argument is the index of the vCPU. */
void guest_cmd_loop(u64 index);

/* Before a vCPU's first run. */
void guest_cmd_init(struct kvm_vcpu *vcpu);

/* The vCPU's command as the host sees it. */
struct guest_cmd *guest_cmd_of(struct kvm_vcpu *vcpu);

/* Say what the next guest_cmd_run() is about. */
void guest_cmd_set(struct kvm_vcpu *vcpu, enum guest_op op, u64 gpa, u64 size,
		   u64 tag);

/*
 * KVM_RUN once, apart from EINTR.
 * Return: 0 if the guest left by itself, -errno if KVM_RUN failed.
 */
int guest_cmd_run(struct kvm_vcpu *vcpu);

/* After guest_cmd_run() = 0: the guest must have completed its command. */
void guest_cmd_complete(struct kvm_vcpu *vcpu);

/* Run the command to its end, and assert that it found nothing bad. */
void guest_cmd_finish(struct kvm_vcpu *vcpu);

/* All in one. */
void guest_do(struct kvm_vcpu *vcpu, enum guest_op op, u64 gpa, u64 size,
	      u64 tag);
u64 guest_read(struct kvm_vcpu *vcpu, u64 gpa);
void guest_write(struct kvm_vcpu *vcpu, u64 gpa, u64 value);

static inline void guest_fill(struct kvm_vcpu *vcpu, u64 gpa, u64 size, u64 tag)
{
	guest_do(vcpu, GUEST_OP_FILL, gpa, size, tag);
}

static inline void guest_check(struct kvm_vcpu *vcpu, u64 gpa, u64 size,
			       u64 tag)
{
	guest_do(vcpu, GUEST_OP_CHECK, gpa, size, tag);
}

static inline void guest_check_zero(struct kvm_vcpu *vcpu, u64 gpa, u64 size)
{
	guest_do(vcpu, GUEST_OP_CHECK_ZERO, gpa, size, 0);
}

/* @sides has one enum guest_side for each page. */
void guest_check_sides(struct kvm_vcpu *vcpu, u64 gpa, const u8 *sides,
		       u64 nr_pages, u64 tag);

/* KVM_RUN must leave with the exit of a private access to the page of @gpa. */
void guest_expect_private_fault(struct kvm_vcpu *vcpu, u64 gpa);

/* The same patterns, written and checked by the host. */
void host_fill(void *hva, u64 gpa, u64 size, u64 tag);
void host_check(const void *hva, u64 gpa, u64 size, u64 tag);
void host_check_zero(const void *hva, u64 size);

/* A number of KVM's statistics about a vCPU. */
u64 vcpu_get_stat(struct kvm_vcpu *vcpu, const char *name);

/*
 * Set transparent_hugepage/enabled; put back at exit().  Skips the test if
 * the kernel has no such setting.
 */
void host_set_thp(const char *mode);

/* Make large folios out of free pages; nothing without CONFIG_COMPACTION. */
void host_compact_memory(void);

/* Leave free memory behind that is full of something other than zeros. */
void host_dirty_free_memory(u64 size);

/*
 * A SW_PROTECTED_VM with @nr_vcpus that wait for commands, and a data slot;
 * see gmem_vm_create().
 */
struct kvm_vm *guest_vm_create(u32 nr_vcpus, struct kvm_vcpu *vcpus[],
			       u64 size, struct gmem_slot *slot);

/* The usual: one vCPU, one data slot. */
struct guest_fixture {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct gmem_slot slot;
};

static inline void guest_start(struct guest_fixture *f, u64 size)
{
	f->vm = guest_vm_create(1, &f->vcpu, size, &f->slot);
}

static inline void guest_start_private(struct guest_fixture *f, u64 size)
{
	guest_start(f, size);
	vm_mem_set_private(f->vm, GMEM_DATA_GPA, size);
}

static inline void guest_end(struct guest_fixture *f)
{
	gmem_vm_free(f->vm, &f->slot);
}

#endif /* SELFTEST_KVM_GUEST_MEMFD_GUEST_H */
