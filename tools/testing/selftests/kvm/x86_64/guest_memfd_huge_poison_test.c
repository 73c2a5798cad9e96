// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hardware loses pages of large folios.
 *
 * A page is lost, and not what is around it: the guest finds all the rest at
 * once, and when the file is gone, all the rest is free memory again.
 */
#define _GNU_SOURCE /* for vmsplice(2) */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "guest_memfd_huge.h"
#include "guest_memfd_map.h"
#include "guest_memfd_pfn.h"
#include "processor.h"

#define NR_HUGE		3
#define SIZE		(NR_HUGE * H)
/* In the second folio. */
#define LOST		(H + 77 * P)
/* What may be missing of free memory, in KiB: less than a large folio. */
#define TOLERANCE_KB	1536

struct lost {
	struct guest_fixture f;
	u64 pfns[NR_HUGE];
};

static u64 pfn_of(struct lost *l, u64 offset)
{
	return l->pfns[offset / H] + offset % H / P;
}

/* Allocate a folio; Return: its first page frame. */
static u64 allocate_huge(int fd, u64 offset)
{
	static const char * const event[] = {
		"guest_memfd/guest_memfd_get_folio",
	};
	static bool started;
	char *trace;
	u64 pfn;

	if (!started)
		admin_trace_start(event, 1);
	started = true;
	gmem_allocate(fd, offset, H);
	trace = admin_trace_read();
	pfn = admin_trace_number(trace, event[0] + strlen("guest_memfd/"),
				 "order=9 allocated", "pfn");
	free(trace);
	return pfn;
}

static void start(struct lost *l)
{
	int i;

	poison_require();
	huge_start_empty(&l->f, SIZE, "always");
	for (i = 0; i < NR_HUGE; i++)
		l->pfns[i] = allocate_huge(l->f.slot.fd, i * H);
	guest_fill(l->f.vcpu, GPA, SIZE, 1);
	gmem_assert_usage(l->f.slot.fd, SIZE, SIZE, "filled");
}

static void end(struct lost *l)
{
	guest_end(&l->f);
	poison_undo_all();
}

/* Large folios are split a while after the error. */
static void wait_for_huge(int fd, u64 huge)
{
	int tries;

	for (tries = 0; tries < 100 && gmem_huge(fd) != huge; tries++)
		usleep(50000);
	ASSERT_EQ(gmem_huge(fd), huge);
}

/* The access exits; get the guest over it with the shared side. */
static void expect_lost(struct lost *l, u64 offset)
{
	guest_cmd_set(l->f.vcpu, GUEST_OP_READ, GPA + offset, 0, 0);
	gmem_vcpu_run_memory_fault(l->f.vcpu, EHWPOISON,
				   KVM_MEMORY_EXIT_FLAG_PRIVATE, GPA + offset,
				   P);
	vm_mem_set_shared(l->f.vm, GPA + offset, P);
	guest_cmd_finish(l->f.vcpu);
	vm_mem_set_private(l->f.vm, GPA + offset, P);
}

static void check_all_but(struct lost *l, u64 offset)
{
	guest_check(l->f.vcpu, GPA, offset, 1);
	guest_check(l->f.vcpu, GPA + offset + P, SIZE - offset - P, 1);
}

static void check_lost_page(u64 offset)
{
	struct lost l;

	start(&l);
	poison_pfn(pfn_of(&l, offset), POISON_CORRUPT);
	check_all_but(&l, offset);
	expect_lost(&l, offset);
	wait_for_huge(l.f.slot.fd, SIZE - H);
	ASSERT_EQ(gmem_allocated(l.f.slot.fd), SIZE);
	check_all_but(&l, offset);
	expect_lost(&l, offset);

	/* A hole makes room for a new page. */
	gmem_punch_hole(l.f.slot.fd, offset, P);
	check_all_but(&l, offset);
	guest_check_zero(l.f.vcpu, GPA + offset, P);
	end(&l);
}

static void test_first_page_of_a_folio(void)
{
	check_lost_page(H);
}

static void test_page_inside_of_a_folio(void)
{
	check_lost_page(LOST);
}

static void test_last_page_of_a_folio(void)
{
	check_lost_page(2 * H - P);
}

