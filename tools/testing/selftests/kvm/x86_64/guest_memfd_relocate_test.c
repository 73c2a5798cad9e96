// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that software cannot copy are moved by the client, or stay.
 *
 * The kernel's checker of owners stands for the hardware that moves them: it
 * overwrites the old page, so that a copy by anybody else would be found to be wrong;
 * it counts; and it refuses, if told to.
 *
 * Needs two nodes with memory.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/mempolicy.h>

#include "guest_memfd_move.h"
#include "guest_memfd_owner.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_undo.h"

#define SIZE		(2 * H)
#define NR		(SIZE / P)
#define RELOCATE	OWNER_DIR "/relocate"
#define FAIL		OWNER_DIR "/fail_relocate/"
#define COUNT_ROUNDS	6

static struct owner_counters base;

/* A private file of node 0 with a guest that has filled it. */
static void start(struct move_file *f, bool huge)
{
	move_require_nodes();
	gmem_setting_write(RELOCATE, "1");
	move_start(f, &move_kinds[huge ? 3 : 2], SIZE, 0,
		   GUEST_MEMFD_FLAG_MOVABLE);
	owner_read(&base);
}

/* Since the last call. */
static void expect(const char *what, u64 relocated)
{
	struct owner_counters now;

	owner_read(&now);
	TEST_ASSERT(now.relocated - base.relocated == relocated,
		    "%s: %lu pages relocated, wanted %lu", what,
		    now.relocated - base.relocated, relocated);
	TEST_ASSERT(now.reports == base.reports, "%s: %lu reports", what,
		    now.reports - base.reports);
	base = now;
}

/* Every @interval-th attempt fails from now on, and @times in all; -1: without end. */
static void fail_start(const char *interval, const char *times)
{
	if (access(OWNER_DIR "/fail_relocate", X_OK))
		gmem_skip("no fault injection in this kernel");

	gmem_setting_write(FAIL "interval", interval);
	gmem_setting_write(FAIL "times", times);
	gmem_setting_write(FAIL "probability", "100");
}

static void fail_end(void)
{
	gmem_setting_write(FAIL "probability", "0");
}

static int move_all(struct move_file *f, int node)
{
	return move_policy(f->fd, 0, SIZE, node, MPOL_MF_MOVE | MPOL_MF_STRICT);
}

static u64 count_on_node(struct move_file *f, int node, const char *when)
{
	u64 *now = move_find(f, when), nr = 0, i;

	for (i = 0; i < f->nr; i++)
		nr += move_node_of(now[i]) == node;
	free(now);
	return nr;
}

static void test_client_moves_each_page_once(void)
{
	struct move_file f;

	start(&f, false);
	ASSERT_EQ(move_all(&f, 1), 0);
	expect("to node 1", NR);
	ASSERT_EQ(count_on_node(&f, 1, "to node 1"), NR);
	move_check(&f, 1);

	/* They are where they should be. */
	ASSERT_EQ(move_all(&f, 1), 0);
	expect("again", 0);

	ASSERT_EQ(move_all(&f, 0), 0);
	expect("to node 0", NR);
	ASSERT_EQ(count_on_node(&f, 0, "to node 0"), NR);
	move_check(&f, 1);
	move_fill(&f, 2);
	move_check(&f, 2);

	/* And go as others do. */
	gmem_punch_hole(f.fd, 0, SIZE);
	guest_check_zero(f.g.vcpu, GPA, SIZE);
	move_end(&f);
	expect("end", 0);
}

static void test_refusal_changes_nothing(void)
{
	struct move_file f;

	start(&f, false);
	fail_start("1", "-1");
	ASSERT_EQ(move_all(&f, 1), -EIO);
	expect("refused", 0);
	move_assert_still(&f, "refused");
	fail_end();

	ASSERT_EQ(move_all(&f, 1), 0);
	expect("allowed", NR);
	ASSERT_EQ(count_on_node(&f, 1, "allowed"), NR);
	move_check(&f, 1);
	move_end(&f);
}

