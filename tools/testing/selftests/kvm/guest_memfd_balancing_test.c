// SPDX-License-Identifier: GPL-2.0-only
/*
 * Automatic NUMA balancing leaves movable memory alone, as does DAMON, which would have
 * memory that is not used written out.
 *
 * A thread on node 1 uses memory of node 0: its own, which comes after it in the end
 * and shows that balancing is at work, and that of a file, which does not.  Nor does
 * balancing take it from page tables in order to see who uses it.
 *
 * Needs two nodes with memory, and a CPU on each.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "guest_memfd_move.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_undo.h"

#define SIZE		(2 * H)
#define OWN_PAGES	512
#define SAMPLE		16
#define SECONDS		120
#define MIGRATE_EVENT	"guest_memfd_migrate"

#ifndef MPOL_F_NUMA_BALANCING
#define MPOL_F_NUMA_BALANCING	BIT(13)
#endif

static void run_on_node(int node)
{
	char path[96];
	cpu_set_t cpus;
	int cpu;

	CPU_ZERO(&cpus);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/cpu%d", node, cpu);
		if (!access(path, F_OK))
			CPU_SET(cpu, &cpus);
	}
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		gmem_skip("no CPU on node %d", node);
}

static void set_policy_of(void *mem, u64 size, int mode, u64 mask)
{
	TEST_ASSERT(!syscall(__NR_mbind, mem, size, mode, mask ? &mask : NULL,
			     64, 0), "mbind(): errno %d", errno);
}

/* Memory of node 0, that can be anywhere. */
static char *make_own(void)
{
	char *mem = gmem_alloc_hva(0, OWN_PAGES * P);

	TEST_ASSERT(!madvise(mem, OWN_PAGES * P, MADV_NOHUGEPAGE), "errno %d",
		    errno);
	set_policy_of(mem, OWN_PAGES * P, MPOL_BIND, BIT(0));
	memset(mem, 1, OWN_PAGES * P);
	set_policy_of(mem, OWN_PAGES * P, MPOL_DEFAULT, 0);
	return mem;
}

/* Of some of them. */
static bool most_are_on_node_1(const char *mem)
{
	static u64 pfns[OWN_PAGES];
	u64 i, nr = 0;

	pfns_at(mem, OWN_PAGES, pfns);
	for (i = 0; i < OWN_PAGES; i += SAMPLE)
		nr += pfns[i] && move_node_of(pfns[i]) == 1;
	return nr * SAMPLE >= OWN_PAGES * 3 / 4;
}

/* Use a word of each page.  Return: how many faults that took. */
static u64 use(char *mem, u64 size)
{
	struct rusage before, after;
	u64 i;

	/* Twice: its own page of the stack may have been taken away. */
	getrusage(RUSAGE_THREAD, &before);
	getrusage(RUSAGE_THREAD, &before);
	for (i = 0; i < size; i += P)
		WRITE_ONCE(*(u64 *)(mem + i), READ_ONCE(*(u64 *)(mem + i)) + 1);
	getrusage(RUSAGE_THREAD, &after);
	return after.ru_minflt - before.ru_minflt;
}

struct faults {
	u64 own, file;
};

/* Until balancing has moved most of the thread's own memory. */
static void use_for_long(struct move_file *f, struct faults *faults)
{
	u64 end = gmem_now() + SECONDS * 1000 * MS;
	char *own = make_own();
	int i;

	use(f->mem, f->size);
	*faults = (struct faults) {};
	while (!most_are_on_node_1(own)) {
		TEST_ASSERT(gmem_now() < end, "no balancing, %lu faults",
			    faults->own);
		for (i = 0; i < 16; i++) {
			faults->own += use(own, OWN_PAGES * P);
			faults->file += use(f->mem, f->size);
		}
	}
	gmem_free_hva(own, OWN_PAGES * P);
}

static void assert_not_moved(struct move_file *f, const char *when)
{
	u64 *now = move_find(f, when);

	TEST_ASSERT(!memcmp(now, f->pfns, f->nr * sizeof(*now)),
		    "%s, %s: pages have moved", f->kind->name, when);
	free(now);
	move_assert_usage(f, f->kind->huge ? f->size : 0, when);
}

