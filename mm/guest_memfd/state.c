// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: what of a convertible file is shared with the host.
 *
 * The state is a set of ranges that are shared; what is in none is private.
 * Ranges neither overlap nor touch, so that there are as many as there are
 * changes from one page to the next, and all memory costs what a page costs.
 *
 * Next to it is the set of ranges that are pending: somebody converts them to
 * private and waits until nobody uses them any more.  They are still shared, but
 * nobody in the host gets a page of them.  Two of them never overlap.
 *
 * The state changes with invalidate_lock held for write and state_lock held for
 * write, and does not if either is held in any way.  Page faults have the first;
 * state_lock is for those who cannot sleep.  These can see a change half done,
 * and know by the client's own means, invalidate_start(), that it goes on.
 *
 * What is pending is under state_lock.  It begins with invalidate_lock held for
 * write, so that no fault is half way through, and can end without.
 */

#include <linux/interval_tree.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "internal.h"
#include "state.h"

/* Ranges that are removed without letting go of state_lock in between. */
#define GMEM_STATE_BATCH	128

void gmem_init_state(struct inode *inode)
{
	struct gmem_state *state = &GMEM_I(inode)->state;

	rwlock_init(&state->lock);
	state->shared = RB_ROOT_CACHED;
	state->nr_shared = 0;
	state->pending = RB_ROOT_CACHED;
	init_waitqueue_head(&state->wait);
}

/* The state of a new convertible file, whose flags and size are set. */
int gmem_start_state(struct inode *inode)
{
	struct interval_tree_node *all;

	if (!(GMEM_I(inode)->flags & GUEST_MEMFD_SHARED))
		return 0;

	all = gmem_alloc_range();
	if (!all)
		return -ENOMEM;

	/* Nobody else knows the inode, but the lock is asserted. */
	filemap_invalidate_lock(inode->i_mapping);
	gmem_set_shared(inode, 0, i_size_read(inode) >> PAGE_SHIFT, &all);
	filemap_invalidate_unlock(inode->i_mapping);
	return 0;
}

/* Nobody else knows the inode. */
void gmem_destroy_state(struct inode *inode)
{
	struct gmem_state *state = &GMEM_I(inode)->state;
	struct interval_tree_node *node, *next;

	WARN_ON_ONCE(!RB_EMPTY_ROOT(&state->pending.rb_root));
	rbtree_postorder_for_each_entry_safe(node, next, &state->shared.rb_root,
					     rb) {
		kfree(node);
		cond_resched();
	}
}

/**
 * gmem_alloc_range - allocate what one change of the state can need
 *
 * Context: Process context, may sleep.
 * Return: A range for gmem_set_shared() or gmem_set_private(), or NULL.
 */
struct interval_tree_node *gmem_alloc_range(void)
{
	return kmalloc(sizeof(struct interval_tree_node), GFP_KERNEL_ACCOUNT);
}

/**
 * gmem_is_shared - whether the host may access a page
 * @inode:	Inode of the file.
 * @index:	Page index.
 *
 * Context: Any.  The answer can be old at once unless invalidate_lock is held.
 * Return: true if it may, as far as the state goes.
 */
bool gmem_is_shared(struct inode *inode, pgoff_t index)
{
	struct gmem_state *state = &GMEM_I(inode)->state;
	bool shared;

	if (!gmem_is_convertible(inode))
		return gmem_all_shared(inode);

	read_lock(&state->lock);
	shared = interval_tree_iter_first(&state->shared, index, index);
	read_unlock(&state->lock);
	return shared;
}

/* How much of the file the host may access. */
u64 gmem_shared_bytes(struct inode *inode)
{
	struct gmem_state *state = &GMEM_I(inode)->state;
	u64 nr_pages;

	if (!gmem_is_convertible(inode))
		return gmem_all_shared(inode) ? i_size_read(inode) : 0;

	/* Not while a change is half done. */
	filemap_invalidate_lock_shared(inode->i_mapping);
	nr_pages = state->nr_shared;
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return nr_pages << PAGE_SHIFT;
}

