// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge pages for which there is no other huge page: they are split, and move in parts.
 * Meanwhile, others isolate, remove, collapse or lose some of it.
 *
 * Whatever has happened: the file has the contents that it should have, and what the
 * memory control group and its nodes count is what the file has.
 *
 * Needs two nodes with memory.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/mempolicy.h>
#include <sys/mman.h>

#include "guest_memfd_holder.h"
#include "guest_memfd_move.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_zone.h"
#include "race.h"

#define SIZE		(4 * H)
#define MAX_LOOPS	200
#define MAX_MS		4000
#define MIGRATE_EVENT	"guest_memfd_migrate"
#define SPLIT_EVENT	"guest_memfd_split"
#define PAGES_EVENT	"mm_migrate_pages"

static const char * const events[] = {
	"guest_memfd/" MIGRATE_EVENT,
	"guest_memfd/" SPLIT_EVENT,
	"migrate/" PAGES_EVENT,
};

/* On node 1 nothing is free for a huge page. */
static void start(struct move_file *f, struct zone_hog *hog,
		  const struct move_kind *kind, u64 size)
{
	move_require_nodes();
	zone_fill_node(hog, 1);
	zone_use_huge(hog);
	/* What the others have is not counted. */
	gmem_group_enter();
	move_start(f, kind, size, 0, GUEST_MEMFD_FLAG_MOVABLE);
	zone_use_huge_again(hog);
	move_assert_counted(f, "at first");
}

/* What has been taken off an LRU list does not stay so; it is no file's figure. */
static void assert_none_isolated(void)
{
	int tries = 0;
	s64 nr;

	do {
		admin_write("/proc/sys/vm/stat_refresh", "1");
		nr = admin_file_value("/proc/vmstat", "nr_isolated_file");
	} while (nr && ++tries < 100 && !usleep(50000));
	TEST_ASSERT(!nr, "%ld pages are isolated", nr);
}

static void end(struct move_file *f, struct zone_hog *hog)
{
	assert_none_isolated();
	move_end(f);
	zone_leave_node(hog);
}

static void assert_on_node(struct move_file *f, int node, const char *when)
{
	u64 *now = move_find(f, when), i;

	for (i = 0; i < f->nr; i++)
		TEST_ASSERT(move_node_of(now[i]) == node,
			    "%s, %s: page %lu is at 0x%lx", f->kind->name, when,
			    i, now[i]);
	free(now);
	move_check(f, 1);
}

/*
 * By itself
 */

static int by_policy(struct move_file *f)
{
	return move_policy(f->fd, 0, f->size, 1, MPOL_MF_MOVE | MPOL_MF_STRICT);
}

/*
 * Each huge page has been split, and its parts have been moved; or, if another was
 * free after all, it has been moved.  Return: how many have been split.
 */
static u64 check_trace(struct move_file *f, const char *trace)
{
	u64 ok, bad, thp_ok, thp_bad, thp_split;
	u64 moved = 0, whole = 0, split = 0;
	const char *p = trace;

	for (; (p = strstr(p, PAGES_EVENT ": ")); p++) {
		/* Compaction is on its way, too. */
		if (sscanf(p, PAGES_EVENT
			   ": nr_succeeded=%lu nr_failed=%lu nr_thp_succeeded=%lu nr_thp_failed=%lu nr_thp_split=%lu",
			   &ok, &bad, &thp_ok, &thp_bad, &thp_split) != 5 ||
		    !(thp_ok + thp_split))
			continue;
		TEST_ASSERT(!bad && thp_bad == thp_split, "%lu failed", bad);
		moved += ok;
		whole += thp_ok;
		split += thp_split;
	}
	ksft_print_msg("%s: %lu moved, %lu split\n", f->kind->name, whole, split);
	TEST_ASSERT(moved == f->nr && whole + split == f->size / H && split,
		    "%lu pages moved, %lu huge ones, %lu split", moved, whole,
		    split);
	ASSERT_EQ((u64)admin_trace_count(trace, SPLIT_EVENT, "ret=0"), split);
	ASSERT_EQ((u64)admin_trace_count(trace, MIGRATE_EVENT, "order=9 ret=0"),
		  whole);
	return split;
}