/* The file's policy is what decides, and if it says so there are faults. */
static void __balance(const struct move_kind *kind, int mode, u64 mask,
		      const char *what, struct faults *faults)
{
	static const char * const events[] = { "guest_memfd/" MIGRATE_EVENT };
	struct move_file f;
	char *trace;

	move_start(&f, kind, SIZE, 0, GUEST_MEMFD_FLAG_MOVABLE);
	set_policy_of(f.mem, f.size, mode, mask);
	run_on_node(1);
	gmem_setting_write("/proc/sys/kernel/numa_balancing", "1");

	admin_trace_start(events, ARRAY_SIZE(events));
	use_for_long(&f, faults);
	trace = admin_trace_read();
	ASSERT_EQ(admin_trace_count(trace, MIGRATE_EVENT, ""), 0);
	free(trace);

	gmem_setting_restore("/proc/sys/kernel/numa_balancing");
	run_on_node(0);
	ksft_print_msg("%s, %s: %lu faults; own memory: %lu\n", kind->name, what,
		       faults->file, faults->own);
	TEST_ASSERT(faults->own >= OWN_PAGES / 2, "%lu faults", faults->own);
	assert_not_moved(&f, what);
	move_end(&f);
}

/* A fault can be of something else: those of the file would be there each time. */
static void balance(const struct move_kind *kind, int mode, u64 mask,
		    const char *what)
{
	bool on_demand = mode & MPOL_F_NUMA_BALANCING;
	struct faults faults = { .file = 1 };
	int tries;

	move_require_nodes();
	for (tries = 0; tries < 3 && faults.file; tries++) {
		__balance(kind, mode, mask, what, &faults);
		if (on_demand)
			return;
	}
	TEST_ASSERT(!faults.file, "%s: %lu faults", what, faults.file);
}

static void test_balancing_passes_small_pages_by(void)
{
	balance(&move_kinds[0], MPOL_DEFAULT, 0, "no policy");
}

static void test_balancing_passes_huge_pages_by(void)
{
	balance(&move_kinds[1], MPOL_DEFAULT, 0, "no policy");
}

#define FOR_BALANCING	(MPOL_BIND | MPOL_F_NUMA_BALANCING)

static void test_balancing_on_demand_moves_no_small_pages(void)
{
	balance(&move_kinds[0], FOR_BALANCING, BIT(0) | BIT(1), "on demand");
}

static void test_balancing_on_demand_moves_no_huge_pages(void)
{
	balance(&move_kinds[1], FOR_BALANCING, BIT(0) | BIT(1), "on demand");
}

/*
 * What DAMON has done to memory of a process that it takes for cold
 */

static void test_cold_memory_stays(void)
{
	static const int advices[] = { MADV_COLD, MADV_PAGEOUT };
	struct move_file f;
	int i, k;

	move_require_nodes();
	for (k = 0; k < 2; k++) {
		move_start(&f, &move_kinds[k], SIZE, 0,
			   GUEST_MEMFD_FLAG_MOVABLE);
		for (i = 0; i < ARRAY_SIZE(advices); i++) {
			TEST_ASSERT(!madvise(f.mem, f.size, advices[i]),
				    "advice %d: errno %d", advices[i], errno);
			/* Of a huge page, just a part, too. */
			TEST_ASSERT(!madvise(f.mem + P, P, advices[i]),
				    "advice %d: errno %d", advices[i], errno);
			move_assert_still(&f, "cold");
		}
		ASSERT_EQ(move_page(f.mem, 1), 1);
		move_end(&f);
	}
}

/*
 * DAMON itself: told to write out all that it watches, however much that is used
 */

#define KDAMONDS	"/sys/kernel/mm/damon/admin/kdamonds/"
#define CONTEXT		KDAMONDS "0/contexts/0/"
#define SCHEME		CONTEXT "schemes/0/"
#define REGION		CONTEXT "targets/0/regions/0/"

static void damon_write(const char *path, u64 value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", value);
	TEST_ASSERT(!admin_write(path, text), "%s", path);
}

