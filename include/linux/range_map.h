/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Maps from ranges of indices to values; see lib/range_map.c.
 */
#ifndef _LINUX_RANGE_MAP_H
#define _LINUX_RANGE_MAP_H

#include <linux/gfp_types.h>
#include <linux/rbtree_types.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/* Changes need no more than this many spare ranges. */
#define RANGE_MAP_MAX_SPARES	2

/**
 * struct range_map_range - indices that follow each other and have one value
 * @node:	In &range_map.root, by @first.
 * @first:	First index.
 * @last:	Last index.
 * @value:	Their value, not 0.
 * @rcu:	For freeing.
 * @next_spare:	While it is in no map: the next one that is spare.
 *
 * Private to the map, but for lists of spare ranges.
 */
struct range_map_range {
	struct rb_node node;
	unsigned long first;
	unsigned long last;
	unsigned long value;
	union {
		struct rcu_head rcu;
		struct range_map_range *next_spare;
	};
};

/**
 * struct range_map - values of indices
 * @lock:	Held, next to the lock of the map's user, to change the rest.
 *		Innermost.
 * @seq:	Tells readers, which take no lock, of changes.
 * @root:	The ranges.
 * @nr_set:	Number of indices whose value is not 0.
 */
struct range_map {
	spinlock_t lock;	/* to change the rest */
	seqcount_spinlock_t seq;
	struct rb_root root;
	unsigned long nr_set;
};

/**
 * struct range_map_run - what a look-up finds
 * @first:	First index of the run of equal values.
 * @last:	Last index of the run.
 * @value:	The value; 0 if none has been stored.
 */
struct range_map_run {
	unsigned long first;
	unsigned long last;
	unsigned long value;
};

/* Whether all values are 0; can be wrong at once, as a look-up can. */
static inline bool range_map_is_empty(const struct range_map *map)
{
	return !READ_ONCE(map->root.rb_node);
}

void range_map_init(struct range_map *map);
void range_map_destroy(struct range_map *map);

void range_map_lookup(struct range_map *map, unsigned long index,
		      struct range_map_run *run);
bool range_map_try_lookup(struct range_map *map, unsigned long index,
			  struct range_map_run *run);

bool range_map_add_spares(struct range_map_range **spares, int nr, gfp_t gfp);
void range_map_free_spares(struct range_map_range **spares);
int range_map_prepare(struct range_map *map, unsigned long first,
		      unsigned long last, unsigned long value,
		      struct range_map_range **spares, gfp_t gfp);
void range_map_store(struct range_map *map, unsigned long first,
		     unsigned long last, unsigned long value,
		     struct range_map_range **spares);

#endif /* _LINUX_RANGE_MAP_H */
