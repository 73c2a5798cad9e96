/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * guest_memfd: memory of virtual machines that host userspace cannot reach.
 *
 * What mm offers to a hypervisor.  See the DOC: sections in mm/guest_memfd/
 * for vocabulary, life cycle and locking.
 */
#ifndef _LINUX_GUEST_MEMFD_H
#define _LINUX_GUEST_MEMFD_H

#include <linux/bits.h>
#include <linux/interval_tree.h>
#include <linux/ktime.h>
#include <linux/types.h>

struct file;
struct folio;
struct guest_memfd_binding;
struct inode;
struct module;
struct seq_file;
struct vm_area_struct;

/**
 * struct guest_memfd_client_ops - what a file calls in the client that made it
 * @owner:	Module that contains the client's code.  Pinned from creation
 *		until after @put, when the inode has been given up.
 * @name:	Name of the file as shown in /proc/PID/fd.
 * @release:	The last reference to the file is gone.  Must leave no binding
 *		behind (guest_memfd_unbind_next()).  Process context, no locks
 *		held.
 * @put:	The memory has been freed, and nothing refers to @priv any more.
 *		@func is to be called with @head, in any context, as soon as no
 *		read-side section is left in which one of those bindings may have
 *		been found; NULL if there has been none.  Nobody waits for that:
 *		what is in such a section may itself wait for the task that closes
 *		the file.  Process context, no locks held.
 * @ioctl:	Optional: ioctl() on the file, also by 32-bit callers, for which
 *		@arg is a valid pointer.  Process context, no locks held.
 * @restore:	Optional.  Make all @nr pages of a folio, from @pfn on, ordinary
 *		memory again, of which at least one has been prepared.  Called
 *		when the folio has left the file and before it is freed, or when
 *		it has been converted and before the host can use it: once for
 *		each time that it was prepared, after @unprepare of all its
 *		pages, perhaps after @release, and never after the module
 *		reference has been dropped.  Must neither sleep nor fail.
 * @moved:	Optional: @nr pages of a folio, of which at least one has been
 *		prepared, have been moved, contents and all, from @from on to those
 *		from @to on, which are in their place now.  The old ones are about
 *		to be freed, without @restore.
 *		Between invalidate_start and invalidate_end; the folios are locked.
 *		May sleep; must not fail.
 */
struct guest_memfd_client_ops {
	struct module *owner;
	const char *name;
	void (*release)(struct file *file, void *priv);
	void (*put)(void *priv, struct rcu_head *head, rcu_callback_t func);
	long (*ioctl)(struct file *file, void *priv, unsigned int cmd,
		      unsigned long arg);
	void (*restore)(unsigned long pfn, unsigned long nr);
	void (*moved)(unsigned long from, unsigned long to, unsigned long nr);
};

/**
 * struct guest_memfd_binding_ops - how a client learns that memory goes away
 * @invalidate_start:	Pages [start, end) of the file are about to change.
 *			The client must drop every mapping of them, and must
 *			neither keep nor install one until @invalidate_end.
 * @invalidate_end:	The change is done.  Called for exactly the bindings
 *			that saw @invalidate_start, with the same range.
 * @show:		Optional: append what only the client knows of the
 *			binding to its line in fdinfo, as " key=value".  Runs
 *			with the file's invalidate_lock held for read.
 * @prepare:		Optional, for bindings with &guest_memfd_binding.prepare.
 *			Pages [index, index + nr) are about to be handed out for
 *			the first time since they were allocated, or since
 *			@unprepare.  They are contiguous in memory, from @pfn
 *			on, in one folio, and belong to this binding alone.  All
 *			or nothing: on failure they must be as before.  Returns
 *			0, -ENOMEM, or -EIO if the hardware refuses for good,
 *			which guest_memfd_get_page() passes on.  May sleep; the
 *			folio is locked, invalidate_lock is held for read.
 * @unprepare:		Together with @prepare.  Pages that are prepared cease to
 *			belong to this binding: a hole is punched, or the binding
 *			ends.  The client's mappings are gone, and the pages have
 *			no other use before this has returned.  Each call is for
 *			pages as contiguous as above.  Must not fail; may sleep;
 *			invalidate_lock is held for write.
 * @relocate:		For files with GUEST_MEMFD_RELOCATE that are movable: move
 *			the prepared page @index, state and contents, from page frame
 *			@from to @to.  Both are folios of one page, locked; nothing
 *			maps the page, no look-up returns it meanwhile, and @to has
 *			no other user.  Between @invalidate_start and
 *			@invalidate_end, with invalidate_lock held for read; may
 *			sleep.  Returns 0, and then @from is ordinary memory, without
 *			contents that matter, and @to is prepared; or -EAGAIN to be
 *			asked again soon, or any other error, and then nothing has
 *			changed.  Success is final.
 *
 * @start and @end are page indices in the file, clipped to the binding.  All
 * callbacks run with the file's invalidate_lock held, for write where nothing
 * else is said.  They may sleep, but must not fault in user memory; with the
 * lock held for write they must not wait for readers that take it either.
 */
