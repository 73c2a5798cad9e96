/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which ranges are being converted; see marks.c.
 */
#ifndef _MM_GUEST_MEMFD_MARKS_H
#define _MM_GUEST_MEMFD_MARKS_H

#include <linux/interval_tree.h>

struct inode;

/**
 * struct gmem_mark - a range that is being converted
 * @node:	The range.
 * @opening:	It becomes shared.  Constant.
 * @waits:	The conversion waits for others to be done with the pages.  Under
 *		&gmem_marks.lock.
 */
struct gmem_mark {
	struct interval_tree_node node;
	bool opening;
	bool waits;
};

enum gmem_marked {
	GMEM_NOT_MARKED,
	GMEM_MARKED_WORKS,
	GMEM_MARKED_WAITS,
};

void gmem_init_marks(struct inode *inode);
void gmem_begin_mark(struct inode *inode, struct gmem_mark *mark);
void gmem_end_mark(struct inode *inode, struct gmem_mark *mark);
void gmem_mark_commits(struct inode *inode, struct gmem_mark *mark);
enum gmem_marked gmem_find_mark(struct inode *inode, pgoff_t *start, pgoff_t end);
bool gmem_is_opening(struct inode *inode, pgoff_t start, pgoff_t end);
int gmem_wait_mark(struct inode *inode, pgoff_t start, pgoff_t end);

#endif /* _MM_GUEST_MEMFD_MARKS_H */
