// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's own accesses to guest memory that is in a guest_memfd.
 *
 * The emulator, walks of guest page tables, paravirtual clocks and the like
 * usually go through userspace_addr.  Where kvm_gfn_in_gmem() says that a gfn's
 * memory is in the slot's file, they come here: because the slot has no other
 * memory, or because the gfn is private in a VM whose private memory KVM itself
 * can access.  The contexts they come from allow three ways to reach a page:
 *
 *  - Able to sleep: under the file's invalidate_lock.  Reading a hole gives
 *    zeros, writing to one allocates.  All copies are from and to kernel
 *    memory: user memory must not be touched under that lock.
 *  - Under mmu_lock: look up, never wait.  A page that an invalidation has not
 *    declared by now cannot leave the file, as kvm_gmem_invalidate_start()
 *    takes mmu_lock for write before that.  A page that has been declared, that
 *    is not there, or whose reference count is frozen is an error; callers start
 *    again in the page fault, where they can sleep.
 *  - In the scheduler: as before, with mmu_lock taken by trylock.  The file
 *    keeps its reference for as long as mmu_lock is held, so that the put here
 *    is never the last one and frees nothing.
 *
 * All callers are in a read-side section of kvm->srcu (or hold slots_lock),
 * which keeps slot, binding and file.  Errors become -EFAULT, which is what a
 * failing access by userspace_addr gives; a read also says that a page is lost.
 * A private gfn of a slot without a
 * file has no memory, and that is an error as well.
 *
 * Sizes of 1, 2, 4 and 8 bytes, aligned on both sides, are one load or store:
 * guest page tables change under the walker, and the guest's other vCPUs must
 * not see half of an emulated store.
 */

#include <linux/guest_memfd.h>
#include <linux/highmem.h>
#include <linux/kvm_host.h>

#include "guest_memfd.h"
#include "kvm_mm.h"

static int kvm_gmem_map(const struct kvm_memory_slot *slot, gfn_t gfn,
			int offset, int len, bool create,
			struct guest_memfd_map *map)
{
	struct guest_memfd_binding *binding;
	struct guest_memfd_range range;
	pgoff_t index;
	int r;

	/* Not even a wrong length reaches the kernel's memory behind the page. */
	if (offset < 0 || len < 0 || offset + len > PAGE_SIZE)
		return -EFAULT;
	if (!kvm_slot_has_gmem(slot))
		return -EFAULT;

	binding = kvm_gmem_slot_binding(slot);
	index = kvm_gmem_get_index(slot, gfn);
	r = guest_memfd_map_page(binding, index, NULL, map);
	if (r != -ENOENT || !create)
		return r;

	range = kvm_gmem_attributes_range(kvm_gmem_slot_kvm(slot), slot, gfn);
	return guest_memfd_map_page(binding, index, &range, map);
}

/* One side is the guest's; which one does not matter. */
static void kvm_gmem_copy(void *dst, const void *src, int len)
{
	unsigned long addrs = (unsigned long)dst | (unsigned long)src;

	if (len == 8 && IS_ALIGNED(addrs, 8))
		WRITE_ONCE(*(u64 *)dst, READ_ONCE(*(u64 *)src));
	else if (len == 4 && IS_ALIGNED(addrs, 4))
		WRITE_ONCE(*(u32 *)dst, READ_ONCE(*(u32 *)src));
	else if (len == 2 && IS_ALIGNED(addrs, 2))
		WRITE_ONCE(*(u16 *)dst, READ_ONCE(*(u16 *)src));
	else if (len == 1)
		WRITE_ONCE(*(u8 *)dst, READ_ONCE(*(u8 *)src));
	else
		memcpy(dst, src, len);
}

/* That a page is lost is worth telling; all else is memory that is not there. */
static int kvm_gmem_access_error(int r)
{
	return r == -EHWPOISON ? r : -EFAULT;
}

/**
 * kvm_gmem_read - read guest memory from the slot's file
 * @slot:	the slot
 * @gfn:	the gfn; kvm_gfn_in_gmem() is true for it
 * @data:	kernel memory to read into
 * @offset:	where in the page to begin
 * @len:	how much; not beyond the end of the page
 *
 * Context: Process context, within kvm->srcu; may sleep.
 * Return: 0, -EFAULT or -EHWPOISON
 */
int kvm_gmem_read(const struct kvm_memory_slot *slot, gfn_t gfn, void *data,
		  int offset, int len)
{
	struct guest_memfd_map map;
	int r;

	r = kvm_gmem_map(slot, gfn, offset, len, false, &map);
	if (r == -ENOENT) {
		memset(data, 0, len);
		return 0;
	}
	if (r)
		return kvm_gmem_access_error(r);

	kvm_gmem_copy(data, map.addr + offset, len);
	guest_memfd_unmap_page(&map);
	return 0;
}

