// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving memory when memory runs out: each allocation of one operation fails in
 * turn, see fail_nth.h.
 *
 * What cannot be moved stays where it is, with its contents, and can be moved later.
 * A huge page can be split by an attempt, and a policy be set, without that all has
 * been moved; nothing else is left over.
 *
 * Needs two nodes with memory.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "fail_nth.h"
#include "guest_memfd_move.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_zone.h"

#define SMALL_SIZE	(16 * P)
/* What is moved of a file with small pages. */
#define FIRST		5
#define NR		4
#define OFFSET		(FIRST * P)
#define PART		(NR * P)

struct context {
	struct move_file f;
	int (*act)(struct context *c);
	u64 *before;
	int err;		/* of the last run */
};

static u64 huge_of(struct move_file *f)
{
	return f->kind->huge ? f->size : 0;
}

/* As it was when it was created: on node 0, huge if it can be, pattern 1. */
static void renew(struct context *c)
{
	struct move_file *f = &c->f;

	gmem_punch_hole(f->fd, 0, f->size);
	ASSERT_EQ(move_policy(f->fd, 0, f->size, 0, 0), 0);
	gmem_allocate(f->fd, 0, f->size);
	move_fill(f, 1);
	move_assert_usage(f, huge_of(f), "renewed");
	free(c->before);
	c->before = move_find(f, "renewed");
	c->err = 0;
}

static void start(struct context *c, const struct move_kind *kind, u64 size)
{
	move_require_nodes();
	gmem_group_enter();
	guest_word_step = 512;
	move_start(&c->f, kind, size, 0, GUEST_MEMFD_FLAG_MOVABLE);
}

/* Nothing has been left over by what has failed. */
static void end(struct context *c, const char *what)
{
	renew(c);
	move_assert_counted(&c->f, what);
	free(c->before);
	move_end(&c->f);
}

static void setup(void *ctx)
{
	renew(ctx);
}

static int run(void *ctx)
{
	struct context *c = ctx;

	c->err = c->act(c);
	return c->err;
}

/* The pages that there were before, but for @nr from @first on: @nr_moved of those. */
static bool others_stayed(struct context *c, u64 first, u64 nr, u64 *nr_moved)
{
	u64 *now = move_find(&c->f, "afterwards"), i;
	bool ok = true;

	*nr_moved = 0;
	for (i = 0; i < c->f.nr; i++) {
		if (now[i] == c->before[i])
			continue;
		ok = ok && i >= first && i < first + nr &&
		     move_node_of(now[i]) == 1;
		(*nr_moved)++;
	}
	free(now);
	return ok;
}

/* The same, with the contents. */
static bool others_are_good(struct context *c, u64 first, u64 nr, u64 *nr_moved)
{
	move_check(&c->f, 1);
	return others_stayed(c, first, nr, nr_moved);
}

static int policy_node_of(struct move_file *f, u64 offset)
{
	u64 mask = 0;
	int mode;

	TEST_ASSERT(!syscall(__NR_get_mempolicy, &mode, &mask, 64,
			     f->mem + offset, MPOL_F_ADDR), "errno %d", errno);
	TEST_ASSERT(mode == MPOL_BIND && (mask == 1 || mask == 2),
		    "mode %d, nodes 0x%lx", mode, mask);
	return mask - 1;
}

/* The policy is that of @node in the part, and as before around it. */
static bool policy_is(struct move_file *f, int node)
{
	return policy_node_of(f, OFFSET - P) == 0 &&
	       policy_node_of(f, OFFSET) == node &&
	       policy_node_of(f, OFFSET + PART - P) == node &&
	       policy_node_of(f, OFFSET + PART) == 0;
}

/*
 * The policy alone
 */

static int set_policy(struct context *c)
{
	return move_policy(c->f.fd, OFFSET, PART, 1, 0);
}

static bool policy_unchanged(void *ctx)
{
	struct context *c = ctx;

	return policy_is(&c->f, 0);
}

static bool policy_done(void *ctx)
{
	struct context *c = ctx;
	u64 nr;

	return policy_is(&c->f, 1) && others_are_good(c, 0, 0, &nr);
}

static void test_policy_rolls_back(void)
{
	struct fail_nth_op op = {
		.name = "KVM_GMEM_SET_POLICY",
		.setup = setup,
		.run = run,
		.unchanged = policy_unchanged,
		.done = policy_done,
	};
	struct context c = { .act = set_policy };

	start(&c, &move_kinds[0], SMALL_SIZE);
	fail_nth_check(&op, &c);
	end(&c, op.name);
}

/*
 * Small pages
 */

