// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which VM owns a page of private memory, and how often hardware hears of it.
 *
 * With CONFIG_KVM_GMEM_OWNER_CHECK, KVM tells a checker what it would tell
 * confidential hardware.  The checker complains in the kernel log, which fails
 * the test that ran, and it counts: each page and each change of state must be
 * one call, no more and no less.
 */
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>
#include <limits.h>

#include "guest_memfd_guest.h"
#include "guest_memfd_owner.h"
#include "guest_memfd_undo.h"
#include "processor.h"
#include "race.h"

#define NR_PAGES	12
#define SIZE		GMEM_PAGES(NR_PAGES)
#define TAG		7

/* Ends of processes and files: what they free can be a moment late. */
#define SETTLE_TRIES	6000	/* of 10 ms */

static struct owner_counters base;

static void start(struct guest_fixture *f)
{
	guest_start_private(f, SIZE);
	owner_read(&base);
}

static void expect_one(const char *what, const char *name, u64 before, u64 now,
		       long want)
{
	TEST_ASSERT((long)(now - before) == want, "%s: %ld %s, wanted %ld",
		    what, (long)(now - before), name, want);
}

/* What was counted since the last call. */
static void expect(const char *what, long made, long ended, long reclaimed)
{
	struct owner_counters now;
	int tries = SETTLE_TRIES;

	/* Reclaim comes last. */
	for (;;) {
		owner_read(&now);
		if (now.reclaimed - base.reclaimed == reclaimed || !tries--)
			break;
		usleep(10000);
	}
	expect_one(what, "made", base.made, now.made, made);
	expect_one(what, "ended", base.ended, now.ended, ended);
	expect_one(what, "reclaimed", base.reclaimed, now.reclaimed, reclaimed);
	expect_one(what, "owned", base.owned, now.owned, made - ended);
	expect_one(what, "reports", base.reports, now.reports, 0);
	base = now;
}

/* Pages that the checker knows: private, or once private and in a file. */
static void expect_known(long known)
{
	struct owner_counters now;

	owner_read(&now);
	TEST_ASSERT(now.known == known, "%lu pages are known, wanted %ld",
		    now.known, known);
}