/**
 * kvm_gmem_read_private - read what is in private memory, if it is
 * @slot:	a slot with a file, of a VM with private memory
 * @gfn:	the gfn
 * @data:	kernel memory to read into
 * @offset:	where in the page to begin
 * @len:	how much; not beyond the end of the page
 *
 * What is read has been written by the guest, or was made private by userspace with
 * its contents.  Userspace cannot write it while it is private; it can make the page
 * shared again, and then the next read fails.
 *
 * Context: Process context, within kvm->srcu; may sleep.
 * Return: 0; -EFAULT if the gfn is shared, or there is no page
 */
int kvm_gmem_read_private(const struct kvm_memory_slot *slot, gfn_t gfn,
			  void *data, int offset, int len)
{
	struct guest_memfd_map map;
	int r = -EFAULT;

	if (kvm_gmem_map(slot, gfn, offset, len, false, &map))
		return -EFAULT;

	/* The lock of the map keeps what the file says. */
	if (kvm_gmem_is_private(kvm_gmem_slot_kvm(slot), slot, gfn)) {
		kvm_gmem_copy(data, map.addr + offset, len);
		r = 0;
	}
	guest_memfd_unmap_page(&map);
	return r;
}

/**
 * kvm_gmem_write - write guest memory in the slot's file
 * @slot:	the slot
 * @gfn:	the gfn; kvm_gfn_in_gmem() is true for it
 * @data:	kernel memory to write from
 * @offset:	where in the page to begin
 * @len:	how much; not beyond the end of the page
 *
 * Context: Process context, within kvm->srcu; may sleep.
 * Return: 0 or -EFAULT
 */
int kvm_gmem_write(const struct kvm_memory_slot *slot, gfn_t gfn,
		   const void *data, int offset, int len)
{
	struct guest_memfd_map map;

	if (kvm_gmem_map(slot, gfn, offset, len, true, &map))
		return -EFAULT;

	kvm_gmem_copy(map.addr + offset, data, len);
	guest_memfd_unmap_page(&map);
	return 0;
}

static bool kvm_gmem_try_cmpxchg(void *addr, void *old, const void *new,
				 int len)
{
	switch (len) {
	case 1:
		return try_cmpxchg((u8 *)addr, (u8 *)old, *(u8 *)new);
	case 2:
		return try_cmpxchg((u16 *)addr, (u16 *)old, *(u16 *)new);
	case 4:
		return try_cmpxchg((u32 *)addr, (u32 *)old, *(u32 *)new);
	default:
		return try_cmpxchg((u64 *)addr, (u64 *)old, *(u64 *)new);
	}
}

/**
 * kvm_gmem_cmpxchg - compare and exchange guest memory in the slot's file
 * @slot:	the slot
 * @gfn:	the gfn; kvm_gfn_in_gmem() is true for it
 * @old:	what should be there; out: what is there, if it is not that
 * @new:	what shall be there
 * @offset:	where in the page
 * @len:	1, 2, 4 or 8
 *
 * Context: Process context, within kvm->srcu; may sleep.
 * Return: 0; 1 if the comparison failed; -EFAULT
 */
int kvm_gmem_cmpxchg(const struct kvm_memory_slot *slot, gfn_t gfn, void *old,
		     const void *new, int offset, int len)
{
	struct guest_memfd_map map;
	bool done;

	if (kvm_gmem_map(slot, gfn, offset, len, true, &map))
		return -EFAULT;

	done = kvm_gmem_try_cmpxchg(map.addr + offset, old, new, len);
	guest_memfd_unmap_page(&map);
	return !done;
}

/**
 * kvm_gmem_xchg8 - exchange a byte of guest memory in the slot's file
 * @slot:	the slot
 * @gfn:	the gfn; kvm_gfn_in_gmem() is true for it
 * @val:	what shall be there; out: what was there
 * @offset:	where in the page
 *
 * Context: Process context, within kvm->srcu; may sleep.
 * Return: 0 or -EFAULT
 */
int kvm_gmem_xchg8(const struct kvm_memory_slot *slot, gfn_t gfn, u8 *val,
		   int offset)
{
	struct guest_memfd_map map;

	if (kvm_gmem_map(slot, gfn, offset, sizeof(*val), true, &map))
		return -EFAULT;

	*val = xchg((u8 *)(map.addr + offset), *val);
	guest_memfd_unmap_page(&map);
	return 0;
}

/* Of a slot that follows attributes.  As kvm_gfn_in_gmem(), which asks it. */
bool kvm_slot_gfn_is_private(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	kvm_assert_slots_stay(slot->attributes_of);
	return kvm_mem_is_private(slot->attributes_of, gfn);
}

