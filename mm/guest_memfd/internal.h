/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of guest_memfd know of each other.
 *
 *   file.c	the file: creation, file operations, inode life cycle
 *   folio.c	the memory: allocation, look-up, removal
 *   binding.c	the clients' ranges, and telling them of changes
 *
 * "start" and "last" are inclusive, "end" is exclusive; all three are page
 * indices.  "offset" and "size" are in bytes.
 */
#ifndef _MM_GUEST_MEMFD_INTERNAL_H
#define _MM_GUEST_MEMFD_INTERNAL_H

#include <linux/fs.h>
#include <linux/guest_memfd.h>
#include <linux/pagemap.h>

/**
 * struct gmem_inode - a file's memory and everything that is a property of it
 * @vfs_inode:	The inode; its i_size is set once, at creation.
 * @ops:	The client's operations.  Constant.
 * @bindings:	All bindings, by range; no two overlap.  Changed under
 *		invalidate_lock held for write, read with it held either way.
 */
struct gmem_inode {
	struct inode vfs_inode;
	const struct guest_memfd_client_ops *ops;
	struct rb_root_cached bindings;
};

static inline struct gmem_inode *GMEM_I(struct inode *inode)
{
	return container_of(inode, struct gmem_inode, vfs_inode);
}

static inline void gmem_assert_locked(struct inode *inode)
{
	lockdep_assert_held(&inode->i_mapping->invalidate_lock);
}

static inline void gmem_assert_locked_write(struct inode *inode)
{
	lockdep_assert_held_write(&inode->i_mapping->invalidate_lock);
}

/* folio.c */
extern const struct address_space_operations gmem_aops;
struct folio *gmem_get_folio(struct inode *inode, pgoff_t index);
void gmem_remove_folios(struct inode *inode, pgoff_t start, pgoff_t end);

/* binding.c */
void gmem_invalidate_start(struct inode *inode, pgoff_t start, pgoff_t end);
void gmem_invalidate_end(struct inode *inode, pgoff_t start, pgoff_t end);

#endif /* _MM_GUEST_MEMFD_INTERNAL_H */
