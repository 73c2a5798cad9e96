// SPDX-License-Identifier: GPL-2.0-only
/*
 * Maps from ranges of indices to values.
 *
 * A map gives each index a value.  It consists of ranges, in a red-black tree
 * sorted by their first index; indices in no range have the value 0.  Ranges do
 * not overlap, and neighbours with equal values are one range, so that the size
 * of the tree follows the number of changes from one index to the next, and to
 * give all indices a value costs what one index costs.
 *
 * The user of a map has a lock of its own, a sleeping one, that is held to
 * change the map ("the user's lock"); the functions below cannot assert it.
 * With it, a change is range_map_prepare(), which can fail and changes nothing,
 * then range_map_store(), which cannot fail.  A range that comes into being is
 * taken from a list of spare ones, and one that goes is put there, while the
 * list is short: a value that is changed to and fro allocates nothing.
 *
 * Look-ups are possible in any context and write to no memory that others use.
 * Under RCU they walk a tree that may be changing, and &range_map.seq decides
 * whether what they have found is true::
 *
 *	CPU 0: range_map_store()		CPU 1: range_map_lookup()
 *
 *						sequence is even: 2
 *	sequence = 3
 *	[0, 9] becomes [0, 4]			5 is in no range
 *	new range [5, 5]
 *	sequence = 4
 *						sequence is not 2: again
 *
 * range_map_store() lets go of &range_map.lock now and then, with all done up to
 * some index: each index has its old value or its new one, never another.
 *
 * What a walk meets on its way down is memory of a range, for four reasons:
 *
 * - The links of the tree, and what ranges contain, are loaded and stored as a
 *   whole; lib/rbtree.c, "Notes on lockless lookups", says what a changing tree
 *   has to offer.  It may hide ranges, but leads to nothing but ranges.
 * - The links of a new range are NULL before the change begins, and the barrier
 *   of write_seqcount_begin() pairs with the address dependency of the walk.
 *   (That the range is linked with release semantics is not enough: the next
 *   rotation stores its address elsewhere without.)
 * - A range is freed a grace period after it has left the tree.
 * - A spare range that is used again while a walk is still at it leads the walk
 *   to another part of the tree, which is as good as any other wrong result.
 *
 * That it ends does not follow: as fast as the walk goes down, the tree can be
 * rotated, or the range in which the walk is used higher up.  The number of
 * steps is limited, therefore, to what no tree exceeds that is not changing: one
 * of n ranges is at most 2 * log2(n + 1) high.
 *
 * A reader that cannot wait for a change to end, because it may have interrupted
 * that change, tries once::
 *
 *	range_map_store()
 *	sequence = 3
 *	  interrupt: range_map_try_lookup()
 *	    sequence is odd: false
 *	sequence = 4
 *
 * On PREEMPT_RT, where a change can be preempted, range_map_lookup() takes the
 * lock that belongs to the sequence when it finds a change under way, and lends
 * its priority.  range_map_try_lookup() does not.
 */

#include <linux/export.h>
#include <linux/range_map.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <asm/barrier.h>

/* Ranges that are removed without letting go of the lock in between. */
#define RANGE_MAP_BATCH		128

/* No tree is higher. */
#define RANGE_MAP_MAX_HEIGHT	(2 * BITS_PER_LONG)

#define to_range(n)	rb_entry_safe(n, struct range_map_range, node)

/*
 * struct range_map_change - a piece of a change
 * @map:	The map.
 * @first:	First index.
 * @last:	Last index.
 * @value:	What their value is going to be.
 * @prev:	The last range that begins before @first.
 * @next:	The range after that.
 * @spares:	The caller's spare ranges.
 */
struct range_map_change {
	struct range_map *map;
	unsigned long first;
	unsigned long last;
	unsigned long value;
	struct range_map_range *prev;
	struct range_map_range *next;
	struct range_map_range **spares;
};

/**
 * range_map_init - make a map without any values
 * @map:	The map.
 *
 * Context: Any.
 */
void range_map_init(struct range_map *map)
{
	spin_lock_init(&map->lock);
	seqcount_spinlock_init(&map->seq, &map->lock);
	map->root = RB_ROOT;
	map->nr_set = 0;
}
EXPORT_SYMBOL_GPL(range_map_init);

