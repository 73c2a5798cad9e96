// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: /proc/PID/fdinfo/N
 *
 * The format is described in Documentation/filesystems/proc.rst and does not
 * change, except that keys and the ends of binding lines may be added.
 *
 * The reader in procfs holds a reference to the file, so nothing is released
 * meanwhile.  invalidate_lock is held for read while bindings are shown: they
 * stay, and what the client has attached to them does, too.
 */

#include <linux/kernel.h>
#include <linux/seq_file.h>

#include "account.h"
#include "internal.h"
#include "state.h"

static const struct {
	unsigned long flag;
	const char *name;
} gmem_flag_names[] = {
	{ GUEST_MEMFD_MAPPABLE,	"mappable" },
	{ GUEST_MEMFD_SHARED,	"shared" },
	{ GUEST_MEMFD_CONVERTIBLE, "convertible" },
	{ GUEST_MEMFD_HUGEPAGE,	"hugepage" },
};

/* Words, separated by @sep: not numbers, as those are nobody's ABI. */
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

static void gmem_show_bindings(struct seq_file *m, struct inode *inode)
{
	struct interval_tree_node *node;

	gmem_assert_locked(inode);
	node = interval_tree_iter_first(&GMEM_I(inode)->bindings, 0, ULONG_MAX);
	/* When the buffer is full, seq_file starts again with a larger one. */
	while (node && !seq_has_overflowed(m)) {
		gmem_show_binding(m, container_of(node,
						  struct guest_memfd_binding,
						  node));
		node = interval_tree_iter_next(node, 0, ULONG_MAX);
	}
}

void gmem_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct inode *inode = file_inode(file);
	u64 size = i_size_read(inode);
	u64 shared = gmem_shared_bytes(inode);
	struct gmem_usage usage;

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

	filemap_invalidate_lock_shared(inode->i_mapping);
	gmem_show_bindings(m, inode);
	filemap_invalidate_unlock_shared(inode->i_mapping);
}