/* Each page is either where it was, or elsewhere; always with its contents. */
static void test_failures_within_a_range(void)
{
	u64 moved;
	struct move_file f;

	start(&f, false);
	fail_start("5", "-1");
	ASSERT_EQ(move_all(&f, 1), -EIO);
	fail_end();
	moved = count_on_node(&f, 1, "every fifth fails");
	TEST_ASSERT(moved == NR - NR / 5 || moved == NR - NR / 5 - 1,
		    "%lu pages of %llu have moved", moved, NR);
	expect("every fifth fails", moved);
	move_check(&f, 1);

	ASSERT_EQ(move_all(&f, 1), 0);
	expect("the rest", NR - moved);
	move_check(&f, 1);
	move_end(&f);
}

/* The first is refused, in a range that begins at each of the pages. */
static void test_one_failure_at_a_page(void)
{
	struct move_file f;
	u64 page;

	start(&f, false);
	for (page = 0; page < 16; page++) {
		fail_start("1", "1");
		ASSERT_EQ(move_policy(f.fd, page * P, 17 * P - page * P, 1,
				      MPOL_MF_MOVE | MPOL_MF_STRICT), -EIO);
		fail_end();
		expect("one fails", 16 - page);
		guest_check(f.g.vcpu, GPA, 17 * P, 1);
		ASSERT_EQ(move_all(&f, 0), 0);
		expect("back", 16 - page);
	}
	move_check(&f, 1);
	move_end(&f);
}

/* Software can copy what has not been prepared, and what is shared. */
static void test_other_pages_are_copied(void)
{
	struct move_file f;

	start(&f, false);
	gmem_punch_hole(f.fd, 0, H);
	gmem_allocate(f.fd, 0, H);
	gmem_to_shared(f.fd, H, H / 2);
	host_fill(f.mem + H, GPA + H, H / 2, 3);
	ASSERT_EQ(move_all(&f, 1), 0);
	expect("a quarter is private", H / 2 / P);
	ASSERT_EQ(count_on_node(&f, 1, "mixed"), NR);
	guest_check_zero(f.g.vcpu, GPA, H);
	guest_check(f.g.vcpu, GPA + H, H / 2, 3);
	guest_check(f.g.vcpu, GPA + H + H / 2, H / 2, 1);

	/* Handed out by now. */
	ASSERT_EQ(move_all(&f, 0), 0);
	expect("all but a quarter", NR - H / 2 / P);
	move_end(&f);
}

/* With size 0, the slot goes. */
static void set_slot(struct move_file *f, u64 size)
{
	vm_set_user_memory_region2(f->g.vm, GMEM_DATA_SLOT,
				   size ? KVM_MEM_GUEST_MEMFD : 0, GPA, size,
				   NULL, size ? f->fd : -1, 0);
}

/* They belong to no guest, and what they contain only hardware knows. */
static void test_pages_of_an_old_slot_stay(void)
{
	struct move_file f;

	start(&f, false);
	set_slot(&f, 0);
	ASSERT_EQ(move_all(&f, 1), -EIO);
	expect("no slot", 0);
	ASSERT_EQ(count_on_node(&f, 0, "no slot"), NR);

	set_slot(&f, SIZE);
	move_check(&f, 1);
	ASSERT_EQ(move_all(&f, 1), 0);
	expect("slot", NR);
	move_check(&f, 1);
	move_end(&f);
}

static void test_huge_pages_stay(void)
{
	struct move_file f;

	start(&f, true);
	ASSERT_EQ(move_all(&f, 1), -EIO);
	expect("huge pages", 0);
	move_assert_still(&f, "huge pages");
	move_end(&f);
}

