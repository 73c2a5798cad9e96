// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of guest_memfd files when memory runs out: each allocation of one
 * operation fails in turn, see fail_nth.h.  The operation has to succeed, or to
 * fail with ENOMEM and leave everything as it was.
 */
#include <linux/compiler.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "fail_nth.h"
#include "guest_memfd_map.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	GMEM_FILE_SIZE
/* What is allocated from the beginning. */
#define OLD_SIZE	(2 * P)
/* Allocated by the operation: needs a node of the page cache's tree, too. */
#define NEW_OFFSET	(8 * P)
#define NEW_SIZE	(4 * P)
/* Gets a policy of its own, in the middle of another one. */
#define POLICY_OFFSET	(4 * P)
#define POLICY_SIZE	(4 * P)

/* Tags of patterns. */
enum { OLD = 1, NEW };

struct context {
	struct gmem_map m;
	void *mem;
};

static void sweep(struct fail_nth_op *op)
{
	struct context c = {};

	fail_nth_check(op, &c);
}

static void setup(void *ctx)
{
	struct context *c = ctx;

	gmem_map_setup(&c->m, FILE_SIZE);
	gmem_fill(c->m.mem, 0, OLD_SIZE, OLD);
	/* Without page tables, so that a fault has them to allocate. */
	munmap(c->m.mem, FILE_SIZE);
	c->m.mem = gmem_mmap(c->m.fd, FILE_SIZE, 0);
}

static void teardown(void *ctx)
{
	struct context *c = ctx;

	gmem_map_teardown(&c->m);
}

/*
 * mmap()
 */

static int mmap_run(void *ctx)
{
	struct context *c = ctx;

	c->mem = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      c->m.fd, 0);
	return c->mem == MAP_FAILED ? -errno : 0;
}

static bool mmap_unchanged(void *ctx)
{
	struct context *c = ctx;

	gmem_check(c->m.mem, 0, OLD_SIZE, OLD);
	return gmem_allocated(c->m.fd) == OLD_SIZE;
}

static bool mmap_done(void *ctx)
{
	struct context *c = ctx;

	gmem_check(c->mem, 0, OLD_SIZE, OLD);
	munmap(c->mem, FILE_SIZE);
	return mmap_unchanged(ctx);
}

static void test_mmap_rolls_back(void)
{
	struct fail_nth_op op = {
		.name = "mmap()",
		.setup = setup,
		.run = mmap_run,
		.unchanged = mmap_unchanged,
		.done = mmap_done,
		.teardown = teardown,
	};

	sweep(&op);
}

/*
 * Faults
 */

/* A part of the range may be there already, as zeros. */
static bool fault_unchanged(void *ctx)
{
	struct context *c = ctx;
	u64 allocated = gmem_allocated(c->m.fd);

	gmem_check(c->m.mem, 0, OLD_SIZE, OLD);
	return allocated >= OLD_SIZE && allocated <= OLD_SIZE + NEW_SIZE;
}

static int populate_run(void *ctx)
{
	struct context *c = ctx;

	return madvise(c->m.mem + NEW_OFFSET, NEW_SIZE,
		       23 /* MADV_POPULATE_WRITE */) ? -errno : 0;
}

static bool populate_done(void *ctx)
{
	struct context *c = ctx;

	gmem_check_zero(c->m.mem + NEW_OFFSET, NEW_SIZE);
	return fault_unchanged(ctx) &&
	       gmem_allocated(c->m.fd) == OLD_SIZE + NEW_SIZE;
}

static void test_populating_can_be_repeated(void)
{
	struct fail_nth_op op = {
		.name = "MADV_POPULATE_WRITE",
		.setup = setup,
		.run = populate_run,
		.unchanged = fault_unchanged,
		.done = populate_done,
		.teardown = teardown,
	};

	sweep(&op);
}

/* There is no exit to report it with: the fault is repeated. */
static int touch_run(void *ctx)
{
	struct context *c = ctx;

	gmem_fill(c->m.mem + NEW_OFFSET, NEW_OFFSET, NEW_SIZE, NEW);
	return 0;
}

static bool touch_done(void *ctx)
{
	struct context *c = ctx;

	gmem_check(c->m.mem + NEW_OFFSET, NEW_OFFSET, NEW_SIZE, NEW);
	return fault_unchanged(ctx) &&
	       gmem_allocated(c->m.fd) == OLD_SIZE + NEW_SIZE;
}

static void test_touching_succeeds_in_the_end(void)
{
	struct fail_nth_op op = {
		.name = "a fault",
		.setup = setup,
		.run = touch_run,
		.unchanged = fault_unchanged,
		.done = touch_done,
		.teardown = teardown,
	};

	sweep(&op);
}

/*
 * mbind()
 */

static int set_policy(void *mem, u64 size, int mode, u64 mask)
{
	return syscall(__NR_mbind, mem, size, mode, &mask, 65, 0) ? -errno : 0;
}

static bool has_policy(void *mem, int mode)
{
	int now = -1;

	TEST_ASSERT(!syscall(__NR_get_mempolicy, &now, NULL, 0, mem,
			     MPOL_F_ADDR), "errno %d", errno);
	return now == mode;
}

static void policy_setup(void *ctx)
{
	struct context *c = ctx;

	setup(ctx);
	TEST_ASSERT(!set_policy(c->m.mem, FILE_SIZE, MPOL_BIND, 1),
		    "mbind() failed");
}

static int policy_run(void *ctx)
{
	struct context *c = ctx;

	return set_policy(c->m.mem + POLICY_OFFSET, POLICY_SIZE, MPOL_PREFERRED,
			  1);
}

static bool policy_is(struct context *c, int mode)
{
	char *mem = c->m.mem;

	return has_policy(mem + POLICY_OFFSET - P, MPOL_BIND) &&
	       has_policy(mem + POLICY_OFFSET, mode) &&
	       has_policy(mem + POLICY_OFFSET + POLICY_SIZE - P, mode) &&
	       has_policy(mem + POLICY_OFFSET + POLICY_SIZE, MPOL_BIND);
}

static bool policy_unchanged(void *ctx)
{
	return policy_is(ctx, MPOL_BIND) && mmap_unchanged(ctx);
}

static bool policy_done(void *ctx)
{
	return policy_is(ctx, MPOL_PREFERRED) && mmap_unchanged(ctx);
}

static void test_policy_rolls_back(void)
{
	struct fail_nth_op op = {
		.name = "mbind()",
		.setup = policy_setup,
		.run = policy_run,
		.unchanged = policy_unchanged,
		.done = policy_done,
		.teardown = teardown,
	};

	sweep(&op);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_mmap_rolls_back),
	GMEM_TEST(test_populating_can_be_repeated),
	GMEM_TEST(test_touching_succeeds_in_the_end),
	GMEM_TEST(test_policy_rolls_back),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_DEFAULT_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