static int move_by_policy(struct context *c)
{
	return move_policy(c->f.fd, OFFSET, PART, 1,
			   MPOL_MF_MOVE | MPOL_MF_STRICT);
}

/* Without memory for the policy nothing has begun; EIO: not all was moved. */
static bool by_policy_unchanged(void *ctx)
{
	struct context *c = ctx;
	u64 nr;

	if (!others_are_good(c, FIRST, NR, &nr))
		return false;
	if (c->err == -ENOMEM)
		return policy_is(&c->f, 0) && !nr;
	return policy_is(&c->f, 1) && nr < NR;
}

static bool by_policy_done(void *ctx)
{
	struct context *c = ctx;
	u64 nr;

	return policy_is(&c->f, 1) && others_are_good(c, FIRST, NR, &nr) &&
	       nr == NR;
}

static void check_move_by_policy(const struct move_kind *kind)
{
	struct fail_nth_op op = {
		.name = "KVM_GMEM_SET_POLICY, move",
		.setup = setup,
		.run = run,
		.unchanged = by_policy_unchanged,
		.done = by_policy_done,
		.errnos = { ENOMEM, EIO },
	};
	struct context c = { .act = move_by_policy };

	start(&c, kind, SMALL_SIZE);
	fail_nth_check(&op, &c);
	end(&c, op.name);
}

static void test_move_by_policy_can_be_repeated(void)
{
	check_move_by_policy(&move_kinds[0]);
	check_move_by_policy(&move_kinds[2]);
}

/* A page that is there already counts as moved. */
static int move_by_address(struct context *c)
{
	int nodes[NR], status[NR], i;
	void *pages[NR];
	long ret;

	for (i = 0; i < NR; i++) {
		pages[i] = c->f.mem + OFFSET + i * P;
		nodes[i] = 1;
	}
	ret = syscall(__NR_move_pages, 0, NR, pages, nodes, status,
		      MPOL_MF_MOVE);
	return ret > 0 ? -EAGAIN : errno_of(ret);
}

static bool by_address_unchanged(void *ctx)
{
	u64 nr;

	return others_are_good(ctx, FIRST, NR, &nr) && nr < NR;
}

static bool by_address_done(void *ctx)
{
	u64 nr;

	return others_are_good(ctx, FIRST, NR, &nr) && nr == NR;
}

static void test_move_by_address_can_be_repeated(void)
{
	struct fail_nth_op op = {
		.name = "move_pages()",
		.setup = setup,
		.run = run,
		.unchanged = by_address_unchanged,
		.done = by_address_done,
	};
	struct context c = { .act = move_by_address };

	start(&c, &move_kinds[0], SMALL_SIZE);
	fail_nth_check(&op, &c);
	end(&c, op.name);
}

/*
 * Soft offline, which has a huge page split, and a page moved
 */

static int take_out_of_use(void *ctx)
{
	struct context *c = ctx;

	c->err = soft_offline_pfn(c->before[FIRST]);
	if (!c->err)
		poison_remember(c->before[FIRST]);
	return c->err;
}

static bool in_use_unchanged(void *ctx)
{
	struct context *c = ctx;
	u64 huge = gmem_huge(c->f.fd), nr;

	if (pfn_is_poisoned(c->before[FIRST]) || !others_are_good(c, 0, 0, &nr))
		return false;
	/* It may have been split for nothing. */
	return huge == huge_of(&c->f) || huge == huge_of(&c->f) - H;
}

static bool out_of_use_done(void *ctx)
{
	struct context *c = ctx;
	u64 *now = move_find(&c->f, "out of use"), i;
	bool ok = pfn_is_poisoned(c->before[FIRST]) &&
		  pfn_is_alone(c->before[FIRST]);

	for (i = 0; i < c->f.nr; i++)
		ok = ok && (now[i] == c->before[i]) == (i != FIRST);
	free(now);
	move_check(&c->f, 1);
	move_assert_usage(&c->f, huge_of(&c->f) ? huge_of(&c->f) - H : 0,
			  "out of use");
	return ok;
}

static void in_use_again(void *ctx)
{
	struct context *c = ctx;

	gmem_punch_hole(c->f.fd, 0, c->f.size);
	poison_undo_all();
}

static void check_soft_offline(const struct move_kind *kind, u64 size)
{
	struct fail_nth_op op = {
		.name = "soft offline",
		.setup = setup,
		.run = take_out_of_use,
		.unchanged = in_use_unchanged,
		.done = out_of_use_done,
		.teardown = in_use_again,
		.errnos = { ENOMEM, EBUSY },
	};
	struct context c = {};

	poison_require();
	start(&c, kind, size);
	fail_nth_check(&op, &c);
	end(&c, op.name);
}

