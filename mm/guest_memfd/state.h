/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What of a convertible file is shared; see state.c.
 */
#ifndef _MM_GUEST_MEMFD_STATE_H
#define _MM_GUEST_MEMFD_STATE_H

#include <linux/types.h>

struct inode;
struct range_map_range;

void gmem_init_state(struct inode *inode);
int gmem_start_state(struct inode *inode);
void gmem_destroy_state(struct inode *inode);
bool gmem_alloc_ranges(struct range_map_range **spare);
void gmem_free_ranges(struct range_map_range **spare);

u64 gmem_shared_bytes(struct inode *inode);
bool gmem_is_shared(struct inode *inode, pgoff_t index);
bool gmem_next_shared(struct inode *inode, pgoff_t *start, pgoff_t *end);
bool gmem_next_private(struct inode *inode, pgoff_t *start, pgoff_t *end);
pgoff_t gmem_end_of_runs(struct inode *inode, pgoff_t start, pgoff_t end,
			 unsigned int nr);
void gmem_set_shared(struct inode *inode, pgoff_t start, pgoff_t end,
		     struct range_map_range **spare);
void gmem_set_private(struct inode *inode, pgoff_t start, pgoff_t end,
		      struct range_map_range **spare);

void gmem_begin_pending(struct inode *inode, pgoff_t start, pgoff_t end,
			const void *owner, struct range_map_range **spare);
void gmem_end_pending(struct inode *inode, pgoff_t start, pgoff_t end,
		      struct range_map_range **spare);
bool gmem_find_pending(struct inode *inode, pgoff_t *start, pgoff_t end);
u64 gmem_pending_bytes(struct inode *inode);
void gmem_wait_pending(struct inode *inode, pgoff_t index);

static inline bool gmem_is_pending(struct inode *inode, pgoff_t index)
{
	return gmem_find_pending(inode, &index, index + 1);
}

/*
 * Each run [start, run_end) of shared pages in what is from @start on and before
 * @end; for_each_gmem_private() the same for private ones.
 */
#define for_each_gmem_shared(inode, start, run_end, end)			\
	for (run_end = (end); gmem_next_shared(inode, &start, &run_end);	\
	     start = run_end, run_end = (end))

#define for_each_gmem_private(inode, start, run_end, end)			\
	for (run_end = (end); gmem_next_private(inode, &start, &run_end);	\
	     start = run_end, run_end = (end))

#endif /* _MM_GUEST_MEMFD_STATE_H */