/**
 * range_map_destroy - free what a map consists of
 * @map:	The map, which nothing looks into just now; empty afterwards.
 *
 * Context: Process context, may sleep.
 */
void range_map_destroy(struct range_map *map)
{
	struct range_map_range *r, *next;

	rbtree_postorder_for_each_entry_safe(r, next, &map->root, node) {
		kfree(r);
		cond_resched();
	}
	map->root = RB_ROOT;
	map->nr_set = 0;
}
EXPORT_SYMBOL_GPL(range_map_destroy);

/*
 * The last range that begins before @index or at it, and the one after that:
 * the only walk there is, for readers and writers.
 */
static __always_inline struct range_map_range *
range_map_walk(const struct range_map *map, unsigned long index,
	       struct range_map_range **next)
{
	struct rb_node *node = READ_ONCE(map->root.rb_node);
	struct rb_node *before = NULL, *after = NULL;
	int steps = RANGE_MAP_MAX_HEIGHT;

	while (node && steps--) {
		if (READ_ONCE(to_range(node)->first) <= index) {
			before = node;
			node = READ_ONCE(node->rb_right);
		} else {
			after = node;
			node = READ_ONCE(node->rb_left);
		}
	}
	*next = to_range(after);
	return to_range(before);
}

static __always_inline void range_map_find(const struct range_map *map,
					   unsigned long index,
					   struct range_map_run *run)
{
	struct range_map_range *r, *next;
	unsigned long last;

	run->first = 0;
	run->last = ULONG_MAX;
	run->value = 0;

	r = range_map_walk(map, index, &next);
	if (r) {
		last = READ_ONCE(r->last);
		if (last >= index) {
			run->first = READ_ONCE(r->first);
			run->last = last;
			run->value = READ_ONCE(r->value);
			return;
		}
		run->first = last + 1;
	}
	if (next)
		run->last = READ_ONCE(next->first) - 1;
}

/**
 * range_map_lookup - look up the run of equal values at an index
 * @map:	The map.
 * @index:	The index.
 * @run:	Filled in.  It ends where the value changes, but for a change of
 *		the map that is half done.
 *
 * Context: Any but interrupts and the scheduler.  The answer can be old at once
 *	    unless the user's lock is held.
 */
void range_map_lookup(struct range_map *map, unsigned long index,
		      struct range_map_run *run)
{
	unsigned int seq;

	rcu_read_lock();
	do {
		seq = read_seqcount_begin(&map->seq);
		range_map_find(map, index, run);
	} while (read_seqcount_retry(&map->seq, seq));
	rcu_read_unlock();
}
EXPORT_SYMBOL_GPL(range_map_lookup);

/**
 * range_map_try_lookup - look up the run of equal values at an index, or do not
 * @map:	The map.
 * @index:	The index.
 * @run:	Filled in.
 *
 * Context: Any, even inside the scheduler or in an interrupt.
 * Return: false if the map is being changed just now, and @run says nothing.
 */
bool range_map_try_lookup(struct range_map *map, unsigned long index,
			  struct range_map_run *run)
{
	/* The bare count: on PREEMPT_RT, map->seq stands for a lock. */
	seqcount_t *count = &map->seq.seqcount;
	unsigned int seq;
	bool valid;

	rcu_read_lock();
	seq = raw_seqcount_begin(count);
	range_map_find(map, index, run);
	valid = !read_seqcount_retry(count, seq);
	rcu_read_unlock();
	return valid;
}
EXPORT_SYMBOL_GPL(range_map_try_lookup);

/**
 * range_map_add_spares - see to it that there are spare ranges
 * @spares:	List of spare ranges.
 * @nr:		How many there shall be, at most %RANGE_MAP_MAX_SPARES.
 * @gfp:	How to allocate them.
 *
 * Context: As @gfp says.
 * Return: false if there is no memory; the list can have grown nevertheless.
 */
bool range_map_add_spares(struct range_map_range **spares, int nr, gfp_t gfp)
{
	struct range_map_range *r;

	for (r = *spares; r && nr; r = r->next_spare)
		nr--;
	for (; nr; nr--) {
		/* With links that lead nowhere, see the head of this file. */
		r = kzalloc(sizeof(*r), gfp);
		if (!r)
			return false;
		r->next_spare = *spares;
		*spares = r;
	}
	return true;
}
EXPORT_SYMBOL_GPL(range_map_add_spares);