/* The same without waiting: 1, 0 or -EAGAIN. */
static int kvm_gmem_try_gfn_in_gmem(const struct kvm_memory_slot *slot,
				    gfn_t gfn)
{
	u64 attributes;

	if (kvm_slot_is_gmem_only(slot))
		return 1;
	if (!kvm_try_get_memory_attributes(slot->attributes_of, gfn,
					   &attributes))
		return -EAGAIN;
	return !!(attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

static int kvm_gmem_try_get(const struct kvm_memory_slot *slot, gfn_t gfn,
			    struct guest_memfd_page *page)
{
	struct kvm *kvm;

	if (!kvm_slot_has_gmem(slot))
		return -EFAULT;

	kvm = kvm_gmem_slot_kvm(slot);
	lockdep_assert_held(&kvm->mmu_lock);
	if (kvm_mmu_is_invalidating(kvm, gfn, KVM_BACKED_BY_FILE))
		return -EAGAIN;

	return guest_memfd_try_get_page(kvm_gmem_slot_binding(slot),
					kvm_gmem_get_index(slot, gfn), page);
}

/**
 * kvm_gmem_read_atomic - read guest memory from the slot's file, if it is there
 * @slot:	the slot
 * @gfn:	the gfn; kvm_gfn_in_gmem() is true for it
 * @data:	kernel memory to read into
 * @offset:	where in the page to begin
 * @len:	how much; not beyond the end of the page
 *
 * Context: mmu_lock held, within kvm->srcu.
 * Return: 0 or -EFAULT
 */
int kvm_gmem_read_atomic(const struct kvm_memory_slot *slot, gfn_t gfn,
			 void *data, int offset, int len)
{
	struct guest_memfd_page page;
	void *addr;

	if (offset < 0 || len < 0 || offset + len > PAGE_SIZE)
		return -EFAULT;
	if (kvm_gmem_try_get(slot, gfn, &page))
		return -EFAULT;

	addr = kmap_local_page(pfn_to_page(page.pfn));
	kvm_gmem_copy(data, addr + offset, len);
	kunmap_local(addr);
	folio_put(page.folio);
	return 0;
}

/**
 * kvm_gmem_write_nowait - write guest memory in the slot's file, or do not
 * @slot:	the slot; kvm_slot_may_use_gmem() is true for it
 * @gfn:	the gfn
 * @data:	kernel memory to write from
 * @offset:	where in the page to begin
 * @len:	how much; not beyond the end of the page
 *
 * Context: Any but NMI, even inside the scheduler; within kvm->srcu.
 * Return: 0; -EAGAIN if the page is not at hand; -ENXIO if the gfn's memory is
 *	   not in the file but at userspace_addr
 */
int kvm_gmem_write_nowait(const struct kvm_memory_slot *slot, gfn_t gfn,
			  const void *data, int offset, int len)
{
	struct guest_memfd_page page;
	struct kvm *kvm;
	void *addr;
	int r;

	r = kvm_gmem_try_gfn_in_gmem(slot, gfn);
	if (r <= 0)
		return r ?: -ENXIO;

	r = -EAGAIN;
	if (!kvm_slot_has_gmem(slot))
		return r;

	kvm = kvm_gmem_slot_kvm(slot);
	if (!KVM_MMU_READ_TRYLOCK(kvm))
		return -EAGAIN;

	if (!kvm_gmem_try_get(slot, gfn, &page)) {
		addr = kmap_local_page(pfn_to_page(page.pfn));
		kvm_gmem_copy(addr + offset, data, len);
		kunmap_local(addr);
		/* Not the last one while mmu_lock is held. */
		folio_put(page.folio);
		r = 0;
	}
	KVM_MMU_READ_UNLOCK(kvm);
	return r;
}

static int kvm_gmem_get_pfn_atomic(const struct kvm_memory_slot *slot,
				   gfn_t gfn, kvm_pfn_t *pfn)
{
	struct guest_memfd_page page;
	int r;

	r = kvm_gmem_try_get(slot, gfn, &page);
	if (!r)
		*pfn = page.pfn;
	return r;
}

static int kvm_gmem_get_pfn_sleeping(struct kvm *kvm,
				     const struct kvm_memory_slot *slot,
				     gfn_t gfn, kvm_pfn_t *pfn)
{
	struct guest_memfd_range range;
	unsigned int order;

	range = kvm_gmem_attributes_range(kvm, slot, gfn);
	return kvm_gmem_get_pfn(kvm, slot, gfn, &range, pfn, &order);
}

/**
 * kvm_gmem_to_pfn - the page of a gfn, as gfn_to_pfn() and friends want it
 * @slot:	the slot
 * @gfn:	the gfn; kvm_gfn_in_gmem() is true for it
 * @atomic:	whether mmu_lock is held
 *
 * Context: Within kvm->srcu; mmu_lock held if @atomic, otherwise may sleep.
 * Return: the pfn, with a reference, or KVM_PFN_ERR_*
 */
kvm_pfn_t kvm_gmem_to_pfn(const struct kvm_memory_slot *slot, gfn_t gfn,
			  bool atomic)
{
	struct kvm *kvm;
	kvm_pfn_t pfn;
	int r;

	if (!kvm_slot_has_gmem(slot))
		return KVM_PFN_ERR_FAULT;

	kvm = kvm_gmem_slot_kvm(slot);
	if (atomic)
		r = kvm_gmem_get_pfn_atomic(slot, gfn, &pfn);
	else
		r = kvm_gmem_get_pfn_sleeping(kvm, slot, gfn, &pfn);

	if (r == -EHWPOISON)
		return KVM_PFN_ERR_HWPOISON;
	return r ? KVM_PFN_ERR_FAULT : pfn;
}
