// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion in place of parts of large folios.
 *
 * What is private is in folios as large as possible, what is shared in single
 * pages.  A conversion to shared splits exactly the folios that it touches; all
 * else keeps its contents and its size, as guest and host see it.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <sys/mman.h>

#include "fail_nth.h"
#include "guest_memfd_convert.h"
#include "guest_memfd_huge.h"
#include "processor.h"
#include "race.h"

#define NR_HUGE		3
#define SIZE		(NR_HUGE * H)

/* Tags of patterns. */
enum { GUEST_TAG = 1, HOST_TAG };

struct range {
	u64 offset;
	u64 size;
};

static const struct range ranges[] = {
	{ 0, P },
	{ H - P, P },
	{ H + 100 * P, P },			/* one in the middle */
	{ P, H - 2 * P },			/* all but two */
	{ H - P, 2 * P },			/* from both sides of an edge */
	{ H / 2 + P, 2 * H - 3 * P },		/* with a whole one in it */
	{ H, H },				/* just a whole one */
	{ 0, SIZE },
};

/* All but the file's memory is in single pages. */
static void start(struct gmem_conv_guest *f, u64 flags)
{
	host_set_thp("never");
	guest_word_step = P / 4;
	gmem_conv_guest_start(f, SIZE, flags);
	guest_do(f->vcpu, GUEST_OP_NOP, 0, 0, 0);
	host_set_thp("always");
}

static void start_private(struct gmem_conv_guest *f)
{
	/* Again and again: so they are worth an effort. */
	start(f, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_HUGEPAGE);
	guest_fill(f->vcpu, GPA, SIZE, GUEST_TAG);
	gmem_assert_usage(f->fd, SIZE, SIZE, "filled");
}

/* Bytes of the folios that a range touches. */
static u64 touched(const struct range *r)
{
	u64 first = r->offset / H * H;

	return (r->offset + r->size - first + H - 1) / H * H;
}

static void check_around(struct gmem_conv_guest *f, const struct range *r)
{
	u64 after = r->offset + r->size;

	guest_check(f->vcpu, GPA, r->offset, GUEST_TAG);
	guest_check(f->vcpu, GPA + after, SIZE - after, GUEST_TAG);
}

static void check_convert(const struct range *r)
{
	u64 huge = SIZE - touched(r);
	struct gmem_conv_guest f;

	start_private(&f);
	ASSERT_EQ(vm_nr_huge(f.vm), NR_HUGE);
	gmem_to_shared(f.fd, r->offset, r->size);
	gmem_assert_usage(f.fd, SIZE, huge, "shared");
	ASSERT_EQ(vm_nr_huge(f.vm), huge / H);

	check_around(&f, r);
	host_check_zero(f.mem + r->offset, r->size);
	guest_check_zero(f.vcpu, GPA + r->offset, r->size);
	host_fill(f.mem + r->offset, GPA + r->offset, r->size, HOST_TAG);
	guest_check(f.vcpu, GPA + r->offset, r->size, HOST_TAG);
	check_around(&f, r);

	gmem_to_private(f.fd, r->offset, r->size);
	guest_check(f.vcpu, GPA + r->offset, r->size, HOST_TAG);
	check_around(&f, r);
	gmem_assert_usage(f.fd, SIZE, huge, "private again");
	gmem_conv_guest_end(&f);
}

static void test_convert_splits_what_it_touches(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		check_convert(&ranges[i]);
}

static void test_private_memory_is_large(void)
{
	struct gmem_conv_guest f;

	start(&f, GUEST_MEMFD_FLAG_MMAP);
	gmem_allocate(f.fd, 0, H);
	gmem_assert_usage(f.fd, H, H, "allocated");
	guest_check_zero(f.vcpu, GPA + H, P);
	gmem_assert_usage(f.fd, 2 * H, 2 * H, "touched");
	gmem_conv_guest_end(&f);
}