/**
 * gmem_next_shared - find the first shared pages of a range
 * @inode:	Inode of a convertible file.
 * @start:	First page index; becomes that of the first shared page.
 * @end:	Page index after the last; becomes that after the last shared one.
 *
 * Context: invalidate_lock held.
 * Return: false if no page of the range is shared.
 */
bool gmem_next_shared(struct inode *inode, pgoff_t *start, pgoff_t *end)
{
	struct interval_tree_node *node;

	gmem_assert_locked(inode);

	if (*start >= *end)
		return false;
	node = interval_tree_iter_first(&GMEM_I(inode)->state.shared, *start,
					*end - 1);
	if (!node)
		return false;

	*start = max(*start, node->start);
	*end = min(*end, node->last + 1);
	return true;
}

/**
 * gmem_next_private - find the first private pages of a range
 * @inode:	Inode of a convertible file.
 * @start:	First page index; becomes that of the first private page.
 * @end:	Page index after the last; becomes that after the last private one.
 *
 * Context: invalidate_lock held.
 * Return: false if no page of the range is private.
 */
bool gmem_next_private(struct inode *inode, pgoff_t *start, pgoff_t *end)
{
	pgoff_t first = *start, after = *end;

	gmem_assert_locked(inode);

	/* Shared ranges do not touch: after one comes something private. */
	if (gmem_next_shared(inode, &first, &after) && first == *start) {
		*start = after;
		first = after;
		after = *end;
		if (!gmem_next_shared(inode, &first, &after))
			first = *end;
	} else if (first == *start) {
		first = *end;
	}
	*end = first;
	return *start < *end;
}

static void gmem_insert_range(struct gmem_state *state,
			      struct interval_tree_node *node, pgoff_t start,
			      pgoff_t last)
{
	lockdep_assert_held_write(&state->lock);

	node->start = start;
	node->last = last;
	interval_tree_insert(node, &state->shared);
	state->nr_shared += last - start + 1;
}

static void gmem_remove_range(struct gmem_state *state,
			      struct interval_tree_node *node)
{
	lockdep_assert_held_write(&state->lock);

	interval_tree_remove(node, &state->shared);
	state->nr_shared -= node->last - node->start + 1;
}

/**
 * gmem_set_shared - make a range shared
 * @inode:	Inode of a convertible file.
 * @start:	First page index.
 * @end:	Page index after the last.
 * @spare:	From gmem_alloc_range(); NULL afterwards if it has been used.
 *
 * Context: Process context, may sleep; invalidate_lock held for write.
 */
void gmem_set_shared(struct inode *inode, pgoff_t start, pgoff_t end,
		     struct interval_tree_node **spare)
{
	struct gmem_state *state = &GMEM_I(inode)->state;
	pgoff_t first = start, last = end - 1;
	struct interval_tree_node *node;
	int i = 0;

	gmem_assert_locked_write(inode);

	write_lock(&state->lock);
	/* One page further on both sides: what touches becomes one range. */
	while ((node = interval_tree_iter_first(&state->shared,
						start ? start - 1 : 0, end))) {
		first = min(first, node->start);
		last = max(last, node->last);
		gmem_remove_range(state, node);
		if (++i % GMEM_STATE_BATCH) {
			kfree(node);
			continue;
		}
		/* Nobody may see neighbours as private meanwhile. */
		gmem_insert_range(state, node, first, last);
		write_unlock(&state->lock);
		cond_resched();
		write_lock(&state->lock);
	}
	gmem_insert_range(state, *spare, first, last);
	*spare = NULL;
	write_unlock(&state->lock);
}

/* Take [start, last] from a range that overlaps it. */
static void gmem_cut_range(struct gmem_state *state,
			   struct interval_tree_node *node, pgoff_t start,
			   pgoff_t last, struct interval_tree_node **spare)
{
	pgoff_t old_start = node->start, old_last = node->last;

	gmem_remove_range(state, node);
	if (old_last > last) {
		gmem_insert_range(state, node, last + 1, old_last);
		node = NULL;
	}
	if (old_start < start) {
		if (!node)
			swap(node, *spare);
		gmem_insert_range(state, node, old_start, start - 1);
		node = NULL;
	}
	kfree(node);
}

