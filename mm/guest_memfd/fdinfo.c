// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: /proc/PID/fdinfo/N
 *
 * The format is described in Documentation/filesystems/proc.rst and does not
 * change, except that keys and the ends of binding lines may be added.
 *
 * The reader in procfs holds a reference to the file, so nothing is released
 * meanwhile.  invalidate_lock is held for read while a binding is shown: it
 * stays, and what the client has attached to it does, too.  The lock is dropped
 * now and then, so a line is consistent, and the list is no snapshot.
 */

#include <linux/kernel.h>
#include <linux/seq_file.h>

#include "account.h"
#include "internal.h"
#include "state.h"

/* Bindings that are shown without letting go of the lock in between. */
#define GMEM_SHOW_BATCH	64

static const struct {
	unsigned long flag;
	const char *name;
} gmem_flag_names[] = {
	{ GUEST_MEMFD_MAPPABLE,	"mappable" },
	{ GUEST_MEMFD_SHARED,	"shared" },
	{ GUEST_MEMFD_CONVERTIBLE, "convertible" },
	{ GUEST_MEMFD_HUGEPAGE,	"hugepage" },
	{ GUEST_MEMFD_MOVABLE,	"movable" },
	{ GUEST_MEMFD_RELOCATE,	"relocate" },
};

/* Words, separated by @sep.  The numbers are no ABI. */
void gmem_show_flags(struct seq_file *m, unsigned long flags, char sep)
{
	bool any = false;
	int i;

	for (i = 0; i < ARRAY_SIZE(gmem_flag_names); i++) {
		if (!(flags & gmem_flag_names[i].flag))
			continue;
		if (any)
			seq_putc(m, sep);
		seq_puts(m, gmem_flag_names[i].name);
		any = true;
	}
	if (!any)
		seq_puts(m, "none");
}

static void gmem_show_binding(struct seq_file *m,
			      struct guest_memfd_binding *b)
{
	seq_printf(m, "gmem-binding:\toffset=0x%llx size=0x%llx",
		   (u64)b->node.start << PAGE_SHIFT,
		   (u64)(b->node.last - b->node.start + 1) << PAGE_SHIFT);
	if (b->ops->show)
		b->ops->show(b, m);
	seq_putc(m, '\n');
}

/*
 * Shows some bindings from page index *@index on, and advances that.  Returns
 * whether there are more.  When the buffer is full, seq_file starts again with a
 * larger one.
 */
static bool gmem_show_some_bindings(struct seq_file *m, struct inode *inode,
				    pgoff_t *index)
{
	struct interval_tree_node *node;
	int i;

	gmem_assert_locked(inode);
	node = interval_tree_iter_first(&GMEM_I(inode)->bindings, *index,
					ULONG_MAX);
	for (i = 0; node && i < GMEM_SHOW_BATCH; i++) {
		if (seq_has_overflowed(m))
			return false;
		gmem_show_binding(m, container_of(node,
						  struct guest_memfd_binding,
						  node));
		*index = node->last + 1;
		node = interval_tree_iter_next(node, *index, ULONG_MAX);
	}
	return node;
}

/* A slot can be a page, so there can be as many bindings as a VM has slots. */
static void gmem_show_bindings(struct seq_file *m, struct inode *inode)
{
	pgoff_t index = 0;
	bool more;

	do {
		filemap_invalidate_lock_shared(inode->i_mapping);
		more = gmem_show_some_bindings(m, inode, &index);
		filemap_invalidate_unlock_shared(inode->i_mapping);
		cond_resched();
	} while (more);
}

void gmem_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct inode *inode = file_inode(file);
	u64 size = i_size_read(inode);
	u64 shared = gmem_all_shared(inode) ? size : 0;
	struct gmem_usage usage;

	if (gmem_is_convertible(inode))
		shared = gmem_shared_bytes(inode);
	gmem_usage_of(inode, &usage);
	seq_printf(m, "gmem-size:\t%llu\ngmem-flags:\t", size);
	gmem_show_flags(m, GMEM_I(inode)->flags, ' ');
	seq_printf(m, "\ngmem-resident:\t%lu\n", usage.nr_pages << PAGE_SHIFT);
	seq_printf(m, "gmem-huge:\t%lu\n", usage.nr_huge << PAGE_SHIFT);
	seq_printf(m, "gmem-private:\t%llu\n", size - shared);
	seq_printf(m, "gmem-shared:\t%llu\n", shared);
	if (gmem_is_convertible(inode))
		seq_printf(m, "gmem-pending:\t%llu\n",
			   gmem_pending_bytes(inode));

	gmem_show_bindings(m, inode);
}
