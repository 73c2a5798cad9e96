// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small VMM that runs a guest in guest_memfd.
 *
 * The VM is a KVM_X86_SW_PROTECTED_VM.  Its memory is a guest_memfd: a file
 * that KVM maps into the guest and that this process can neither map nor read
 * nor write.  Beside the file each slot has a userspace_addr, ordinary memory
 * of this process.  Which of the two a guest access reaches is the VM's
 * attribute of that page: KVM_MEMORY_ATTRIBUTE_PRIVATE is the file, no
 * attribute is the memory at userspace_addr.
 *
 *   guest-physical                  shared side           private side
 *   BOOT_GPA, 64 KiB   slot 0       image, mailbox        -
 *   RAM_GPA,  -m MiB   slot 1       decoy, lent pages     guest_memfd
 *   FAR_GPA,  2 MiB    slot 2       unused                a second guest_memfd
 *
 * The flow:
 *  - how code gets into memory that the VMM cannot write: it puts an image into
 *    slot 0, and the loader at its start copies the payload into private memory
 *    and jumps to it (guest.S);
 *  - the payload makes a secret and tells its digest, the VMM looks for it
 *    (host.c);
 *  - the guest lends a range to the VMM and takes it back: conversion;
 *  - the VMM takes memory away with a hole, and gives memory when KVM exits
 *    with KVM_EXIT_MEMORY_FAULT because a private page has no file;
 *  - memory returns to the system at a hole and at the last close of the file.
 *
 * Guest and VMM go in step: the guest writes its next message to a port and the
 * VMM knows which one must come.  Every line of the output is a check of this
 * run; the exit status is 0 if all held.  What this VM type does not protect:
 * vCPU registers, and memory from the host's kernel.
 *
 *   guest_memfd_vmm [-m MiB] [-v]	-v: every exit with the guest's registers
 *
 * Needs /dev/kvm, CONFIG_KVM_SW_PROTECTED_VM, the TDP MMU and a kernel whose
 * guest_memfd counts its memory in st_blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <linux/kvm.h>

#include "guest.h"
#include "vmm.h"

#define DECOY		0xcc	/* INT3, should the guest ever execute it */

static bool in_page(__u32 rip, __u32 page)
{
	return rip >= page && rip < page + PAGE;
}

static __u64 digest_of(struct msg msg)
{
	return (__u64)msg.b << 32 | msg.a;
}

/*
 * The account, in the order in which the guest goes.
 */
static void create_vm(struct vm *vm)
{
	static const struct {
		const char *name;
		int number, expected;
	} caps[] = {
		{ "USER_MEMORY2", KVM_CAP_USER_MEMORY2, 1 },
		{ "GUEST_MEMFD", KVM_CAP_GUEST_MEMFD, 1 },
		{ "MEMORY_FAULT_INFO", KVM_CAP_MEMORY_FAULT_INFO, 1 },
		{ "MEMORY_ATTRIBUTES", KVM_CAP_MEMORY_ATTRIBUTES,
		  KVM_MEMORY_ATTRIBUTE_PRIVATE },
	};
	struct utsname uts;
	unsigned int i;
	int types, ret;

	uname(&uts);
	printf("a VM on Linux %s\n", uts.release);
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		die("/dev/kvm");
	types = ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);
	report(types > 0 && types & 1 << KVM_X86_SW_PROTECTED_VM, "VM types",
	       "%#x, bit %u is wanted", types, KVM_X86_SW_PROTECTED_VM);
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	if (vm->fd < 0)
		die("KVM_CREATE_VM of KVM_X86_SW_PROTECTED_VM");
	for (i = 0; i < sizeof(caps) / sizeof(*caps); i++) {
		ret = ioctl(vm->fd, KVM_CHECK_EXTENSION, caps[i].number);
		report(ret == caps[i].expected, "capability", "%s %#x",
		       caps[i].name, ret);
	}
}

static void create_vcpu(struct vm *vm)
{
	int size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	vm->vcpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu < 0)
		die("KVM_CREATE_VCPU");
	vm->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		die("mmap of the vCPU");
	set_up_vcpu(vm);
}

static void create_memory(struct vm *vm)
{
	struct stat st;

	vm->gmem = create_gmem(vm, vm->ram_size);
	if (fstat(vm->gmem, &st))
		die("fstat of the guest_memfd");
	report((__u64)st.st_size == vm->ram_size && !st.st_blocks,
	       "guest_memfd", "%llu MiB, %ld blocks allocated",
	       st.st_size / MIB, st.st_blocks);

	vm->boot = map_shared_side(BOOT_SIZE);
	vm->ram = map_shared_side(vm->ram_size);
	memcpy(vm->boot, guest_image, guest_image_end - guest_image);
	memset(vm->ram, DECOY, DECOY_SIZE);
	set_slot(vm, 0, BOOT_GPA, BOOT_SIZE, vm->boot, -1);
	set_slot(vm, 1, RAM_GPA, vm->ram_size, vm->ram, vm->gmem);
	set_private(vm, RAM_GPA, vm->ram_size, true);
	set_private(vm, FAR_GPA, FAR_SIZE, true);
	set_private(vm, STRAY_GPA, PAGE, true);
}