struct guest_memfd_binding_ops {
	void (*invalidate_start)(struct guest_memfd_binding *binding,
				 pgoff_t start, pgoff_t end);
	void (*invalidate_end)(struct guest_memfd_binding *binding,
			       pgoff_t start, pgoff_t end);
	void (*show)(struct guest_memfd_binding *binding, struct seq_file *m);
	int (*prepare)(struct guest_memfd_binding *binding, pgoff_t index,
		       unsigned long pfn, unsigned long nr);
	void (*unprepare)(struct guest_memfd_binding *binding, pgoff_t index,
			  unsigned long pfn, unsigned long nr);
	int (*relocate)(struct guest_memfd_binding *binding, pgoff_t index,
			unsigned long from, unsigned long to);
};

/**
 * struct guest_memfd_binding - a client's claim on a range of a file
 * @node:	The range in page indices, [start, last].  Constant while bound.
 * @ops:	Set by the client before guest_memfd_bind().
 * @inode:	The file's inode, NULL when not bound.  Written under the
 *		inode's invalidate_lock, held for write.
 * @prepare:	Set by the client before guest_memfd_bind(): what it is handed
 *		out has to be prepared first, if there is an operation for that
 *		and the file is not shared with the host.
 *
 * Embedded in an object of the client, which owns the memory.
 */
struct guest_memfd_binding {
	struct interval_tree_node node;
	const struct guest_memfd_binding_ops *ops;
	struct inode *inode;
	bool prepare;
};

/**
 * struct guest_memfd_range - where a client wants memory
 * @start:	First page index in the file, or less than the binding's.
 * @end:	Page index after the last, or more than the binding's.
 *
 * If there is no page at an index inside of it, a folio may be allocated that is
 * as a whole inside of it, and inside of the binding.
 */
struct guest_memfd_range {
	pgoff_t start;
	pgoff_t end;
};

/**
 * struct guest_memfd_page - one page of a file, as handed to a client
 * @folio:	The folio that contains it.  The client owns one reference.
 * @pfn:	Page frame number of the page that was asked for.
 * @order:	Largest order at which index and @pfn are both aligned, inside
 *		the folio and inside the binding.
 */
struct guest_memfd_page {
	struct folio *folio;
	unsigned long pfn;
	unsigned int order;
};

/**
 * struct guest_memfd_map - an access to a page of a file
 * @addr:	The page in the kernel's address space.
 * @folio:	The folio that contains it; holds a reference.
 * @inode:	The file's inode; its invalidate_lock is held for read.
 */
struct guest_memfd_map {
	void *addr;
	struct folio *folio;
	struct inode *inode;
};

/**
 * enum guest_memfd_flags - what a file is, fixed at creation
 * @GUEST_MEMFD_MAPPABLE:	Host userspace may map it, to set a memory policy
 *				or, if it is shared, to access it.
 * @GUEST_MEMFD_SHARED:		All of it is shared with the host.
 *				Without @GUEST_MEMFD_MAPPABLE it has no effect.
 *				A convertible file only begins like that.
 * @GUEST_MEMFD_CONVERTIBLE:	Ranges of it can be made private and shared, see
 *				guest_memfd_convert().
 * @GUEST_MEMFD_HUGEPAGE:	Large folios are worth an effort, as with
 *				madvise(MADV_HUGEPAGE).
 * @GUEST_MEMFD_MOVABLE:	mm may move the memory, as that of other files.
 * @GUEST_MEMFD_RELOCATE:	Software cannot copy a page that has been prepared:
 *				bindings have to have a relocate operation if the
 *				file is movable.
 */
enum guest_memfd_flags {
	GUEST_MEMFD_MAPPABLE	= BIT(0),
	GUEST_MEMFD_SHARED	= BIT(1),
	GUEST_MEMFD_CONVERTIBLE	= BIT(2),
	GUEST_MEMFD_HUGEPAGE	= BIT(3),
	GUEST_MEMFD_MOVABLE	= BIT(4),
	GUEST_MEMFD_RELOCATE	= BIT(5),
};

/**
 * enum guest_memfd_busy - why a page cannot become private
 * @GUEST_MEMFD_NOT_BUSY:	It can.
 * @GUEST_MEMFD_BUSY_MAPPED:	It is in a page table of host userspace.
 * @GUEST_MEMFD_BUSY_PINNED:	It is pinned (FOLL_PIN).
 * @GUEST_MEMFD_BUSY_OTHER:	There is another reference to it.
 * @GUEST_MEMFD_BUSY_PENDING:	It is being converted already.
 */