static void damon_setup(const char *ops, u64 start, u64 size)
{
	if (access(KDAMONDS "nr_kdamonds", W_OK))
		gmem_skip("no DAMON");
	gmem_setting_write(KDAMONDS "nr_kdamonds", "1");
	damon_write(KDAMONDS "0/contexts/nr_contexts", 1);
	TEST_ASSERT(!admin_write(CONTEXT "operations", ops), "no %s", ops);
	damon_write(CONTEXT "targets/nr_targets", 1);
	if (!strcmp(ops, "vaddr"))
		damon_write(CONTEXT "targets/0/pid_target", getpid());
	damon_write(CONTEXT "targets/0/regions/nr_regions", 1);
	damon_write(REGION "start", start);
	damon_write(REGION "end", start + size);

	damon_write(CONTEXT "schemes/nr_schemes", 1);
	TEST_ASSERT(!admin_write(SCHEME "action", "pageout"), "no action");
	damon_write(SCHEME "access_pattern/sz/max", -1UL);
	damon_write(SCHEME "access_pattern/nr_accesses/max", 1000);
	damon_write(SCHEME "access_pattern/age/max", 1000);
}

static u64 damon_stat(const char *name)
{
	char path[128], *text, *end;
	u64 value;

	TEST_ASSERT(!admin_write(KDAMONDS "0/state", "update_schemes_stats"),
		    "no statistics");
	snprintf(path, sizeof(path), SCHEME "stats/%s", name);
	text = admin_read(path);
	TEST_ASSERT(text, "no %s", name);
	value = strtoul(text, &end, 10);
	TEST_ASSERT(end != text, "%s is '%s'", name, text);
	free(text);
	return value;
}

/* Until it has gone over all of the file a few times. */
static void damon_run(struct move_file *f, const char *ops, u64 size)
{
	u64 end = gmem_now() + SECONDS * 1000 * MS, tried;

	gmem_undo_by_write(KDAMONDS "0/state", "off");
	TEST_ASSERT(!admin_write(KDAMONDS "0/state", "on"), "%s: not on", ops);
	do {
		TEST_ASSERT(gmem_now() < end, "%s: DAMON does nothing", ops);
		use(f->mem, f->size / 2);
		usleep(200000);
		tried = damon_stat("sz_tried");
	} while (tried < 4 * size);
	ksft_print_msg("%s, %s: %lu bytes tried, %lu applied\n",
		       f->kind->name, ops, tried, damon_stat("sz_applied"));
	if (!strcmp(ops, "paddr"))
		ASSERT_EQ(damon_stat("sz_applied"), 0UL);
	TEST_ASSERT(!admin_write(KDAMONDS "0/state", "off"), "%s: not off", ops);
	gmem_undo_forget(KDAMONDS "0/state", "off");
	gmem_setting_restore(KDAMONDS "nr_kdamonds");
}

static void damon(const char *ops)
{
	bool mapping = !strcmp(ops, "vaddr");
	struct move_file f;
	u64 start, size;
	int k;

	move_require_nodes();
	for (k = 0; k < 2; k++) {
		move_start(&f, &move_kinds[k], SIZE, 0,
			   GUEST_MEMFD_FLAG_MOVABLE);
		start = mapping ? (u64)f.mem : f.pfns[0] * P;
		/* Of page frames, those of the first folio. */
		size = mapping ? f.size : f.kind->huge ? H : P;
		damon_setup(ops, start, size);
		damon_run(&f, ops, size);
		assert_not_moved(&f, ops);
		move_end(&f);
	}
}

static void test_damon_passes_mappings_by(void)
{
	damon("vaddr");
}

static void test_damon_passes_page_frames_by(void)
{
	damon("paddr");
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_balancing_passes_small_pages_by),
	GMEM_TEST(test_balancing_passes_huge_pages_by),
	GMEM_TEST(test_balancing_on_demand_moves_no_small_pages),
	GMEM_TEST(test_balancing_on_demand_moves_no_huge_pages),
	GMEM_TEST(test_cold_memory_stays),
	GMEM_TEST(test_damon_passes_mappings_by),
	GMEM_TEST(test_damon_passes_page_frames_by),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_DEFAULT_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
