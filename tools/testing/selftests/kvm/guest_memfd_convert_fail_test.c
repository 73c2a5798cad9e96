// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion in place when memory runs out: each allocation of one operation
 * fails in turn, see fail_nth.h.  The operation has to succeed, or to fail with
 * ENOMEM and leave everything as it was.
 */
#include "fail_nth.h"
#include "guest_memfd_convert.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	GMEM_FILE_SIZE
/* What is private from the beginning. */
#define OLD_OFFSET	(4 * P)
#define OLD_SIZE	(4 * P)

/* Tags of patterns. */
enum { FIRST = 1 };

struct context {
	struct gmem_map m;
	struct kvm_gmem_range ranges[2];
	u64 offset;
	u64 size;
	u64 attributes;
	u64 flags;
	u64 done;
	int fd;
};

static void setup(void *ctx)
{
	struct context *c = ctx;

	gmem_conv_setup(&c->m, FILE_SIZE);
	gmem_fill(c->m.mem, 0, FILE_SIZE, FIRST);
	gmem_to_private(c->m.fd, OLD_OFFSET, OLD_SIZE);
	/* With a slot: its mappings are part of the work. */
	vm_set_user_memory_region2(c->m.vm, 0, KVM_MEM_GUEST_MEMFD, 0,
				   FILE_SIZE, NULL, c->m.fd, 0);
}

static void teardown(void *ctx)
{
	struct context *c = ctx;

	gmem_map_teardown(&c->m);
}

static bool unchanged(void *ctx)
{
	struct context *c = ctx;

	gmem_assert_is(c->m.fd, 0, OLD_OFFSET, GMEM_SHARED);
	gmem_assert_is(c->m.fd, OLD_OFFSET, OLD_SIZE, GMEM_PRIVATE);
	gmem_assert_is(c->m.fd, OLD_OFFSET + OLD_SIZE,
		       FILE_SIZE - OLD_OFFSET - OLD_SIZE, GMEM_SHARED);
	gmem_check(c->m.mem, 0, OLD_OFFSET, FIRST);
	gmem_assert_sigbus(c->m.mem + OLD_OFFSET);
	return gmem_fdinfo(c->m.fd, "gmem-private") == OLD_SIZE &&
	       gmem_fdinfo(c->m.fd, "gmem-pending") == 0;
}

static int convert_run(void *ctx)
{
	struct context *c = ctx;

	return __gmem_convert(c->m.fd, c->offset, c->size, c->attributes,
			      c->flags, 0, NULL);
}

static bool convert_done(void *ctx)
{
	struct context *c = ctx;

	gmem_assert_is(c->m.fd, c->offset, c->size, c->attributes);
	return true;
}

static void check_convert(u64 offset, u64 size, u64 attributes, u64 flags)
{
	struct context c = {
		.offset = offset,
		.size = size,
		.attributes = attributes,
		.flags = flags,
	};
	struct fail_nth_op op = {
		.name = attributes ? "to private" : "to shared",
		.setup = setup,
		.run = convert_run,
		.unchanged = unchanged,
		.done = convert_done,
		.teardown = teardown,
	};

	fail_nth_check(&op, &c);
}

/* A range of its own, in the middle of a shared one; one that grows; all. */
static void test_to_private_rolls_back(void)
{
	check_convert(10 * P, 2 * P, GMEM_PRIVATE, 0);
	check_convert(OLD_OFFSET - P, 2 * P, GMEM_PRIVATE, 0);
	check_convert(0, FILE_SIZE, GMEM_PRIVATE, GMEM_WAIT);
}

static void test_to_shared_rolls_back(void)
{
	check_convert(OLD_OFFSET + P, P, GMEM_SHARED, 0);
	check_convert(OLD_OFFSET, P, GMEM_SHARED, GMEM_WAIT);
	check_convert(0, FILE_SIZE, GMEM_SHARED, 0);
}

static int vec_run(void *ctx)
{
	struct context *c = ctx;
	struct kvm_gmem_attributes_vec vec = {
		.ranges = (uintptr_t)c->ranges,
		.nr = ARRAY_SIZE(c->ranges),
		.attributes = GMEM_PRIVATE,
	};
	int ret = errno_of(ioctl(c->m.fd, KVM_GMEM_SET_ATTRIBUTES_VEC, &vec));

	c->done = vec.done;
	return ret;
}

/* As far as it says: undo that, and the rest is as it was. */
static bool vec_unchanged(void *ctx)
{
	struct context *c = ctx;
	u64 i;

	for (i = 0; i < c->done; i++) {
		gmem_assert_is(c->m.fd, c->ranges[i].offset, c->ranges[i].size,
			       GMEM_PRIVATE);
		gmem_to_shared(c->m.fd, c->ranges[i].offset,
			       c->ranges[i].size);
		gmem_fill(c->m.mem + c->ranges[i].offset, c->ranges[i].offset,
			  c->ranges[i].size, FIRST);
	}
	return unchanged(ctx);
}

static bool vec_done(void *ctx)
{
	struct context *c = ctx;
	int i;

	for (i = 0; i < ARRAY_SIZE(c->ranges); i++)
		gmem_assert_is(c->m.fd, c->ranges[i].offset, c->ranges[i].size,
			       GMEM_PRIVATE);
	return c->done == ARRAY_SIZE(c->ranges);
}

static void test_batch_says_what_is_done(void)
{
	struct context c = { .ranges = { { 0, P }, { 2 * P, P } } };
	struct fail_nth_op op = {
		.name = "batch",
		.setup = setup,
		.run = vec_run,
		.unchanged = vec_unchanged,
		.done = vec_done,
		.teardown = teardown,
	};

	fail_nth_check(&op, &c);
}

static int create_run(void *ctx)
{
	struct context *c = ctx;

	c->fd = __vm_create_guest_memfd(c->m.vm, FILE_SIZE, GMEM_SHARED_FLAGS);
	return c->fd < 0 ? -errno : 0;
}

static bool create_done(void *ctx)
{
	struct context *c = ctx;

	gmem_assert_is(c->fd, 0, FILE_SIZE, GMEM_SHARED);
	close(c->fd);
	return unchanged(ctx);
}

static void test_creation_rolls_back(void)
{
	struct fail_nth_op op = {
		.name = "creation",
		.setup = setup,
		.run = create_run,
		.unchanged = unchanged,
		.done = create_done,
		.teardown = teardown,
	};
	struct context c = {};

	fail_nth_check(&op, &c);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_to_private_rolls_back),
	GMEM_TEST(test_to_shared_rolls_back),
	GMEM_TEST(test_batch_says_what_is_done),
	GMEM_TEST(test_creation_rolls_back),
};

int main(int argc, char *argv[])
{
	setbuf(stdout, NULL);
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
