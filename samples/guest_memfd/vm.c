// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the VMM asks of KVM: slots and files, attributes, a vCPU and its exits.
 * Each call is a line of the account, or ends the run.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/falloc.h>
#include <linux/kvm.h>

#include "guest.h"
#include "vmm.h"

unsigned int checks, failed;
bool verbose;

void report(bool ok, const char *label, const char *fmt, ...)
{
	va_list ap;

	checks++;
	failed += !ok;
	printf("  %-5s %-17s ", ok ? "ok" : "FAIL", label);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

void die(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	fputs("guest_memfd_vmm: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (errno %d: %s)\n", err, strerror(err));
	exit(1);
}

/*
 * Memory: slots, attributes, holes.
 */
void *map_shared_side(__u64 size)
{
	void *addr = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (addr == MAP_FAILED)
		die("mmap of %llu bytes", size);
	return addr;
}

int create_gmem(struct vm *vm, __u64 size)
{
	struct kvm_create_guest_memfd args = { .size = size };
	int fd = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &args);

	if (fd < 0)
		die("KVM_CREATE_GUEST_MEMFD");
	return fd;
}

/* A negative @gmem is a slot without a file. */
void set_slot(struct vm *vm, unsigned int slot, __u64 gpa,
	      __u64 size, void *shared_side, int gmem)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = gmem < 0 ? 0 : KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (unsigned long)shared_side,
		.guest_memfd = gmem < 0 ? 0 : gmem,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &region))
		die("KVM_SET_USER_MEMORY_REGION2 of slot %u", slot);
	report(true, "slot", "%u: %#llx, %llu KiB, %s", slot, gpa, size / KIB,
	       gmem < 0 ? "no file" : "file bound");
}

void set_private(struct vm *vm, __u64 gpa, __u64 size, bool priv)
{
	struct kvm_memory_attributes attrs = {
		.address = gpa,
		.size = size,
		.attributes = priv ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	if (ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &attrs))
		die("KVM_SET_MEMORY_ATTRIBUTES of %#llx", gpa);
	report(true, "attributes", "%#llx, %llu KiB, %s", gpa, size / KIB,
	       priv ? "private" : "shared");
}

void punch(struct vm *vm, __u64 gpa, __u64 size)
{
	if (fallocate(vm->gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      gpa - RAM_GPA, size))
		die("fallocate(PUNCH_HOLE) at %#llx", gpa);
}

__u8 *shared_side(struct vm *vm, __u64 gpa)
{
	return gpa >= RAM_GPA ? vm->ram + (gpa - RAM_GPA) :
				vm->boot + (gpa - BOOT_GPA);
}

/*
 * The vCPU.
 */
struct msg get_msg(struct vm *vm)
{
	struct kvm_regs regs;

	if (ioctl(vm->vcpu, KVM_GET_REGS, &regs))
		die("KVM_GET_REGS");
	if (verbose)
		printf("        exit %-2u rip %#llx eax %#x ebx %#x\n",
		       vm->run->exit_reason, regs.rip,
		       (__u32)regs.rax, (__u32)regs.rbx);
	return (struct msg){ regs.rax, regs.rbx, regs.rip };
}

/* Run the guest up to its next message, which must be @port. */
struct msg run_to(struct vm *vm, unsigned int port)
{
	struct kvm_run *run = vm->run;
	int ret;

	errno = 0;
	ret = ioctl(vm->vcpu, KVM_RUN, NULL);
	if (ret || run->exit_reason != KVM_EXIT_IO ||
	    run->io.direction != KVM_EXIT_IO_OUT || run->io.port != port)
		die("waited for message %#x: KVM_RUN %d, exit %u, rip %#x",
		    port, ret, run->exit_reason, get_msg(vm).rip);
	return get_msg(vm);
}

/* Run the guest up to a private access that KVM cannot serve. */
void run_to_fault(struct vm *vm, __u64 gpa)
{
	struct kvm_run *run = vm->run;
	int ret, err;

	errno = 0;
	ret = ioctl(vm->vcpu, KVM_RUN, NULL);
	err = errno;
	if (run->exit_reason != KVM_EXIT_MEMORY_FAULT)
		die("waited for a memory fault: KVM_RUN %d, exit %u, rip %#x",
		    ret, run->exit_reason, get_msg(vm).rip);
	report(ret == -1 && err == EFAULT && run->memory_fault.gpa == gpa &&
	       run->memory_fault.size == PAGE &&
	       run->memory_fault.flags == KVM_MEMORY_EXIT_FLAG_PRIVATE,
	       "memory fault", "%s, gpa %#llx, size %#llx, flags %#llx",
	       strerrorname_np(err), run->memory_fault.gpa,
	       run->memory_fault.size, run->memory_fault.flags);
}

/* Flat 32-bit protected mode, so that the guest need not touch CR0. */
void set_up_vcpu(struct vm *vm)
{
	__u64 payload = guest_payload - guest_image;
	struct kvm_segment data = {
		.limit = ~0U, .selector = 0x10, .type = 3, .present = 1,
		.db = 1, .s = 1, .g = 1,
	};
	struct kvm_regs regs = {
		.rip = BOOT_GPA,
		.rflags = 2,
		.rsi = BOOT_GPA + payload,
		.rdi = RAM_GPA,
		.rbx = (guest_image_end - guest_payload + PAGE - 1) / PAGE,
		.rbp = vm->ram_size,
	};
	struct kvm_sregs sregs;

	if (ioctl(vm->vcpu, KVM_GET_SREGS, &sregs))
		die("KVM_GET_SREGS");
	sregs.ds = data;
	sregs.es = data;
	sregs.ss = data;
	sregs.cs = data;
	sregs.cs.selector = 0x08;
	sregs.cs.type = 0xb;
	sregs.cr0 = 0x11;	/* PE, ET */
	if (ioctl(vm->vcpu, KVM_SET_SREGS, &sregs))
		die("KVM_SET_SREGS");
	if (ioctl(vm->vcpu, KVM_SET_REGS, &regs))
		die("KVM_SET_REGS");
}
