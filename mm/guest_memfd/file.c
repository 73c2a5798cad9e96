// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: the file and its inode.
 *
 * A guest_memfd is a file of fixed size on a mount of its own, which can be neither
 * read nor written.  Opening it again through /proc fails because the inode itself
 * has no file operations.
 * It can be mapped if it was created for that, see mmap.c; the memory of all other
 * files is out of reach for host userspace.
 */

/**
 * DOC: overview
 *
 * guest_memfd is a file type whose pages are the memory of virtual machines.
 * Host userspace holds the file descriptor and decides where in a guest the
 * memory appears, but cannot read or write it.
 *
 * A file that was created as shared and mappable is an exception: it can be mapped
 * like any other.
 *
 * In a file that was created as convertible each page is either private or shared,
 * which can be changed.
 *
 * Vocabulary:
 *
 * client
 *	A hypervisor.  It creates files with guest_memfd_create() and supplies
 *	&struct guest_memfd_client_ops.  KVM is the first one.
 * binding
 *	A client's claim on a range of a file, &struct guest_memfd_binding.
 *	Bindings of one file never overlap: a page has one place in one guest.
 * pinned folio
 *	The file holds one more long-lived reference on each folio than the
 *	page cache does, and keeps the folio off the LRU lists.  The address is
 *	therefore stable for as long as the folio is in the file: compaction,
 *	memory hot-unplug and page isolation refuse early, without a hook.
 *	(One is needed for poisoned pages only, see offline.c.)
 *
 * Memory is allocated when a client asks for a page that is not there, or by
 * fallocate(); it is zeroed once, before it can be seen, and it goes back to the
 * page allocator when a hole is punched or the last reference to the file is
 * dropped.  The inode, without any memory, can stay longer.
 *
 * In a mapping of a shared file, an access by host userspace allocates, too, and
 * the mapping has a reference to the file.
 *
 * The inode owns the memory; a binding is a view of it.  A client may hold a
 * page frame number only until invalidate_start() is called for it, and
 * needs no reference to the folio for as long as it honours that.
 */

/**
 * DOC: locking
 *
 * The lock of a file is the invalidate_lock of its mapping.
 *
 * - For write: adding and removing bindings, and any change of the memory
 *   behind them, from invalidate_start() to invalidate_end().  So an
 *   invalidation ends for exactly the bindings for which it started.
 *   A page that the hardware has lost is such a change, see DOC: memory failure.
 * - For read: looking up or allocating a page for a client;
 *   the same for a fault of host userspace in a mapping;
 *   a client's own access, from its beginning to its end.
 *
 * It nests outside the folio lock and outside the locks that a client takes in
 * its callbacks (for KVM, mmu_lock), and inside mmap_lock and the lock under
 * which a client binds (for KVM, slots_lock).  With it held, user memory is not
 * touched, and no task waits for readers that may be about to take it (for KVM,
 * srcu).
 *
 * A binding's memory belongs to the client, which unbinds before it frees it.
 * When the file goes first, guest_memfd_unbind_next() detaches the bindings, one
 * piece at a time::
 *
 *	CPU 0: last fput()			CPU 1: guest_memfd_get_page()
 *
 *						[client's read-side section
 *						inode = binding->inode
 *	->release()
 *	  guest_memfd_unbind_next()
 *	    invalidate_lock (write)
 *	    the inode is closing
 *	    invalidate_start(), zap
 *	    invalidate_end()
 *	    unlock
 *						invalidate_lock (read)
 *						closing: -ESTALE
 *						unlock
 *	  ...
 *	  guest_memfd_unbind_next()
 *	    invalidate_lock (write)
 *	    the last piece
 *	    binding->inode = NULL
 *	    unlock
 *	remove all memory
 *						end of section]
 *	read-side sections are over:
 *	inode may now be evicted
 *
 * so that what CPU 1 read stays valid until it is done, without a reference to
 * the file, and a page handed out before is caught by the client's own check
 * against the invalidation.  CPU 0 does not wait for CPU 1, which may be in a page
 * fault of host memory that waits for a task, and that for CPU 0.
 */

#include <linux/dcache.h>
#include <linux/export.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs_context.h>
#include <linux/init.h>
#include <linux/magic.h>
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <trace/events/guest_memfd.h>

