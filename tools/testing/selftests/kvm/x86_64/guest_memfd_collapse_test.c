// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GMEM_COLLAPSE: small pages become huge ones again, with their contents, if all
 * of 2 MiB is there and alike; otherwise all stays as it was.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "fail_nth.h"
#include "guest_memfd_move.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_undo.h"
#include "race.h"

#define SIZE		(4 * H)
#define MAX_LOOPS	500
#define MAX_MS		4000

static int __collapse(int fd, u64 offset, u64 size, u64 *done)
{
	struct kvm_gmem_collapse c = {
		.offset = offset,
		.size = size,
		.done = GMEM_UNSET,
	};
	int ret = errno_of(ioctl(fd, KVM_GMEM_COLLAPSE, &c));

	*done = c.done;
	return ret;
}

/* Return: how much is in huge pages. */
static u64 collapse(int fd, u64 offset, u64 size)
{
	u64 done;

	ASSERT_EQ(__collapse(fd, offset, size, &done), 0);
	return done;
}

/* All is small pages with pattern 2, private: what was huge is split. */
static void make_small(struct move_file *f)
{
	gmem_to_shared(f->fd, 0, f->size);
	host_fill(f->mem, GPA, f->size, 2);
	gmem_to_private(f->fd, 0, f->size);
	move_assert_usage(f, 0, "shared and private again");
}

/* A private file with a guest, full. */
static void start_small(struct move_file *f, u64 size)
{
	move_start(f, &move_kinds[3], size, 0, GUEST_MEMFD_FLAG_MOVABLE);
	make_small(f);
}

static void test_bad_arguments(void)
{
	static const struct {
		const char *what;
		u64 offset, size, flags, reserved;
	} bad[] = {
		{ "not aligned", 1, H },
		{ "size not aligned", 0, H + 1 },
		{ "size 0", 0, 0 },
		{ "beyond the end", 0, SIZE + P },
		{ "begins at the end", SIZE, P },
		{ "overflow", -P, 2 * P },
		{ "flags", 0, H, 1 },
		{ "reserved", 0, H, 0, 1 },
	};
	struct kvm_gmem_collapse c;
	struct move_file f;
	u64 done;
	int i, fd;

	start_small(&f, SIZE);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		c = (struct kvm_gmem_collapse) {
			.offset = bad[i].offset,
			.size = bad[i].size,
			.flags = bad[i].flags,
			.reserved[3] = bad[i].reserved,
			.done = GMEM_UNSET,
		};
		GMEM_ASSERT_ERRNO(ioctl(f.fd, KVM_GMEM_COLLAPSE, &c), EINVAL,
				  "%s", bad[i].what);
		ASSERT_EQ(c.done, GMEM_UNSET);
	}
	GMEM_ASSERT_ERRNO(ioctl(f.fd, KVM_GMEM_COLLAPSE, NULL), EFAULT, "NULL");
	move_assert_usage(&f, 0, "bad arguments");

	fd = vm_create_guest_memfd(f.g.vm, SIZE, 0);
	ASSERT_EQ(__collapse(fd, 0, SIZE, &done), -EINVAL);
	close(fd);
	move_end(&f);
}

static void test_all_becomes_huge_again(void)
{
	struct move_file f;

	start_small(&f, SIZE);
	guest_check(f.g.vcpu, GPA, SIZE, 2);
	ASSERT_EQ(collapse(f.fd, 0, SIZE), SIZE);
	move_assert_usage(&f, SIZE, "collapsed");
	guest_check(f.g.vcpu, GPA, SIZE, 2);
	TEST_ASSERT(vm_nr_huge(f.g.vm) == SIZE / H, "%lu huge mappings",
		    vm_nr_huge(f.g.vm));

	/* Nothing is left to do, which takes nothing away. */
	ASSERT_EQ(collapse(f.fd, 0, SIZE), SIZE);
	guest_check(f.g.vcpu, GPA, SIZE, 2);
	move_fill(&f, 3);
	move_check(&f, 3);
	move_end(&f);
}

/* A part of a block is not touched, and counts nothing. */
static void test_only_what_is_inside(void)
{
	struct move_file f;

	start_small(&f, SIZE);
	ASSERT_EQ(collapse(f.fd, P, SIZE - P), SIZE - H);
	move_assert_usage(&f, SIZE - H, "from the second page on");
	ASSERT_EQ(collapse(f.fd, 0, H - P), 0UL);
	move_assert_usage(&f, SIZE - H, "up to the last page but one");
	guest_check(f.g.vcpu, GPA, SIZE, 2);
	move_end(&f);
}

/* In the second of two blocks something is not as it should be. */
static void odd_block(void (*make_odd)(struct move_file *f, u64 offset),
		      void (*mend)(struct move_file *f, u64 offset))
{
	struct move_file f;
	u64 at = H + 77 * P;

	start_small(&f, 2 * H);
	make_odd(&f, at);
	ASSERT_EQ(collapse(f.fd, 0, 2 * H), H);
	ASSERT_EQ(gmem_huge(f.fd), H);
	guest_check(f.g.vcpu, GPA, at, 2);
	guest_check(f.g.vcpu, GPA + at + P, 2 * H - at - P, 2);
	if (mend) {
		mend(&f, at);
		ASSERT_EQ(collapse(f.fd, 0, 2 * H), 2 * H);
		guest_check(f.g.vcpu, GPA, at, 2);
		guest_check(f.g.vcpu, GPA + at + P, 2 * H - at - P, 2);
	}
	move_end(&f);
}

