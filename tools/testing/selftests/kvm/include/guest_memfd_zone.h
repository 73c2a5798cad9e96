/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for tests of memory that has to be movable, or is nearly all in use:
 * contiguous memory areas, memory blocks, and nodes.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_ZONE_H
#define SELFTEST_KVM_GUEST_MEMFD_ZONE_H

#include <glob.h>

#include "guest_memfd_huge.h"
#include "guest_memfd_move.h"

/*
 * Contiguous memory areas, each a directory in debugfs.  Skips the test if there
 * is none; globfree() them.
 */
void zone_find_cma(glob_t *dirs);
/* One of its files, e.g. "base_pfn". */
u64 zone_cma_number(const char *dir, const char *name);
/* Have all of an area, whatever is in it, and give it back. */
void zone_take_cma(const char *dir);
void zone_free_cma(const char *dir);

/*
 * Memory blocks.  What a test does to them is undone when it ends.
 */

/* Return: 0 or -errno. */
int zone_set_block(u64 block, const char *state);
bool zone_node_has_block(int node, u64 block);

/*
 * A block of node 1 that can be taken offline, in which all is movable now.  Skips
 * the test if there is none.
 */
u64 zone_movable_block(void);
/* Undo that; nothing that was allocated there may be left. */
void zone_block_back(u64 block);
/* It must go; others' pages in it can be in use just now. */
void zone_take_offline(u64 block);

/*
 * A block of node 1 that can be taken offline, and is empty; all others that can
 * are offline, and so are the node's CPUs, for nobody else to allocate from it.
 * Skips the test if there is none.
 */
u64 zone_only_block(void);

/*
 * Nodes: bytes that are free, and files that pin all but a little of that.
 */

u64 zone_free_on(int node);

struct zone_hog {
	struct kvm_vm *vm;
	int fd, rest;
	int node;
	u64 size;
};

void zone_fill_node(struct zone_hog *hog, int node);
/* Of what that has left free, no 2 MiB are together, nor does mm get them together. */
void zone_use_huge(struct zone_hog *hog);
/* The same later: some that others had may be free, or one that was lent to them. */
void zone_use_huge_again(struct zone_hog *hog);
void zone_lend_huge(struct zone_hog *hog);
void zone_leave_node(struct zone_hog *hog);

/*
 * @act for each contiguous area with a movable file, which is partly in it: nearly all
 * else of the node is in use when it is made.
 */
void zone_with_cma(const struct move_kind *kind, u64 size,
		   void (*act)(struct move_file *f, const char *dir));

#endif /* SELFTEST_KVM_GUEST_MEMFD_ZONE_H */