#include "account.h"
#include "internal.h"
#include "lost.h"
#include "marks.h"
#include "state.h"

static struct vfsmount *gmem_mnt __ro_after_init;
static struct kmem_cache *gmem_inode_cache __ro_after_init;

static long gmem_punch(struct inode *inode, loff_t offset, loff_t len)
{
	pgoff_t start = offset >> PAGE_SHIFT;
	pgoff_t end = min(offset + len, i_size_read(inode)) >> PAGE_SHIFT;

	/* Beyond the end of the file is nothing but a hole. */
	return start < end ? gmem_punch_hole(inode, start, end) : 0;
}

/*
 * A folio at a time: a hole need not wait for the whole range.  And just the range,
 * however large folios could be.
 */
static int gmem_allocate_next(struct inode *inode, pgoff_t *index,
			      pgoff_t start, pgoff_t end)
{
	struct gmem_room room = {};
	struct folio *folio;
	int ret;

	do {
		ret = -EINTR;
		if (signal_pending(current) || gmem_lock_shared_killable(inode))
			break;
		folio = gmem_get_folio_within(inode, *index, start, end, &room);
		filemap_invalidate_unlock_shared(inode->i_mapping);
		ret = PTR_ERR_OR_ZERO(folio);
	} while (ret && gmem_make_room(inode, *index, &room, ret));
	gmem_end_room(&room);
	if (ret)
		return ret;

	if (gmem_has_lost_in(folio, *index, end))
		ret = -EHWPOISON;
	*index = folio_next_index(folio);
	folio_put(folio);
	return ret;
}

static long gmem_allocate(struct inode *inode, loff_t offset, loff_t len)
{
	pgoff_t start = offset >> PAGE_SHIFT;
	pgoff_t end = (offset + len) >> PAGE_SHIFT;
	pgoff_t index = start;
	int ret = 0;

	if (offset + len > i_size_read(inode))
		return -EINVAL;

	while (index < end && !ret) {
		guest_memfd_throttle();
		ret = gmem_allocate_next(inode, &index, start, end);
		cond_resched();
	}
	return ret;
}

static long gmem_fallocate(struct file *file, int mode, loff_t offset,
			   loff_t len)
{
	struct inode *inode = file_inode(file);
	long ret;

	/* The size is fixed, so it is always kept; ask for that explicitly. */
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(offset) || !PAGE_ALIGNED(len))
		return -EINVAL;

	if (mode & FALLOC_FL_PUNCH_HOLE)
		ret = gmem_punch(inode, offset, len);
	else
		ret = gmem_allocate(inode, offset, len);
	if (ret)
		return ret;

	inode_lock(inode);
	inode->i_ctime = current_time(inode);
	inode->i_mtime = inode->i_ctime;
	inode_unlock(inode);
	return 0;
}

static long gmem_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct guest_memfd_client_ops *ops = GMEM_I(file_inode(file))->ops;

	return ops->ioctl ? ops->ioctl(file, file->private_data, cmd, arg) :
			    -ENOTTY;
}

/* Neither the file nor a binding leads here any more; the inode can stay. */
static void gmem_give_up(struct inode *inode)
{
	gmem_destroy_state(inode);
	gmem_free_policy(inode);
	GMEM_I(inode)->ops = NULL;
}

static void gmem_unused(struct work_struct *work)
{
	struct gmem_inode *gi = container_of(work, struct gmem_inode, unused);
	struct module *owner = gi->ops->owner;

	gmem_give_up(&gi->vfs_inode);
	iput(&gi->vfs_inode);
	module_put(owner);
}

static void gmem_no_readers(struct rcu_head *head)
{
	struct gmem_inode *gi = container_of(head, struct gmem_inode, readers);

	INIT_WORK(&gi->unused, gmem_unused);
	queue_work(system_unbound_wq, &gi->unused);
}

static int gmem_release(struct inode *inode, struct file *file)
{
	struct gmem_inode *gi = GMEM_I(inode);
	const struct guest_memfd_client_ops *ops = gi->ops;

	trace_guest_memfd_release(inode, inode->i_mapping->nrpages);
	ops->release(file, file->private_data);

	gmem_remove_all(inode);
	if (gi->was_bound) {
		ihold(inode);
		/* gmem_unused() drops its own, perhaps before this is through. */
		__module_get(ops->owner);
		ops->put(file->private_data, &gi->readers, gmem_no_readers);
	} else {
		gmem_give_up(inode);
		ops->put(file->private_data, NULL, NULL);
	}
	module_put(ops->owner);
	return 0;
}