/* Which splits a huge page first. */
static void test_soft_offline_relocates_one_page(void)
{
	struct move_file f;
	u64 pfn;
	int i;

	poison_require();
	for (i = 0; i < 2; i++) {
		start(&f, i);
		pfn = f.pfns[77];
		ASSERT_EQ(soft_offline_pfn(pfn), 0);
		poison_remember(pfn);
		expect("soft offline", 1);
		TEST_ASSERT(pfn_is_alone(pfn) && move_pfn(&f, 77 * P) != pfn,
			    "page frame 0x%lx is in use", pfn);
		move_check(&f, 1);
		move_assert_usage(&f, i ? SIZE - H : 0, "soft offline");
		move_end(&f);
	}
	poison_undo_all();
}

/* The page stays, and so does the frame in use. */
static void test_soft_offline_is_refused(void)
{
	struct move_file f;
	int ret;

	poison_require();
	start(&f, false);
	fail_start("1", "-1");
	ret = soft_offline_pfn(f.pfns[77]);
	fail_end();
	TEST_ASSERT(ret == -EBUSY || ret == -EIO, "soft offline: %d", ret);
	expect("refused", 0);
	move_assert_still(&f, "refused");
	move_end(&f);
}

static void test_nothing_is_collapsed(void)
{
	struct kvm_gmem_collapse c = { .size = SIZE };
	struct move_file f;

	start(&f, false);
	ASSERT_EQ(ioctl(f.fd, KVM_GMEM_COLLAPSE, &c), 0);
	ASSERT_EQ(c.done, 0ULL);
	expect("collapse", 0);
	move_assert_still(&f, "collapse");

	/* What has not been prepared yet is not in the way. */
	gmem_punch_hole(f.fd, H, H);
	gmem_allocate(f.fd, H, H);
	move_assert_usage(&f, 0, "allocated again");
	ASSERT_EQ(ioctl(f.fd, KVM_GMEM_COLLAPSE, &c), 0);
	ASSERT_EQ(c.done, (u64)H);
	guest_check(f.g.vcpu, GPA, H, 1);
	guest_check_zero(f.g.vcpu, GPA + H, H);
	move_end(&f);
}

/* Look-ups by the guest meet the moves: they wait, and no count goes back. */
static void count_meanwhile(bool some_fail)
{
	struct owner_counters before;
	struct move_counter c;
	struct move_file f;
	int i;

	start(&f, false);
	before = base;
	move_counter_start(&c, &f);
	if (some_fail)
		fail_start("3", "-1");
	for (i = 0; i < COUNT_ROUNDS; i++) {
		ASSERT_EQ(move_policy(f.fd, 0, SIZE, !(i & 1), MPOL_MF_MOVE), 0);
		move_counter_check(&c, "moved");
	}
	if (some_fail)
		fail_end();
	move_counter_end(&c);
	owner_read(&base);
	ksft_print_msg("%lu pages relocated\n", base.relocated - before.relocated);
	TEST_ASSERT(base.relocated - before.relocated >= COUNT_ROUNDS * NR / 4,
		    "too few");
	ASSERT_EQ(base.reports, before.reports);
	move_end(&f);
}

static void test_guest_counts_meanwhile(void)
{
	count_meanwhile(false);
}

static void test_guest_counts_while_some_fail(void)
{
	count_meanwhile(true);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_client_moves_each_page_once),
	GMEM_TEST(test_refusal_changes_nothing),
	GMEM_TEST(test_failures_within_a_range),
	GMEM_TEST(test_one_failure_at_a_page),
	GMEM_TEST(test_other_pages_are_copied),
	GMEM_TEST(test_pages_of_an_old_slot_stay),
	GMEM_TEST(test_huge_pages_stay),
	GMEM_TEST(test_soft_offline_relocates_one_page),
	GMEM_TEST(test_soft_offline_is_refused),
	GMEM_TEST(test_nothing_is_collapsed),
	GMEM_TEST(test_guest_counts_meanwhile),
	GMEM_TEST(test_guest_counts_while_some_fail),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	owner_require();
	guest_word_step = 64;

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
