// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's own accesses to a page that the hardware loses.
 *
 * A guest has KVM write the wall clock to a private page again and again, and
 * the page is poisoned.  When memory_failure() is done with the page no copy may
 * be under way, so an access and the invalidation by which memory_failure() takes
 * the page away exclude each other.  Trace events show both: get_folio comes when
 * an access has begun, with the lock under which it also ends; what
 * memory_failure() does under that lock is between invalidate_start and
 * invalidate_end.
 */
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>

#include "guest_memfd_admin.h"
#include "guest_memfd_guest.h"
#include "guest_memfd_pfn.h"
#include "processor.h"
#include "race.h"

#define MAX_LOOPS	200
#define MAX_MS		20000
#define NR_SUPPLY	32
#define SUPPLY_SIZE	GMEM_PAGES(NR_SUPPLY)
/* Wall clocks that are written in one loop; each is a few accesses. */
#define NR_WRITES	100

static const char * const events[] = {
	"guest_memfd/guest_memfd_get_folio",
	"guest_memfd/guest_memfd_error",
	"guest_memfd/guest_memfd_invalidate_start",
	"guest_memfd/guest_memfd_invalidate_end",
};

static u64 guest_clock_gpa;

static u64 guest_write_clocks(void)
{
	int i;

	for (i = 0; i < NR_WRITES; i++)
		wrmsr(MSR_KVM_WALL_CLOCK_NEW, guest_clock_gpa);
	return i;
}

struct access {
	struct guest_fixture f;
	u64 pfns[NR_SUPPLY];
	u64 used;	/* pages that have been lost, or are about to be */
	int a, b;
	unsigned int nr_all;	/* accesses in one loop, without an error */
	unsigned int nr_met;
};

/* What the trace of a loop says, in the order of time. */
struct seen {
	unsigned int before, within, after;	/* accesses */
	unsigned int errors, starts, ends;
};

static void refill(struct access *s)
{
	gmem_slot_punch_hole(&s->f.slot, GMEM_DATA_GPA, SUPPLY_SIZE);
	poison_undo_all();
	admin_allocate_pfns(s->f.slot.fd, 0, s->pfns, NR_SUPPLY);
	s->used = 0;
}

static void setup_access(void *ctx)
{
	struct access *s = ctx;

	if (s->used == NR_SUPPLY)
		refill(s);
	guest_clock_gpa = GMEM_DATA_GPA + GMEM_PAGES(s->used);
	sync_global_to_guest(s->f.vm, guest_clock_gpa);
	guest_cmd_set(s->f.vcpu, GUEST_OP_CALL, (u64)guest_write_clocks, 0, 0);
	free(admin_trace_read());
}

static void a_poison(void *ctx)
{
	struct access *s = ctx;

	s->a = __poison_pfn(s->pfns[s->used], POISON_CORRUPT);
	poison_remember(s->pfns[s->used]);
}

static void b_access(void *ctx)
{
	struct access *s = ctx;

	s->b = guest_cmd_run(s->f.vcpu);
}

static void see_line(const char *line, const char *index, struct seen *seen)
{
	if (!strstr(line, index))
		return;
	if (strstr(line, "guest_memfd_error:"))
		seen->errors++;
	else if (strstr(line, "guest_memfd_invalidate_start:"))
		seen->starts++;
	else if (strstr(line, "guest_memfd_invalidate_end:"))
		seen->ends++;
	else if (!strstr(line, "guest_memfd_get_folio:"))
		return;
	else if (!seen->starts)
		seen->before++;
	else if (!seen->ends)
		seen->within++;
	else
		seen->after++;
}

/* Events of the page only, which is a folio of its own. */
static struct seen read_trace(struct access *s)
{
	char *trace = admin_trace_read(), *line, *next = trace, index[32];
	struct seen seen = { };

	snprintf(index, sizeof(index), " index=0x%lx", s->used);
	while ((line = strsep(&next, "\n"))) {
		size_t len = strlen(index);
		char *p = strstr(line, index);

		if (p && (p[len] == ' ' || p[len] == '-' || !p[len]))
			see_line(line, index, &seen);
	}
	free(trace);
	return seen;
}

static bool check_access(void *ctx)
{
	struct access *s = ctx;
	struct seen seen = read_trace(s);
	bool ok = !s->a && !s->b && seen.errors == 1 && seen.starts == 1 &&
		  seen.ends == 1 && !seen.within;

	if (!ok)
		ksft_print_msg("A = %d, B = %d, %u/%u/%u events, %u/%u/%u accesses\n",
			       s->a, s->b, seen.errors, seen.starts, seen.ends,
			       seen.before, seen.within, seen.after);
	/* The error has come in the middle of the accesses, and stopped them. */
	s->nr_met += seen.before && seen.before < s->nr_all;
	if (!s->b)
		guest_cmd_complete(s->f.vcpu);
	s->used++;
	return ok;
}

static bool met_access(void *ctx)
{
	return ((struct access *)ctx)->nr_met;
}

static unsigned int count_accesses(struct access *s)
{
	struct seen seen;

	setup_access(s);
	b_access(s);
	TEST_ASSERT(!s->b, "the guest: %d", s->b);
	guest_cmd_complete(s->f.vcpu);
	seen = read_trace(s);
	TEST_ASSERT(seen.before >= NR_WRITES && !seen.starts,
		    "%u accesses, %u invalidations", seen.before, seen.starts);
	return seen.before;
}

static void test_accesses_are_over_when_a_page_is_taken_away(void)
{
	static const struct race_ops ops = {
		.name = "poison, access by KVM",
		.setup = setup_access,
		.run_a = a_poison,
		.run_b = b_access,
		.check = check_access,
		.met = met_access,
	};
	static struct access s = { .used = NR_SUPPLY };
	struct race_stats stats;
	bool ok;

	poison_require();
	host_set_thp("never");
	guest_start_private(&s.f, SUPPLY_SIZE);
	admin_trace_start(events, ARRAY_SIZE(events));
	s.nr_all = count_accesses(&s);
	ok = race_run(&ops, &s, MAX_LOOPS, MAX_MS, &stats);
	ksft_print_msg("%u loops, %u with an error among the %u accesses\n",
		       stats.loops, s.nr_met, s.nr_all);
	TEST_ASSERT(ok, "they never met, or loop %u", stats.failed_at);
	guest_end(&s.f);
	poison_undo_all();
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_accesses_are_over_when_a_page_is_taken_away),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