static void move_in_parts(const struct move_kind *kind)
{
	struct zone_hog hog;
	struct move_file f;
	char *trace;
	u64 split;

	start(&f, &hog, kind, SIZE);
	admin_trace_start(events, ARRAY_SIZE(events));
	ASSERT_EQ(by_policy(&f), 0);
	trace = admin_trace_read();
	split = check_trace(&f, trace);
	free(trace);

	assert_on_node(&f, 1, "moved");
	move_assert_usage(&f, SIZE - split * H, "moved in parts");
	move_assert_counted(&f, "moved in parts");

	/* There and back; small pages stay small. */
	ASSERT_EQ(move_policy(f.fd, 0, SIZE, 0,
			      MPOL_MF_MOVE | MPOL_MF_STRICT), 0);
	assert_on_node(&f, 0, "moved back");
	move_assert_usage(&f, SIZE - split * H, "moved back");
	move_assert_counted(&f, "moved back");
	end(&f, &hog);
}

static void test_moves_in_parts(void)
{
	move_in_parts(&move_kinds[1]);
	move_in_parts(&move_kinds[3]);
}

/* Nor can one be split that is in use; the others are. */
static void test_page_in_use_stays_whole(void)
{
	struct gmem_holder *holder;
	struct zone_hog hog;
	struct move_file f;
	u64 *now, i;

	start(&f, &hog, &move_kinds[1], SIZE);
	holder = gmem_hold(GMEM_HOLD_PIPE, f.mem + H + 7 * P, P);
	ASSERT_EQ(by_policy(&f), -EIO);
	now = move_find(&f, "in use");
	for (i = 0; i < f.nr; i++)
		TEST_ASSERT(move_node_of(now[i]) == (i / (H / P) != 1),
			    "page %lu is at 0x%lx", i, now[i]);
	free(now);
	move_check(&f, 1);
	TEST_ASSERT(gmem_huge(f.fd) >= H && gmem_huge(f.fd) < SIZE,
		    "%lu bytes in huge pages", gmem_huge(f.fd));
	move_assert_counted(&f, "in use");

	gmem_release(holder);
	ASSERT_EQ(by_policy(&f), 0);
	assert_on_node(&f, 1, "in use no more");
	move_assert_counted(&f, "in use no more");
	end(&f, &hog);
}

/*
 * Against others
 */

struct pair {
	struct move_file f;
	struct zone_hog hog;
	int (*b)(struct pair *p);
	void (*undo)(struct pair *p);
	struct race_rng rng;
	u64 page;	/* that the other side is about */
	u64 pfn;
	int ret_a, ret_b;
	bool over;	/* A */
	bool seen;	/* by B: it is split */
	bool hole;
	unsigned int nr_split, nr_whole, nr_b;
};

static void setup(void *ctx)
{
	struct pair *p = ctx;
	struct move_file *f = &p->f;

	/* Moved as a whole, it leaves a huge page behind. */
	bool moved = gmem_huge(f->fd) == f->size && move_node_of(move_pfn(f, 0));

	gmem_punch_hole(f->fd, 0, H);
	if (p->undo)
		p->undo(p);
	if (moved)
		zone_use_huge_again(&p->hog);
	ASSERT_EQ(move_policy(f->fd, 0, f->size, 0, 0), 0);
	gmem_allocate(f->fd, 0, H);
	guest_fill(f->g.vcpu, GPA, H, 1);
	move_assert_usage(f, f->size, "at first");
	p->page = race_random_below(&p->rng, H / P) * P;
	p->pfn = move_pfn(f, 0) + p->page / P;
	p->hole = false;
	p->seen = false;
	p->over = false;
}

static void run_move(void *ctx)
{
	struct pair *p = ctx;

	p->ret_a = move_policy(p->f.fd, 0, H, 1, MPOL_MF_MOVE | MPOL_MF_STRICT);
	__atomic_store_n(&p->over, true, __ATOMIC_RELEASE);
}

static void run_other(void *ctx)
{
	struct pair *p = ctx;

	p->ret_b = p->b(p);
}

static bool met(void *ctx)
{
	struct pair *p = ctx;

	return p->nr_split && p->nr_b;
}

