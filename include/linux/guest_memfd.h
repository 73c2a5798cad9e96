/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * guest_memfd: memory of virtual machines that host userspace cannot reach.
 *
 * What mm offers to a hypervisor.  See the DOC: sections in mm/guest_memfd/
 * for vocabulary, life cycle and locking.
 */
#ifndef _LINUX_GUEST_MEMFD_H
#define _LINUX_GUEST_MEMFD_H

#include <linux/interval_tree.h>
#include <linux/types.h>

struct file;
struct folio;
struct inode;
struct module;
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
 */
struct guest_memfd_client_ops {
	struct module *owner;
	const char *name;
	void (*release)(struct file *file, void *priv);
};

/**
 * struct guest_memfd_binding_ops - how a client learns that memory goes away
 * @invalidate_start:	Pages [start, end) of the file are about to change.
 *			The client must drop every mapping of them, and must
 *			neither keep nor install one until @invalidate_end.
 * @invalidate_end:	The change is done.  Called for exactly the bindings
 *			that saw @invalidate_start, with the same range.
 *
 * @start and @end are page indices in the file, clipped to the binding.  Both
 * callbacks run with the file's invalidate_lock held for write: they may sleep
 * but must not fault in user memory or wait for readers that take that lock.
 */
struct guest_memfd_binding_ops {
	void (*invalidate_start)(struct guest_memfd_binding *binding,
				 pgoff_t start, pgoff_t end);
	void (*invalidate_end)(struct guest_memfd_binding *binding,
			       pgoff_t start, pgoff_t end);
};

/**
 * struct guest_memfd_binding - a client's claim on a range of a file
 * @node:	The range in page indices, [start, last].  Constant while bound.
 * @ops:	Set by the client before guest_memfd_bind().
 * @inode:	The file's inode, NULL when not bound.  Written under the
 *		inode's invalidate_lock, held for write.
 *
 * Embedded in an object of the client, which owns the memory.
 */
struct guest_memfd_binding {
	struct interval_tree_node node;
	const struct guest_memfd_binding_ops *ops;
	struct inode *inode;
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

struct file *guest_memfd_create(const struct guest_memfd_client_ops *ops,
				void *priv, loff_t size);
void *guest_memfd_priv(struct file *file,
		       const struct guest_memfd_client_ops *ops);

int guest_memfd_bind(struct file *file, struct guest_memfd_binding *binding,
		     u64 offset, u64 size);
void guest_memfd_unbind(struct guest_memfd_binding *binding);
bool guest_memfd_unbind_all(struct file *file);

int guest_memfd_get_page(struct guest_memfd_binding *binding, pgoff_t index,
			 struct guest_memfd_page *page);

#endif /* _LINUX_GUEST_MEMFD_H */
