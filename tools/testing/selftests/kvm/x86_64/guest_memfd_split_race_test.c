// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large folios are split while others use them.
 *
 * In each loop one side punches a page out of a folio, and the other does
 * something with the rest of it.  In the end the page is gone, and everything
 * else has what it should have, as the guest sees it.
 */
#define _GNU_SOURCE /* for vmsplice(2) */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "guest_memfd_huge.h"
#include "guest_memfd_map.h"
#include "guest_memfd_pfn.h"
#include "processor.h"
#include "race.h"

#define SIZE		(2 * H)
#define LOOPS		300
#define MAX_MS		6000
/* In the second folio: what is punched, and what the other side uses. */
#define HOLE		(H + 16 * P)
#define OTHER		(H + 300 * P)

struct race {
	struct guest_fixture f;
	/* Of a shared file, or NULL. */
	struct gmem_map m;
	struct race_rng rng;
	u64 hole;
	u64 other;
	/* The other side has taken its page out as well. */
	bool other_is_hole;
};

static void set_up(struct race *r)
{
	huge_start(&r->f, SIZE);
	/* More loops are worth more here than more words. */
	guest_word_step = P;
	guest_fill(r->f.vcpu, GPA, SIZE, 1);
	r->rng.state = race_seed();
}

/* Both folios are large and full of pattern 1, and mapped. */
static void setup(void *ctx)
{
	struct race *r = ctx;

	gmem_punch_hole(r->f.slot.fd, H, H);
	guest_fill(r->f.vcpu, GPA + H, H, 1);
	if (gmem_huge(r->f.slot.fd) != SIZE) {
		/* What was punched is in pieces all over the place. */
		host_compact_memory();
		gmem_punch_hole(r->f.slot.fd, H, H);
		guest_fill(r->f.vcpu, GPA + H, H, 1);
	}
	gmem_assert_usage(r->f.slot.fd, SIZE, SIZE, "at first");
	r->hole = H + race_random_below(&r->rng, 256) * P;
	r->other = H + (256 + race_random_below(&r->rng, 256)) * P;
	r->other_is_hole = false;
}

static void punch(void *ctx)
{
	struct race *r = ctx;

	gmem_punch_hole(r->f.slot.fd, r->hole, P);
}

static void punch_other(void *ctx)
{
	struct race *r = ctx;

	gmem_punch_hole(r->f.slot.fd, r->other, P);
	r->other_is_hole = true;
}

static bool check(void *ctx)
{
	struct race *r = ctx;
	u64 holes = r->other_is_hole ? 2 * P : P;

	gmem_assert_usage(r->f.slot.fd, SIZE - holes, H, "punched");
	guest_check(r->f.vcpu, GPA, r->hole, 1);
	guest_check_zero(r->f.vcpu, GPA + r->hole, P);
	guest_check(r->f.vcpu, GPA + r->hole + P, r->other - r->hole - P, 1);
	if (r->other_is_hole)
		guest_check_zero(r->f.vcpu, GPA + r->other, P);
	else
		guest_check(r->f.vcpu, GPA + r->other, P, 1);
	guest_check(r->f.vcpu, GPA + r->other + P, SIZE - r->other - P, 1);
	return true;
}

static void run(struct race *r, const char *name, void (*other)(void *ctx))
{
	struct race_ops ops = {
		.name = name,
		.setup = setup,
		.run_a = punch,
		.run_b = other,
		.check = check,
	};
	struct race_stats stats;

	TEST_ASSERT(race_run(&ops, r, LOOPS, MAX_MS, &stats), "see above");
}

/*
 * The guest
 */

static void guest_looks(void *ctx)
{
	struct race *r = ctx;

	guest_check(r->f.vcpu, GPA + r->other, SIZE - r->other, 1);
}

static void test_punch_against_a_mapped_access(void)
{
	struct race r;

	set_up(&r);
	run(&r, "access", guest_looks);
	guest_end(&r.f);
}

/* Nothing is mapped: the guest gets the whole folio, or what is left of it. */
static void unmap_and_look(void *ctx)
{
	struct race *r = ctx;

	vm_mem_set_shared(r->f.vm, GPA + H, H);
	vm_mem_set_private(r->f.vm, GPA + H, H);
	guest_looks(ctx);
}

static void test_punch_against_conversion_and_fault(void)
{
	struct race r;

	set_up(&r);
	run(&r, "conversion and fault", unmap_and_look);
	guest_end(&r.f);
}

static void pre_fault(void *ctx)
{
	struct race *r = ctx;

	vm_mem_set_shared(r->f.vm, GPA + H, H);
	vm_mem_set_private(r->f.vm, GPA + H, H);
	vcpu_pre_fault(r->f.vcpu, GPA + r->other, SIZE - r->other);
}

static void test_punch_against_pre_fault(void)
{
	struct race r;

	set_up(&r);
	run(&r, "pre-fault", pre_fault);
	guest_end(&r.f);
}

static void bind_again(void *ctx)
{
	struct race *r = ctx;

	gmem_slot_delete(&r->f.slot);
	gmem_slot_bind(&r->f.slot);
	guest_looks(ctx);
}

static void test_punch_against_bind(void)
{
	struct race r;

	set_up(&r);
	run(&r, "bind", bind_again);
	guest_end(&r.f);
}

/*
 * The file
 */

static void test_punch_against_punch(void)
{
	struct race r;

	set_up(&r);
	run(&r, "punch", punch_other);
	guest_end(&r.f);
}

