// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that runs from private memory, see guest_memfd_private.h.
 *
 * Only the guest can put anything into private memory.  So the guest
 * copies all of slot 0, which two more slots show to it for as long as that
 * takes: one has the same memory at userspace_addr, and the other is private
 * and has the file that becomes slot 0's.
 */
#define _GNU_SOURCE /* for memfd_create(2) */
#include <sys/mman.h>

#include "guest_memfd_private.h"

#define SOURCE_SLOT	20
#define SOURCE_GPA	BIT_ULL(35)
#define TARGET_SLOT	21
#define TARGET_GPA	(BIT_ULL(35) + BIT_ULL(30))

/* No instruction, no entry of a page table. */
#define POISON_BYTE	0x06

static u64 guest_copy_size;

static u64 guest_copy(void)
{
	u64 i;

	for (i = 0; i < guest_copy_size; i += sizeof(u64))
		WRITE_ONCE(*(u64 *)(TARGET_GPA + i),
			   READ_ONCE(*(u64 *)(SOURCE_GPA + i)));
	return 0;
}

static u64 *table_at(struct kvm_vm *vm, u64 gpa)
{
	return addr_gpa2hva(vm, gpa & PHYSICAL_PAGE_MASK);
}

static void mark_private(struct private_vm *p, u64 gpa)
{
	gpa &= PHYSICAL_PAGE_MASK;
	if (gpa < p->size)
		p->is_private[gpa / GMEM_PAGE_SIZE] = true;
}

static void mark_tables(struct private_vm *p, u64 table, int level)
{
	u64 *entries = table_at(p->vm, table);
	int i;

	mark_private(p, table);
	for (i = 0; level > 1 && i < 512; i++) {
		/* A table of the data slot is private anyhow. */
		if (entries[i] & PTE_PRESENT_MASK &&
		    (entries[i] & PHYSICAL_PAGE_MASK) < p->size)
			mark_tables(p, entries[i], level - 1);
	}
}

static void mark_gva(struct private_vm *p, u64 gva)
{
	mark_private(p, addr_gva2gpa(p->vm, gva));
}

static void mark_all(struct private_vm *p)
{
	u64 gva;

	mark_tables(p, p->vm->pgd, 4);
	mark_gva(p, p->vm->gdt);
	mark_gva(p, p->vm->tss);
	mark_gva(p, p->vm->idt);
	/* Text has pages of its own; the ELF header's are of no interest. */
	for (gva = (u64)guest_cmd_loop & -GMEM_PAGE_SIZE; gva < (u64)etext;
	     gva += GMEM_PAGE_SIZE)
		mark_gva(p, gva);
	for (gva = (u64)guest_cmd_loop & -GMEM_PAGE_SIZE;
	     gva > (u64)__executable_start + GMEM_PAGE_SIZE;
	     gva -= GMEM_PAGE_SIZE)
		mark_gva(p, gva);
}

/*
 * Have the library and userspace_addr see one memory, so that the latter can
 * be poisoned in places.
 */