static const struct file_operations gmem_fops = {
	.mmap		= gmem_mmap,
	.fallocate	= gmem_fallocate,
	.unlocked_ioctl	= gmem_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.release	= gmem_release,
	.show_fdinfo	= gmem_show_fdinfo,
};

/* Size, owner and mode are what creation made them. */
static int gmem_setattr(struct user_namespace *mnt_userns,
			struct dentry *dentry, struct iattr *attr)
{
	return -EINVAL;
}

/* simple_getattr() takes st_blocks from the page cache: all memory, no more. */
static const struct inode_operations gmem_iops = {
	.getattr	= simple_getattr,
	.setattr	= gmem_setattr,
};

static struct inode *gmem_alloc_inode(struct super_block *sb)
{
	struct gmem_inode *gi;

	gi = alloc_inode_sb(sb, gmem_inode_cache, GFP_KERNEL);
	if (!gi)
		return NULL;

	/* Here and not in the constructor: slab objects are used again. */
	gi->ops = NULL;
	gi->flags = 0;
	gi->closing = false;
	gi->was_bound = false;
	gi->was_mapped = false;
	gi->bindings = RB_ROOT_CACHED;
	mpol_shared_policy_init(&gi->policy, NULL);
	mutex_init(&gi->policy_lock);
	INIT_LIST_HEAD(&gi->files);
	atomic_long_set(&gi->nr_huge, 0);
	gmem_init_prepared(&gi->vfs_inode);
	gmem_init_state(&gi->vfs_inode);
	gmem_init_marks(&gi->vfs_inode);
	gmem_init_split(&gi->vfs_inode);
	mutex_init(&gi->migrating);
	return &gi->vfs_inode;
}

static void gmem_free_inode(struct inode *inode)
{
	kmem_cache_free(gmem_inode_cache, GMEM_I(inode));
}

static void gmem_evict_inode(struct inode *inode)
{
	struct gmem_inode *gi = GMEM_I(inode);

	WARN_ON_ONCE(!RB_EMPTY_ROOT(&gi->bindings.rb_root));
	trace_guest_memfd_evict(inode, inode->i_mapping->nrpages);
	/* Empty: release has removed all, or there has never been a file. */
	truncate_inode_pages_final(inode->i_mapping);
	gmem_unaccount_file(inode);
	gmem_destroy_prepared(inode);
	gmem_destroy_state(inode);
	clear_inode(inode);
	gmem_free_policy(inode);

	if (gi->ops)
		module_put(gi->ops->owner);
}

static const struct super_operations gmem_super_ops = {
	.alloc_inode	= gmem_alloc_inode,
	.free_inode	= gmem_free_inode,
	.evict_inode	= gmem_evict_inode,
	.drop_inode	= generic_delete_inode,
	.statfs		= simple_statfs,
};

static char *gmem_dname(struct dentry *dentry, char *buffer, int buflen)
{
	return dynamic_dname(buffer, buflen, "anon_inode:%s",
			     dentry->d_name.name);
}

static const struct dentry_operations gmem_dentry_ops = {
	.d_dname	= gmem_dname,
};

static struct inode *gmem_new_inode(const struct guest_memfd_client_ops *ops,
				    loff_t size)
{
	struct inode *inode;

	inode = anon_inode_make_secure_inode(gmem_mnt->mnt_sb, ops->name, NULL);
	if (IS_ERR(inode))
		return inode;

	inode->i_mode |= S_IFREG;
	inode->i_size = size;
	inode->i_op = &gmem_iops;
	inode->i_mapping->a_ops = &gmem_aops;
	/* For what a split allocates; see DOC: splitting. */
	mapping_set_gfp_mask(inode->i_mapping, GFP_HIGHUSER | __GFP_NORETRY);
	mapping_set_unevictable(inode->i_mapping);
	mapping_set_large_folios(inode->i_mapping);
	/* mm takes no folio out without asking ->release_folio(). */
	mapping_set_release_always(inode->i_mapping);
	return inode;
}

