// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM as a client of guest_memfd: private memory of memory slots.
 *
 * KVM_CREATE_GUEST_MEMFD makes a file that belongs to one VM.  A slot that is
 * created with KVM_MEM_GUEST_MEMFD binds a range of it: file page pgoff + n is
 * gfn base_gfn + n.  mm/guest_memfd/ owns the memory and calls back before and
 * after it changes; the callbacks turn that into an invalidation of gfns.
 *
 * References: the file holds the VM, from creation to release.  A slot
 * holds nothing; it has a binding, which the file's release detaches if the
 * file goes first.  So closing the file frees the memory, whether or not slots
 * still name it, and a VM with files is gone when the last of them is.
 *
 * Locks: a binding appears and goes under slots_lock, and inside that under the
 * file's invalidate_lock held for write.  Page faults take the latter for read,
 * within kvm->srcu; after release has detached everything the inode stays until
 * they are over, so that a fault needs no reference to the file.  Release itself
 * does not wait for them.  The callbacks take mmu_lock inside invalidate_lock.
 *
 *	CPU 0: close, last reference		CPU 1: slot is deleted
 *
 *						slots_lock
 *	->release()
 *	  slots_lock (waits, perhaps
 *	  between two pieces)
 *						binding->inode still set:
 *						the inode stays until release
 *						returns, so its lock can be
 *						taken: detach
 *						free slot and binding
 *						unlock
 *	  nothing left to detach
 *	  unlock
 */

#include <linux/file.h>
#include <linux/guest_memfd.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "gmem_convert.h"
#include "gmem_hooks.h"
#include "guest_memfd.h"
#include "kvm_mm.h"

static void kvm_gmem_release(struct file *file, void *priv)
{
	struct kvm *kvm = priv;
	pgoff_t from = 0;
	bool more;

	/* Piece by piece: other slots can change in between. */
	do {
		mutex_lock(&kvm->slots_lock);
		more = guest_memfd_unbind_next(file, &from);
		mutex_unlock(&kvm->slots_lock);
		cond_resched();
	} while (more);
}

static void kvm_gmem_put(void *priv, struct rcu_head *head, rcu_callback_t func)
{
	struct kvm *kvm = priv;

	/* Faults that found a binding attached may still use the inode. */
	if (head)
		call_srcu(&kvm->srcu, head, func);
	/* The last reference to the VM, perhaps: then kvm_gmem_destroy_vm() waits. */
	kvm_put_kvm(kvm);
}

/* A VM that is being destroyed has no vCPU in KVM_RUN: it does not take long. */
void kvm_gmem_destroy_vm(struct kvm *kvm)
{
	srcu_barrier(&kvm->srcu);
}

static struct guest_memfd_client_ops kvm_gmem_client_ops = {
	.name		= "[kvm-gmem]",
	.release	= kvm_gmem_release,
	.put		= kvm_gmem_put,
	.restore	= kvm_gmem_hook(kvm_gmem_hook_restore),
	.moved		= kvm_gmem_hook(kvm_gmem_hook_moved),
	.ioctl		= kvm_gmem_ioctl,
};

/* Files pin @module, which holds the code that they call. */
void kvm_gmem_init(struct module *module)
{
	kvm_gmem_client_ops.owner = module;
}

/* The flags that files of a VM can have; of any VM, if @kvm is NULL. */
u64 kvm_gmem_supported_flags(struct kvm *kvm)
{
	u64 flags = 0;

	if (!kvm || !kvm_arch_has_private_mem(kvm))
		flags |= GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	/* Both sides of the guest's memory in one file; see gmem_convert.c. */
	if (kvm && kvm_arch_has_private_mem(kvm))
		flags |= GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	flags |= GUEST_MEMFD_FLAG_HUGEPAGE;
	flags |= GUEST_MEMFD_FLAG_MOVABLE;
	if (!kvm_gmem_can_move())
		flags &= ~GUEST_MEMFD_FLAG_MOVABLE;
	return flags;
}

static unsigned long kvm_gmem_file_flags(struct kvm *kvm, u64 flags)
{
	unsigned long file_flags = 0;

	if (flags & GUEST_MEMFD_FLAG_MMAP)
		file_flags |= GUEST_MEMFD_MAPPABLE;
	if (flags & GUEST_MEMFD_FLAG_MMAP && kvm_arch_has_private_mem(kvm))
		file_flags |= GUEST_MEMFD_CONVERTIBLE;
	if (flags & GUEST_MEMFD_FLAG_INIT_SHARED)
		file_flags |= GUEST_MEMFD_SHARED;
	if (flags & GUEST_MEMFD_FLAG_HUGEPAGE)
		file_flags |= GUEST_MEMFD_HUGEPAGE;
	if (flags & GUEST_MEMFD_FLAG_MOVABLE)
		file_flags |= GUEST_MEMFD_MOVABLE;
	if (kvm_arch_has_private_mem(kvm) && kvm_gmem_hook_relocates())
		file_flags |= GUEST_MEMFD_RELOCATE;
	return file_flags;
}

