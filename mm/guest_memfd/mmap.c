// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: mappings by host userspace.
 *
 * Any file that is mappable can be mapped, MAP_SHARED only.  Whether its memory
 * can be touched is decided page by page at each fault: the page has to be
 * shared, and inside of the file.  A fault is the only way for a page to get
 * into a page table of the host (there is no map_pages operation), so the check
 * is in one place.
 *
 * A fault returns with the folio locked, but without invalidate_lock: what it
 * was allowed to map can be taken away before it is in the page table.  So code
 * that takes memory away unmaps twice: the whole range first, which is cheap, and
 * then, under its lock, each folio that was mapped since.
 *
 *	CPU 0: fault				CPU 1: a hole is punched
 *
 *	invalidate_lock (read)
 *	  look up or allocate
 *	  lock the folio
 *	unlock
 *						invalidate_lock (write)
 *						  unmap the range
 *	finish_fault(): set the PTE
 *	unlock the folio
 *						  lock the folio
 *						  it is mapped: unmap
 *						  remove it
 *						unlock
 */

#include <linux/file.h>
#include <linux/mm.h>

#include "gup.h"
#include "internal.h"
#include "lost.h"
#include "marks.h"
#include "state.h"

static bool gmem_host_may_access(struct inode *inode, pgoff_t index)
{
	gmem_assert_locked(inode);

	if (index >= i_size_read(inode) >> PAGE_SHIFT)
		return false;
	if (gmem_is_convertible(inode))
		return gmem_is_shared(inode, index);
	return gmem_all_shared(inode);
}

static vm_fault_t gmem_fault_locked(struct vm_fault *vmf, struct inode *inode,
				    struct gmem_room *room)
{
	struct folio *folio;

	gmem_assert_locked(inode);

	if (!gmem_host_may_access(inode, vmf->pgoff))
		return VM_FAULT_SIGBUS;

	folio = gmem_get_folio(inode, vmf->pgoff, room);
	if (folio == ERR_PTR(-EHWPOISON))
		return VM_FAULT_HWPOISON;
	if (IS_ERR(folio))
		return vmf_error(PTR_ERR(folio));

	/* It stays in the file: removal needs invalidate_lock for write. */
	folio_lock(folio);
	if (gmem_is_bad(folio_file_page(folio, vmf->pgoff))) {
		folio_unlock(folio);
		folio_put(folio);
		return VM_FAULT_HWPOISON;
	}

	vmf->page = folio_file_page(folio, vmf->pgoff);
	return VM_FAULT_LOCKED;
}

/*
 * A page is pending.  An access in user mode waits and is tried again.  Any other
 * is refused while the conversion waits for users: its caller may have what the
 * conversion is waiting for.  If it is just at work, that can be waited for.
 */
static vm_fault_t gmem_fault_pending(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct inode *inode = file_inode(vma->vm_file);
	bool user = vmf->flags & FAULT_FLAG_USER;
	pgoff_t index = vmf->pgoff;
	struct file *file;

	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY) ||
	    vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_SIGBUS;
	if (!user &&
	    gmem_find_mark(inode, &index, index + 1) == GMEM_MARKED_WAITS)
		return VM_FAULT_SIGBUS;

	/* Without mmap_lock the mapping can go. */
	file = get_file(vma->vm_file);
	mmap_read_unlock(vma->vm_mm);
	if (user)
		gmem_wait_pending(inode, vmf->pgoff);
	else
		gmem_wait_mark(inode, vmf->pgoff, vmf->pgoff + 1);
	fput(file);
	return VM_FAULT_RETRY;
}

static vm_fault_t gmem_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct gmem_room room = {};
	vm_fault_t ret;

	/* What faults many pages in, such as MAP_POPULATE, owes for those before. */
	guest_memfd_throttle();
	do {
		/* A task that is being killed does not see the signal. */
		ret = VM_FAULT_SIGBUS;
		if (gmem_lock_shared_killable(inode))
			break;
		/* Can end at any time, but not begin while the lock is held. */
		if (gmem_is_pending(inode, vmf->pgoff)) {
			filemap_invalidate_unlock_shared(inode->i_mapping);
			ret = gmem_fault_pending(vmf);
			break;
		}
		ret = gmem_fault_locked(vmf, inode, &room);
		filemap_invalidate_unlock_shared(inode->i_mapping);
	} while (ret == VM_FAULT_OOM &&
		 gmem_make_room(inode, vmf->pgoff, &room, -ENOMEM));
	gmem_end_room(&room);
	return ret;
}

static const struct vm_operations_struct gmem_vm_ops = {
	.fault		= gmem_fault,
#ifdef CONFIG_NUMA
	.set_policy	= gmem_set_policy,
	.get_policy	= gmem_get_policy,
#endif
};

/**
 * gmem_mmap - the mmap operation of the file
 * @file:	The file.
 * @vma:	The mapping; it may reach beyond the end of the file.
 *
 * The mount is noexec, so that the caller has dealt with PROT_EXEC.
 *
 * Context: Process context, mmap_lock held for write.
 * Return: 0; -ENODEV if the file is not mappable; -EINVAL for a private
 *	   mapping.
 */
int gmem_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!(GMEM_I(file_inode(file))->flags & GUEST_MEMFD_MAPPABLE))
		return -ENODEV;
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;

	/* Pairs with READ_ONCE() in gmem_was_mapped(). */
	WRITE_ONCE(GMEM_I(file_inode(file))->was_mapped, true);
	vma->vm_flags |= VM_DONTDUMP;
	vma->vm_ops = &gmem_vm_ops;
	return 0;
}

/**
 * vma_is_guest_memfd - whether a mapping is one of a guest_memfd
 * @vma:	Any mapping.
 *
 * Context: Any, NMI included; mmap_lock held.
 * Return: true if it is.
 */
bool vma_is_guest_memfd(struct vm_area_struct *vma)
{
	return vma->vm_ops == &gmem_vm_ops;
}

/**
 * gmem_unmap - remove a range from the page tables of host userspace
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * A fault that holds the lock of a folio may still map that folio; no other
 * can.  The caller looks again when it has locked the folio itself.
 *
 * Context: Process context, may sleep; invalidate_lock held for write.
 */
void gmem_unmap(struct inode *inode, pgoff_t start, pgoff_t end)
{
	gmem_assert_locked_write(inode);
	/*
	 * In a mapping that comes meanwhile, nothing can be mapped.  There are no
	 * private copies, and entries that mm has made of poisoned pages go, too.
	 */
	if (gmem_was_mapped(inode))
		unmap_mapping_pages(inode->i_mapping, start, end - start, true);
}

/**
 * guest_memfd_vma_is_convertible - whether pages of a mapping can become private
 * @vma:	Any mapping.
 *
 * Context: mmap_lock held.
 * Return: true if they can.
 */
bool guest_memfd_vma_is_convertible(struct vm_area_struct *vma)
{
	return vma->vm_ops == &gmem_vm_ops &&
	       gmem_is_convertible(file_inode(vma->vm_file));
}

/**
 * guest_memfd_folio_is_convertible - whether a folio can become private
 * @folio:	Any folio that has just been seen in a page table.
 *
 * Context: Interrupts off since before that, so that an inode is not freed, even
 *	    if the folio has left it; a reference to @folio.
 * Return: true if it is in a convertible file.
 */
bool guest_memfd_folio_is_convertible(struct folio *folio)
{
	struct address_space *mapping = READ_ONCE(folio->mapping);

	return gmem_owns_mapping(mapping) && gmem_is_convertible(mapping->host);
}