static void test_soft_offline_can_be_repeated(void)
{
	check_soft_offline(&move_kinds[0], SMALL_SIZE);
}

static void test_soft_offline_of_a_huge_page_can_be_repeated(void)
{
	check_soft_offline(&move_kinds[1], H);
	check_soft_offline(&move_kinds[3], H);
}

/*
 * A huge page for which there is no target is split, and moved in parts.  Each of
 * 512 targets can fail; what is before them, and the first two, are enough.
 */

#define NR_TARGETS	2
#define MAX_TRIES	100

static int move_huge(struct context *c)
{
	return move_policy(c->f.fd, 0, H, 1, MPOL_MF_MOVE | MPOL_MF_STRICT);
}

/* Not even begun: ENOMEM.  Left whole: it could not be split. */
enum outcome { EARLY, WHOLE, IN_PARTS, ABSORBED, AGAIN, NR_OUTCOMES };

/* There was a huge page after all: there must not be one the next time. */
static enum outcome once_more(struct context *c, struct zone_hog *hog)
{
	gmem_punch_hole(c->f.fd, 0, H);
	zone_use_huge_again(hog);
	return AGAIN;
}

static enum outcome fail_huge_once(struct context *c, struct zone_hog *hog,
				   unsigned int nth)
{
	enum outcome outcome = ABSORBED;
	bool stayed;
	u64 nr;

	renew(c);
	fail_nth_arm(nth);
	run(c);
	if (!fail_nth_disarm()) {
		ASSERT_EQ(c->err, 0);
		move_assert_usage(&c->f, c->f.size, "moved as a whole");
		return once_more(c, hog);
	}
	if (c->err) {
		TEST_ASSERT(c->err == -ENOMEM || c->err == -EIO, "fault %u: %d",
			    nth, c->err);
		stayed = others_stayed(c, 0, H / P, &nr);
		TEST_ASSERT(stayed && nr < H / P,
			    "fault %u: %lu pages have moved", nth, nr);
		outcome = IN_PARTS;
		if (gmem_huge(c->f.fd) == c->f.size)
			outcome = c->err == -ENOMEM ? EARLY : WHOLE;
		TEST_ASSERT(!nr || outcome == IN_PARTS,
			    "fault %u: pages of a huge one", nth);
		ASSERT_EQ(run(c), 0);
	}
	stayed = others_are_good(c, 0, H / P, &nr);
	TEST_ASSERT(stayed && nr == H / P,
		    "fault %u: only %lu pages have moved", nth, nr);
	if (gmem_huge(c->f.fd) == c->f.size)
		return once_more(c, hog);
	move_assert_usage(&c->f, 0, "moved in parts");
	return outcome;
}

static void check_split(const struct move_kind *kind, struct zone_hog *hog)
{
	unsigned int nr[NR_OUTCOMES] = {}, nth = 1, tries;
	struct context c = { .act = move_huge };
	enum outcome outcome;

	start(&c, kind, H);
	zone_use_huge_again(hog);
	for (tries = 0; nr[IN_PARTS] < NR_TARGETS && tries < MAX_TRIES; tries++) {
		outcome = fail_huge_once(&c, hog, nth);
		nr[outcome]++;
		nth += outcome != AGAIN;
	}
	ksft_print_msg("%s: faults: %u early, %u whole, %u in parts, %u absorbed; %u in vain\n",
		       kind->name, nr[EARLY], nr[WHOLE], nr[IN_PARTS],
		       nr[ABSORBED], nr[AGAIN]);
	TEST_ASSERT(nr[WHOLE] && nr[IN_PARTS] == NR_TARGETS, "%s", kind->name);
	end(&c, "split");
}

static void test_split_for_migration_can_be_repeated(void)
{
	struct zone_hog hog;

	move_require_nodes();
	zone_fill_node(&hog, 1);
	zone_use_huge(&hog);
	if (fail_nth_open())
		gmem_skip("%s", fail_nth_reason());
	check_split(&move_kinds[1], &hog);
	check_split(&move_kinds[3], &hog);
	fail_nth_close();
	zone_leave_node(&hog);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_policy_rolls_back),
	GMEM_TEST(test_move_by_policy_can_be_repeated),
	GMEM_TEST(test_move_by_address_can_be_repeated),
	GMEM_TEST(test_soft_offline_can_be_repeated),
	GMEM_TEST(test_soft_offline_of_a_huge_page_can_be_repeated),
	GMEM_TEST(test_split_for_migration_can_be_repeated),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