static bool check(void *ctx)
{
	struct pair *p = ctx;
	struct move_file *f = &p->f;
	u64 size = p->hole ? f->size - P : f->size;

	p->nr_split += p->seen || gmem_huge(f->fd) == f->size - H;
	p->nr_whole += gmem_huge(f->fd) == f->size;
	p->nr_b += !p->ret_b;
	if ((p->ret_a && p->ret_a != -EIO) || gmem_allocated(f->fd) != size ||
	    gmem_huge(f->fd) < f->size - H) {
		ksft_print_msg("A = %d, B = %d, %lu bytes, %lu huge\n",
			       p->ret_a, p->ret_b, gmem_allocated(f->fd),
			       gmem_huge(f->fd));
		return false;
	}
	guest_check(f->g.vcpu, GPA, p->page, 1);
	guest_check(f->g.vcpu, GPA + p->page + P, f->size - p->page - P, 1);
	if (!p->hole)
		guest_check(f->g.vcpu, GPA + p->page, P, 1);
	else if (guest_read(f->g.vcpu, GPA + p->page))
		return false;
	return true;
}

/* Counts that go wrong add up: they are looked at in the end. */
static void race(const char *name, int (*b)(struct pair *p),
		 void (*undo)(struct pair *p))
{
	struct race_ops ops = {
		.name = name,
		.setup = setup,
		.run_a = run_move,
		.run_b = run_other,
		.check = check,
		.met = met,
	};
	struct pair p = { .b = b, .undo = undo, .rng.state = race_seed() };
	struct race_stats stats;
	bool ok;

	start(&p.f, &p.hog, &move_kinds[3], 2 * H);
	ok = race_run(&ops, &p, MAX_LOOPS, MAX_MS, &stats);
	ksft_print_msg("%s: %u times split, %u times not, B %u times\n", name,
		       p.nr_split, p.nr_whole, p.nr_b);
	TEST_ASSERT(ok, "%s", name);
	move_assert_counted(&p.f, name);
	/* What has been lost or kept would show in what is there when it is gone. */
	gmem_punch_hole(p.f.fd, 0, p.f.size);
	if (undo)
		undo(&p);
	move_assert_counted(&p.f, "nothing left");
	end(&p.f, &p.hog);
}

static int punch(struct pair *p)
{
	p->hole = true;
	return errno_of(__gmem_punch_hole(p->f.fd, p->page, P));
}

static void test_split_against_hole(void)
{
	race("migration, punch", punch, NULL);
}

/* Another task that isolates. */
static int move_too(struct pair *p)
{
	return move_policy(p->f.fd, p->page, P, 1,
			   MPOL_MF_MOVE | MPOL_MF_STRICT);
}

static void test_split_against_migration(void)
{
	race("migration, migration", move_too, NULL);
}

/* By the page frame, of which there may be another meanwhile. */
static int soft_offline(struct pair *p)
{
	int ret = soft_offline_pfn(p->pfn);

	if (pfn_is_poisoned(p->pfn))
		poison_remember(p->pfn);
	return ret;
}

static void undo_poison(struct pair *p)
{
	poison_undo_all();
}

static void test_split_against_soft_offline(void)
{
	poison_require();
	race("migration, soft offline", soft_offline, undo_poison);
}

static int compact(struct pair *p)
{
	return admin_write("/proc/sys/vm/compact_memory", "1");
}

static void test_split_against_compaction(void)
{
	race("migration, compaction", compact, NULL);
}

/* What has just been split is put together again, for which a huge page is found. */
static int collapse(struct pair *p)
{
	struct kvm_gmem_collapse c = { .size = H };
	bool over;

	while (!__atomic_load_n(&p->over, __ATOMIC_ACQUIRE) && !p->seen)
		p->seen = gmem_huge(p->f.fd) < p->f.size;
	zone_lend_huge(&p->hog);
	do {
		over = __atomic_load_n(&p->over, __ATOMIC_ACQUIRE);
		TEST_ASSERT(!ioctl(p->f.fd, KVM_GMEM_COLLAPSE, &c), "errno %d",
			    errno);
	} while (!over && !c.done);
	return c.done ? 0 : -EAGAIN;
}

static void take_huge(struct pair *p)
{
	zone_use_huge_again(&p->hog);
}

static void test_split_against_collapse(void)
{
	race("migration, collapse", collapse, take_huge);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_moves_in_parts),
	GMEM_TEST(test_page_in_use_stays_whole),
	GMEM_TEST(test_split_against_hole),
	GMEM_TEST(test_split_against_migration),
	GMEM_TEST(test_split_against_soft_offline),
	GMEM_TEST(test_split_against_compaction),
	GMEM_TEST(test_split_against_collapse),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	guest_word_step = 512;

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