static int kvm_gmem_create(struct kvm *kvm,
			   const struct kvm_create_guest_memfd *args)
{
	struct file *file;
	int fd;

	if (args->flags & ~kvm_gmem_supported_flags(kvm))
		return -EINVAL;
	if (memchr_inv(args->reserved, 0, sizeof(args->reserved)))
		return -EINVAL;

	fd = get_unused_fd_flags(0);
	if (fd < 0)
		return fd;

	kvm_get_kvm(kvm);
	file = guest_memfd_create(&kvm_gmem_client_ops, kvm, args->size,
				  kvm_gmem_file_flags(kvm, args->flags));
	if (IS_ERR(file)) {
		kvm_put_kvm_no_destroy(kvm);
		put_unused_fd(fd);
		return PTR_ERR(file);
	}

	fd_install(fd, file);
	return fd;
}

/* KVM_CREATE_GUEST_MEMFD: returns a file descriptor. */
int kvm_vm_ioctl_create_guest_memfd(struct kvm *kvm,
				    const struct kvm_create_guest_memfd __user *argp)
{
	struct kvm_create_guest_memfd args;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	return kvm_gmem_create(kvm, &args);
}

static gfn_t kvm_gmem_index_to_gfn(struct kvm_gmem_binding *binding,
				   pgoff_t index)
{
	return binding->slot->base_gfn + index - binding->base.node.start;
}

static void kvm_gmem_invalidate_start(struct guest_memfd_binding *base,
				      pgoff_t start, pgoff_t end)
{
	struct kvm_gmem_binding *b = container_of(base, typeof(*b), base);
	struct kvm_gfn_range range = {
		.slot		= b->slot,
		.start		= kvm_gmem_index_to_gfn(b, start),
		.end		= kvm_gmem_index_to_gfn(b, end),
		.may_block	= true,
		.backing	= KVM_BACKED_BY_FILE,
	};
	int idx;

	/*
	 * @b keeps its own slot.  A shadow page that goes is that of a guest's
	 * page table, and the slots of what it maps are looked up.
	 */
	idx = srcu_read_lock(&b->kvm->srcu);
	KVM_MMU_LOCK(b->kvm);
	kvm_mmu_invalidate_begin(b->kvm, range.start, range.end,
				 range.backing);
	/*
	 * Where nothing is mapped, TLBs have nothing either: what zaps SPTEs
	 * flushes before it drops mmu_lock.
	 */
	if (b->ready && kvm_arch_gmem_unmap(b->kvm, &range))
		kvm_flush_remote_tlbs(b->kvm);
	KVM_MMU_UNLOCK(b->kvm);
	srcu_read_unlock(&b->kvm->srcu, idx);

	gfn_to_pfn_cache_invalidate_gfns(b->kvm, range.start, range.end);
	kvm_arch_guest_memory_reclaimed(b->kvm);
}

static void kvm_gmem_invalidate_end(struct guest_memfd_binding *base,
				    pgoff_t start, pgoff_t end)
{
	struct kvm_gmem_binding *b = container_of(base, typeof(*b), base);

	KVM_MMU_LOCK(b->kvm);
	kvm_mmu_invalidate_end(b->kvm, kvm_gmem_index_to_gfn(b, start),
			       kvm_gmem_index_to_gfn(b, end),
			       KVM_BACKED_BY_FILE);
	KVM_MMU_UNLOCK(b->kvm);
}

/* For fdinfo.  The number of the VM is that of its directory in debugfs. */
static void kvm_gmem_show(struct guest_memfd_binding *base, struct seq_file *m)
{
	struct kvm_gmem_binding *b = container_of(base, typeof(*b), base);
	struct kvm_memory_slot *slot = b->slot;

	seq_printf(m, " vm=%d as=%u slot=%d gpa=0x%llx", b->kvm->userspace_pid,
		   slot->as_id, slot->id, gfn_to_gpa(slot->base_gfn));
}

