// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pinned memory stays where it is: what moves pages gets an errno or passes
 * them by, at once and without a warning.
 *
 * Each test is run on pages of 4 KiB and of 2 MiB, mapped by the host and
 * private.
 *
 * Needs two nodes with memory.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "guest_memfd_move.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_zone.h"

#define SIZE		(4 * H)
#define BLOCK_PAGES	(H / P)		/* of a page block, on x86-64 */
/* Nothing waits longer for what will not move, on a loaded machine. */
#define AT_ONCE_NS	10000000000ULL

/*
 * What the host's page tables lead to: of what is private, nothing
 */

static void try_move_pages(struct move_file *f)
{
	u64 i;

	for (i = 0; i < f->nr; i += 64)
		ASSERT_EQ(move_page(f->mem + i * P, 1),
			  f->kind->private ? -ENOENT : -EBUSY);
	move_assert_still(f, "move_pages()");
}

static void test_move_pages_gives_ebusy(void)
{
	move_with_all(SIZE, 0, 0, try_move_pages);
}

static void try_mbind(struct move_file *f)
{
	static const unsigned int flags[] = { MPOL_MF_MOVE, MPOL_MF_MOVE_ALL };
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		ASSERT_EQ(move_mbind(f, 1, flags[i]), 0);
		move_assert_still(f, "mbind()");
		ASSERT_EQ(move_mbind(f, 0, 0), 0);
		if (f->kind->private)
			continue;
		ASSERT_EQ(move_mbind(f, 1, flags[i] | MPOL_MF_STRICT), -EIO);
		move_assert_still(f, "mbind(), strict");
		ASSERT_EQ(move_mbind(f, 0, 0), 0);
	}
}

static void test_mbind_gives_eio_if_strict(void)
{
	move_with_all(SIZE, 0, 0, try_mbind);
}

static void try_set_policy(struct move_file *f)
{
	ASSERT_EQ(move_policy(f->fd, 0, f->size, 1, MPOL_MF_MOVE), 0);
	move_assert_still(f, "KVM_GMEM_SET_POLICY");
	ASSERT_EQ(move_policy(f->fd, 0, f->size, 1,
			      MPOL_MF_MOVE | MPOL_MF_STRICT), -EIO);
	ASSERT_EQ(move_policy(f->fd, 0, f->size, 1, MPOL_MF_STRICT), -EIO);
	move_assert_still(f, "KVM_GMEM_SET_POLICY, strict");
	ASSERT_EQ(move_policy(f->fd, 0, f->size, 0, MPOL_MF_STRICT), 0);
}

static void test_set_policy_gives_eio_if_strict(void)
{
	move_with_all(SIZE, 0, 0, try_set_policy);
}

static void try_migrate_pages(struct move_file *f)
{
	u64 from = BIT(0), to = BIT(1);

	TEST_ASSERT(syscall(__NR_migrate_pages, 0, 64, &from, &to) >= 0,
		    "errno %d", errno);
	move_assert_still(f, "migrate_pages()");
	/* Not the rest of the process, which has been moved. */
	TEST_ASSERT(syscall(__NR_migrate_pages, 0, 64, &to, &from) >= 0,
		    "errno %d", errno);
}

static void test_migrate_pages_moves_nothing(void)
{
	move_with_all(SIZE, 0, 0, try_migrate_pages);
}

/*
 * What page frames lead to
 */

static void try_soft_offline(struct move_file *f)
{
	u64 i, start;
	int ret;

	for (i = 0; i < f->nr; i += f->nr / 4 + 1) {
		start = gmem_now();
		ret = soft_offline_pfn(f->pfns[i]);
		if (ret == -ENOENT)
			gmem_skip("no soft_offline_page");
		ASSERT_EQ(ret, -EIO);
		TEST_ASSERT(gmem_now() - start < AT_ONCE_NS, "%lu ns",
			    gmem_now() - start);
		TEST_ASSERT(!pfn_is_poisoned(f->pfns[i]), "it is poisoned");
		move_assert_still(f, "soft offline");
	}
}

static void test_soft_offline_gives_eio(void)
{
	move_with_all(SIZE, 0, 0, try_soft_offline);
}

/*
 * Compaction
 */

#define COMPACT_SIZE	(16 * H)
#define MAX_FILES	12
#define ISOLATE_EVENT	"mm_compaction_isolate_migratepages"

static int compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Whether all pages of the block around @pfn are in @pfns. */
static bool fills_block(const u64 *pfns, u64 nr, u64 pfn)
{
	u64 first = pfn / BLOCK_PAGES * BLOCK_PAGES, *p;

	p = bsearch(&first, pfns, nr, sizeof(*pfns), compare_u64);
	return p && p + BLOCK_PAGES <= pfns + nr &&
	       p[BLOCK_PAGES - 1] == first + BLOCK_PAGES - 1;
}

struct seen {
	u64 visits;	/* to blocks that the file fills */
	u64 others;	/* pages that were taken out of other blocks */
};