static void split_views(struct private_vm *p, void *host_mem)
{
	int fd = memfd_create("shared", MFD_CLOEXEC);
	void *mem;

	TEST_ASSERT(fd >= 0 && !ftruncate(fd, p->size), "memfd, errno %d",
		    errno);
	p->hva = mmap(NULL, p->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TEST_ASSERT(p->hva != MAP_FAILED, "mmap, errno %d", errno);
	memcpy(p->hva, host_mem, p->size);
	mem = mmap(host_mem, p->size, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_FIXED, fd, 0);
	TEST_ASSERT(mem == host_mem, "mmap, errno %d", errno);
	close(fd);
}

static void poison_page(struct private_vm *p, u64 n)
{
	void *want = p->hva + GMEM_PAGES(n);
	void *page = mmap(want, GMEM_PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	TEST_ASSERT(page == want, "mmap, errno %d", errno);
	memset(page, POISON_BYTE, GMEM_PAGE_SIZE);
}

void private_vm_create(struct private_vm *p, u32 nr_vcpus)
{
	u32 i;

	memset(p, 0, sizeof(*p));
	p->vm = guest_vm_create(nr_vcpus, p->vcpus, DATA_SIZE, &p->slot);
	p->vcpu = p->vcpus[0];
	p->size = memslot2region(p->vm, 0)->region.memory_size;

	emul_map(p->vm);
	virt_map(p->vm, SOURCE_GPA, SOURCE_GPA, p->size / GMEM_PAGE_SIZE);
	virt_map(p->vm, TARGET_GPA, TARGET_GPA, p->size / GMEM_PAGE_SIZE);
	vm_init_descriptor_tables(p->vm);
	for (i = 0; i < nr_vcpus; i++)
		vcpu_init_descriptor_tables(p->vcpus[i]);

	host_fill(p->slot.hva, GMEM_DATA_GPA, DATA_SIZE, POISON_TAG);
	vm_mem_set_private(p->vm, GMEM_DATA_GPA, DATA_SIZE);
}

static void copy_to_file(struct private_vm *p)
{
	p->fd = vm_create_guest_memfd(p->vm, p->size, 0);
	vm_set_user_memory_region2(p->vm, SOURCE_SLOT, 0, SOURCE_GPA, p->size,
				   p->hva, -1, 0);
	vm_set_user_memory_region2(p->vm, TARGET_SLOT, KVM_MEM_GUEST_MEMFD,
				   TARGET_GPA, p->size, p->hva, p->fd, 0);
	vm_mem_set_private(p->vm, TARGET_GPA, p->size);

	guest_copy_size = p->size;
	sync_global_to_guest(p->vm, guest_copy_size);
	guest_call(p->vcpu, guest_copy);

	vm_set_user_memory_region2(p->vm, SOURCE_SLOT, 0, SOURCE_GPA, 0, NULL,
				   -1, 0);
	vm_set_user_memory_region2(p->vm, TARGET_SLOT, 0, TARGET_GPA, 0, NULL,
				   -1, 0);
}

void private_vm_lock(struct private_vm *p)
{
	struct userspace_mem_region *region = memslot2region(p->vm, 0);
	u64 gpa = region->region.guest_phys_addr, n;

	TEST_ASSERT(!gpa, "slot 0 at 0x%lx", gpa);
	p->is_private = calloc(p->size / GMEM_PAGE_SIZE, sizeof(bool));
	mark_all(p);

	/* Nothing that has been mapped so far is of use any more. */
	split_views(p, region->host_mem);
	vm_set_user_memory_region2(p->vm, 0, 0, 0, 0, NULL, -1, 0);
	vm_set_user_memory_region2(p->vm, 0, 0, 0, p->size, p->hva, -1, 0);
	copy_to_file(p);

	vm_set_user_memory_region2(p->vm, 0, 0, 0, 0, NULL, -1, 0);
	vm_set_user_memory_region2(p->vm, 0, KVM_MEM_GUEST_MEMFD, 0, p->size,
				   p->hva, p->fd, 0);
	for (n = 0; n < p->size / GMEM_PAGE_SIZE; n++) {
		if (!p->is_private[n])
			continue;
		vm_mem_set_private(p->vm, GMEM_PAGES(n), GMEM_PAGE_SIZE);
		poison_page(p, n);
	}
}

void private_vm_start(struct private_vm *p, u32 nr_vcpus)
{
	private_vm_create(p, nr_vcpus);
	private_vm_lock(p);
}

void private_vm_check(struct private_vm *p)
{
	u64 i;

	for (i = 0; i < p->size; i++) {
		if (p->is_private[i / GMEM_PAGE_SIZE])
			TEST_ASSERT(p->hva[i] == POISON_BYTE,
				    "0x%x written at 0x%lx", p->hva[i], i);
	}
	host_check(p->slot.hva, GMEM_DATA_GPA, DATA_SIZE, POISON_TAG);
}

void private_vm_end(struct private_vm *p)
{
	private_vm_check(p);
	gmem_vm_free(p->vm, &p->slot);
	munmap(p->hva, p->size);
	close(p->fd);
	free(p->is_private);
}

void private_vm_share(struct private_vm *p, u64 gpa, u64 size)
{
	vm_mem_set_shared(p->vm, gpa, size);
}

void private_vm_unshare(struct private_vm *p, u64 gpa, u64 size)
{
	host_fill(private_vm_hva(p, gpa), gpa, size, POISON_TAG);
	vm_mem_set_private(p->vm, gpa, size);
}
