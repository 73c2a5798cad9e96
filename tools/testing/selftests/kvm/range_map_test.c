// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit test of lib/range_map.c, which is compiled into this program.
 *
 * What it needs of the kernel are stand-ins, in include/linux and below.  They
 * stop readers between two loads and a writer in the middle of a change, count
 * and refuse allocations, and free late, so that each use of memory that is gone
 * is an error.
 *
 * A "cell" is the smallest piece of a map that a model knows: one of 256 indices
 * at either end, or all that is between them.  A model is an array of cells.
 *
 * Needs no KVM.  Environment: RACE_SEED.
 */
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <linux/types.h>
#include <linux/slab.h>
#include <linux/range_map.h>

#include "guest_memfd_util.h"
#include "race.h"

/*
 * Stand-ins
 */

#define POISON		0x6b
#define MAX_READERS	2
#define MAX_DEFERRED	65536

bool test_never_retry;
__thread unsigned long test_nr_retries;

/* Allocations until one fails, or -1; and whether there may be any. */
static int fail_after = -1;
static bool may_allocate = true;
static long nr_objects;

/* Removed ranges, until the grace period is over. */
static void *deferred[MAX_DEFERRED];
static int nr_deferred;

/* Odd while the thread is a reader. */
static unsigned long readers[MAX_READERS];
static __thread unsigned long *reader;

static void (*on_load)(void);
static void (*on_resched)(void);
static void (*on_change)(void);
static void (*on_changed)(void);

void *kmalloc(size_t size, gfp_t gfp)
{
	void *p;

	TEST_ASSERT(may_allocate, "allocation where none is expected");
	if (fail_after >= 0 && !fail_after--)
		return NULL;

	p = malloc(size);
	TEST_ASSERT(p, "no memory");
	memset(p, gfp & __GFP_ZERO ? 0 : POISON, size);
	nr_objects++;
	return p;
}

static void cond_resched(void)
{
	if (on_resched)
		on_resched();
}

void test_amid_change(spinlock_t *lock)
{
	TEST_ASSERT(pthread_mutex_trylock(lock) == EBUSY, "not locked");
	if (on_change)
		on_change();
}

void test_after_change(void)
{
	if (on_changed)
		on_changed();
}

static void after_load(void)
{
	if (on_load)
		on_load();
}

#undef READ_ONCE
#define READ_ONCE(x) ({						\
	typeof(x) __x = __atomic_load_n(&(x), __ATOMIC_RELAXED);	\
									\
	after_load();							\
	__x;								\
})

#include "../../../../lib/range_map.c"

void kfree(void *p)
{
	memset(p, POISON, sizeof(struct range_map_range));
	free(p);
	nr_objects--;
}

void test_free_rcu(void *p, struct rcu_head *head)
{
	TEST_ASSERT(nr_deferred < MAX_DEFERRED, "too much to free");
	memset(head, POISON, sizeof(*head));
	deferred[nr_deferred++] = p;
}

