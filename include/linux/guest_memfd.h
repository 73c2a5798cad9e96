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
#include <linux/types.h>

struct file;
struct folio;
struct inode;
struct module;
struct seq_file;
struct guest_memfd_binding;

/**
 * struct guest_memfd_client_ops - what a file calls in the client that made it
 * @owner:	Module that contains the client's code.  Pinned from creation
 *		until the inode has been evicted, which is after @release.
 * @name:	Name of the file as shown in /proc/PID/fd.
 * @release:	The last reference to the file is gone.  Must leave no binding
 *		behind (guest_memfd_unbind_all()) and must not return while
 *		anybody can still be inside guest_memfd_get_page() for one of
 *		them.  Process context, no locks held.
 * @reclaim:	Optional.  A folio of which @make_private has been called for
 *		at least one page has left the file, and the page allocator is
 *		about to get it back, or nobody is if it is poisoned.  Make all
 *		its @nr pages, from @pfn on, ordinary memory again.  Called once
 *		per folio, after
 *		@end_private of all its pages, perhaps after @release, and never
 *		after the module reference has been dropped.  Must neither
 *		sleep nor fail.
 */
struct guest_memfd_client_ops {
	struct module *owner;
	const char *name;
	void (*release)(struct file *file, void *priv);
	void (*reclaim)(unsigned long pfn, unsigned long nr);
};

/**
 * struct guest_memfd_binding_ops - how a client learns that memory goes away
 * @invalidate_start:	Pages [start, end) of the file are about to change.
 *			The client must drop every mapping of them, and must
 *			neither keep nor install one until @invalidate_end.
 * @invalidate_end:	The change is done.  Called for exactly the bindings
 *			that saw @invalidate_start, with the same range.
 * @make_private:	Optional, for bindings that are &guest_memfd_binding.private.
 *			Pages [index, index + nr) are about to be handed out for
 *			the first time since they were allocated, or since
 *			@end_private.  They are contiguous in memory, from @pfn
 *			on, in one folio, and belong to this binding alone.  All
 *			or nothing: on failure they must be as before.  Returns
 *			0, -ENOMEM, or -EIO if the hardware refuses for good,
 *			which guest_memfd_get_page() passes on.  May sleep; the
 *			folio is locked, invalidate_lock is held for read.
 * @end_private:	Together with @make_private.  Pages that are private
 *			cease to belong to this binding: a hole is punched, or
 *			the binding ends.  The client's mappings are gone, and
 *			nobody else uses the pages before this has returned.
 *			Each call is for pages as contiguous as above.  Must not
 *			fail; may sleep; invalidate_lock is held for write.
 * @error:		Among pages [start, end) is one that the hardware has
 *			lost.  The client must drop every mapping of them before
 *			it returns, and install none from a page that it has got
 *			before; guest_memfd_get_page() knows which are good.
 *			Runs with invalidate_lock held for read.
 * @show:		Optional: append what only the client knows of the
 *			binding to its line in fdinfo, as " key=value".  Runs
 *			with the file's invalidate_lock held for read.
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
	int (*make_private)(struct guest_memfd_binding *binding, pgoff_t index,
			    unsigned long pfn, unsigned long nr);
	void (*end_private)(struct guest_memfd_binding *binding, pgoff_t index,
			    unsigned long pfn, unsigned long nr);
	void (*error)(struct guest_memfd_binding *binding,
		      pgoff_t start, pgoff_t end);
};

/**
 * struct guest_memfd_binding - a client's claim on a range of a file
 * @node:	The range in page indices, [start, last].  Constant while bound.
 * @ops:	Set by the client before guest_memfd_bind().
 * @inode:	The file's inode, NULL when not bound.  Written under the
 *		inode's invalidate_lock, held for write.
 * @private:	Set by the client before guest_memfd_bind(): what it is handed
 *		out has to be made private first, if it has an operation for
 *		that and the file is not shared with the host.
 *
 * Embedded in an object of the client, which owns the memory.
 */
struct guest_memfd_binding {
	struct interval_tree_node node;
	const struct guest_memfd_binding_ops *ops;
	struct inode *inode;
	bool private;
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
 * @GUEST_MEMFD_SHARED:		All of it is shared with the host, for ever.
 *				Without @GUEST_MEMFD_MAPPABLE it has no effect.
 */
enum guest_memfd_flags {
	GUEST_MEMFD_MAPPABLE	= BIT(0),
	GUEST_MEMFD_SHARED	= BIT(1),
};

struct file *guest_memfd_create(const struct guest_memfd_client_ops *ops,
				void *priv, loff_t size, unsigned long flags);
unsigned long guest_memfd_flags(struct file *file);
void *guest_memfd_priv(struct file *file,
		       const struct guest_memfd_client_ops *ops);

int guest_memfd_bind(struct file *file, struct guest_memfd_binding *binding,
		     u64 offset, u64 size);
void guest_memfd_unbind(struct guest_memfd_binding *binding);
bool guest_memfd_unbind_all(struct file *file);

int guest_memfd_get_page(struct guest_memfd_binding *binding, pgoff_t index,
			 struct guest_memfd_page *page);

int guest_memfd_map_page(struct guest_memfd_binding *binding, pgoff_t index,
			 bool create, struct guest_memfd_map *map);
void guest_memfd_unmap_page(struct guest_memfd_map *map);
int guest_memfd_try_get_page(struct guest_memfd_binding *binding,
			     pgoff_t index, struct guest_memfd_page *page);
#ifdef CONFIG_GUEST_MEMFD
bool guest_memfd_has_private(void);
#else
static inline bool guest_memfd_has_private(void)
{
	return false;
}
#endif

#endif /* _LINUX_GUEST_MEMFD_H */