/* Compact all memory; of blocks that the file fills, nothing is taken. */
static void compact(struct move_file *f, struct seen *seen)
{
	static const char * const events[] = { "compaction/" ISOLATE_EVENT };
	u64 first, last, scanned, taken;
	char *trace, *line, *next, *at;
	u64 *sorted = move_find(f, "before");

	qsort(sorted, f->nr, sizeof(*sorted), compare_u64);
	admin_trace_start(events, ARRAY_SIZE(events));
	ASSERT_EQ(admin_write("/proc/sys/vm/compact_memory", "1"), 0);
	trace = admin_trace_read();
	for (next = trace; (line = strsep(&next, "\n")); ) {
		at = strstr(line, ISOLATE_EVENT ": ");
		if (!at || sscanf(at, ISOLATE_EVENT
				  ": range=(0x%lx ~ 0x%lx) nr_scanned=%lu nr_taken=%lu",
				  &first, &last, &scanned, &taken) != 4)
			continue;
		if (!fills_block(sorted, f->nr, first)) {
			seen->others += taken;
			continue;
		}
		TEST_ASSERT(!taken, "%s: %lu taken of 0x%lx to 0x%lx",
			    f->kind->name, taken, first, last);
		seen->visits++;
	}
	free(trace);
	free(sorted);
	move_assert_still(f, "compaction");
}

/*
 * If compaction does not come to the file, there are more, somewhere else.  A block
 * that is one page is passed without a look.
 */
static void compact_files(const struct move_kind *kind)
{
	struct move_file files[MAX_FILES];
	struct seen seen = {};
	int nr = 0;

	while (nr < MAX_FILES && !seen.visits && !(kind->huge && nr)) {
		move_start_before_room(&files[nr], kind, COMPACT_SIZE, 1, 0);
		compact(&files[nr++], &seen);
	}
	ksft_print_msg("%s: %lu visits, nothing taken; elsewhere %lu pages; %d files\n",
		       kind->name, seen.visits, seen.others, nr);
	TEST_ASSERT(!seen.visits == kind->huge, "%s: %lu visits", kind->name,
		    seen.visits);
	TEST_ASSERT(seen.others, "nothing was taken elsewhere");
	while (nr--)
		move_end(&files[nr]);
}

static void test_compaction_isolates_nothing(void)
{
	char *sparse;
	int i;

	move_require_nodes();
	sparse = move_make_sparse(COMPACT_SIZE, 0);
	for (i = 0; i < MOVE_KINDS; i++)
		compact_files(&move_kinds[i]);
	munmap(sparse, COMPACT_SIZE);
}

/*
 * A contiguous memory area
 */

/* All of it can be had by who it is for, whatever the file takes. */
static void allocate_cma(struct move_file *f, const char *dir)
{
	ASSERT_EQ(move_count_within(f, zone_cma_number(dir, "base_pfn"),
				    zone_cma_number(dir, "count")), 0UL);
	zone_take_cma(dir);
	zone_free_cma(dir);
}

static void allocate_all_cma(struct move_file *f)
{
	glob_t dirs;
	size_t i;

	zone_find_cma(&dirs);
	for (i = 0; i < dirs.gl_pathc; i++)
		allocate_cma(f, dirs.gl_pathv[i]);
	globfree(&dirs);
	move_assert_still(f, "allocation of the areas");
}

static void test_contiguous_areas_stay_usable(void)
{
	move_with_all(COMPACT_SIZE, 0, 0, allocate_all_cma);
}

/*
 * A memory block
 */

/* What is left of the node: to others, and what is for movable memory only. */
#define LEAVE_FREE	(120ULL << 20)

static void refuse_offline(u64 block, const char *when)
{
	u64 start = gmem_now(), ns;
	int ret = zone_set_block(block, "offline");

	ns = gmem_now() - start;
	ksft_print_msg("%s: refused in %lu us\n", when, ns / 1000);
	ASSERT_EQ(ret, -EBUSY);
	TEST_ASSERT(ns < AT_ONCE_NS, "%s: %lu ns", when, ns);
}

/* Most of the block is the file's; once that is gone, the block can go. */
static void fill_and_refuse(const struct move_kind *kind, u64 block)
{
	u64 size = zone_free_on(1);
	struct move_file f;
	u64 nr;

	TEST_ASSERT(size > LEAVE_FREE + H, "%lu bytes free", size);
	move_start(&f, kind, (size - LEAVE_FREE) / H * H, 1, 0);
	nr = move_count_in_block(&f, block);
	TEST_ASSERT(nr > move_block_pages() / 2, "%s: %lu pages in block %lu",
		    kind->name, nr, block);
	refuse_offline(block, kind->name);
	move_assert_still(&f, "offline");
	move_end(&f);
	zone_take_offline(block);
	ASSERT_EQ(zone_set_block(block, "online_kernel"), 0);
}

static void test_memory_offline_gives_ebusy_at_once(void)
{
	u64 block;

	move_require_nodes();
	guest_word_step = P;
	block = zone_only_block();
	fill_and_refuse(&move_kinds[0], block);
	fill_and_refuse(&move_kinds[3], block);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_move_pages_gives_ebusy),
	GMEM_TEST(test_mbind_gives_eio_if_strict),
	GMEM_TEST(test_set_policy_gives_eio_if_strict),
	GMEM_TEST(test_migrate_pages_moves_nothing),
	GMEM_TEST(test_soft_offline_gives_eio),
	GMEM_TEST(test_compaction_isolates_nothing),
	GMEM_TEST(test_contiguous_areas_stay_usable),
	GMEM_TEST(test_memory_offline_gives_ebusy_at_once),
};

int main(void)
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