/**
 * range_map_free_spares - free spare ranges
 * @spares:	List of spare ranges, which is empty afterwards.
 *
 * Context: Any.
 */
void range_map_free_spares(struct range_map_range **spares)
{
	struct range_map_range *r;

	while ((r = *spares)) {
		*spares = r->next_spare;
		/* It may have been in a map. */
		kfree_rcu(r, rcu);
	}
}
EXPORT_SYMBOL_GPL(range_map_free_spares);

static struct range_map_range *range_map_pop(struct range_map_range **spares)
{
	struct range_map_range *r = *spares;

	*spares = r->next_spare;
	return r;
}

static void range_map_push(struct range_map_range **spares,
			   struct range_map_range *r)
{
	if (*spares && (*spares)->next_spare) {
		kfree_rcu(r, rcu);
		return;
	}
	r->next_spare = *spares;
	*spares = r;
}

static void range_map_resize(struct range_map *map, struct range_map_range *r,
			     unsigned long first, unsigned long last)
{
	lockdep_assert_held(&map->lock);

	WRITE_ONCE(map->nr_set,
		   map->nr_set + (last - first) - (r->last - r->first));
	WRITE_ONCE(r->first, first);
	WRITE_ONCE(r->last, last);
}

/* Insert @r right after @prev, which is NULL if there is none before it. */
static void range_map_insert(struct range_map *map, struct range_map_range *r,
			     struct range_map_range *prev, unsigned long first,
			     unsigned long last, unsigned long value)
{
	struct rb_node **link = &map->root.rb_node, *parent = NULL, *linked;

	lockdep_assert_held(&map->lock);

	WRITE_ONCE(map->nr_set, map->nr_set + (last - first + 1));
	WRITE_ONCE(r->first, first);
	WRITE_ONCE(r->last, last);
	WRITE_ONCE(r->value, value);

	if (prev) {
		parent = &prev->node;
		link = &parent->rb_right;
	}
	while (*link) {
		parent = *link;
		link = &parent->rb_left;
	}
	rb_link_node(&r->node, parent, &linked);
	/* A look-up that finds it finds all of it. */
	smp_store_release(link, linked);
	rb_insert_color(&r->node, &map->root);
}

static void range_map_remove(struct range_map *map, struct range_map_range *r,
			     struct range_map_range **spares)
{
	lockdep_assert_held(&map->lock);

	WRITE_ONCE(map->nr_set, map->nr_set - (r->last - r->first + 1));
	rb_erase(&r->node, &map->root);
	/* It may be a new one again, see the head of this file. */
	WRITE_ONCE(r->node.rb_left, NULL);
	WRITE_ONCE(r->node.rb_right, NULL);
	range_map_push(spares, r);
}

static struct range_map_range *range_map_next(struct range_map_range *r)
{
	return to_range(rb_next(&r->node));
}

/* Fill in the ranges around the beginning of a change. */
static void range_map_change_find(struct range_map_change *c)
{
	struct range_map_range *next;

	c->prev = NULL;
	if (c->first) {
		c->prev = range_map_walk(c->map, c->first - 1, &next);
		c->next = next;
	} else {
		c->next = to_range(rb_first(&c->map->root));
	}
}

/* Whether @prev reaches into the change, or to it, and has its value. */
static bool range_map_joins_prev(struct range_map_change *c)
{
	return c->prev && c->prev->value == c->value &&
	       c->prev->last >= c->first - 1;
}

/* The same for @next. */
static bool range_map_joins_next(struct range_map_change *c)
{
	return c->next && c->next->value == c->value &&
	       (c->next->first <= c->last || c->next->first == c->last + 1);
}

/* What range_map_clear_front() and range_map_fill() can need. */
static int range_map_nr_needed(struct range_map_change *c)
{
	bool rear = c->prev && c->prev->value != c->value &&
		    c->prev->last > c->last;
	bool fresh = c->value && !range_map_joins_prev(c) &&
		     !range_map_joins_next(c);

	return rear + fresh;
}

static bool range_map_is_stored(struct range_map_change *c)
{
	struct range_map_range *r = c->prev;

	if (!c->value)
		return !(r && r->last >= c->first) &&
		       !(c->next && c->next->first <= c->last);

	if (!r || r->last < c->first)
		r = c->next;
	return r && r->value == c->value && r->first <= c->first &&
	       r->last >= c->last;
}

