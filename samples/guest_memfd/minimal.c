// SPDX-License-Identifier: GPL-2.0-only
/* The smallest VMM whose guest has a page of memory that the VMM cannot read. */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define IOCTL(fd, request, arg) must(ioctl(fd, request, arg), #request)

enum { CODE = 0x1000, SECRET = 0x3000, SIZE = 0x4000 };

/* mov byte [SECRET], 42; mov al, [SECRET]; out 0x10, al; hlt */
static const __u8 code[] = {
	0xc6, 0x06, 0x00, 0x30, 42, 0xa0, 0x00, 0x30, 0xe6, 0x10, 0xf4,
};

static int must(int ret, const char *what)
{
	if (ret < 0)
		err(1, "%s", what);
	return ret;
}

int main(void)
{
	int kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	int vm = IOCTL(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	__u8 *shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_create_guest_memfd file = { .size = SIZE };
	struct kvm_userspace_memory_region2 slot = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.memory_size = SIZE,
		.userspace_addr = (uintptr_t)shared,
		.guest_memfd = IOCTL(vm, KVM_CREATE_GUEST_MEMFD, &file),
	};
	struct kvm_memory_attributes secret = {
		.address = SECRET,
		.size = 0x1000,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *run;
	int vcpu;

	IOCTL(vm, KVM_SET_USER_MEMORY_REGION2, &slot);
	IOCTL(vm, KVM_SET_MEMORY_ATTRIBUTES, &secret);
	memcpy(shared + CODE, code, sizeof(code));

	vcpu = IOCTL(vm, KVM_CREATE_VCPU, 0);
	run = mmap(NULL, IOCTL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
		   PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	IOCTL(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	IOCTL(vcpu, KVM_SET_SREGS, &sregs);
	IOCTL(vcpu, KVM_SET_REGS, &regs);

	/* EFAULT with KVM_EXIT_MEMORY_FAULT would name memory that is missing. */
	IOCTL(vcpu, KVM_RUN, 0);
	if (run->exit_reason != KVM_EXIT_IO)
		errx(1, "exit reason %u", run->exit_reason);
	printf("the guest reads %u, the VMM %u\n",
	       *((__u8 *)run + run->io.data_offset), shared[SECRET]);
	return shared[SECRET] || *((__u8 *)run + run->io.data_offset) != 42;
}