static void allocate(void *ctx)
{
	struct race *r = ctx;
	int i;

	for (i = 0; i < 20; i++)
		gmem_allocate(r->f.slot.fd, r->other, SIZE - r->other);
}

static void test_punch_against_allocation(void)
{
	struct race r;

	set_up(&r);
	run(&r, "allocation", allocate);
	guest_end(&r.f);
}

/*
 * The host
 */

static void shared_setup(void *ctx)
{
	struct race *r = ctx;

	gmem_punch_hole(r->m.fd, H, H);
	host_fill(r->m.mem + H, H, H, 1);
	gmem_assert_usage(r->m.fd, SIZE, SIZE, "at first");
}

static void shared_punch(void *ctx)
{
	struct race *r = ctx;

	gmem_punch_hole(r->m.fd, HOLE, P);
}

static void shared_touch(void *ctx)
{
	struct race *r = ctx;

	TEST_ASSERT(!madvise(r->m.mem + H, H, MADV_DONTNEED), "errno %d", errno);
	host_check(r->m.mem + OTHER, OTHER, 16 * P, 1);
}

/* A reference comes and goes. */
static void shared_splice(void *ctx)
{
	struct race *r = ctx;
	struct iovec iov = { .iov_base = r->m.mem + OTHER, .iov_len = P };
	int pipes[2], i;

	TEST_ASSERT(!pipe(pipes), "errno %d", errno);
	for (i = 0; i < 4; i++) {
		char page[P];

		TEST_ASSERT(vmsplice(pipes[1], &iov, 1, 0) == P, "errno %d",
			    errno);
		TEST_ASSERT(read(pipes[0], page, P) == P, "errno %d", errno);
		host_check(page, OTHER, P, 1);
	}
	close(pipes[0]);
	close(pipes[1]);
}

static bool shared_check(void *ctx)
{
	struct race *r = ctx;

	gmem_assert_usage(r->m.fd, SIZE - P, H, "punched");
	host_check(r->m.mem, 0, HOLE, 1);
	gmem_check_zero(r->m.mem + HOLE, P);
	host_check(r->m.mem + HOLE + P, HOLE + P, SIZE - HOLE - P, 1);
	return true;
}

static void check_shared(const char *name, void (*other)(void *ctx),
			 bool aligned)
{
	struct race_ops ops = {
		.name = name,
		.setup = shared_setup,
		.run_a = shared_punch,
		.run_b = other,
		.check = shared_check,
	};
	struct race_stats stats;
	struct race r;

	host_set_thp("always");
	gmem_map_setup(&r.m, SIZE);
	if (aligned) {
		munmap(r.m.mem, SIZE);
		r.m.mem = gmem_mmap_aligned(r.m.fd, SIZE);
	}
	guest_word_step = P;
	host_fill(r.m.mem, 0, SIZE, 1);
	TEST_ASSERT(race_run(&ops, &r, LOOPS, MAX_MS, &stats), "see above");
	gmem_map_teardown(&r.m);
}

static void test_punch_against_host_fault(void)
{
	check_shared("host fault", shared_touch, false);
	check_shared("host fault, huge", shared_touch, true);
}

static void test_punch_against_references(void)
{
	check_shared("references", shared_splice, false);
	check_shared("references, huge", shared_splice, true);
}

/*
 * Memory failure
 */

static void shared_poison(void *ctx)
{
	struct race *r = ctx;
	u64 pfn = r->other;

	poison_pfn(pfn, POISON_CORRUPT);
}

static void poison_setup(void *ctx)
{
	struct race *r = ctx;

	gmem_map_setup(&r->m, SIZE);
	host_fill(r->m.mem, 0, SIZE, 1);
	gmem_assert_usage(r->m.fd, SIZE, SIZE, "at first");
	r->other = gmem_mapped_pfn(r->m.mem + OTHER);
}

static bool poison_check(void *ctx)
{
	struct race *r = ctx;

	host_check(r->m.mem, 0, HOLE, 1);
	gmem_check_zero(r->m.mem + HOLE, P);
	host_check(r->m.mem + HOLE + P, HOLE + P, OTHER - HOLE - P, 1);
	ASSERT_EQ(gmem_touch(r->m.mem + OTHER, false), SIGBUS);
	host_check(r->m.mem + OTHER + P, OTHER + P, SIZE - OTHER - P, 1);
	gmem_punch_hole(r->m.fd, OTHER, P);
	gmem_check_zero(r->m.mem + OTHER, P);
	gmem_map_teardown(&r->m);
	/* Just one reference must be left. */
	poison_undo_all();
	return true;
}

static void test_punch_against_memory_failure(void)
{
	static const struct race_ops ops = {
		.name = "memory failure",
		.setup = poison_setup,
		.run_a = shared_punch,
		.run_b = shared_poison,
		.check = poison_check,
	};
	struct race_stats stats;
	struct race r;

	poison_require();
	signal(SIGBUS, SIG_IGN);
	host_set_thp("always");
	guest_word_step = P;
	TEST_ASSERT(race_run(&ops, &r, 60, MAX_MS, &stats), "see above");
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_punch_against_a_mapped_access),
	GMEM_TEST(test_punch_against_conversion_and_fault),
	GMEM_TEST(test_punch_against_pre_fault),
	GMEM_TEST(test_punch_against_bind),
	GMEM_TEST(test_punch_against_punch),
	GMEM_TEST(test_punch_against_allocation),
	GMEM_TEST(test_punch_against_host_fault),
	GMEM_TEST(test_punch_against_references),
	GMEM_TEST(test_punch_against_memory_failure),
};

int main(int argc, char *argv[])
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
