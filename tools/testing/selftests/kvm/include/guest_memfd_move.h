/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for tests of what moves the memory of a guest_memfd, or may not.
 *
 * A move_file is a file full of pages of one node, in folios of one size, of
 * which all is shared with the host, or all private.  Which page frames it has
 * says the trace event of their look-up.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_MOVE_H
#define SELFTEST_KVM_GUEST_MEMFD_MOVE_H

#include <pthread.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_huge.h"

struct move_kind {
	const char *name;
	bool private;
	bool huge;
};

#define MOVE_KINDS	4
extern const struct move_kind move_kinds[MOVE_KINDS];

/* A shared file is that of a default VM.  A private one has a guest. */
struct move_file {
	const struct move_kind *kind;
	struct gmem_map m;
	struct gmem_conv_guest g;
	int fd;
	char *mem;
	u64 size;
	u64 nr;
	u64 *pfns;	/* by index in the file */
};

/* Skip the test if there is but one node. */
void move_require_nodes(void);

/* @flags: of the file, besides those that follow from @kind. */
void move_start(struct move_file *f, const struct move_kind *kind, u64 size,
		int node, u64 flags);
void move_end(struct move_file *f);

/*
 * The same with much free memory behind it, which is where compaction looks for room;
 * when it has found that it ends.
 */
void move_start_before_room(struct move_file *f, const struct move_kind *kind,
			    u64 size, int node, u64 flags);

/* The memory policy of the file: 0 or -errno of mbind(). */
int move_mbind(struct move_file *f, int node, unsigned int flags);

/* The same by KVM_GMEM_SET_POLICY, for a part of any file. */
int move_policy(int fd, u64 offset, u64 size, int node, unsigned int flags);

/* Contents: a pattern, written and read by the host, or by the guest. */
void move_fill(struct move_file *f, u64 tag);
void move_check(struct move_file *f, u64 tag);

/* Where the pages are now; free() it. */
u64 *move_find(struct move_file *f, const char *when);

/* The same, which is from now on where they have been at the start. */
void move_find_again(struct move_file *f, const char *when);

/* How many were among @count page frames, or in a memory block, at the start. */
u64 move_count_within(struct move_file *f, u64 base, u64 count);
u64 move_count_in_block(struct move_file *f, u64 block);

/* Where the page at an offset is. */
u64 move_pfn(struct move_file *f, u64 offset);

/* Nothing has moved since the start, huge pages are whole, contents as filled. */
void move_assert_still(struct move_file *f, const char *when);

/* As much as at the start, @huge of it in huge folios. */
void move_assert_usage(struct move_file *f, u64 huge, const char *when);

/*
 * The test's control group, in which no other file is, has as much of each node and
 * in huge folios as the file, all of it on LRU lists.  For that the test has to
 * call gmem_group_enter() before move_start().
 */
void move_assert_counted(struct move_file *f, const char *when);

/* Pages of a memory block, which can go offline. */
u64 move_block_pages(void);

/* The node that a page frame is on. */
int move_node_of(u64 pfn);

/* @act with files of all kinds, one after the other. */
void move_with_all(u64 size, int node, u64 flags,
		   void (*act)(struct move_file *f));

/* move_pages(2) for one page: the status, or -EAGAIN if it could not be moved. */
int move_page(void *addr, int node);

/*
 * The guest of a private file counts: in each pass it looks at a word of each page,
 * which has to be the number of the pass, and writes the next one.
 */
struct move_counter {
	struct move_file *f;
	struct move_counting *c;	/* in guest memory */
	pthread_t thread;
};

void move_counter_start(struct move_counter *c, struct move_file *f);
/* It has gone through all its memory since, and no count is wrong. */
void move_counter_check(struct move_counter *c, const char *when);
/* The same for the last time. */
void move_counter_end(struct move_counter *c);

/* Where that word is, in bytes: not always the same in each page. */
static inline u64 move_word_of(u64 page)
{
	return page * P + page % 512 * 8;
}

/* Allocate anonymous memory of a node, with holes between its pages. */
char *move_make_sparse(u64 size, int node);

#endif /* SELFTEST_KVM_GUEST_MEMFD_MOVE_H */