/**
 * range_map_prepare - do what can fail of a change
 * @map:	The map.
 * @first:	First index.
 * @last:	Last index.
 * @value:	What their value is going to be, 0 for none.
 * @spares:	List of spare ranges; will do for range_map_store().
 * @gfp:	How to allocate what is missing in @spares.
 *
 * Context: As @gfp says; the user's lock held until range_map_store().
 * Return: 1, or 0 if there is nothing to change, or -ENOMEM.
 */
int range_map_prepare(struct range_map *map, unsigned long first,
		      unsigned long last, unsigned long value,
		      struct range_map_range **spares, gfp_t gfp)
{
	struct range_map_change c = {
		.map = map,
		.first = first,
		.last = last,
		.value = value,
	};

	range_map_change_find(&c);
	if (range_map_is_stored(&c))
		return 0;
	if (!range_map_add_spares(spares, range_map_nr_needed(&c), gfp))
		return -ENOMEM;
	return 1;
}
EXPORT_SYMBOL_GPL(range_map_prepare);

/* Cut off what @prev has of the change, unless it has the right value. */
static void range_map_clear_front(struct range_map_change *c)
{
	struct range_map_range *prev = c->prev, *rear;
	unsigned long last;

	if (!prev || prev->last < c->first || prev->value == c->value)
		return;

	last = prev->last;
	range_map_resize(c->map, prev, prev->first, c->first - 1);
	if (last > c->last) {
		rear = range_map_pop(c->spares);
		range_map_insert(c->map, rear, prev, c->last + 1, last,
				 prev->value);
		c->next = rear;
	}
}

/* Clear the rest, or only as much of it as the lock shall be held for. */
static void range_map_clear_rest(struct range_map_change *c)
{
	struct range_map_range *r;
	int nr = 0;

	while ((r = c->next) && r->first <= c->last) {
		if (r->last > c->last) {
			if (r->value != c->value)
				range_map_resize(c->map, r, c->last + 1,
						 r->last);
			return;
		}
		if (nr++ == RANGE_MAP_BATCH) {
			c->last = r->first - 1;
			return;
		}
		c->next = range_map_next(r);
		range_map_remove(c->map, r, c->spares);
	}
}

/* Give what is clear the value, as part of a neighbour where there is one. */
static void range_map_fill(struct range_map_change *c)
{
	struct range_map_range *prev = c->prev, *next = c->next;
	unsigned long last = c->last;

	if (range_map_joins_next(c))
		last = next->last;

	if (range_map_joins_prev(c)) {
		if (last > c->last)
			range_map_remove(c->map, next, c->spares);
		range_map_resize(c->map, prev, prev->first,
				 max(prev->last, last));
	} else if (last > c->last) {
		range_map_resize(c->map, next, c->first, last);
	} else {
		range_map_insert(c->map, range_map_pop(c->spares), prev,
				 c->first, last, c->value);
	}
}

/**
 * range_map_store - give a range of indices a value
 * @map:	The map.
 * @first:	First index.
 * @last:	Last index.
 * @value:	The value, 0 for none.
 * @spares:	List of as many spare ranges as range_map_prepare() asks for; one
 *		is enough if the map has a single value besides 0.
 *
 * Context: Process context, may sleep; the user's lock held, unless the range is
 *	    one that has been stored as a whole, nothing else changes the value of
 *	    any index of it, and no neighbour has had or gets the same value.
 */
void range_map_store(struct range_map *map, unsigned long first,
		     unsigned long last, unsigned long value,
		     struct range_map_range **spares)
{
	struct range_map_change c = {
		.map = map,
		.first = first,
		.value = value,
		.spares = spares,
	};

	for (;;) {
		c.last = last;
		spin_lock(&map->lock);
		range_map_change_find(&c);
		write_seqcount_begin(&map->seq);
		range_map_clear_front(&c);
		range_map_clear_rest(&c);
		/* In the same piece: an index is never seen without either. */
		if (value)
			range_map_fill(&c);
		write_seqcount_end(&map->seq);
		spin_unlock(&map->lock);

		if (c.last == last)
			return;
		c.first = c.last + 1;
		cond_resched();
	}
}
EXPORT_SYMBOL_GPL(range_map_store);