static bool decoy_intact(struct vm *vm)
{
	size_t i;

	for (i = 0; i < DECOY_SIZE; i++)
		if (vm->ram[i] != DECOY)
			return false;
	return true;
}

static void start(struct vm *vm)
{
	struct msg msg;

	printf("code in private memory\n");
	msg = run_to(vm, MSG_LOADED);
	report(in_page(msg.rip, BOOT_GPA), "loader",
	       "rip %#x, shared; copied %u bytes to %#x", msg.rip, msg.a,
	       RAM_GPA);
	msg = run_to(vm, MSG_RUNNING);
	report(in_page(msg.rip, RAM_GPA) && in_page(msg.a, RAM_GPA), "payload",
	       "rip %#x, private; it sees itself at %#x", msg.rip, msg.a);
	report(file_bytes(vm->gmem) > 0, "guest_memfd", "%llu KiB allocated",
	       file_bytes(vm->gmem) / KIB);
	report(decoy_intact(vm), "shared side",
	       "%llu KiB at the same address hold only the VMM's 0x%02x",
	       DECOY_SIZE / KIB, DECOY);
}

static __u64 look_for_secret(struct vm *vm)
{
	__u64 secret, marker, again;
	struct msg msg;

	printf("a secret\n");
	msg = run_to(vm, MSG_SECRET);
	secret = digest_of(msg);
	report(in_page(msg.rip, RAM_GPA), "guest",
	       "drew 32 bytes at %#x, digest %016llx", SECRET_GPA,
	       secret);
	marker = digest_of(run_to(vm, MSG_MARKER));
	report(digest((__u32 *)shared_side(vm, MAILBOX_GPA)) == marker,
	       "guest", "and 32 at %#x, shared, digest %016llx", MAILBOX_GPA,
	       marker);

	printf("what the VMM can do about it\n");
	try_file(vm->gmem);
	try_maps(vm->gmem);
	try_address(shared_side(vm, SECRET_GPA), DECOY);
	scan_process("scan for secret", secret, 0);
	scan_process("scan for marker", marker, 1);
	again = digest_of(run_to(vm, MSG_SECRET));
	report(again == secret && decoy_intact(vm), "guest",
	       "reads its secret again, digest %016llx",
	       again);
	return secret;
}

static void convert(struct vm *vm, unsigned int port)
{
	struct msg msg = run_to(vm, port);

	report(msg.a == LEND_GPA && msg.b == LEND_SIZE, "guest asks",
	       "make %#x, %u KiB, %s", msg.a, msg.b / 1024,
	       port == MSG_SHARE ? "shared" : "private");
	set_private(vm, LEND_GPA, LEND_SIZE, port == MSG_UNSHARE);
}

/* The guest's range is shared from MSG_SHARE to MSG_UNSHARE. */
static void lend(struct vm *vm, __u64 secret, bool hole)
{
	const unsigned int words = LEND_SIZE / sizeof(__u32);
	static const char hello[] = "hello from private memory";
	struct msg msg;
	char text[64] = {};

	printf("conversion to shared and back, %s\n", hole ?
	       "the private page thrown away meanwhile" : "nothing punched");
	convert(vm, MSG_SHARE);
	msg = run_to(vm, MSG_GREETING);
	/* What a guest says about its memory is to be checked, as always. */
	if (msg.b >= sizeof(text) || msg.a < LEND_GPA ||
	    msg.a - LEND_GPA > LEND_SIZE - sizeof(text))
		die("greeting of %u bytes at %#x", msg.b, msg.a);
	memcpy(text, shared_side(vm, msg.a), msg.b);
	report(!strcmp(text, hello), "VMM reads", "\"%s\"", text);
	if (!hole)
		scan_process("scan for secret", secret, 1);
	else
		punch(vm, LEND_GPA, LEND_SIZE);
	convert(vm, MSG_UNSHARE);
	/* As a VMM does: the shared side has served its purpose. */
	if (madvise(shared_side(vm, LEND_GPA), LEND_SIZE, MADV_DONTNEED))
		die("madvise(MADV_DONTNEED)");

	msg = run_to(vm, MSG_COUNTED);
	report(hole ? msg.b == words : msg.a == words, "guest finds",
	       "of %u words %u as it left them, %u zero", words, msg.a, msg.b);
	if (!hole)
		scan_process("scan for secret", secret, 0);
}

