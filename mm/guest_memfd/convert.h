/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A conversion; see convert.c.
 */
#ifndef _MM_GUEST_MEMFD_CONVERT_H
#define _MM_GUEST_MEMFD_CONVERT_H

#include <linux/fs.h>
#include <linux/guest_memfd.h>
#include <linux/mm.h>

#include "backoff.h"
#include "internal.h"
#include "marks.h"

/**
 * struct gmem_convert - a conversion under way
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 * @args:	What was asked for, and where to say why it did not work.
 * @spare:	For the state.
 * @mark:	The range, while other conversions are kept out of it.
 * @pending:	The first page that is still pending, until the end of the range.
 * @drained:	All CPUs have been asked to give up the references with which they
 *		put folios on LRU lists.
 */
struct gmem_convert {
	struct inode *inode;
	pgoff_t start;
	pgoff_t end;
	struct guest_memfd_conversion *args;
	struct range_map_range *spare;
	struct gmem_mark mark;
	pgoff_t pending;
	bool drained;
};

/* Whether it is done under one hold of the lock, unless it has to wait. */
static inline bool gmem_is_piece(const struct gmem_convert *c)
{
	return c->end - c->start <= GMEM_PIECE;
}

/* convert_common.c */
int gmem_convert_blocked(struct gmem_convert *c, pgoff_t index,
			 enum guest_memfd_busy reason);
int gmem_convert_lock(struct gmem_convert *c);
void gmem_convert_unlock(struct gmem_convert *c);
void gmem_begin_convert(struct gmem_convert *c);
void gmem_init_convert_wait(struct gmem_convert *c, struct gmem_backoff *b);
int gmem_commit_pieces(struct gmem_convert *c,
		       void (*commit)(struct gmem_convert *c, pgoff_t start,
				      pgoff_t end));

/* close.c */
int gmem_convert_to_private(struct gmem_convert *c);

/* open.c */
int gmem_convert_to_shared(struct gmem_convert *c);

/* users.c */
int gmem_check_range(struct gmem_convert *c, pgoff_t start, pgoff_t end);
int gmem_freeze_range(struct gmem_convert *c, pgoff_t start, pgoff_t end);

#endif /* _MM_GUEST_MEMFD_CONVERT_H */