/**
 * guest_memfd_create - create a file for guest memory
 * @ops:	The client's operations; constant while @ops->owner is pinned.
 * @priv:	Passed to @ops->release, returned by guest_memfd_priv().
 * @size:	Size of the file in bytes, a multiple of PAGE_SIZE, above 0.
 * @flags:	What the file is, for its life: GUEST_MEMFD_* bits.
 *
 * The file is opened for reading and writing, which fallocate() requires; it
 * starts without any memory.  On success the reference to @priv that the
 * client may have taken for the file belongs to it until @ops->release.
 *
 * Context: Process context, may sleep.
 * Return: The file, or ERR_PTR(): -EINVAL for a bad size, -ENOMEM, -ENFILE
 *	   when the system is out of files, -ENODEV when @ops->owner is being
 *	   unloaded, or what the security module answers.
 */
struct file *guest_memfd_create(const struct guest_memfd_client_ops *ops,
				void *priv, loff_t size, unsigned long flags)
{
	struct inode *inode;
	struct file *file;

	if (size <= 0 || !PAGE_ALIGNED(size))
		return ERR_PTR(-EINVAL);
	if (!try_module_get(ops->owner))
		return ERR_PTR(-ENODEV);

	inode = gmem_new_inode(ops, size);
	if (IS_ERR(inode)) {
		module_put(ops->owner);
		return ERR_CAST(inode);
	}
	/* From here on release drops the module; eviction, if there is no file. */
	GMEM_I(inode)->ops = ops;
	GMEM_I(inode)->flags = flags;
	if (gmem_is_convertible(inode) && gmem_start_state(inode)) {
		iput(inode);
		return ERR_PTR(-ENOMEM);
	}
	gmem_account_file(inode);

	file = alloc_file_pseudo(inode, gmem_mnt, ops->name, O_RDWR,
				 &gmem_fops);
	if (IS_ERR(file)) {
		iput(inode);
		return file;
	}
	file->f_flags |= O_LARGEFILE;
	file->private_data = priv;
	trace_guest_memfd_create(inode, flags);
	return file;
}
EXPORT_SYMBOL_GPL(guest_memfd_create);

/**
 * guest_memfd_priv - what a client attached to its file
 * @file:	Any file.
 * @ops:	The operations with which the client creates its files.
 *
 * Context: Any; the caller holds a reference to @file.
 * Return: The pointer given to guest_memfd_create(), or NULL if @file is no
 *	   guest_memfd or belongs to another client.
 */
void *guest_memfd_priv(struct file *file,
		       const struct guest_memfd_client_ops *ops)
{
	if (file->f_op != &gmem_fops ||
	    GMEM_I(file_inode(file))->ops != ops)
		return NULL;
	return file->private_data;
}
EXPORT_SYMBOL_GPL(guest_memfd_priv);

/**
 * guest_memfd_flags - what a file was created as
 * @file:	A guest_memfd of the calling client (see guest_memfd_priv()).
 *
 * Context: Any; the caller holds a reference to @file.
 * Return: The flags given to guest_memfd_create().
 */
unsigned long guest_memfd_flags(struct file *file)
{
	return GMEM_I(file_inode(file))->flags;
}
EXPORT_SYMBOL_GPL(guest_memfd_flags);

static int gmem_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, GUEST_MEMFD_MAGIC);

	if (!ctx)
		return -ENOMEM;
	fc->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;
	ctx->ops = &gmem_super_ops;
	ctx->dops = &gmem_dentry_ops;
	return 0;
}

static struct file_system_type gmem_fs_type = {
	.name			= "guest_memfd",
	.init_fs_context	= gmem_init_fs_context,
	.kill_sb		= kill_anon_super,
};

static void gmem_init_once(void *object)
{
	struct gmem_inode *gi = object;

	inode_init_once(&gi->vfs_inode);
}

static int __init gmem_init(void)
{
	gmem_inode_cache = kmem_cache_create("guest_memfd_inode",
					     sizeof(struct gmem_inode), 0,
					     SLAB_ACCOUNT | SLAB_PANIC,
					     gmem_init_once);

	gmem_mnt = kern_mount(&gmem_fs_type);
	if (IS_ERR(gmem_mnt))
		panic("guest_memfd: cannot mount (%pe)\n", gmem_mnt);
	gmem_mnt->mnt_flags |= MNT_NOEXEC;
	return 0;
}
fs_initcall(gmem_init);