static void punch_private(struct vm *vm)
{
	const unsigned int words = HOLE_SIZE / sizeof(__u32);
	const unsigned int around = 2 * PAGE / sizeof(__u32);
	__u64 before, after;
	struct msg msg;

	printf("a hole in private memory\n");
	run_to(vm, MSG_FILLED);
	before = file_bytes(vm->gmem);
	punch(vm, HOLE_GPA, HOLE_SIZE);
	after = file_bytes(vm->gmem);
	report(before - after == HOLE_SIZE, "guest_memfd",
	       "%llu KiB allocated, %llu after a hole of %llu",
	       before / KIB,
	       after / KIB, HOLE_SIZE / KIB);
	msg = run_to(vm, MSG_COUNTED);
	report(msg.a == around && msg.b == words, "guest finds",
	       "%u words zero, %u around them as it left them", msg.b,
	       msg.a);
}

static void answer_faults(struct vm *vm)
{
	struct msg msg;
	int gmem;

	printf("private pages without a file\n");
	run_to_fault(vm, FAR_GPA);
	gmem = create_gmem(vm, FAR_SIZE);
	set_slot(vm, 2, FAR_GPA, FAR_SIZE, map_shared_side(FAR_SIZE), gmem);
	msg = run_to(vm, MSG_WROTE);
	report(msg.a == FAR_GPA && file_bytes(gmem) > 0, "guest",
	       "wrote and read %#x, %llu KiB allocated", msg.a,
	       file_bytes(gmem) / KIB);

	run_to_fault(vm, STRAY_GPA);
	set_private(vm, STRAY_GPA, PAGE, false);
	msg = run_to(vm, MSG_WROTE);
	report(msg.a == STRAY_GPA &&
	       *(__u32 *)shared_side(vm, STRAY_GPA) == STRAY_GPA,
	       "guest", "wrote and read %#x, VMM reads %#x", msg.a,
	       *(__u32 *)shared_side(vm, STRAY_GPA));
	close(gmem);
}

static void report_free(struct vm *vm, const char *when, __u64 before,
			long long expected)
{
	long long slack = vm->ram_size / 16;
	long long change = mem_free() - before;

	report(llabs(change - expected) <= slack, when,
	       "free memory %+lld KiB (expected %+lld +-%lld)",
	       change / 1024, expected / 1024, slack / 1024);
}

static void give_back(struct vm *vm, __u64 secret)
{
	long long size = vm->ram_size, half = size / 2;
	long long start = file_bytes(vm->gmem);
	__u64 before = mem_free();
	struct msg msg;

	printf("memory taken and returned\n");
	msg = run_to(vm, MSG_POPULATED);
	report(msg.a == size / PAGE && file_bytes(vm->gmem) == vm->ram_size,
	       "guest touched", "%u pages; %llu KiB allocated, %lld before",
	       msg.a, file_bytes(vm->gmem) / KIB, start / 1024);
	report_free(vm, "", before, start - size);

	punch(vm, RAM_GPA + half, half);
	report(file_bytes(vm->gmem) == vm->ram_size - half, "VMM punched",
	       "%lld KiB; %llu KiB allocated", half / 1024,
	       file_bytes(vm->gmem) / KIB);
	report_free(vm, "", before, start - size + half);
	msg = run_to(vm, MSG_SECRET);
	report(digest_of(msg) == secret, "guest",
	       "reads its secret, digest %016llx", digest_of(msg));

	/* The binding holds no reference: this is the end of the memory. */
	close(vm->gmem);
	report_free(vm, "VMM closed", before, start);
	run_to_fault(vm, RAM_GPA);
	msg = get_msg(vm);
	report(in_page(msg.rip, RAM_GPA), "guest",
	       "stopped at rip %#x, its code is gone", msg.rip);
}

int main(int argc, char **argv)
{
	struct vm vm = { .ram_size = 64 * MIB };
	__u64 secret;
	int opt;

	while ((opt = getopt(argc, argv, "m:v")) != -1) {
		switch (opt) {
		case 'm':
			vm.ram_size = strtoul(optarg, NULL, 0) * MIB;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			vm.ram_size = 0;
		}
	}
	if (vm.ram_size < 16 * MIB || vm.ram_size > FAR_GPA - RAM_GPA ||
	    optind != argc) {
		fprintf(stderr, "usage: %s [-m MiB (16..1008)] [-v]\n", argv[0]);
		return 2;
	}
	/* A guest that hangs shall not hang the caller of this. */
	alarm(300);

	create_vm(&vm);
	create_memory(&vm);
	create_vcpu(&vm);
	start(&vm);
	secret = look_for_secret(&vm);
	lend(&vm, secret, false);
	lend(&vm, secret, true);
	punch_private(&vm);
	answer_faults(&vm);
	give_back(&vm, secret);
	printf("account: %u checks, %u failed\n", checks, failed);
	return failed ? 1 : 0;
}