static void make_hole(struct move_file *f, u64 offset)
{
	gmem_punch_hole(f->fd, offset, P);
}

static void fill_hole(struct move_file *f, u64 offset)
{
	ASSERT_EQ(gmem_allocated(f->fd), f->size - P);
	guest_check_zero(f->g.vcpu, GPA + offset, P);
}

static void test_holes_are_not_filled(void)
{
	odd_block(make_hole, fill_hole);
}

static void make_shared(struct move_file *f, u64 offset)
{
	gmem_to_shared(f->fd, offset, P);
}

static void make_private(struct move_file *f, u64 offset)
{
	gmem_to_private(f->fd, offset, P);
}

static void test_shared_pages_stay_small(void)
{
	odd_block(make_shared, make_private);
}

static void make_lost(struct move_file *f, u64 offset)
{
	poison_pfn(move_pfn(f, offset), POISON_CORRUPT);
}

static void replace_lost(struct move_file *f, u64 offset)
{
	gmem_punch_hole(f->fd, offset, P);
	gmem_allocate(f->fd, offset, P);
}

static void test_lost_pages_stay_small(void)
{
	poison_require();
	odd_block(make_lost, replace_lost);
	poison_undo_all();
}

static void make_policy(struct move_file *f, u64 offset)
{
	ASSERT_EQ(move_policy(f->fd, offset, f->size - offset, 1, 0), 0);
}

static void one_policy(struct move_file *f, u64 offset)
{
	ASSERT_EQ(move_policy(f->fd, 0, f->size, 0, 0), 0);
}

static void test_one_policy(void)
{
	move_require_nodes();
	odd_block(make_policy, one_policy);
}

static void test_never_means_never(void)
{
	struct move_file f;

	start_small(&f, SIZE);
	host_set_thp("never");
	ASSERT_EQ(collapse(f.fd, 0, SIZE), 0UL);
	move_assert_usage(&f, 0, "never");
	move_end(&f);
}

/* A slot ends in the middle of a block. */
static void test_one_slot(void)
{
	struct move_file f;

	start_small(&f, 2 * H);
	vm_set_user_memory_region2(f.g.vm, GMEM_DATA_SLOT, 0, GPA, 0, NULL, -1,
				   0);
	vm_set_user_memory_region2(f.g.vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA, H + P, NULL, f.fd, 0);
	ASSERT_EQ(collapse(f.fd, 0, 2 * H), H);
	guest_check(f.g.vcpu, GPA, H + P, 2);

	vm_set_user_memory_region2(f.g.vm, GMEM_DATA_SLOT, 0, GPA, 0, NULL, -1,
				   0);
	/* Nobody's block is one kind of block. */
	ASSERT_EQ(collapse(f.fd, 0, 2 * H), 2 * H);
	vm_set_user_memory_region2(f.g.vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA, 2 * H, NULL, f.fd, 0);
	guest_check(f.g.vcpu, GPA, 2 * H, 2);
	move_end(&f);
}

/*
 * Races: a guest that uses a page, a conversion, a hole
 */

struct pair {
	struct move_file f;
	u64 done;
	int a, b;
	unsigned int nr_huge, nr_small;
};

static void setup_small(void *ctx)
{
	struct pair *p = ctx;

	gmem_punch_hole(p->f.fd, P, P);
	gmem_to_shared(p->f.fd, 0, P);
	gmem_to_private(p->f.fd, 0, P);
	guest_write(p->f.g.vcpu, GPA + P, 0x5678);
	guest_write(p->f.g.vcpu, GPA, 0x1234);
}

static void run_collapse(void *ctx)
{
	struct pair *p = ctx;

	p->a = __collapse(p->f.fd, 0, H, &p->done);
}

static bool pair_end(struct pair *p, bool ok)
{
	p->nr_huge += p->done == H;
	p->nr_small += !p->done;
	ok = ok && !p->a && !p->b && (p->done == H || !p->done);
	if (!ok)
		ksft_print_msg("A = %d, 0x%lx in huge pages; B = %d\n", p->a,
			       p->done, p->b);
	return ok;
}

static void run_guest_write(void *ctx)
{
	struct pair *p = ctx;

	p->b = 0;
	guest_write(p->f.g.vcpu, GPA, 0x4321);
}

static bool check_written(void *ctx)
{
	struct pair *p = ctx;

	return pair_end(p, guest_read(p->f.g.vcpu, GPA) == 0x4321 &&
			   guest_read(p->f.g.vcpu, GPA + P) == 0x5678);
}

static void run_punch(void *ctx)
{
	struct pair *p = ctx;

	p->b = errno_of(__gmem_punch_hole(p->f.fd, 0, P));
}