static void test_several_pages_of_a_folio(void)
{
	static const u64 offsets[] = {
		LOST, H, LOST + P, 2 * H - P, 5 * P, 2 * H,
	};
	struct lost l;
	int i;

	start(&l);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		poison_pfn(pfn_of(&l, offsets[i]), POISON_CORRUPT);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		expect_lost(&l, offsets[i]);
	wait_for_huge(l.f.slot.fd, 0);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		gmem_punch_hole(l.f.slot.fd, offsets[i], P);
	guest_check(l.f.vcpu, GPA + 6 * P, H - 6 * P, 1);
	guest_check(l.f.vcpu, GPA + H + P, 76 * P, 1);
	guest_check(l.f.vcpu, GPA + LOST + 2 * P, 433 * P - P, 1);
	guest_check(l.f.vcpu, GPA + 2 * H + P, H - P, 1);
	end(&l);
}

/* The folio is split while its pages are lost one after the other. */
static void test_pages_of_a_folio_that_is_being_split(void)
{
	struct lost l;
	u64 i;

	start(&l);
	for (i = 0; i < 32; i++)
		poison_pfn(pfn_of(&l, H + i * 16 * P), POISON_CORRUPT);
	wait_for_huge(l.f.slot.fd, SIZE - H);
	for (i = 0; i < 32; i++) {
		expect_lost(&l, H + i * 16 * P);
		guest_check(l.f.vcpu, GPA + H + (i * 16 + 1) * P, 15 * P, 1);
	}
	gmem_punch_hole(l.f.slot.fd, H, H);
	guest_check_zero(l.f.vcpu, GPA + H, H);
	end(&l);
}

/* How memory that contains a lost page leaves the file. */
enum leave { LEAVE_PUNCH, LEAVE_PUNCH_PART, LEAVE_CLOSE, NR_LEAVE };

static void check_returned(enum leave how, bool wait)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	u64 nr = 8, size = nr * H, before, i, pfns[8];
	int fd;

	host_set_thp("always");
	fd = vm_create_guest_memfd(vm, size, 0);
	/* With the buffers for trace events, and the file's own memory. */
	allocate_huge(fd, 0);
	gmem_punch_hole(fd, 0, H);
	before = gmem_free_kb();
	for (i = 0; i < nr; i++)
		pfns[i] = allocate_huge(fd, i * H);
	gmem_assert_usage(fd, size, size, "allocated");

	for (i = 0; i < nr; i++)
		poison_pfn(pfns[i] + i, POISON_CORRUPT);
	if (wait)
		wait_for_huge(fd, 0);
	for (i = 0; i < nr && how != LEAVE_CLOSE; i++) {
		if (how == LEAVE_PUNCH)
			gmem_punch_hole(fd, i * H, H);
		else
			gmem_punch_hole(fd, i * H + P, H - P);
	}
	close(fd);
	gmem_assert_mem_returned(before - nr * P / 1024, TOLERANCE_KB);
	kvm_vm_free(vm);
	poison_undo_all();
}

static void test_all_but_the_page_is_free_again(void)
{
	int how;

	poison_require();
	for (how = 0; how < NR_LEAVE; how++)
		check_returned(how, true);
}

static void test_all_but_the_page_is_free_again_at_once(void)
{
	int how;

	poison_require();
	for (how = 0; how < NR_LEAVE; how++)
		check_returned(how, false);
}

/*
 * Mappings of the host
 */

static int nr_signals;
static siginfo_t last_signal;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	last_signal = *info;
	nr_signals++;
}