static void test_shared_memory_is_small(void)
{
	struct gmem_conv_guest f;

	start(&f, GMEM_SHARED_FLAGS);
	gmem_allocate(f.fd, 0, H);
	host_fill(f.mem + H, GPA + H, H, HOST_TAG);
	guest_fill(f.vcpu, GPA + 2 * H, H, GUEST_TAG);
	gmem_assert_usage(f.fd, SIZE, 0, "touched");
	guest_check(f.vcpu, GPA + H, H, HOST_TAG);
	host_check(f.mem + 2 * H, GPA + 2 * H, H, GUEST_TAG);

	/* It stays so, until it is allocated anew. */
	gmem_to_private(f.fd, 0, SIZE);
	guest_check(f.vcpu, GPA + H, H, HOST_TAG);
	gmem_assert_usage(f.fd, SIZE, 0, "private");
	gmem_punch_hole(f.fd, H, H);
	guest_check_zero(f.vcpu, GPA + H, H);
	gmem_assert_usage(f.fd, SIZE, H, "allocated anew");
	gmem_conv_guest_end(&f);
}

/* One page of a hole is shared. */
static void test_new_folios_heed_the_state(void)
{
	struct gmem_conv_guest f;

	start(&f, GUEST_MEMFD_FLAG_MMAP);
	gmem_to_shared(f.fd, H + 5 * P, P);
	guest_fill(f.vcpu, GPA, SIZE, GUEST_TAG);
	gmem_assert_usage(f.fd, SIZE, SIZE - H, "filled");
	host_check(f.mem + H + 5 * P, GPA + H + 5 * P, P, GUEST_TAG);
	gmem_assert_sigbus(f.mem + H + 4 * P);
	gmem_assert_sigbus(f.mem + H + 6 * P);
	gmem_conv_guest_end(&f);
}

/* What is private already is not touched, however much of a folio it is. */
static void test_nothing_to_convert_splits_nothing(void)
{
	struct gmem_conv_guest f;

	start_private(&f);
	gmem_to_private(f.fd, P, SIZE - 2 * P);
	gmem_assert_usage(f.fd, SIZE, SIZE, "converted");
	ASSERT_EQ(vm_nr_huge(f.vm), NR_HUGE);
	guest_check(f.vcpu, GPA, SIZE, GUEST_TAG);
	gmem_conv_guest_end(&f);
}

/*
 * What can fail
 */

static int fail_run(void *ctx)
{
	struct huge_file *f = ctx;

	return __gmem_convert(f->fd, H + P, P, GMEM_SHARED, 0, 0, NULL);
}

static bool fail_unchanged(void *ctx)
{
	struct huge_file *f = ctx;

	return huge_file_has(f, SIZE, SIZE) && !gmem_fdinfo(f->fd, "gmem-shared");
}

static bool fail_done(void *ctx)
{
	struct huge_file *f = ctx;

	return huge_file_has(f, SIZE, SIZE - H) &&
	       gmem_fdinfo(f->fd, "gmem-shared") == P;
}

static void test_convert_without_memory_changes_nothing(void)
{
	struct fail_nth_op op = {
		.name = "convert",
		.setup = huge_file_setup,
		.run = fail_run,
		.unchanged = fail_unchanged,
		.done = fail_done,
		.teardown = huge_file_teardown,
	};
	struct huge_file f = {
		.vm = gmem_vm_create_barebones(),
		.size = SIZE,
		.flags = GUEST_MEMFD_FLAG_MMAP,
	};

	host_set_thp("always");
	fail_nth_check(&op, &f);
	kvm_vm_free(f.vm);
}

/*
 * Races.  In each loop a page of the second folio becomes shared, and another
 * thread does something with another one.
 */

struct convert_race {
	struct gmem_conv_guest f;
	struct race_rng rng;
	u64 page;
	u64 other;
	bool other_is_hole;
	bool other_is_shared;
};

static void race_setup(void *ctx)
{
	struct convert_race *r = ctx;

	gmem_to_private(r->f.fd, H, H);
	gmem_punch_hole(r->f.fd, H, H);
	guest_fill(r->f.vcpu, GPA + H, H, GUEST_TAG);
	gmem_assert_usage(r->f.fd, SIZE, SIZE, "at first");
	r->page = H + race_random_below(&r->rng, 256) * P;
	r->other = H + (256 + race_random_below(&r->rng, 256)) * P;
	r->other_is_hole = false;
	r->other_is_shared = false;
}

