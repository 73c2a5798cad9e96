/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A conversion; see convert.c.
 */
#ifndef _MM_GUEST_MEMFD_CONVERT_H
#define _MM_GUEST_MEMFD_CONVERT_H

#include <linux/fs.h>
#include <linux/guest_memfd.h>
#include <linux/interval_tree.h>
#include <linux/mm.h>

/**
 * struct gmem_convert - a conversion under way
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 * @args:	What was asked for, and where to say why it did not work.
 * @spare:	For the state.
 * @pending:	The range, while it is pending.
 */
struct gmem_convert {
	struct inode *inode;
	pgoff_t start;
	pgoff_t end;
	struct guest_memfd_conversion *args;
	struct interval_tree_node *spare;
	struct interval_tree_node pending;
};

static inline bool gmem_range_is_valid(struct inode *inode, u64 offset, u64 size)
{
	return PAGE_ALIGNED(offset) && PAGE_ALIGNED(size) && size &&
	       offset + size > offset && offset + size <= i_size_read(inode);
}

int gmem_convert_blocked(struct gmem_convert *c, pgoff_t index,
			 enum guest_memfd_busy reason);
int gmem_check_range(struct gmem_convert *c, pgoff_t from);
int gmem_freeze_range(struct gmem_convert *c);

#endif /* _MM_GUEST_MEMFD_CONVERT_H */