static bool check_punched(void *ctx)
{
	struct pair *p = ctx;

	return pair_end(p, gmem_allocated(p->f.fd) == H - P &&
			   !gmem_huge(p->f.fd) &&
			   !guest_read(p->f.g.vcpu, GPA) &&
			   guest_read(p->f.g.vcpu, GPA + P) == 0x5678);
}

static void run_to_shared(void *ctx)
{
	struct pair *p = ctx;

	p->b = __gmem_convert(p->f.fd, 0, P, GMEM_SHARED, 0, 0, NULL);
}

static bool check_shared(void *ctx)
{
	struct pair *p = ctx;
	bool ok = !gmem_huge(p->f.fd) && !*(u64 *)p->f.mem &&
		  guest_read(p->f.g.vcpu, GPA + P) == 0x5678;

	gmem_to_private(p->f.fd, 0, P);
	return pair_end(p, ok);
}

static void run_move(void *ctx)
{
	struct pair *p = ctx;
	static int node;

	node = !node;
	move_policy(p->f.fd, 0, H, node, MPOL_MF_MOVE);
	p->b = 0;
}

static bool check_moved(void *ctx)
{
	struct pair *p = ctx;

	return pair_end(p, guest_read(p->f.g.vcpu, GPA) == 0x1234 &&
			   guest_read(p->f.g.vcpu, GPA + P) == 0x5678);
}

static void race(const char *name, void (*run_b)(void *ctx),
		 bool (*check)(void *ctx))
{
	struct race_ops ops = {
		.name = name,
		.setup = setup_small,
		.run_a = run_collapse,
		.run_b = run_b,
		.check = check,
	};
	struct race_stats stats;
	struct pair p = { };
	bool ok;

	move_require_nodes();
	start_small(&p.f, H);
	ok = race_run(&ops, &p, MAX_LOOPS, MAX_MS, &stats);
	ksft_print_msg("%u times huge, %u times not\n", p.nr_huge, p.nr_small);
	TEST_ASSERT(ok && p.nr_huge, "%s", name);
	move_end(&p.f);
}

static void test_guest_write_against_collapse(void)
{
	race("collapse, guest write", run_guest_write, check_written);
}

static void test_hole_against_collapse(void)
{
	race("collapse, punch", run_punch, check_punched);
}

static void test_conversion_against_collapse(void)
{
	race("collapse, to shared", run_to_shared, check_shared);
}

static void test_migration_against_collapse(void)
{
	race("collapse, migration", run_move, check_moved);
}

/*
 * Each allocation fails in turn, see fail_nth.h.  Without memory for a huge page there
 * is none, which is no error.
 */

struct without {
	struct move_file f;
	u64 done;
	u64 nr_refused;
};

static void without_setup(void *ctx)
{
	make_small(&((struct without *)ctx)->f);
}

static int without_run(void *ctx)
{
	struct without *w = ctx;

	return __collapse(w->f.fd, 0, w->f.size, &w->done);
}

static bool without_unchanged(void *ctx)
{
	struct without *w = ctx;

	guest_check(w->f.g.vcpu, GPA, w->f.size, 2);
	move_assert_usage(&w->f, 0, "failed");
	return true;
}

static bool without_done(void *ctx)
{
	struct without *w = ctx;

	if (w->done < w->f.size) {
		w->nr_refused++;
		move_assert_usage(&w->f, w->done, "refused");
		ASSERT_EQ(without_run(ctx), 0);
	}
	guest_check(w->f.g.vcpu, GPA, w->f.size, 2);
	move_assert_usage(&w->f, w->f.size, "done");
	return w->done == w->f.size;
}

static void test_collapse_without_memory_changes_nothing(void)
{
	struct fail_nth_op op = {
		.name = "collapse",
		.setup = without_setup,
		.run = without_run,
		.unchanged = without_unchanged,
		.done = without_done,
	};
	struct without w = {};

	if (access("/proc/self/fail-nth", W_OK))
		gmem_skip("no fault injection in this kernel");
	gmem_group_enter();
	/* With reclaim, what fails once would be tried on other nodes as well. */
	gmem_setting_write("/sys/kernel/mm/transparent_hugepage/defrag", "never");
	start_small(&w.f, 2 * H);
	fail_nth_check(&op, &w);
	TEST_ASSERT(w.nr_refused, "there was always a huge page");
	move_assert_counted(&w.f, "in the end");
	move_end(&w.f);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_bad_arguments),
	GMEM_TEST(test_all_becomes_huge_again),
	GMEM_TEST(test_only_what_is_inside),
	GMEM_TEST(test_holes_are_not_filled),
	GMEM_TEST(test_shared_pages_stay_small),
	GMEM_TEST(test_lost_pages_stay_small),
	GMEM_TEST(test_one_policy),
	GMEM_TEST(test_never_means_never),
	GMEM_TEST(test_one_slot),
	GMEM_TEST(test_guest_write_against_collapse),
	GMEM_TEST(test_hole_against_collapse),
	GMEM_TEST(test_conversion_against_collapse),
	GMEM_TEST(test_migration_against_collapse),
	GMEM_TEST(test_collapse_without_memory_changes_nothing),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	guest_word_step = 64;

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