static void check_mapped(bool aligned)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO,
	};
	struct gmem_map m;
	char *mem;

	poison_require();
	host_set_thp("always");
	guest_word_step = P / 4;
	gmem_map_setup(&m, SIZE);
	if (aligned) {
		munmap(m.mem, SIZE);
		m.mem = gmem_mmap_aligned(m.fd, SIZE);
	}
	mem = m.mem;
	host_fill(mem, 0, SIZE, 1);
	gmem_assert_usage(m.fd, SIZE, SIZE, "filled");
	nr_signals = 0;
	TEST_ASSERT(!prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0,
			   0) &&
		    !sigaction(SIGBUS, &action, NULL), "errno %d", errno);

	poison_pfn(pfn_at(mem + LOST), POISON_CORRUPT);
	ASSERT_EQ(nr_signals, 1);
	TEST_ASSERT(last_signal.si_code == BUS_MCEERR_AO &&
		    last_signal.si_addr == mem + LOST &&
		    last_signal.si_addr_lsb == 12, "code %d, address %p, lsb %d",
		    last_signal.si_code, last_signal.si_addr,
		    last_signal.si_addr_lsb);
	signal(SIGBUS, SIG_DFL);

	host_check(mem, 0, LOST, 1);
	host_check(mem + LOST + P, LOST + P, SIZE - LOST - P, 1);
	ASSERT_EQ(gmem_touch(mem + LOST, false), SIGBUS);
	wait_for_huge(m.fd, SIZE - H);
	host_check(mem, 0, LOST, 1);
	host_check(mem + LOST + P, LOST + P, SIZE - LOST - P, 1);
	ASSERT_EQ(gmem_touch(mem + LOST, true), SIGBUS);

	gmem_punch_hole(m.fd, LOST, P);
	gmem_check_zero(mem + LOST, P);
	gmem_map_teardown(&m);
	poison_undo_all();
}

static void test_lost_page_of_a_huge_mapping(void)
{
	check_mapped(true);
}

static void test_lost_page_of_small_mappings(void)
{
	check_mapped(false);
}

/* It cannot be split for now: single pages are still to be had. */
static void test_lost_page_of_a_folio_that_is_held(void)
{
	struct gmem_map m;
	struct iovec iov;
	int pipes[2];

	poison_require();
	host_set_thp("always");
	guest_word_step = P / 4;
	gmem_map_setup(&m, SIZE);
	host_fill(m.mem, 0, SIZE, 1);
	iov = (struct iovec){ .iov_base = m.mem + H, .iov_len = P };
	TEST_ASSERT(!pipe(pipes) && vmsplice(pipes[1], &iov, 1, 0) == P,
		    "errno %d", errno);

	poison_pfn(pfn_at(m.mem + LOST), POISON_CORRUPT);
	host_check(m.mem, 0, LOST, 1);
	host_check(m.mem + LOST + P, LOST + P, SIZE - LOST - P, 1);
	ASSERT_EQ(gmem_touch(m.mem + LOST, false), SIGBUS);
	GMEM_ASSERT_ERRNO(__gmem_punch_hole(m.fd, LOST, P), EBUSY, "held");
	gmem_assert_usage(m.fd, SIZE, SIZE, "held");
	GMEM_ASSERT_ERRNO(__gmem_punch_hole(m.fd, H, H), EBUSY,
			  "it would be lost as a whole");
	gmem_assert_usage(m.fd, SIZE, SIZE, "held");

	close(pipes[0]);
	close(pipes[1]);
	gmem_punch_hole(m.fd, LOST, P);
	gmem_assert_usage(m.fd, SIZE - P, SIZE - H, "let go");
	host_check(m.mem, 0, LOST, 1);
	gmem_check_zero(m.mem + LOST, P);
	host_check(m.mem + LOST + P, LOST + P, SIZE - LOST - P, 1);
	gmem_map_teardown(&m);
	poison_undo_all();
}

static void test_soft_offline_is_refused(void)
{
	struct lost l;

	start(&l);
	TEST_ASSERT(soft_offline_pfn(pfn_of(&l, LOST)), "it was not");
	gmem_assert_usage(l.f.slot.fd, SIZE, SIZE, "after all");
	guest_check(l.f.vcpu, GPA, SIZE, 1);
	end(&l);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_first_page_of_a_folio),
	GMEM_TEST(test_page_inside_of_a_folio),
	GMEM_TEST(test_last_page_of_a_folio),
	GMEM_TEST(test_several_pages_of_a_folio),
	GMEM_TEST(test_pages_of_a_folio_that_is_being_split),
	GMEM_TEST(test_all_but_the_page_is_free_again),
	GMEM_TEST(test_all_but_the_page_is_free_again_at_once),
	GMEM_TEST(test_lost_page_of_a_huge_mapping),
	GMEM_TEST(test_lost_page_of_small_mappings),
	GMEM_TEST(test_lost_page_of_a_folio_that_is_held),
	GMEM_TEST(test_soft_offline_is_refused),
};

int main(int argc, char *argv[])
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