static int kvm_gmem_prepare(struct guest_memfd_binding *base, pgoff_t index,
			    unsigned long pfn, unsigned long nr)
{
	struct kvm_gmem_binding *b = container_of(base, typeof(*b), base);

	return kvm_gmem_hook_prepare(b->kvm,
					  kvm_gmem_index_to_gfn(b, index), pfn,
					  nr);
}

static void kvm_gmem_unprepare(struct guest_memfd_binding *base, pgoff_t index,
			       unsigned long pfn, unsigned long nr)
{
	struct kvm_gmem_binding *b = container_of(base, typeof(*b), base);

	kvm_gmem_hook_unprepare(b->kvm, kvm_gmem_index_to_gfn(b, index), pfn,
				nr);
}

static int kvm_gmem_relocate(struct guest_memfd_binding *base, pgoff_t index,
			     unsigned long from, unsigned long to)
{
	struct kvm_gmem_binding *b = container_of(base, typeof(*b), base);

	return kvm_gmem_hook_relocate(b->kvm, kvm_gmem_index_to_gfn(b, index),
				      from, to);
}

static const struct guest_memfd_binding_ops kvm_gmem_binding_ops = {
	.invalidate_start	= kvm_gmem_invalidate_start,
	.invalidate_end		= kvm_gmem_invalidate_end,
	.show			= kvm_gmem_show,
	.prepare		= kvm_gmem_hook(kvm_gmem_prepare),
	.unprepare		= kvm_gmem_hook(kvm_gmem_unprepare),
	.relocate		= kvm_gmem_hook(kvm_gmem_relocate),
};

/**
 * kvm_gmem_bind - give a slot that is being created its private memory
 * @kvm:	the VM
 * @slot:	the slot, not yet in the memslots; range and as_id are set
 * @fd:		file descriptor of a guest_memfd of this VM
 * @offset:	where in the file the slot's memory begins, in bytes
 *
 * Context: Process context, slots_lock held.
 * Return: 0; -EBADF if @fd is not open; -EINVAL if it is no guest_memfd of
 *	   this VM, @offset is not page aligned, or the range is not inside the
 *	   file; -EEXIST if another slot has part of the range; -ENOMEM; -EINTR
 *	   if the task is being killed.
 */
int kvm_gmem_bind(struct kvm *kvm, struct kvm_memory_slot *slot,
		  unsigned int fd, u64 offset)
{
	struct kvm_gmem_binding *binding;
	struct file *file;
	int r = -EINVAL;

	lockdep_assert_held(&kvm->slots_lock);

	file = fget(fd);
	if (!file)
		return -EBADF;
	if (guest_memfd_priv(file, &kvm_gmem_client_ops) != kvm)
		goto out_put;

	r = -ENOMEM;
	binding = kzalloc(sizeof(*binding), GFP_KERNEL_ACCOUNT);
	if (!binding)
		goto out_put;

	binding->kvm = kvm;
	binding->slot = slot;
	binding->base.ops = &kvm_gmem_binding_ops;
	binding->base.prepare = kvm_arch_has_private_mem(kvm);
	r = guest_memfd_bind(file, &binding->base, offset,
			     (u64)slot->npages << PAGE_SHIFT);
	if (r) {
		kfree(binding);
		goto out_put;
	}

	slot->gmem = binding;
	/* No side of its own for what is shared: all of it is in the file. */
	if (guest_memfd_flags(file) & GUEST_MEMFD_MAPPABLE)
		slot->flags |= KVM_MEMSLOT_GMEM_ONLY;
out_put:
	/* Perhaps the last reference: put only later, without slots_lock. */
	fput(file);
	return r;
}

/* The slot, still out of reach for vCPUs, has what unmapping it needs. */
void kvm_gmem_slot_ready(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	lockdep_assert_held(&kvm->slots_lock);

	if (!slot->gmem)
		return;

	KVM_MMU_LOCK(kvm);
	slot->gmem->ready = true;
	KVM_MMU_UNLOCK(kvm);
}

/**
 * kvm_gmem_unbind - take a slot's private memory from it
 * @slot:	a slot that no vCPU can reach any more; it need not have any
 *
 * Context: Process context; slots_lock held, or the VM is being destroyed,
 *	    when all its files are gone.
 */
void kvm_gmem_unbind(struct kvm_memory_slot *slot)
{
	if (!slot->gmem)
		return;

	lockdep_assert(lockdep_is_held(&slot->gmem->kvm->slots_lock) ||
		       !refcount_read(&slot->gmem->kvm->users_count));
	guest_memfd_unbind(&slot->gmem->base);
	kfree(slot->gmem);
	slot->gmem = NULL;
}
