/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SAMPLES_GUEST_MEMFD_VMM_H
#define SAMPLES_GUEST_MEMFD_VMM_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

#define KIB		1024ULL
#define MIB		(1024 * KIB)
#define PAGE		(4 * KIB)

/* guest.S: the loader is first, the payload is up to the end. */
extern const __u8 guest_image[], guest_payload[], guest_image_end[];

/*
 * vm.c: what the VMM asks of KVM.
 */
struct vm {
	int kvm, fd, vcpu, gmem;
	struct kvm_run *run;
	__u8 *boot, *ram;	/* shared sides */
	__u64 ram_size;
};

struct msg {
	__u32 a, b, rip;
};

extern unsigned int checks, failed;
/* Print each exit. */
extern bool verbose;

/* One line of the account: @ok, a label, and what was seen. */
void report(bool ok, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The run cannot go on: say what failed, with errno, and exit. */
void die(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

void *map_shared_side(__u64 size);
int create_gmem(struct vm *vm, __u64 size);
/* A negative @gmem is a slot without a file. */
void set_slot(struct vm *vm, unsigned int slot, __u64 gpa, __u64 size,
	      void *shared_side, int gmem);
void set_private(struct vm *vm, __u64 gpa, __u64 size, bool priv);
void punch(struct vm *vm, __u64 gpa, __u64 size);
__u8 *shared_side(struct vm *vm, __u64 gpa);
void set_up_vcpu(struct vm *vm);
struct msg get_msg(struct vm *vm);
struct msg run_to(struct vm *vm, unsigned int port);
void run_to_fault(struct vm *vm, __u64 gpa);

/*
 * host.c: what a process can find out about the memory of its guest.
 */
__u64 digest(const __u32 *words);
void scan_process(const char *label, __u64 wanted, unsigned int expected);
void try_file(int gmem);
void try_maps(int gmem);
void try_address(const __u8 *addr, __u8 expected);
__u64 mem_free(void);
__u64 file_bytes(int gmem);

#endif
