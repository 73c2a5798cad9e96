// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a pass of compaction costs over memory of a guest_memfd, pinned and movable,
 * and over shmem.
 *
 * The pass is over all of node 1, on which a file has its memory, which is not
 * mapped.  Of movable memory there is something to be moved if it has holes.
 *
 * Options: -s MIB	size of the file, default 256
 *	    -c		fail if a figure is exceeded
 *
 * Needs two nodes with memory.
 */
#define _GNU_SOURCE /* for syscall(2) */
#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "guest_memfd_bench.h"
#include "guest_memfd_move.h"

#define COMPACT		"/sys/devices/system/node/node1/compact"

static u64 size = 256 * MIB;

struct pass {
	u64 ns, scanned, isolated, moved;
};

static void read_counters(struct pass *p)
{
	p->scanned = admin_file_value("/proc/vmstat", "compact_migrate_scanned");
	p->isolated = admin_file_value("/proc/vmstat", "compact_isolated");
	p->moved = bench_nr_moved();
}

static void compact(const char *what, struct pass *p)
{
	struct pass before;

	read_counters(&before);
	p->ns = bench_now();
	ASSERT_EQ(admin_write(COMPACT, "1"), 0);
	p->ns = bench_now() - p->ns;
	read_counters(p);
	p->scanned -= before.scanned;
	p->isolated -= before.isolated;
	p->moved -= before.moved;
	ksft_print_msg("%s: %lu pages scanned, %lu isolated, %lu moved\n", what,
		       p->scanned, p->isolated, p->moved);
}

/* Where memory comes from that has no policy of its own. */
static void allocate_on(int mode, u64 nodes)
{
	TEST_ASSERT(!syscall(__NR_set_mempolicy, mode, nodes ? &nodes : NULL,
			     64), "errno %d", errno);
}

/*
 * Half of the pages, here and there.  Where each second one is free, the scanner
 * for free pages can miss them all, as it looks at each 32nd.
 */
static void punch_holes(int fd)
{
	u64 i;

	for (i = 0; i < size; i += P)
		if (gmem_pattern(i, 0) & BIT_ULL(32))
			gmem_punch_hole(fd, i, P);
}

static void allocate(int fd, bool holes)
{
	allocate_on(MPOL_BIND, BIT(1));
	gmem_allocate(fd, 0, size);
	allocate_on(MPOL_DEFAULT, 0);
	if (holes)
		punch_holes(fd);
}

/*
 * What it costs more than with free memory in its place, to find that there is
 * nothing to be done.
 */
static void bench_pinned(struct kvm_vm *vm, bool huge, bool holes)
{
	int fd = vm_create_guest_memfd(vm, size, huge ?
				       GUEST_MEMFD_FLAG_HUGEPAGE : 0);
	struct pass with, without;
	char name[64];

	snprintf(name, sizeof(name), "compaction, %llu MiB pinned, %s%s",
		 size / MIB, huge ? "2 MiB" : "4 KiB",
		 holes ? ", holes" : "");
	compact("without", &without);
	allocate(fd, holes);
	ASSERT_EQ(gmem_huge(fd), huge ? size : 0);
	compact(name, &with);
	close(fd);
	bench_report(name, with.ns > without.ns ? with.ns - without.ns : 0, 0);
	TEST_ASSERT(!bench_check || with.isolated == without.isolated,
		    "%lu pages isolated, %lu without the file", with.isolated,
		    without.isolated);
}

/* Returns the cost of each page that moves. */
static u64 bench_movable(const char *what, int fd, u64 limit)
{
	char name[64];
	struct pass p;
	u64 per_page;

	snprintf(name, sizeof(name), "compaction, %llu MiB %s, holes",
		 size / MIB, what);
	allocate(fd, true);
	compact(name, &p);
	close(fd);
	bench_report(name, p.ns, 0);
	/*
	 * Half of the pages are left, and about half of these go to where the
	 * others are, if nothing else is on the node.
	 */
	TEST_ASSERT(!bench_check || p.moved > size / P / 8,
		    "%s: %lu pages moved", what, p.moved);

	per_page = p.moved ? p.ns / p.moved : 0;
	snprintf(name, sizeof(name), "compaction, per page moved, %s", what);
	bench_report(name, per_page, limit);
	return per_page;
}

static void bench_compaction(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct pass idle;
	u64 ns;

	move_require_nodes();
	if (access(COMPACT, W_OK))
		gmem_skip("no compaction");
	if (gmem_meminfo_kb("MemAvailable") < 4 * size / 1024)
		gmem_skip("too little memory");
	bench_set_huge(false);
	/* There can be something to be done in any case, the first time. */
	compact("first", &idle);
	compact("second", &idle);
	bench_report("compaction of a node of free memory", idle.ns, 0);

	bench_pinned(vm, false, false);
	bench_pinned(vm, true, false);
	bench_pinned(vm, false, true);
	ns = bench_movable("shmem", bench_open_shmem(size), 0);
	bench_movable("movable", vm_create_guest_memfd(vm, size,
						       GUEST_MEMFD_FLAG_MOVABLE),
		      bench_limit_of(ns));
	kvm_vm_free(vm);
	bench_assert_limits();
}

static const struct gmem_test tests[] = {
	GMEM_TEST(bench_compaction),
};

int main(int argc, char *argv[])
{
	int opt;

	while ((opt = getopt(argc, argv, "s:c")) != -1) {
		if (opt == 's')
			size = strtoull(optarg, NULL, 0) * MIB;
		else if (opt == 'c')
			bench_check = true;
		else
			return 2;
	}

	setbuf(stdout, NULL);
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