static void test_fault_makes_private_once(void)
{
	struct guest_fixture f;

	start(&f);
	expect("nothing", 0, 0, 0);
	guest_fill(f.vcpu, GMEM_DATA_GPA, GMEM_PAGE_SIZE, TAG);
	expect("first page", 1, 0, 0);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	expect("all pages", NR_PAGES - 1, 0, 0);
	guest_check(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	expect("again", 0, 0, 0);
	guest_end(&f);
	expect("end", 0, NR_PAGES, NR_PAGES);
	expect_known(0);
}

static void test_allocation_makes_nothing_private(void)
{
	struct guest_fixture f;

	start(&f);
	gmem_slot_allocate(&f.slot, GMEM_DATA_GPA, SIZE);
	expect("fallocate", 0, 0, 0);
	gmem_slot_punch_hole(&f.slot, GMEM_DATA_GPA, GMEM_PAGES(4));
	expect("hole in what was never private", 0, 0, 0);
	guest_check_zero(f.vcpu, GMEM_DATA_GPA, SIZE);
	expect("fault", NR_PAGES, 0, 0);
	guest_end(&f);
	expect("end", 0, NR_PAGES, NR_PAGES);
}

static void test_shared_access_makes_nothing_private(void)
{
	struct guest_fixture f;

	guest_start(&f, SIZE);
	owner_read(&base);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	expect("shared side", 0, 0, 0);
	guest_end(&f);
	expect("end", 0, 0, 0);
}

static void test_refault_makes_nothing_private(void)
{
	struct guest_fixture f;
	int i;

	start(&f);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	expect("fault", NR_PAGES, 0, 0);

	/* The page remains the gfn's while the guest sees the shared side. */
	for (i = 0; i < 3; i++) {
		vm_mem_set_shared(f.vm, GMEM_DATA_GPA, SIZE);
		guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, TAG + 1 + i);
		vm_mem_set_private(f.vm, GMEM_DATA_GPA, SIZE);
		guest_check(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
		expect("conversion and back", 0, 0, 0);
	}
	guest_end(&f);
	expect("end", 0, NR_PAGES, NR_PAGES);
}

static void test_hole_ends_and_reclaims(void)
{
	struct guest_fixture f;

	start(&f);
	guest_fill(f.vcpu, GMEM_DATA_GPA, GMEM_PAGES(8), TAG);
	expect("fault", 8, 0, 0);
	/* Three private pages, three that are not there. */
	gmem_slot_punch_hole(&f.slot, GMEM_DATA_GPA + GMEM_PAGES(5),
			     GMEM_PAGES(6));
	expect("hole", 0, 3, 3);
	gmem_slot_punch_hole(&f.slot, GMEM_DATA_GPA + GMEM_PAGES(5),
			     GMEM_PAGES(6));
	expect("the same again", 0, 0, 0);
	guest_check_zero(f.vcpu, GMEM_DATA_GPA + GMEM_PAGES(5), GMEM_PAGES(6));
	expect("fault in the hole", 6, 0, 0);
	guest_end(&f);
	expect("end", 0, 11, 11);
	expect_known(0);
}

static void start_huge(struct guest_fixture *f)
{
	host_set_thp("never");
	guest_start_private(f, GMEM_HUGE_SIZE);
	owner_read(&base);
	host_set_thp("always");
}

static void test_large_folio_is_made_private_as_a_whole(void)
{
	struct guest_fixture f;
	u64 gpa = GMEM_DATA_GPA + GMEM_PAGES(7);

	start_huge(&f);
	guest_write(f.vcpu, GMEM_DATA_GPA, TAG);
	expect("first touch", 512, 0, 0);
	gmem_slot_punch_hole(&f.slot, gpa, GMEM_PAGE_SIZE);
	expect("hole", 0, 1, 1);
	guest_check_zero(f.vcpu, GMEM_DATA_GPA + GMEM_PAGE_SIZE,
			 GMEM_HUGE_SIZE - GMEM_PAGE_SIZE);
	expect("fault in the hole", 1, 0, 0);
	gmem_slot_punch_hole(&f.slot, GMEM_DATA_GPA, GMEM_HUGE_SIZE);
	expect("all", 0, 512, 512);
	guest_write(f.vcpu, GMEM_DATA_GPA, TAG);
	expect("touch again", 512, 0, 0);
	guest_end(&f);
	expect("end", 0, 512, 512);
	expect_known(0);
}

/* Bind a half of the file, the pages of which become private. */
static void use_half(struct guest_fixture *f, u64 offset)
{
	u64 half = GMEM_HUGE_SIZE / 2, gpa = GMEM_DATA_GPA + offset;

	vm_set_user_memory_region2(f->vm, GMEM_DATA_SLOT + 1,
				   KVM_MEM_GUEST_MEMFD, gpa, half,
				   f->slot.hva + offset, f->slot.fd, offset);
	guest_write(f->vcpu, gpa, TAG);
	guest_check_zero(f->vcpu, gpa + GMEM_PAGE_SIZE, half - GMEM_PAGE_SIZE);
	expect("a half of the folio", 256, 0, 0);
}

static void leave_half(struct guest_fixture *f, u64 offset)
{
	vm_set_user_memory_region2(f->vm, GMEM_DATA_SLOT + 1,
				   KVM_MEM_GUEST_MEMFD, GMEM_DATA_GPA + offset,
				   0, NULL, -1, 0);
	expect("end of the slot", 0, 256, 0);
}

static void punch_page(struct guest_fixture *f, u64 page)
{
	gmem_punch_hole(f->slot.fd, GMEM_PAGES(page), GMEM_PAGE_SIZE);
}

/* All of a folio is there, and one half has been private. */
static void start_half_used(struct guest_fixture *f)
{
	start_huge(f);
	gmem_allocate(f->slot.fd, 0, GMEM_HUGE_SIZE);
	gmem_slot_delete(&f->slot);
	use_half(f, 0);
	leave_half(f, 0);
}

static void test_split_passes_on_what_has_been_private(void)
{
	struct guest_fixture f;

	start_half_used(&f);
	punch_page(&f, 300);
	expect("hole in what was never private", 0, 0, 0);
	punch_page(&f, 3);
	expect("hole in what was private", 0, 0, 1);
	punch_page(&f, 301);
	expect("another in what was never private", 0, 0, 0);
	guest_end(&f);
	expect("end", 0, 0, 255);
	expect_known(0);
}

static void test_split_of_a_folio_of_two_slots(void)
{
	struct guest_fixture f;

	start_half_used(&f);
	use_half(&f, GMEM_HUGE_SIZE / 2);
	punch_page(&f, 3);
	expect("hole in what was private", 0, 0, 1);
	punch_page(&f, 300);
	expect("hole in what is private", 0, 1, 1);
	guest_end(&f);
	expect("end", 0, 255, 510);
	expect_known(0);
}

/* The hole reaches what is converted to shared at the time. */
static void test_hole_behind_shared_gfns_ends_and_reclaims(void)
{
	struct guest_fixture f;

	start(&f);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	vm_mem_set_shared(f.vm, GMEM_DATA_GPA, SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, TAG + 1);
	expect("fault", NR_PAGES, 0, 0);
	gmem_slot_punch_hole(&f.slot, GMEM_DATA_GPA, SIZE);
	expect("hole", 0, NR_PAGES, NR_PAGES);
	guest_check(f.vcpu, GMEM_DATA_GPA, SIZE, TAG + 1);
	guest_end(&f);
	expect("end", 0, 0, 0);
}

static void test_slot_deletion_ends_and_new_slot_makes_anew(void)
{
	struct guest_fixture f;

	start(&f);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	expect("fault", NR_PAGES, 0, 0);
	gmem_slot_delete(&f.slot);
	expect("deletion", 0, NR_PAGES, 0);
	expect_known(NR_PAGES);
	gmem_slot_bind(&f.slot);
	expect("new slot", 0, 0, 0);
	guest_check(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	expect("fault", NR_PAGES, 0, 0);
	guest_end(&f);
	expect("end", 0, NR_PAGES, NR_PAGES);
}

/* Page n of the file is gfn n of the first slot and then n - 4 of the second. */
static void test_page_changes_gfn(void)
{
	u64 gpa = GMEM_DATA_GPA + GMEM_HUGE_SIZE, i;
	struct guest_fixture f;
	struct gmem_slot second;

	start(&f);
	virt_map(f.vm, gpa, gpa, NR_PAGES - 4);
	vm_mem_set_private(f.vm, gpa, GMEM_PAGES(NR_PAGES - 4));
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	expect("fault", NR_PAGES, 0, 0);
	gmem_slot_delete(&f.slot);
	expect("deletion", 0, NR_PAGES, 0);
	gmem_slot_add(&second, f.vm, GMEM_DATA_SLOT + 1, gpa,
		      GMEM_PAGES(NR_PAGES - 4), NULL, f.slot.fd, GMEM_PAGES(4));
	for (i = 0; i < NR_PAGES - 4; i++)
		ASSERT_EQ(guest_read(f.vcpu, gpa + GMEM_PAGES(i)),
			  guest_pattern(GMEM_DATA_GPA + GMEM_PAGES(i + 4), TAG));
	expect("fault at another gfn", NR_PAGES - 4, 0, 0);
	gmem_slot_punch_hole(&second, gpa, GMEM_PAGES(2));
	expect("hole", 0, 2, 2);
	guest_end(&f);
	expect("end", 0, NR_PAGES - 6, NR_PAGES - 2);
	gmem_slot_free(&second);
}

static void test_hole_across_two_slots(void)
{
	struct guest_fixture f;
	struct gmem_slot upper;
	int fd;

	guest_start(&f, SIZE);
	gmem_slot_delete(&f.slot);
	fd = f.slot.fd;
	f.slot.size = SIZE / 2;
	gmem_slot_bind(&f.slot);
	gmem_slot_add(&upper, f.vm, GMEM_DATA_SLOT + 1,
		      GMEM_DATA_GPA + SIZE / 2, SIZE / 2, NULL, fd, SIZE / 2);
	vm_mem_set_private(f.vm, GMEM_DATA_GPA, SIZE);
	owner_read(&base);

	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	expect("fault", NR_PAGES, 0, 0);
	gmem_punch_hole(fd, SIZE / 2 - GMEM_PAGES(2), GMEM_PAGES(5));
	expect("hole", 0, 5, 5);
	gmem_slot_delete(&upper);
	expect("deletion", 0, NR_PAGES / 2 - 3, 0);
	guest_check(f.vcpu, GMEM_DATA_GPA, SIZE / 2 - GMEM_PAGES(2), TAG);
	expect("the other slot", 0, 0, 0);
	f.slot.size = SIZE;
	guest_end(&f);
	expect("end", 0, NR_PAGES / 2 - 2, NR_PAGES - 5);
	gmem_slot_free(&upper);
}

/* Pages in two chunks of the file's bookkeeping, and at its edge. */
static void test_edge_of_bookkeeping(void)
{
	u64 edge = GMEM_DATA_GPA + GMEM_HUGE_SIZE;
	struct guest_fixture f;

	guest_start_private(&f, 3 * GMEM_HUGE_SIZE);
	owner_read(&base);
	guest_fill(f.vcpu, edge - GMEM_PAGES(3), GMEM_PAGES(6), TAG);
	guest_fill(f.vcpu, GMEM_DATA_GPA, GMEM_PAGES(1), TAG);
	guest_fill(f.vcpu, edge + GMEM_HUGE_SIZE, GMEM_PAGES(1), TAG);
	expect("fault", 8, 0, 0);
	gmem_slot_punch_hole(&f.slot, edge - GMEM_PAGES(1), GMEM_PAGES(2));
	expect("hole across the edge", 0, 2, 2);
	gmem_slot_punch_hole(&f.slot, edge - GMEM_HUGE_SIZE, GMEM_HUGE_SIZE);
	expect("hole up to the edge", 0, 3, 3);
	guest_check_zero(f.vcpu, edge - GMEM_PAGES(1), GMEM_PAGES(2));
	expect("fault", 2, 0, 0);
	guest_end(&f);
	expect("end", 0, 5, 5);
	expect_known(0);
}

static void test_close_ends_and_reclaims(void)
{
	struct guest_fixture f;

	start(&f);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	expect("fault", NR_PAGES, 0, 0);
	TEST_ASSERT(!close(f.slot.fd), "close() failed, errno %d", errno);
	f.slot.own_fd = false;
	expect("close", 0, NR_PAGES, NR_PAGES);
	gmem_slot_delete(&f.slot);
	guest_end(&f);
	expect("end", 0, 0, 0);
	expect_known(0);
}

/* The file keeps the VM alive, and so the slots and what they own. */
static void test_file_outlives_vm_fd(void)
{
	struct guest_fixture f;
	int fd;

	start(&f);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	expect("fault", NR_PAGES, 0, 0);
	fd = dup(f.slot.fd);
	TEST_ASSERT(fd >= 0, "dup() failed, errno %d", errno);
	guest_end(&f);
	expect("VM closed", 0, 0, 0);
	gmem_punch_hole(fd, 0, GMEM_PAGES(2));
	expect("hole", 0, 2, 2);
	TEST_ASSERT(!close(fd), "close() failed, errno %d", errno);
	expect("file closed", 0, NR_PAGES - 2, NR_PAGES - 2);
	expect_known(0);
}

/*
 * Two vCPUs at once
 */

struct pair {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[2];
	struct gmem_slot slot;
	u64 loops;
};

static void pair_setup(void *ctx)
{
	struct pair *p = ctx;
	int i;

	gmem_slot_punch_hole(&p->slot, GMEM_DATA_GPA, SIZE);
	owner_read(&base);
	for (i = 0; i < 2; i++)
		guest_cmd_set(p->vcpus[i], GUEST_OP_CHECK_ZERO, GMEM_DATA_GPA,
			      SIZE, 0);
}

static void pair_run_a(void *ctx)
{
	guest_cmd_finish(((struct pair *)ctx)->vcpus[0]);
}

static void pair_run_b(void *ctx)
{
	guest_cmd_finish(((struct pair *)ctx)->vcpus[1]);
}

static bool pair_check(void *ctx)
{
	expect("two vCPUs", NR_PAGES, 0, 0);
	return true;
}

static void test_vcpus_make_private_once(void)
{
	struct race_ops ops = {
		.name = "fault, fault",
		.setup = pair_setup,
		.run_a = pair_run_a,
		.run_b = pair_run_b,
		.check = pair_check,
	};
	struct race_stats stats;
	struct pair p = {};

	p.vm = guest_vm_create(2, p.vcpus, SIZE, &p.slot);
	vm_mem_set_private(p.vm, GMEM_DATA_GPA, SIZE);
	guest_word_step = GMEM_PAGE_SIZE;
	TEST_ASSERT(race_run(&ops, &p, 300, 8000, &stats), "race");
	gmem_vm_free(p.vm, &p.slot);
	expect("end", 0, NR_PAGES, NR_PAGES);
}

/*
 * Failures
 */

#define FAIL_MAKE_PRIVATE	OWNER_DIR "/fail_make_private/"

static void fail_end(void)
{
	gmem_setting_write(FAIL_MAKE_PRIVATE "probability", "0");
}

/* Every @interval-th attempt fails from now on. */
static void fail_start(unsigned int interval)
{
	char text[16];

	if (access(OWNER_DIR "/fail_make_private", X_OK))
		gmem_skip("no fault injection in this kernel");

	snprintf(text, sizeof(text), "%u", interval);
	gmem_setting_write(FAIL_MAKE_PRIVATE "interval", text);
	gmem_setting_write(FAIL_MAKE_PRIVATE "times", "-1");
	gmem_setting_write(FAIL_MAKE_PRIVATE "probability", "100");
}

static u64 expect_failed(void)
{
	struct owner_counters now;

	owner_read(&now);
	return now.failed - base.failed;
}

static void test_failure_reaches_vcpu_and_changes_nothing(void)
{
	struct guest_fixture f;

	start(&f);
	guest_write(f.vcpu, GMEM_DATA_GPA, TAG);
	expect("fault", 1, 0, 0);

	fail_start(1);
	guest_cmd_set(f.vcpu, GUEST_OP_READ, GMEM_DATA_GPA + GMEM_PAGE_SIZE, 0,
		      0);
	ASSERT_EQ(guest_cmd_run(f.vcpu), -ENOMEM);
	ASSERT_EQ(guest_cmd_run(f.vcpu), -ENOMEM);
	ASSERT_EQ(expect_failed(), 2UL);
	expect("failures", 0, 0, 0);
	expect_known(1);
	/* The page is there, and is just not private. */
	ASSERT_EQ(gmem_allocated(f.slot.fd), GMEM_PAGES(2));
	gmem_slot_punch_hole(&f.slot, GMEM_DATA_GPA + GMEM_PAGE_SIZE,
			     GMEM_PAGE_SIZE);
	expect("hole", 0, 0, 0);

	fail_end();
	guest_cmd_finish(f.vcpu);
	ASSERT_EQ(guest_cmd_of(f.vcpu)->value, 0UL);
	expect("success", 1, 0, 0);
	ASSERT_EQ(guest_read(f.vcpu, GMEM_DATA_GPA), (u64)TAG);
	guest_end(&f);
	expect("end", 0, 2, 2);
}

static void test_failed_page_stays_unmapped_in_new_slot(void)
{
	struct guest_fixture f;

	start(&f);
	guest_fill(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	gmem_slot_delete(&f.slot);
	gmem_slot_bind(&f.slot);
	expect("fault and deletion", NR_PAGES, NR_PAGES, 0);

	/* They were private before, and keep their contents. */
	fail_start(1);
	guest_cmd_set(f.vcpu, GUEST_OP_CHECK, GMEM_DATA_GPA, SIZE, TAG);
	ASSERT_EQ(guest_cmd_run(f.vcpu), -ENOMEM);
	expect("failure", 0, 0, 0);
	expect_known(NR_PAGES);
	fail_end();
	guest_cmd_finish(f.vcpu);
	expect("success", NR_PAGES, 0, 0);
	guest_end(&f);
	expect("end", 0, NR_PAGES, NR_PAGES);
}

static void test_every_third_attempt_fails(void)
{
	struct guest_fixture f;
	u64 failures = 0;
	int ret;

	start(&f);
	fail_start(3);
	guest_cmd_set(f.vcpu, GUEST_OP_FILL, GMEM_DATA_GPA, SIZE, TAG);
	while ((ret = guest_cmd_run(f.vcpu))) {
		ASSERT_EQ(ret, -ENOMEM);
		failures++;
	}
	guest_cmd_complete(f.vcpu);
	fail_end();
	ASSERT_EQ(expect_failed(), failures);
	TEST_ASSERT(failures >= NR_PAGES / 3, "%lu failures", failures);
	expect("fill", NR_PAGES, 0, 0);
	guest_check(f.vcpu, GMEM_DATA_GPA, SIZE, TAG);
	guest_end(&f);
	expect("end", 0, NR_PAGES, NR_PAGES);
}

/* KVM's own accesses: it writes a wall clock for the guest. */

static u64 guest_wall_clock(void)
{
	wrmsr(MSR_KVM_WALL_CLOCK_NEW, GMEM_DATA_GPA);
	return 0;
}

static void test_own_access_makes_private_once(void)
{
	struct guest_fixture f;

	start(&f);
	guest_do(f.vcpu, GUEST_OP_CALL, (u64)guest_wall_clock, 0, 0);
	expect("write", 1, 0, 0);
	TEST_ASSERT(guest_read(f.vcpu, GMEM_DATA_GPA), "nothing written");
	expect("the guest's access", 0, 0, 0);

	gmem_slot_punch_hole(&f.slot, GMEM_DATA_GPA, GMEM_PAGE_SIZE);
	expect("hole", 0, 1, 1);
	gmem_slot_allocate(&f.slot, GMEM_DATA_GPA, GMEM_PAGE_SIZE);
	guest_do(f.vcpu, GUEST_OP_CALL, (u64)guest_wall_clock, 0, 0);
	guest_do(f.vcpu, GUEST_OP_CALL, (u64)guest_wall_clock, 0, 0);
	expect("two writes to an allocated page", 1, 0, 0);
	guest_end(&f);
	expect("end", 0, 1, 1);
}

static void test_failure_reaches_own_access(void)
{
	struct guest_fixture f;

	start(&f);
	fail_start(1);
	guest_do(f.vcpu, GUEST_OP_CALL, (u64)guest_wall_clock, 0, 0);
	fail_end();
	TEST_ASSERT(expect_failed(), "nothing has failed");
	expect("failure", 0, 0, 0);
	TEST_ASSERT(!guest_read(f.vcpu, GMEM_DATA_GPA), "written nevertheless");
	expect("the guest's access", 1, 0, 0);
	guest_end(&f);
	expect("end", 0, 1, 1);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_fault_makes_private_once),
	GMEM_TEST(test_allocation_makes_nothing_private),
	GMEM_TEST(test_shared_access_makes_nothing_private),
	GMEM_TEST(test_refault_makes_nothing_private),
	GMEM_TEST(test_hole_ends_and_reclaims),
	GMEM_TEST(test_large_folio_is_made_private_as_a_whole),
	GMEM_TEST(test_split_passes_on_what_has_been_private),
	GMEM_TEST(test_split_of_a_folio_of_two_slots),
	GMEM_TEST(test_hole_behind_shared_gfns_ends_and_reclaims),
	GMEM_TEST(test_slot_deletion_ends_and_new_slot_makes_anew),
	GMEM_TEST(test_page_changes_gfn),
	GMEM_TEST(test_hole_across_two_slots),
	GMEM_TEST(test_edge_of_bookkeeping),
	GMEM_TEST(test_close_ends_and_reclaims),
	GMEM_TEST(test_file_outlives_vm_fd),
	GMEM_TEST(test_vcpus_make_private_once),
	GMEM_TEST(test_failure_reaches_vcpu_and_changes_nothing),
	GMEM_TEST(test_failed_page_stays_unmapped_in_new_slot),
	GMEM_TEST(test_every_third_attempt_fails),
	GMEM_TEST(test_own_access_makes_private_once),
	GMEM_TEST(test_failure_reaches_own_access),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	owner_require();
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
