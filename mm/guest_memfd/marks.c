// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: which ranges are being converted, piece by piece.
 *
 * A conversion of more than a piece, or one that waits, drops invalidate_lock in
 * the middle.  Its mark keeps other conversions out of the range meanwhile, and
 * those that find it do one of two things.  They wait for its end, if that
 * depends on nothing but the conversion itself.  They give up if it waits for
 * users of the pages: that can take any time, and the user may be the task that
 * asks for another conversion.
 *
 * A mark says also whether the range is "opening", that is, becomes shared.
 * No large folio is allocated in it, so that what has been split stays so.
 * Faults do not care; what keeps them from a range that becomes private is
 * "pending" in the state.
 *
 * Marks are made with invalidate_lock held for write, and can go without.
 */

#include <linux/interval_tree.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "internal.h"
#include "marks.h"

void gmem_init_marks(struct inode *inode)
{
	struct gmem_marks *marks = &GMEM_I(inode)->marks;

	spin_lock_init(&marks->lock);
	marks->tree = RB_ROOT_CACHED;
	init_waitqueue_head(&marks->wait);
}

/**
 * gmem_begin_mark - keep other conversions out of a range
 * @inode:	Inode of a convertible file.
 * @mark:	The mark, filled in.  The caller's until gmem_end_mark().
 *
 * Context: invalidate_lock held for write; the range overlaps no other mark.
 */
void gmem_begin_mark(struct inode *inode, struct gmem_mark *mark)
{
	struct gmem_marks *marks = &GMEM_I(inode)->marks;

	gmem_assert_locked_write(inode);

	spin_lock(&marks->lock);
	interval_tree_insert(&mark->node, &marks->tree);
	spin_unlock(&marks->lock);
}

/**
 * gmem_end_mark - end what gmem_begin_mark() began
 * @inode:	Inode of the file.
 * @mark:	The mark.
 *
 * Context: Any.
 */
void gmem_end_mark(struct inode *inode, struct gmem_mark *mark)
{
	struct gmem_marks *marks = &GMEM_I(inode)->marks;

	spin_lock(&marks->lock);
	interval_tree_remove(&mark->node, &marks->tree);
	spin_unlock(&marks->lock);
	wake_up_all(&marks->wait);
}

/* From here on the conversion does not depend on others any more. */
void gmem_mark_commits(struct inode *inode, struct gmem_mark *mark)
{
	struct gmem_marks *marks = &GMEM_I(inode)->marks;

	spin_lock(&marks->lock);
	mark->waits = false;
	spin_unlock(&marks->lock);
}

/**
 * gmem_find_mark - look for a conversion in a range
 * @inode:	Inode of the file.
 * @start:	First page index; becomes that of the first page with a mark.
 * @end:	Page index after the last.
 *
 * Context: Any.  With invalidate_lock held, none appears after the answer.
 * Return: What the conversion is at.
 */
enum gmem_marked gmem_find_mark(struct inode *inode, pgoff_t *start, pgoff_t end)
{
	struct gmem_marks *marks = &GMEM_I(inode)->marks;
	enum gmem_marked ret = GMEM_NOT_MARKED;
	struct interval_tree_node *node;

	/* Pairs with nothing: a caller that must know holds invalidate_lock. */
	if (RB_EMPTY_ROOT(&marks->tree.rb_root))
		return ret;

	spin_lock(&marks->lock);
	node = interval_tree_iter_first(&marks->tree, *start, end - 1);
	if (node) {
		ret = container_of(node, struct gmem_mark, node)->waits ?
		      GMEM_MARKED_WAITS : GMEM_MARKED_WORKS;
		*start = max(*start, node->start);
	}
	spin_unlock(&marks->lock);
	return ret;
}

/**
 * gmem_is_opening - whether a part of a range is becoming shared
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: invalidate_lock held.
 * Return: true if it is.
 */
bool gmem_is_opening(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct gmem_marks *marks = &GMEM_I(inode)->marks;
	struct interval_tree_node *node;
	bool opening = false;

	gmem_assert_locked(inode);

	/* None appears meanwhile; that one goes does not matter. */
	if (RB_EMPTY_ROOT(&marks->tree.rb_root))
		return false;

	spin_lock(&marks->lock);
	node = interval_tree_iter_first(&marks->tree, start, end - 1);
	while (node && !opening) {
		opening = container_of(node, struct gmem_mark, node)->opening;
		node = interval_tree_iter_next(node, start, end - 1);
	}
	spin_unlock(&marks->lock);
	return opening;
}

static bool gmem_marked_works(struct inode *inode, pgoff_t start, pgoff_t end)
{
	return gmem_find_mark(inode, &start, end) == GMEM_MARKED_WORKS;
}

/**
 * gmem_wait_mark - wait for a conversion that is at work
 * @inode:	Inode of the file.
 * @start:	First page index.
 * @end:	Page index after the last.
 *
 * Context: Process context, sleeps; no locks held.
 * Return: 0; -EINTR if the task is being killed.
 */
int gmem_wait_mark(struct inode *inode, pgoff_t start, pgoff_t end)
{
	return wait_event_killable(GMEM_I(inode)->marks.wait,
				   !gmem_marked_works(inode, start, end)) ?
	       -EINTR : 0;
}