/**
 * gmem_set_private - make a range private
 * @inode:	Inode of a convertible file.
 * @start:	First page index.
 * @end:	Page index after the last.
 * @spare:	From gmem_alloc_range(); NULL afterwards if it has been used.
 *
 * Context: Process context, may sleep; invalidate_lock held for write.
 */
void gmem_set_private(struct inode *inode, pgoff_t start, pgoff_t end,
		      struct interval_tree_node **spare)
{
	struct gmem_state *state = &GMEM_I(inode)->state;
	struct interval_tree_node *node;
	int i = 0;

	gmem_assert_locked_write(inode);

	write_lock(&state->lock);
	while ((node = interval_tree_iter_first(&state->shared, start,
						end - 1))) {
		gmem_cut_range(state, node, start, end - 1, spare);
		if (++i % GMEM_STATE_BATCH == 0) {
			write_unlock(&state->lock);
			cond_resched();
			write_lock(&state->lock);
		}
	}
	write_unlock(&state->lock);
}

/**
 * gmem_begin_pending - keep the host from using pages anew
 * @inode:	Inode of a convertible file.
 * @node:	The range, filled in.  The caller's until gmem_end_pending().
 *
 * Context: invalidate_lock held for write.  The range overlaps no pending one.
 */
void gmem_begin_pending(struct inode *inode, struct interval_tree_node *node)
{
	struct gmem_state *state = &GMEM_I(inode)->state;

	gmem_assert_locked_write(inode);

	write_lock(&state->lock);
	interval_tree_insert(node, &state->pending);
	write_unlock(&state->lock);
}

/**
 * gmem_end_pending - end what gmem_begin_pending() began
 * @inode:	Inode of the file.
 * @node:	The range.
 *
 * Context: Any.
 */
void gmem_end_pending(struct inode *inode, struct interval_tree_node *node)
{
	struct gmem_state *state = &GMEM_I(inode)->state;

	write_lock(&state->lock);
	interval_tree_remove(node, &state->pending);
	write_unlock(&state->lock);
	wake_up_all(&state->wait);
}

/**
 * gmem_find_pending - look for a pending page in a range
 * @inode:	Inode of the file.
 * @start:	First page index; becomes that of the first pending page.
 * @end:	Page index after the last.
 *
 * Context: Any.  With invalidate_lock held, none appears after the answer.
 * Return: false if there is none.
 */
bool gmem_find_pending(struct inode *inode, pgoff_t *start, pgoff_t end)
{
	struct gmem_state *state = &GMEM_I(inode)->state;
	struct interval_tree_node *node;

	/* Pairs with nothing: who must know holds invalidate_lock. */
	if (RB_EMPTY_ROOT(&state->pending.rb_root))
		return false;

	read_lock(&state->lock);
	node = interval_tree_iter_first(&state->pending, *start, end - 1);
	if (node)
		*start = max(*start, node->start);
	read_unlock(&state->lock);
	return node;
}

/* How much somebody waits for to become private. */
u64 gmem_pending_bytes(struct inode *inode)
{
	struct gmem_state *state = &GMEM_I(inode)->state;
	struct interval_tree_node *node;
	u64 nr_pages = 0;

	read_lock(&state->lock);
	node = interval_tree_iter_first(&state->pending, 0, ULONG_MAX);
	while (node) {
		nr_pages += node->last - node->start + 1;
		node = interval_tree_iter_next(node, 0, ULONG_MAX);
	}
	read_unlock(&state->lock);
	return nr_pages << PAGE_SHIFT;
}

/**
 * gmem_wait_pending - wait until a page is not pending any more
 * @inode:	Inode of the file; the caller sees to it that it stays.
 * @index:	Page index.
 *
 * Context: Process context, sleeps; no locks held.  A signal ends the wait.
 */
void gmem_wait_pending(struct inode *inode, pgoff_t index)
{
	wait_event_interruptible(GMEM_I(inode)->state.wait,
				 !gmem_is_pending(inode, index));
}
