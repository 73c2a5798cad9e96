// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for tests of guest_memfd files that the host maps.
 *
 * See guest_memfd_map.h for what each function does.
 */
#include <linux/compiler.h>
#include <setjmp.h>
#include <signal.h>

#include "guest_memfd_map.h"

void __gmem_map_setup(struct gmem_map *m, unsigned long vm_type, u64 size,
		      u64 flags)
{
	m->vm = vm_create_barebones_type(vm_type);
	m->size = size;
	m->fd = vm_create_guest_memfd(m->vm, size, flags);
	m->mem = gmem_mmap(m->fd, size, 0);
}

void gmem_map_setup(struct gmem_map *m, u64 size)
{
	__gmem_map_setup(m, KVM_X86_DEFAULT_VM, size, GMEM_SHARED_FLAGS);
}

void gmem_map_teardown(struct gmem_map *m)
{
	struct gmem_state state;

	gmem_state_get(m->fd, &state);
	ASSERT_EQ(state.size, m->size);
	gmem_punch_hole(m->fd, 0, m->size);
	ASSERT_EQ(gmem_allocated(m->fd), 0ULL);
	gmem_allocate(m->fd, 0, GMEM_PAGE_SIZE);
	TEST_ASSERT(!munmap(m->mem, m->size), "munmap() failed, errno %d",
		    errno);
	TEST_ASSERT(!close(m->fd), "close() failed, errno %d", errno);
	kvm_vm_free(m->vm);
}

char *gmem_mmap(int fd, u64 size, u64 offset)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 offset);

	TEST_ASSERT(mem != MAP_FAILED,
		    "mmap(size 0x%lx, offset 0x%lx) failed, errno %d", size,
		    offset, errno);
	return mem;
}

char *gmem_mmap_aligned(int fd, u64 size)
{
	char *hva = gmem_alloc_hva(0, size);
	char *mem = mmap(hva, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0);

	TEST_ASSERT(mem == hva, "mmap(MAP_FIXED) failed, errno %d", errno);
	return mem;
}

int gmem_vm_to_file(struct kvm_vm *vm)
{
	struct userspace_mem_region *region = memslot2region(vm, 0);
	u64 size = region->region.memory_size;
	u64 gpa = region->region.guest_phys_addr;
	int fd = vm_create_guest_memfd(vm, size, GMEM_SHARED_FLAGS);
	void *mem = gmem_mmap(fd, size, 0);

	memcpy(mem, region->host_mem, size);
	munmap(mem, size);

	vm_set_user_memory_region2(vm, 0, 0, gpa, 0, NULL, -1, 0);
	mem = mmap(region->host_mem, size, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_FIXED, fd, 0);
	TEST_ASSERT(mem == region->host_mem, "mmap(MAP_FIXED) failed, errno %d",
		    errno);
	vm_set_user_memory_region2(vm, 0, KVM_MEM_GUEST_MEMFD, gpa, size, NULL,
				   fd, 0);
	return fd;
}

void gmem_fill(void *mem, u64 offset, u64 size, u64 tag)
{
	u64 i;

	for (i = 0; i < size; i += sizeof(u64))
		WRITE_ONCE(*(u64 *)(mem + i), gmem_pattern(offset + i, tag));
}

void gmem_check(const void *mem, u64 offset, u64 size, u64 tag)
{
	u64 i, val, want;

	for (i = 0; i < size; i += sizeof(u64)) {
		val = READ_ONCE(*(u64 *)(mem + i));
		want = gmem_pattern(offset + i, tag);
		TEST_ASSERT(val == want,
			    "0x%lx at offset 0x%lx, wanted 0x%lx (tag %lu)",
			    val, offset + i, want, tag);
	}
}

void gmem_check_zero(const void *mem, u64 size)
{
	u64 i, val;

	for (i = 0; i < size; i += sizeof(u64)) {
		val = READ_ONCE(*(u64 *)(mem + i));
		TEST_ASSERT(!val, "0x%lx at 0x%lx of 0x%lx, wanted 0", val, i,
			    size);
	}
}

static __thread sigjmp_buf gmem_touch_env;
static __thread siginfo_t gmem_touch_info;

static void gmem_touch_handler(int sig, siginfo_t *info, void *ctx)
{
	gmem_touch_info = *info;
	siglongjmp(gmem_touch_env, sig);
}

int gmem_touch(void *addr, bool write)
{
	struct sigaction old_bus, old_segv, action = {
		.sa_sigaction = gmem_touch_handler,
		.sa_flags = SA_SIGINFO,
	};
	char *p = addr;
	int sig;

	sigaction(SIGBUS, &action, &old_bus);
	sigaction(SIGSEGV, &action, &old_segv);
	sig = sigsetjmp(gmem_touch_env, 1);
	if (!sig) {
		if (write)
			WRITE_ONCE(*p, 0x5a);
		else
			(void)READ_ONCE(*p);
	}
	sigaction(SIGBUS, &old_bus, NULL);
	sigaction(SIGSEGV, &old_segv, NULL);
	return sig;
}

int gmem_touch_code(void)
{
	return gmem_touch_info.si_code;
}

void gmem_assert_sigbus(void *addr)
{
	int write, sig;

	for (write = 0; write < 2; write++) {
		sig = gmem_touch(addr, write);
		TEST_ASSERT(sig == SIGBUS, "%s %p: signal %d, wanted SIGBUS",
			    write ? "writing" : "reading", addr, sig);
		ASSERT_EQ(gmem_touch_code(), BUS_ADRERR);
	}
}

u64 gmem_pagemap(const void *addr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	u64 entry;

	TEST_ASSERT(fd >= 0, "no pagemap, errno %d", errno);
	TEST_ASSERT(pread(fd, &entry, sizeof(entry),
			  (uintptr_t)addr / GMEM_PAGE_SIZE * sizeof(entry)) ==
		    sizeof(entry), "cannot read pagemap, errno %d", errno);
	close(fd);
	return entry;
}