static void race_convert(void *ctx)
{
	struct convert_race *r = ctx;

	gmem_to_shared(r->f.fd, r->page, P);
}

static bool race_check(void *ctx)
{
	struct convert_race *r = ctx;
	u64 hole = r->other_is_hole ? P : 0;

	gmem_assert_usage(r->f.fd, SIZE - hole, SIZE - H, "converted");
	gmem_assert_is(r->f.fd, r->page, P, GMEM_SHARED);
	gmem_assert_is(r->f.fd, r->other, P,
		       r->other_is_shared ? GMEM_SHARED : GMEM_PRIVATE);
	host_check_zero(r->f.mem + r->page, P);
	guest_check(r->f.vcpu, GPA, r->page, GUEST_TAG);
	guest_check_zero(r->f.vcpu, GPA + r->page, P);
	guest_check(r->f.vcpu, GPA + r->page + P, r->other - r->page - P,
		    GUEST_TAG);
	if (r->other_is_hole || r->other_is_shared)
		guest_check_zero(r->f.vcpu, GPA + r->other, P);
	else
		guest_check(r->f.vcpu, GPA + r->other, P, GUEST_TAG);
	guest_check(r->f.vcpu, GPA + r->other + P, SIZE - r->other - P,
		    GUEST_TAG);
	return true;
}

static void race_run_against(const char *name, void (*other)(void *ctx))
{
	struct race_ops ops = {
		.name = name,
		.setup = race_setup,
		.run_a = race_convert,
		.run_b = other,
		.check = race_check,
	};
	struct convert_race r = { .rng.state = race_seed() };
	struct race_stats stats;

	start_private(&r.f);
	/* More loops are worth more here than more words. */
	guest_word_step = P;
	guest_fill(r.f.vcpu, GPA, SIZE, GUEST_TAG);
	TEST_ASSERT(race_run(&ops, &r, 200, 5000, &stats), "see above");
	gmem_conv_guest_end(&r.f);
}

static void race_write(void *ctx)
{
	struct convert_race *r = ctx;

	guest_fill(r->f.vcpu, GPA + r->other, P, GUEST_TAG);
}

static void race_read_both(void *ctx)
{
	struct convert_race *r = ctx;

	/* It can be on either side. */
	guest_do(r->f.vcpu, GUEST_OP_CHECK_EITHER, GPA + r->page, P,
		 GUEST_TAG);
	guest_check(r->f.vcpu, GPA + r->other, P, GUEST_TAG);
}

static void race_punch(void *ctx)
{
	struct convert_race *r = ctx;

	gmem_punch_hole(r->f.fd, r->other, P);
	r->other_is_hole = true;
}

static void race_convert_other(void *ctx)
{
	struct convert_race *r = ctx;

	gmem_to_shared(r->f.fd, r->other, P);
	r->other_is_shared = true;
}

static void race_touch(void *ctx)
{
	struct convert_race *r = ctx;

	/* Zeros, or SIGBUS as long as it is private. */
	gmem_touch(r->f.mem + r->page, false);
	gmem_assert_sigbus(r->f.mem + r->other);
}

static void test_race_with_guest_writing(void)
{
	race_run_against("write", race_write);
}

static void test_race_with_guest_reading(void)
{
	race_run_against("read", race_read_both);
}

static void test_race_with_punch(void)
{
	race_run_against("punch", race_punch);
}

static void test_race_with_conversion(void)
{
	race_run_against("convert", race_convert_other);
}

static void test_race_with_host(void)
{
	race_run_against("host", race_touch);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_convert_splits_what_it_touches),
	GMEM_TEST(test_private_memory_is_large),
	GMEM_TEST(test_shared_memory_is_small),
	GMEM_TEST(test_new_folios_heed_the_state),
	GMEM_TEST(test_nothing_to_convert_splits_nothing),
	GMEM_TEST(test_convert_without_memory_changes_nothing),
	GMEM_TEST(test_race_with_guest_writing),
	GMEM_TEST(test_race_with_guest_reading),
	GMEM_TEST(test_race_with_punch),
	GMEM_TEST(test_race_with_conversion),
	GMEM_TEST(test_race_with_host),
};

int main(int argc, char *argv[])
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