enum guest_memfd_busy {
	GUEST_MEMFD_NOT_BUSY,
	GUEST_MEMFD_BUSY_MAPPED,
	GUEST_MEMFD_BUSY_PINNED,
	GUEST_MEMFD_BUSY_OTHER,
	GUEST_MEMFD_BUSY_PENDING,
};

/**
 * struct guest_memfd_conversion - what guest_memfd_convert() is to do
 * @offset:	Start of the range in bytes.
 * @size:	Its size in bytes.
 * @shared:	It becomes shared; otherwise, private.
 * @preserve:	What becomes shared keeps its contents.
 * @wait:	Wait for users of what shall become private, ...
 * @deadline:	... until then.
 * @error_offset: After -EAGAIN: offset in bytes of the first page that cannot be
 *		converted.
 * @reason:	After -EAGAIN: why.
 */
struct guest_memfd_conversion {
	u64 offset;
	u64 size;
	bool shared;
	bool preserve;
	bool wait;
	ktime_t deadline;
	u64 error_offset;
	enum guest_memfd_busy reason;
};

/**
 * struct guest_memfd_policy - a NUMA policy for a range, as for mbind(2)
 * @offset:	Start of the range in bytes.
 * @size:	Its size in bytes.
 * @mode:	MPOL_*, perhaps with mode flags.
 * @flags:	MPOL_MF_*.
 * @nodes:	User pointer to a bitmap of nodes.
 * @maxnode:	Its size in bits, plus 1.
 */
struct guest_memfd_policy {
	u64 offset;
	u64 size;
	unsigned int mode;
	unsigned int flags;
	const unsigned long __user *nodes;
	unsigned long maxnode;
};

struct file *guest_memfd_create(const struct guest_memfd_client_ops *ops,
				void *priv, loff_t size, unsigned long flags);
unsigned long guest_memfd_flags(struct file *file);
void *guest_memfd_priv(struct file *file,
		       const struct guest_memfd_client_ops *ops);

#ifdef CONFIG_GUEST_MEMFD
bool vma_is_guest_memfd(struct vm_area_struct *vma);
#else
static inline bool vma_is_guest_memfd(struct vm_area_struct *vma)
{
	return false;
}
#endif

int guest_memfd_bind(struct file *file, struct guest_memfd_binding *binding,
		     u64 offset, u64 size);
void guest_memfd_unbind(struct guest_memfd_binding *binding);
bool guest_memfd_unbind_next(struct file *file, pgoff_t *from);

int guest_memfd_get_page(struct guest_memfd_binding *binding, pgoff_t index,
			 const struct guest_memfd_range *range,
			 struct guest_memfd_page *page);

int guest_memfd_map_page(struct guest_memfd_binding *binding, pgoff_t index,
			 const struct guest_memfd_range *range,
			 struct guest_memfd_map *map);
void guest_memfd_unmap_page(struct guest_memfd_map *map);
int guest_memfd_try_get_page(struct guest_memfd_binding *binding,
			     pgoff_t index, struct guest_memfd_page *page);

#ifdef CONFIG_NUMA
int guest_memfd_set_policy(struct file *file,
			   const struct guest_memfd_policy *args);
#else
static inline int guest_memfd_set_policy(struct file *file,
					 const struct guest_memfd_policy *args)
{
	return -EOPNOTSUPP;
}
#endif

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
int guest_memfd_collapse(struct file *file, u64 offset, u64 size, u64 *done);
#else
static inline int guest_memfd_collapse(struct file *file, u64 offset, u64 size,
				       u64 *done)
{
	return -EOPNOTSUPP;
}
#endif

int guest_memfd_convert(struct file *file, struct guest_memfd_conversion *args);
int guest_memfd_get_run(struct file *file, u64 offset, u64 *size, bool *shared,
			u64 *resident);
bool guest_memfd_is_shared(struct guest_memfd_binding *binding, pgoff_t index,
			   bool *pending);
bool guest_memfd_next_shared(struct guest_memfd_binding *binding, pgoff_t *start,
			     pgoff_t *end);
struct inode *guest_memfd_get_pending(struct guest_memfd_binding *binding,
				      pgoff_t index);
void guest_memfd_wait_pending(struct inode *inode, pgoff_t index);

#ifdef CONFIG_GUEST_MEMFD
bool guest_memfd_has_private(void);
void guest_memfd_throttle(void);
#else
static inline bool guest_memfd_has_private(void)
{
	return false;
}

static inline void guest_memfd_throttle(void)
{
}
#endif

#endif /* _LINUX_GUEST_MEMFD_H */