void rcu_read_lock(void)
{
	if (!reader)
		return;

	__atomic_store_n(reader, *reader + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void rcu_read_unlock(void)
{
	if (reader)
		__atomic_store_n(reader, *reader + 1, __ATOMIC_RELEASE);
}

/* Wait for readers that may have seen what is deferred, and free that. */
static void free_deferred(void)
{
	unsigned long count;
	int i;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (i = 0; i < MAX_READERS; i++) {
		count = __atomic_load_n(&readers[i], __ATOMIC_ACQUIRE);
		while (count % 2 && count ==
		       __atomic_load_n(&readers[i], __ATOMIC_ACQUIRE))
			sched_yield();
	}
	while (nr_deferred)
		kfree(deferred[--nr_deferred]);
}

/*
 * Maps with a model
 */

#define END_CELLS	256
#define MIDDLE_CELL	END_CELLS
#define NR_CELLS	(2 * END_CELLS + 1)

struct fixture {
	struct range_map map;
	struct range_map_range *spares;
	struct race_rng rng;
	u64 seed;
	u8 model[NR_CELLS];
};

static unsigned long cell_first(int i)
{
	return i <= MIDDLE_CELL ? i : ULONG_MAX - (NR_CELLS - 1 - i);
}

static unsigned long cell_last(int i)
{
	return i == MIDDLE_CELL ? ULONG_MAX - END_CELLS : cell_first(i);
}

static int nr_spares(struct range_map_range *spares)
{
	int nr;

	for (nr = 0; spares; nr++)
		spares = spares->next_spare;
	return nr;
}

static void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->seed = race_seed();
	f->rng.state = f->seed;
	range_map_init(&f->map);
	ksft_print_msg("RACE_SEED=0x%lx\n", f->seed);
}

/* Nothing is left behind. */
static void fixture_destroy(struct fixture *f)
{
	range_map_destroy(&f->map);
	range_map_free_spares(&f->spares);
	TEST_ASSERT(!f->spares, "spares are left");
	free_deferred();
	TEST_ASSERT(!nr_objects, "RACE_SEED=0x%lx: %ld ranges are left",
		    f->seed, nr_objects);
}

static void check_lookup(struct fixture *f, unsigned long index,
			 const struct range_map_run *want)
{
	struct range_map_run run;
	int i;

	for (i = 0; i < 2; i++) {
		memset(&run, POISON, sizeof(run));
		if (i)
			range_map_lookup(&f->map, index, &run);
		else
			TEST_ASSERT(range_map_try_lookup(&f->map, index, &run),
				    "there is no change");
		TEST_ASSERT(!memcmp(&run, want, sizeof(run)),
			    "RACE_SEED=0x%lx: 0x%lx is in 0x%lx-0x%lx: %lu, wanted 0x%lx-0x%lx: %lu",
			    f->seed, index, run.first, run.last, run.value,
			    want->first, want->last, want->value);
	}
}

/* The longest path from @node down. */
static int tree_height(struct rb_node *node)
{
	if (!node)
		return 0;
	return 1 + max(tree_height(node->rb_left), tree_height(node->rb_right));
}

/* No range is split, not sorted, or not in the tree. */
static void check_tree(struct fixture *f, int nr_ranges)
{
	struct rb_node *node;
	int nr = 0;

	for (node = rb_first(&f->map.root); node; node = rb_next(node))
		nr++;
	TEST_ASSERT(nr == nr_ranges, "RACE_SEED=0x%lx: %d ranges, wanted %d",
		    f->seed, nr, nr_ranges);
	ASSERT_EQ(range_map_is_empty(&f->map), !nr);
	TEST_ASSERT(tree_height(f->map.root.rb_node) <= RANGE_MAP_MAX_HEIGHT,
		    "too high");
	TEST_ASSERT(nr_objects == nr + nr_spares(f->spares) + nr_deferred,
		    "RACE_SEED=0x%lx: %ld allocated, %d in the map, %d spare, %d deferred",
		    f->seed, nr_objects, nr, nr_spares(f->spares), nr_deferred);
}

/* Compare each run of the map, seen from its first, last and some index. */
static void check_map(struct fixture *f)
{
	unsigned long nr_set = 0;
	struct range_map_run want;
	int i, j, nr = 0;

	for (i = 0; i < NR_CELLS; i = j) {
		for (j = i + 1; j < NR_CELLS; j++)
			if (f->model[j] != f->model[i])
				break;
		want.first = cell_first(i);
		want.last = cell_last(j - 1);
		want.value = f->model[i];
		check_lookup(f, want.first, &want);
		check_lookup(f, want.last, &want);
		check_lookup(f, want.first +
			     race_random_below(&f->rng, want.last - want.first),
			     &want);
		if (want.value) {
			nr_set += want.last - want.first + 1;
			nr++;
		}
	}
	TEST_ASSERT(f->map.nr_set == nr_set,
		    "RACE_SEED=0x%lx: %lu indices have a value, wanted %lu",
		    f->seed, f->map.nr_set, nr_set);
	check_tree(f, nr);
}

static bool model_differs(struct fixture *f, int first, int last, u8 value)
{
	for (; first <= last; first++)
		if (f->model[first] != value)
			return true;
	return false;
}

/* Store, which must not allocate. */
static void store(struct fixture *f, int first, int last, u8 value)
{
	may_allocate = false;
	range_map_store(&f->map, cell_first(first), cell_last(last), value,
			&f->spares);
	may_allocate = true;
	TEST_ASSERT(nr_spares(f->spares) <= RANGE_MAP_MAX_SPARES,
		    "RACE_SEED=0x%lx: %d spare ranges", f->seed,
		    nr_spares(f->spares));
	memset(f->model + first, value, last - first + 1);
}

static int prepare(struct fixture *f, int first, int last, u8 value)
{
	return range_map_prepare(&f->map, cell_first(first), cell_last(last),
				 value, &f->spares, GFP_KERNEL);
}

/* What does not change may be stored as well. */
static void change(struct fixture *f, int first, int last, u8 value)
{
	bool differs = model_differs(f, first, last, value);
	int ret = prepare(f, first, last, value);

	TEST_ASSERT(ret == differs,
		    "RACE_SEED=0x%lx: prepare 0x%lx-0x%lx: %d: %d, wanted %d",
		    f->seed, cell_first(first), cell_last(last), value, ret,
		    differs);
	if (ret || race_random_below(&f->rng, 2))
		store(f, first, last, value);
}

/* Mostly short; often at an end, or around the middle. */
static void random_cells(struct fixture *f, int *first, int *last)
{
	int max = race_random_below(&f->rng, 8) ? 8 : NR_CELLS;

	*first = race_random_below(&f->rng, NR_CELLS);
	*last = *first + race_random_below(&f->rng, max);
	*last = min(*last, NR_CELLS - 1);
	if (!race_random_below(&f->rng, 16))
		*first = 0;
	if (!race_random_below(&f->rng, 16))
		*last = NR_CELLS - 1;
}

static void random_change(struct fixture *f, int nr_values)
{
	int first, last;

	random_cells(f, &first, &last);
	change(f, first, last, race_random_below(&f->rng, nr_values + 1));
}

static void test_an_empty_map_is_one_run(void)
{
	struct fixture f;

	fixture_init(&f);
	check_map(&f);
	ASSERT_EQ(prepare(&f, 0, NR_CELLS - 1, 0), 0);
	store(&f, 0, NR_CELLS - 1, 0);
	check_map(&f);
	ASSERT_EQ(nr_objects, 0L);
	fixture_destroy(&f);
}

/* All pairs of some cells, over all values of what is there. */
static void test_changes_at_the_ends(void)
{
	static const int cells[] = {
		0, 1, 2, END_CELLS - 1, MIDDLE_CELL, END_CELLS + 1,
		NR_CELLS - 3, NR_CELLS - 2, NR_CELLS - 1,
	};
	const int nr = ARRAY_SIZE(cells);
	struct fixture f;
	int i, j, n;

	fixture_init(&f);
	for (n = 0; n < 3 * 3; n++) {
		for (i = 0; i < nr; i++) {
			for (j = i; j < nr; j++) {
				change(&f, cells[i], cells[j], n % 3);
				check_map(&f);
				change(&f, cells[i], cells[i], n / 3);
				check_map(&f);
				change(&f, cells[j], cells[j], n / 3);
				check_map(&f);
			}
		}
	}
	fixture_destroy(&f);
}

static void check_random_changes(int nr_values, int nr_changes)
{
	struct fixture f;
	int i;

	fixture_init(&f);
	for (i = 0; i < nr_changes; i++) {
		random_change(&f, nr_values);
		check_map(&f);
		if (!race_random_below(&f.rng, 64))
			free_deferred();
		if (!race_random_below(&f.rng, 64))
			range_map_free_spares(&f.spares);
		if (!race_random_below(&f.rng, 1024))
			change(&f, 0, NR_CELLS - 1, 0);
	}
	fixture_destroy(&f);
}

static void test_random_changes_of_one_value(void)
{
	check_random_changes(1, 4000);
}

static void test_random_changes_of_some_values(void)
{
	check_random_changes(3, 4000);
}

/* As range_map_store() promises to users that do not prepare. */
static void test_one_spare_is_enough_for_one_value(void)
{
	struct fixture f;
	int i, first, last;

	fixture_init(&f);
	for (i = 0; i < 4000; i++) {
		random_cells(&f, &first, &last);
		range_map_free_spares(&f.spares);
		TEST_ASSERT(range_map_add_spares(&f.spares, 1, GFP_KERNEL),
			    "no spare range");
		store(&f, first, last, race_random_below(&f.rng, 2));
		check_map(&f);
		free_deferred();
	}
	fixture_destroy(&f);
}

/*
 * Memory
 */

static void test_spares_are_added_as_needed(void)
{
	struct fixture f;
	int have, want;

	fixture_init(&f);
	for (have = 0; have <= RANGE_MAP_MAX_SPARES; have++) {
		for (want = 0; want <= RANGE_MAP_MAX_SPARES; want++) {
			range_map_free_spares(&f.spares);
			TEST_ASSERT(range_map_add_spares(&f.spares, have,
							 GFP_KERNEL) &&
				    range_map_add_spares(&f.spares, want,
							 GFP_KERNEL),
				    "failed");
			ASSERT_EQ(nr_spares(f.spares), max(have, want));
		}
	}
	fixture_destroy(&f);
}

static void test_failure_of_add_spares(void)
{
	struct fixture f;
	int have, fail;

	fixture_init(&f);
	for (have = 0; have < RANGE_MAP_MAX_SPARES; have++) {
		for (fail = 0; have + fail < RANGE_MAP_MAX_SPARES; fail++) {
			range_map_free_spares(&f.spares);
			range_map_add_spares(&f.spares, have, GFP_KERNEL);
			fail_after = fail;
			TEST_ASSERT(!range_map_add_spares(&f.spares,
							  RANGE_MAP_MAX_SPARES,
							  GFP_KERNEL),
				    "allocation %d", fail);
			ASSERT_EQ(fail_after, -1);
			ASSERT_EQ(nr_spares(f.spares), have + fail);
		}
	}
	fixture_destroy(&f);
}

/*
 * Let each allocation fail that a change needs.  Return: how many there are.
 */
static int change_with_failures(struct fixture *f, int first, int last,
				u8 value)
{
	int ret, nr;

	for (nr = 0; ; nr++) {
		range_map_free_spares(&f->spares);
		fail_after = nr;
		ret = prepare(f, first, last, value);
		if (fail_after >= 0)
			break;

		TEST_ASSERT(ret == -ENOMEM,
			    "RACE_SEED=0x%lx: allocation %d failed: %d",
			    f->seed, nr, ret);
		ASSERT_EQ(nr_spares(f->spares), nr);
		check_map(f);
	}
	fail_after = -1;
	TEST_ASSERT(ret >= 0, "RACE_SEED=0x%lx: prepare: %d", f->seed, ret);
	ASSERT_EQ(ret, (int)model_differs(f, first, last, value));
	ASSERT_EQ(nr_spares(f->spares), nr);
	if (ret)
		store(f, first, last, value);
	check_map(f);
	free_deferred();
	return nr;
}

static void test_failure_of_each_allocation_changes_nothing(void)
{
	int i, nr, first, last, nr_needed[RANGE_MAP_MAX_SPARES + 1] = {};
	struct fixture f;

	fixture_init(&f);
	for (i = 0; i < 2000; i++) {
		random_cells(&f, &first, &last);
		nr = change_with_failures(&f, first, last,
					  race_random_below(&f.rng, 4));
		TEST_ASSERT(nr <= RANGE_MAP_MAX_SPARES, "%d allocations", nr);
		nr_needed[nr]++;
	}
	for (i = 0; i <= RANGE_MAP_MAX_SPARES; i++) {
		ksft_print_msg("%d allocations: %d changes\n", i, nr_needed[i]);
		TEST_ASSERT(nr_needed[i], "no change takes %d allocations", i);
	}
	fixture_destroy(&f);
}

/* To and fro, in a map with many ranges: only the first change allocates. */
static void check_repeated_changes(int cell, u8 value)
{
	struct fixture f;
	int i;

	fixture_init(&f);
	change(&f, MIDDLE_CELL + 1, NR_CELLS - 1, 1);
	for (i = 0; i < END_CELLS; i += 2)
		change(&f, i, i, 1);
	change(&f, cell, cell, value);
	change(&f, cell, cell, 1);
	for (i = 0; i < 1000; i++) {
		may_allocate = false;
		ASSERT_EQ(prepare(&f, cell, cell, i % 2 ? 1 : value), 1);
		store(&f, cell, cell, i % 2 ? 1 : value);
	}
	check_map(&f);
	fixture_destroy(&f);
}

static void test_repeated_changes_allocate_nothing(void)
{
	/* A range that goes, a hole in one, and a range inside of another. */
	check_repeated_changes(END_CELLS / 2, 0);
	check_repeated_changes(NR_CELLS - 100, 0);
	check_repeated_changes(NR_CELLS - 100, 2);
}

/*
 * Changes in pieces
 */

#define NR_PIECE_RANGES	1000

static struct fixture *pieces;
static u8 piece_new;
static int nr_pieces;

/* New up to some index, and old behind it. */
static void check_piece(void)
{
	struct range_map_run run;
	unsigned long i;
	bool old = false;

	ASSERT_EQ(pthread_mutex_trylock(&pieces->map.lock), 0);
	pthread_mutex_unlock(&pieces->map.lock);
	for (i = 0; i < 2 * NR_PIECE_RANGES; i++) {
		range_map_lookup(&pieces->map, i, &run);
		if (run.value != piece_new)
			old = true;
		if (!old)
			continue;
		TEST_ASSERT(run.value == !(i % 2),
			    "index %lu is %lu, piece %d", i, run.value,
			    nr_pieces);
	}
	TEST_ASSERT(old, "a piece too much");
	nr_pieces++;
}

static void check_pieces(u8 value)
{
	const unsigned long last = 2 * NR_PIECE_RANGES - 1;
	struct range_map_run run;
	struct fixture f;
	unsigned long i;

	fixture_init(&f);
	for (i = 0; i < last; i += 2) {
		range_map_prepare(&f.map, i, i, 1, &f.spares, GFP_KERNEL);
		range_map_store(&f.map, i, i, 1, &f.spares);
	}
	ASSERT_EQ(f.map.nr_set, (unsigned long)NR_PIECE_RANGES);

	pieces = &f;
	piece_new = value;
	nr_pieces = 0;
	ASSERT_EQ(range_map_prepare(&f.map, 0, last, value, &f.spares,
				    GFP_KERNEL), 1);
	on_resched = check_piece;
	may_allocate = false;
	range_map_store(&f.map, 0, last, value, &f.spares);
	may_allocate = true;
	on_resched = NULL;
	TEST_ASSERT(nr_pieces >= 2, "%d pieces", nr_pieces);
	TEST_ASSERT(nr_spares(f.spares) <= RANGE_MAP_MAX_SPARES,
		    "%d spare ranges", nr_spares(f.spares));

	range_map_lookup(&f.map, 0, &run);
	ASSERT_EQ(run.value, (unsigned long)value);
	ASSERT_EQ(run.last, value ? last : ULONG_MAX);
	ASSERT_EQ(f.map.nr_set, value ? last + 1 : 0);
	fixture_destroy(&f);
}

/* The values are different ones: three is a new one, and zero is none. */
static void test_a_long_change_is_done_in_pieces(void)
{
	check_pieces(0);
	check_pieces(1);
	check_pieces(3);
}

/*
 * Look-ups that meet changes
 */

static struct fixture *changing;
static int nr_tried;

static void try_amid_change(void)
{
	struct range_map_run run;
	int i;

	for (i = 0; i < NR_CELLS; i += 64)
		TEST_ASSERT(!range_map_try_lookup(&changing->map,
						  cell_first(i), &run),
			    "a change is under way");
	nr_tried++;
}

static void test_try_lookup_fails_amid_changes(void)
{
	struct fixture f;
	int i;

	fixture_init(&f);
	changing = &f;
	nr_tried = 0;
	on_change = try_amid_change;
	for (i = 0; i < 1000; i++)
		random_change(&f, 3);
	on_change = NULL;
	TEST_ASSERT(nr_tried > 500, "%d times", nr_tried);
	check_map(&f);
	fixture_destroy(&f);
}

/* A change of which a reader may see only old or new values. */
static struct {
	struct fixture *f;
	int first;
	int last;
	u8 value;
	int nr_seen;
} whole;

static void check_old_or_new(void)
{
	struct range_map_run run;
	bool changes;
	int i;

	for (i = 0; i < NR_CELLS; i++) {
		changes = i >= whole.first && i <= whole.last;
		range_map_lookup(&whole.f->map, cell_first(i), &run);
		TEST_ASSERT(run.value == whole.f->model[i] ||
			    (changes && run.value == whole.value),
			    "RACE_SEED=0x%lx: cell %d is %lu and was %d, %d-%d becomes %d",
			    whole.f->seed, i, run.value, whole.f->model[i],
			    whole.first, whole.last, whole.value);
	}
	whole.nr_seen++;
}

static void test_no_lookup_sees_half_a_change(void)
{
	struct fixture f;
	int i;

	fixture_init(&f);
	whole.f = &f;
	on_changed = check_old_or_new;
	for (i = 0; i < 2000; i++) {
		random_cells(&f, &whole.first, &whole.last);
		whole.value = race_random_below(&f.rng, 4);
		change(&f, whole.first, whole.last, whole.value);
	}
	on_changed = NULL;
	TEST_ASSERT(whole.nr_seen > 500, "%d times", whole.nr_seen);
	check_map(&f);
	fixture_destroy(&f);
}

/* The change that is made at the load that on_load counts down to. */
static struct {
	struct fixture *f;
	int loads;
	int first;
	int last;
	u8 value;
} overtaking;

static void overtake(void)
{
	if (overtaking.loads--)
		return;

	on_load = NULL;
	change(overtaking.f, overtaking.first, overtaking.last,
	       overtaking.value);
}

/*
 * Look the cell up, with a change of others at its nth load.  Return: false if
 * it has fewer loads, and nothing was changed.
 */
static bool lookup_overtaken(struct fixture *f, int cell, int nth, bool try,
			     bool *right)
{
	struct range_map_run run;
	bool found = true;

	overtaking.loads = nth;
	on_load = overtake;
	if (try)
		found = range_map_try_lookup(&f->map, cell_first(cell), &run);
	else
		range_map_lookup(&f->map, cell_first(cell), &run);
	if (on_load) {
		on_load = NULL;
		return false;
	}

	TEST_ASSERT(!try || !found || test_never_retry,
		    "it should have met a change");
	*right = !found || (run.value == f->model[cell] &&
			    run.first <= cell_first(cell) &&
			    run.last >= cell_last(cell));
	return true;
}

/* Return: how many look-ups were wrong. */
static int check_overtaken(int nr_changes)
{
	int i, cell, nth, nr_met = 0, nr_wrong = 0;
	struct fixture f;
	bool right;

	fixture_init(&f);
	overtaking.f = &f;
	for (i = 0; i < nr_changes; i++) {
		do {
			random_cells(&f, &overtaking.first, &overtaking.last);
			overtaking.value = race_random_below(&f.rng, 3);
			cell = race_random_below(&f.rng, NR_CELLS);
		} while ((cell >= overtaking.first && cell <= overtaking.last) ||
			 !model_differs(&f, overtaking.first, overtaking.last,
					overtaking.value));

		nth = race_random_below(&f.rng, 12);
		right = true;
		nr_met += lookup_overtaken(&f, cell, nth, i % 2, &right);
		nr_wrong += !right;
		TEST_ASSERT(right || test_never_retry,
			    "RACE_SEED=0x%lx: cell %d wrong as %d-%d becomes %d at load %d",
			    f.seed, cell, overtaking.first, overtaking.last,
			    overtaking.value, nth);
		free_deferred();
	}
	ksft_print_msg("%d look-ups of %d met a change, %d are wrong\n", nr_met,
		       nr_changes, nr_wrong);
	TEST_ASSERT(nr_met, "no look-up met a change");
	check_map(&f);
	fixture_destroy(&f);
	return nr_wrong;
}

static void test_lookup_overtaken_by_a_change(void)
{
	ASSERT_EQ(check_overtaken(20000), 0);
}

/* The same is seen to fail if readers do not look at the sequence again. */
static void test_lookup_without_retry_is_wrong_if_overtaken(void)
{
	test_never_retry = true;
	TEST_ASSERT(check_overtaken(20000), "this test would not notice");
}

/*
 * Threads
 */

/* Cells that keep their value, 1, 0 and 2, and the ends of what is between. */
#define NR_FIXED	3
static const int fixed[NR_FIXED] = { 100, 200, 300 };
static const u8 fixed_value[NR_FIXED] = { 1, 0, 2 };
#define END_FIXED	400
#define NR_LOOKUPS	100000

struct threads {
	struct fixture f;
	int nr_started;
	int nr_ended;
	bool stop;
	u64 nr_changes;
	u64 nr_lookups;
	u64 nr_retries;
	u64 nr_tries_failed;
	u64 nr_wrong;
	u64 first_wrong;
};

static __thread struct race_rng pause_rng;

/* Let others run at any point, also if there is only one CPU. */
static void pause_at_random(void)
{
	if (!race_random_below(&pause_rng, 32))
		sched_yield();
}

/* A run of equal values cannot contain an index with another. */
static bool is_right(int i, const struct range_map_run *run)
{
	return run->value == fixed_value[i] &&
	       run->first <= cell_first(fixed[i]) &&
	       run->last >= cell_last(fixed[i]) &&
	       (!i || run->first > cell_first(fixed[i - 1])) &&
	       (i + 1 == NR_FIXED || run->last < cell_first(fixed[i + 1]));
}

static void *reader_thread(void *arg)
{
	u64 n, nr_failed = 0, nr_wrong = 0, first_wrong = 0;
	struct threads *t = arg;
	struct range_map_run run;
	int i;

	i = __atomic_fetch_add(&t->nr_started, 1, __ATOMIC_SEQ_CST);
	reader = &readers[i];
	pause_rng.state = t->f.seed + i + 1;

	for (n = 0; n < NR_LOOKUPS && !READ_ONCE(t->stop); n++) {
		i = race_random_below(&pause_rng, NR_FIXED);
		if (n % 4) {
			range_map_lookup(&t->f.map, cell_first(fixed[i]), &run);
		} else if (!range_map_try_lookup(&t->f.map,
						 cell_first(fixed[i]), &run)) {
			nr_failed++;
			continue;
		}
		if (is_right(i, &run))
			continue;
		if (!nr_wrong++)
			first_wrong = n + 1;
		__atomic_store_n(&t->stop, true, __ATOMIC_RELAXED);
	}

	pthread_mutex_lock(&t->f.map.lock);
	t->nr_lookups += n;
	t->nr_retries += test_nr_retries;
	t->nr_tries_failed += nr_failed;
	t->nr_wrong += nr_wrong;
	t->first_wrong = max(t->first_wrong, first_wrong);
	t->nr_ended++;
	pthread_mutex_unlock(&t->f.map.lock);
	return NULL;
}

/* Anything between two cells that keep their value. */
static void change_between(struct threads *t)
{
	int i = race_random_below(&t->f.rng, NR_FIXED + 1);
	int start = i ? fixed[i - 1] + 1 : 0;
	int end = i < NR_FIXED ? fixed[i] : END_FIXED;
	int first = start + race_random_below(&t->f.rng, end - start);
	int last = first + race_random_below(&t->f.rng, end - first);

	if (race_random_below(&t->f.rng, 4))
		last = min(last, first + 2);
	change(&t->f, first, last, race_random_below(&t->f.rng, 3));
	t->nr_changes++;
}

/* One writer, this thread, as long as the readers have something to do. */
static void run_threads(struct threads *t)
{
	pthread_t threads[MAX_READERS];
	int i;

	memset(t, 0, sizeof(*t));
	fixture_init(&t->f);
	change(&t->f, 0, END_FIXED - 1, 1);
	for (i = 0; i < NR_FIXED; i++)
		change(&t->f, fixed[i], fixed[i], fixed_value[i]);

	pause_rng.state = t->f.seed;
	on_load = pause_at_random;
	on_change = pause_at_random;
	for (i = 0; i < MAX_READERS; i++)
		TEST_ASSERT(!pthread_create(&threads[i], NULL, reader_thread, t),
			    "no thread");
	while (__atomic_load_n(&t->nr_ended, __ATOMIC_RELAXED) < MAX_READERS) {
		change_between(t);
		if (nr_deferred >= 64)
			free_deferred();
	}
	for (i = 0; i < MAX_READERS; i++)
		pthread_join(threads[i], NULL);
	on_load = NULL;
	on_change = NULL;
	ksft_print_msg("%lu changes, %lu look-ups, %lu retries, %lu tries met a change\n",
		       t->nr_changes, t->nr_lookups, t->nr_retries,
		       t->nr_tries_failed);
}

static void test_lookups_race_with_changes(void)
{
	struct threads t;

	run_threads(&t);
	TEST_ASSERT(!t.nr_wrong, "RACE_SEED=0x%lx: look-up %lu is wrong",
		    t.f.seed, t.first_wrong);
	TEST_ASSERT(t.nr_retries && t.nr_tries_failed,
		    "no look-up met a change");
	check_map(&t.f);
	fixture_destroy(&t.f);
}

/* The same is seen to fail if readers do not look at the sequence again. */
static void test_lookup_without_retry_is_wrong_in_a_race(void)
{
	struct threads t;

	test_never_retry = true;
	run_threads(&t);
	ksft_print_msg("wrong: look-up %lu of a thread\n", t.first_wrong);
	TEST_ASSERT(t.nr_wrong, "this test would not notice");
	/* The tree is as it should be all the same. */
	test_never_retry = false;
	check_map(&t.f);
	fixture_destroy(&t.f);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_an_empty_map_is_one_run),
	GMEM_TEST(test_changes_at_the_ends),
	GMEM_TEST(test_random_changes_of_one_value),
	GMEM_TEST(test_random_changes_of_some_values),
	GMEM_TEST(test_one_spare_is_enough_for_one_value),
	GMEM_TEST(test_spares_are_added_as_needed),
	GMEM_TEST(test_failure_of_add_spares),
	GMEM_TEST(test_failure_of_each_allocation_changes_nothing),
	GMEM_TEST(test_repeated_changes_allocate_nothing),
	GMEM_TEST(test_a_long_change_is_done_in_pieces),
	GMEM_TEST(test_try_lookup_fails_amid_changes),
	GMEM_TEST(test_no_lookup_sees_half_a_change),
	GMEM_TEST(test_lookup_overtaken_by_a_change),
	GMEM_TEST(test_lookup_without_retry_is_wrong_if_overtaken),
	GMEM_TEST(test_lookups_race_with_changes),
	GMEM_TEST(test_lookup_without_retry_is_wrong_in_a_race),
};

int main(void)
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
