// SPDX-License-Identifier: GPL-2.0
/*
 * The hardware loses pages of a guest_memfd at the worst moment.
 *
 * When memory_failure() has returned the page must be mapped nowhere, whatever
 * went on at the same time, and it must not have got lost that there was an
 * error.  Pages are poisoned by page frame number only as long as something
 * holds them: no other page must be hit.
 */
#define _GNU_SOURCE /* for vmsplice(2) */
#include <pthread.h>
#include <signal.h>
#include <sys/uio.h>

#include "guest_memfd_guest.h"
#include "guest_memfd_pfn.h"
#include "processor.h"
#include "race.h"

#define MAX_LOOPS	400
#define MAX_MS		4000
/* No page is lost in each of them. */
#define TO_PRIVATE_LOOPS	4000

#define SHARED_FLAGS	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

#ifndef MADV_HWPOISON
#define MADV_HWPOISON		100
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#endif

enum { DATA = 1 };

static void race(const struct race_ops *ops, void *ctx)
{
	struct race_stats stats;

	TEST_ASSERT(race_run(ops, ctx, MAX_LOOPS, MAX_MS, &stats), "%s",
		    ops->name);
}

/*
 * Shared files: a new one in each loop, of two pages
 */

struct shared {
	struct kvm_vm *vm;
	int fd;
	char *mem, *second;	/* two mappings */
	u64 pfns[2];
	u64 nr_before;
	int pipe[2];
	int a, b;
	unsigned int nr_late;	/* errors that came after the page had left */
};

static bool complain(struct shared *s, const char *what)
{
	ksft_print_msg("%s; A = %d, B = %d, flags 0x%lx, mapped %lu times\n",
		       what, s->a, s->b, pfn_flags(s->pfns[0]),
		       pfn_mapcount(s->pfns[0]));
	return false;
}

static char *map_file(int fd)
{
	char *mem = mmap(NULL, GMEM_PAGES(2), PROT_READ | PROT_WRITE,
			 MAP_SHARED, fd, 0);

	TEST_ASSERT(mem != MAP_FAILED, "mmap() failed, errno %d", errno);
	return mem;
}

static void setup_shared(void *ctx)
{
	struct shared *s = ctx;
	int i;

	s->fd = vm_create_guest_memfd(s->vm, GMEM_PAGES(2), SHARED_FLAGS);
	s->mem = map_file(s->fd);
	s->second = map_file(s->fd);
	for (i = 0; i < 2; i++) {
		s->mem[GMEM_PAGES(i)] = 1;
		s->pfns[i] = pfn_at(s->mem + GMEM_PAGES(i));
	}
	s->nr_before = nr_poisoned();
}

/* A reference from elsewhere, which keeps the first page from being freed. */
static void setup_shared_held(void *ctx)
{
	struct shared *s = ctx;
	struct iovec iov;

	setup_shared(s);
	iov.iov_base = s->mem;
	iov.iov_len = 1;
	TEST_ASSERT(vmsplice(s->pipe[1], &iov, 1, 0) == 1,
		    "vmsplice() failed, errno %d", errno);
}

static void let_go(struct shared *s)
{
	char c;

	TEST_ASSERT(read(s->pipe[0], &c, 1) == 1, "errno %d", errno);
}

static void shared_unmap(struct shared *s)
{
	munmap(s->mem, GMEM_PAGES(2));
	munmap(s->second, GMEM_PAGES(2));
}

static void shared_close(struct shared *s)
{
	shared_unmap(s);
	close(s->fd);
}

static void shared_init(struct shared *s)
{
	poison_require();
	signal(SIGBUS, SIG_IGN);
	s->vm = vm_create_barebones();
	TEST_ASSERT(!pipe(s->pipe), "errno %d", errno);
}

static void a_poison(void *ctx)
{
	struct shared *s = ctx;

	s->a = __poison_pfn(s->pfns[0], POISON_CORRUPT);
}

static void b_poison(void *ctx)
{
	struct shared *s = ctx;

	s->b = __poison_pfn(s->pfns[0], POISON_CORRUPT);
}

static void b_poison_neighbour(void *ctx)
{
	struct shared *s = ctx;

	s->b = __poison_pfn(s->pfns[1], POISON_CORRUPT);
}

static void b_unpoison(void *ctx)
{
	struct shared *s = ctx;

	s->b = __unpoison_pfn(s->pfns[0]);
}

static void b_touch(void *ctx)
{
	struct shared *s = ctx;

	s->b = errno_of(madvise(s->second, GMEM_PAGE_SIZE, MADV_POPULATE_READ));
}

static void b_punch(void *ctx)
{
	struct shared *s = ctx;

	s->b = errno_of(__gmem_punch_hole(s->fd, 0, GMEM_PAGE_SIZE));
}

static void b_close(void *ctx)
{
	shared_close(ctx);
}

/* In the file, where nothing can get at it, and counted once. */
static bool is_contained(struct shared *s, u64 nr_events)
{
	if (!pfn_is_poisoned(s->pfns[0]))
		return complain(s, "the error is lost");
	if (pfn_mapcount(s->pfns[0]) || pfn_at(s->mem) || pfn_at(s->second))
		return complain(s, "the page is still mapped");
	if (madvise(s->mem, GMEM_PAGE_SIZE, MADV_POPULATE_READ) != -1 ||
	    errno != EHWPOISON)
		return complain(s, "the page can be mapped");
	if (nr_poisoned() != s->nr_before + nr_events)
		return complain(s, "the count is wrong");
	if (__unpoison_pfn(s->pfns[0]) != -EBUSY)
		return complain(s, "the page can be unpoisoned");
	return true;
}

static bool finish_contained(struct shared *s, u64 nr_events)
{
	bool ok = is_contained(s, nr_events);

	shared_close(s);
	poison_remember(s->pfns[0]);
	if (nr_events > 1)
		poison_remember(s->pfns[1]);
	if (ok)
		poison_undo_all();
	return ok;
}

static bool check_touched(void *ctx)
{
	struct shared *s = ctx;

	if (s->a || (s->b && s->b != -EHWPOISON))
		return complain(s, "wrong result");
	return finish_contained(s, 1);
}

static void test_poison_against_fault_of_the_host(void)
{
	static const struct race_ops ops = {
		.name = "poison, host fault",
		.setup = setup_shared,
		.run_a = a_poison,
		.run_b = b_touch,
		.check = check_touched,
	};
	struct shared s = { };

	shared_init(&s);
	race(&ops, &s);
}

static bool check_twice(void *ctx)
{
	struct shared *s = ctx;

	if (!(s->a == 0 && s->b == -EHWPOISON) &&
	    !(s->b == 0 && s->a == -EHWPOISON))
		return complain(s, "wrong result");
	return finish_contained(s, 1);
}

static void test_poison_against_poison_of_the_same_page(void)
{
	static const struct race_ops ops = {
		.name = "poison, poison",
		.setup = setup_shared,
		.run_a = a_poison,
		.run_b = b_poison,
		.check = check_twice,
	};
	struct shared s = { };

	shared_init(&s);
	race(&ops, &s);
}

static bool check_both(void *ctx)
{
	struct shared *s = ctx;

	if (s->a || s->b)
		return complain(s, "wrong result");
	if (!pfn_is_poisoned(s->pfns[1]) || pfn_mapcount(s->pfns[1]))
		return complain(s, "the second error is lost");
	return finish_contained(s, 2);
}

static void test_poison_against_poison_of_the_next_page(void)
{
	static const struct race_ops ops = {
		.name = "poison, poison next",
		.setup = setup_shared,
		.run_a = a_poison,
		.run_b = b_poison_neighbour,
		.check = check_both,
	};
	struct shared s = { };

	shared_init(&s);
	race(&ops, &s);
}

static bool check_not_unpoisoned(void *ctx)
{
	struct shared *s = ctx;

	if (s->a || s->b != -EBUSY)
		return complain(s, "wrong result");
	return finish_contained(s, 1);
}

static void test_poison_against_unpoison(void)
{
	static const struct race_ops ops = {
		.name = "poison, unpoison",
		.setup = setup_shared,
		.run_a = a_poison,
		.run_b = b_unpoison,
		.check = check_not_unpoisoned,
	};
	struct shared s = { };

	shared_init(&s);
	race(&ops, &s);
}

/*
 * The page has left the file, and may be hit before, while or after that
 * happens.  The latter is nothing that guest_memfd knows of: EBUSY.
 */
static bool check_left(struct shared *s)
{
	bool ok = true;

	if (s->a && s->a != -EBUSY)
		return complain(s, "wrong result");
	if (!pfn_is_poisoned(s->pfns[0]))
		return complain(s, "the error is lost");
	if (pfn_mapcount(s->pfns[0]))
		return complain(s, "the page is still mapped");
	if (nr_poisoned() != s->nr_before + 1)
		ok = complain(s, "the count is wrong");
	/*
	 * The pipe still holds it.  Of a page that was not handled, it has the
	 * only reference, and unpoisoning would take that away.
	 */
	s->nr_late += s->a == -EBUSY;
	if (!s->a && __unpoison_pfn(s->pfns[0]) != -EBUSY)
		ok = complain(s, "the page can be unpoisoned");

	let_go(s);
	if (pfn_is_poisoned(s->pfns[0]))
		poison_remember(s->pfns[0]);
	if (ok)
		poison_undo_all();
	return ok;
}

static bool check_punched(void *ctx)
{
	struct shared *s = ctx;
	bool ok;

	if (s->b)
		return complain(s, "wrong result");
	ok = pfn_at(s->mem) == 0 && *s->mem == 0 &&
	     pfn_at(s->mem) != s->pfns[0];
	if (!ok)
		return complain(s, "no new page");
	shared_close(s);
	return check_left(s);
}

static void test_poison_against_punched_hole(void)
{
	static const struct race_ops ops = {
		.name = "poison, punch",
		.setup = setup_shared_held,
		.run_a = a_poison,
		.run_b = b_punch,
		.check = check_punched,
	};
	struct shared s = { };

	shared_init(&s);
	race(&ops, &s);
	ksft_print_msg("%u too late\n", s.nr_late);
}

static bool check_closed(void *ctx)
{
	return check_left(ctx);
}

static void test_poison_against_close(void)
{
	static const struct race_ops ops = {
		.name = "poison, close",
		.setup = setup_shared_held,
		.run_a = a_poison,
		.run_b = b_close,
		.check = check_closed,
	};
	struct shared s = { };

	shared_init(&s);
	race(&ops, &s);
	ksft_print_msg("%u too late\n", s.nr_late);
}

/*
 * Private pages: a supply of them, one for each loop
 */

#define NR_SUPPLY	64
#define SUPPLY_SIZE	GMEM_PAGES(NR_SUPPLY)

struct private {
	struct guest_fixture f;
	struct gmem_cgroup cg;
	u64 pfns[NR_SUPPLY];
	u64 used;
	u64 gpa, pfn;
	int a, b;
};

static bool private_complain(struct private *p, const char *what)
{
	ksft_print_msg("%s; A = %d, B = %d\n", what, p->a, p->b);
	return false;
}

/* New pages for those that have been lost. */
static void refill(struct private *p)
{
	gmem_slot_punch_hole(&p->f.slot, GMEM_DATA_GPA, SUPPLY_SIZE);
	poison_undo_all();
	gmem_cgroup_enter(&p->cg);
	gmem_slot_allocate(&p->f.slot, GMEM_DATA_GPA, SUPPLY_SIZE);
	gmem_cgroup_leave(&p->cg);
	guest_fill(p->f.vcpu, GMEM_DATA_GPA, SUPPLY_SIZE, DATA);
	pfns_find(&p->cg, GMEM_DATA_GPA, NR_SUPPLY, DATA, p->pfns);
	p->used = 0;
}

static void private_init(struct private *p)
{
	poison_require();
	guest_word_step = 512;
	gmem_cgroup_create(&p->cg);
	guest_start_private(&p->f, SUPPLY_SIZE);
	p->used = NR_SUPPLY;
}

static void private_end(struct private *p)
{
	guest_end(&p->f);
	poison_undo_all();
}

static void setup_private(void *ctx)
{
	struct private *p = ctx;

	if (p->used == NR_SUPPLY)
		refill(p);
	p->gpa = GMEM_DATA_GPA + GMEM_PAGES(p->used);
	p->pfn = p->pfns[p->used++];
}

/* Not mapped by the guest. */
static void setup_private_unmapped(void *ctx)
{
	struct private *p = ctx;

	setup_private(p);
	vm_mem_set_shared(p->f.vm, p->gpa, GMEM_PAGE_SIZE);
	vm_mem_set_private(p->f.vm, p->gpa, GMEM_PAGE_SIZE);
	guest_cmd_set(p->f.vcpu, GUEST_OP_READ, p->gpa, 0, 0);
}

static void a_poison_private(void *ctx)
{
	struct private *p = ctx;

	p->a = __poison_pfn(p->pfn, POISON_CORRUPT);
	poison_remember(p->pfn);
}

static void b_read(void *ctx)
{
	struct private *p = ctx;

	p->b = guest_cmd_run(p->f.vcpu);
}

static void b_slot_anew(void *ctx)
{
	struct private *p = ctx;

	gmem_slot_delete(&p->f.slot);
	p->b = errno_of(__gmem_slot_bind(&p->f.slot));
}

/* Let the guest go on with the shared side. */
static void get_over_it(struct private *p)
{
	vm_mem_set_shared(p->f.vm, p->gpa, GMEM_PAGE_SIZE);
	guest_cmd_finish(p->f.vcpu);
	vm_mem_set_private(p->f.vm, p->gpa, GMEM_PAGE_SIZE);
}

/* An access must exit; nothing else shows that the page is not mapped. */
static bool check_private(struct private *p)
{
	struct kvm_run *run = p->f.vcpu->run;
	int ret;

	if (p->a)
		return private_complain(p, "wrong result of A");
	if (!pfn_is_poisoned(p->pfn))
		return private_complain(p, "the error is lost");

	guest_cmd_set(p->f.vcpu, GUEST_OP_READ, p->gpa, 0, 0);
	ret = guest_cmd_run(p->f.vcpu);
	if (ret != -EHWPOISON || run->exit_reason != KVM_EXIT_MEMORY_FAULT ||
	    run->memory_fault.gpa != p->gpa ||
	    run->memory_fault.flags != KVM_MEMORY_EXIT_FLAG_PRIVATE)
		return private_complain(p, "the page is still mapped");
	get_over_it(p);
	return true;
}

static bool check_read(void *ctx)
{
	struct private *p = ctx;

	if (p->b == -EHWPOISON) {
		get_over_it(p);
	} else if (!p->b) {
		guest_cmd_complete(p->f.vcpu);
		if (guest_cmd_of(p->f.vcpu)->value !=
		    guest_pattern(p->gpa, DATA))
			return private_complain(p, "wrong data");
	} else {
		return private_complain(p, "wrong result of B");
	}
	return check_private(p);
}

static void test_poison_against_fault_of_the_guest(void)
{
	static const struct race_ops ops = {
		.name = "poison, guest fault",
		.setup = setup_private_unmapped,
		.run_a = a_poison_private,
		.run_b = b_read,
		.check = check_read,
	};
	static struct private p;

	private_init(&p);
	race(&ops, &p);
	private_end(&p);
}

static bool check_slot_anew(void *ctx)
{
	struct private *p = ctx;

	if (p->b)
		return private_complain(p, "wrong result of B");
	return check_private(p);
}

static void test_poison_against_a_slot_that_is_made_anew(void)
{
	static const struct race_ops ops = {
		.name = "poison, slot anew",
		.setup = setup_private,
		.run_a = a_poison_private,
		.run_b = b_slot_anew,
		.check = check_slot_anew,
	};
	static struct private p;

	private_init(&p);
	race(&ops, &p);
	private_end(&p);
}

/*
 * A gfn becomes private, whose page in the file is lost, while a vCPU faults on
 * its shared side.  The VMM is told by an exit.  A signal is for a host virtual
 * address, and the lost page has none.
 */

static unsigned int nr_signals;
static void *last_address;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	last_address = info->si_addr;
	WRITE_ONCE(nr_signals, nr_signals + 1);
}

struct becomes {
	struct private p;
	unsigned int nr_exits, nr_reads;
};

static void setup_becomes(void *ctx)
{
	struct becomes *b = ctx;

	vm_mem_set_shared(b->p.f.vm, b->p.gpa, GMEM_PAGE_SIZE);
	guest_cmd_set(b->p.f.vcpu, GUEST_OP_READ, b->p.gpa, 0, 0);
}

static void run_to_private(void *ctx)
{
	struct becomes *b = ctx;

	b->p.a = errno_of(__vm_set_memory_attributes(b->p.f.vm, b->p.gpa,
						     GMEM_PAGE_SIZE,
						     KVM_MEMORY_ATTRIBUTE_PRIVATE));
}

/* By the thread that also runs the vCPU otherwise: a new one waits for RCU. */
static void run_read(void *ctx)
{
	b_read(&((struct becomes *)ctx)->p);
}

static bool check_becomes(void *ctx)
{
	struct becomes *b = ctx;
	struct private *p = &b->p;
	struct kvm_run *run = p->f.vcpu->run;

	if (READ_ONCE(nr_signals)) {
		ksft_print_msg("a signal for address %p\n", last_address);
		return false;
	}
	if (p->a)
		return private_complain(p, "wrong result of B");
	if (!p->b) {
		guest_cmd_complete(p->f.vcpu);
		b->nr_reads++;
		return guest_cmd_of(p->f.vcpu)->value ==
		       guest_pattern(p->gpa, DATA + 1) ||
		       private_complain(p, "wrong data");
	}
	if (p->b != -EHWPOISON || run->exit_reason != KVM_EXIT_MEMORY_FAULT ||
	    run->memory_fault.flags != KVM_MEMORY_EXIT_FLAG_PRIVATE ||
	    run->memory_fault.gpa != p->gpa)
		return private_complain(p, "wrong result of A");
	get_over_it(p);
	b->nr_exits++;
	return true;
}

static bool met_becomes(void *ctx)
{
	struct becomes *b = ctx;

	return b->nr_exits && b->nr_reads;
}

static void test_lost_page_against_to_private(void)
{
	static const struct race_ops ops = {
		.name = "guest fault, to private",
		.setup = setup_becomes,
		.run_a = run_read,
		.run_b = run_to_private,
		.check = check_becomes,
		.met = met_becomes,
	};
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO,
	};
	static struct becomes b;
	struct race_stats stats;
	bool ok;

	private_init(&b.p);
	setup_private(&b.p);
	host_fill(gmem_slot_hva(&b.p.f.slot, b.p.gpa), b.p.gpa, GMEM_PAGE_SIZE,
		  DATA + 1);
	TEST_ASSERT(!sigaction(SIGBUS, &action, NULL), "errno %d", errno);
	poison_pfn(b.p.pfn, POISON_CORRUPT);
	ok = race_run(&ops, &b, TO_PRIVATE_LOOPS, MAX_MS, &stats);
	ksft_print_msg("%u exits, %u reads of the shared side\n", b.nr_exits,
		       b.nr_reads);
	TEST_ASSERT(ok, "%s, loop %u", ops.name, stats.failed_at);
	/* With a single CPU, too. */
	TEST_ASSERT(met_becomes(&b), "they never met");
	private_end(&b.p);
}

/*
 * Many errors under load.
 *
 * Two vCPUs walk the memory.  Of each pair of pages, one is punched out again
 * and again; the other is poisoned, and repaired by a vCPU's thread as soon as
 * it is told, by a hole.  Each error has to arrive, and no access may get
 * through between the return of memory_failure() and the hole.
 */

#define NR_VCPUS	2
#define NR_INJECTORS	2
#define NR_PAIRS	32
#define LOAD_SIZE	GMEM_PAGES(2 * NR_PAIRS)
#define NR_BATCHES	6
#define WAIT_MS		60000

enum page_state { GOOD, INJECTING, POISONED };

/* In guest memory. */
static struct load_state {
	u64 dead[NR_PAIRS];	/* number of the error, if poisoned for sure */
	u64 passes[NR_VCPUS];
	u64 stop;
} load_state;

static struct load {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct gmem_slot slot;
	struct gmem_cgroup cg;
	struct load_state *state;
	struct race_rng rng;
	pthread_mutex_t lock;	/* pages[], and holes in poisoned pages */
	enum page_state pages[NR_PAIRS];
	u64 pfns[2 * NR_PAIRS];
	u64 nr_injected, nr_late, nr_repaired, nr_exits, nr_holes;
	bool stop;
} load;

static inline u64 poisoned_gpa(u64 i)
{
	return GMEM_DATA_GPA + GMEM_PAGES(2 * i);
}

static void guest_visit(u64 gpa, u64 *dead)
{
	u64 before, value, after;

	before = READ_ONCE(*dead);
	value = READ_ONCE(*(u64 *)gpa);
	after = READ_ONCE(*dead);
	GUEST_ASSERT_3(!before || before != after, gpa, before, value);
	GUEST_ASSERT_3(!value || value == guest_pattern(gpa, DATA), gpa, value,
		       before);
	WRITE_ONCE(*(u64 *)gpa, guest_pattern(gpa, DATA));
}

static void load_guest(u64 id)
{
	u64 never = 0;
	u64 i;

	while (!READ_ONCE(load_state.stop)) {
		for (i = 0; i < NR_PAIRS; i++) {
			guest_visit(poisoned_gpa(i), &load_state.dead[i]);
			guest_visit(poisoned_gpa(i) + GMEM_PAGE_SIZE, &never);
		}
		WRITE_ONCE(load_state.passes[id], load_state.passes[id] + 1);
	}
	GUEST_DONE();
}

/* The VMM's answer: a new page. */
static void repair(u64 gpa)
{
	u64 i = (gpa - GMEM_DATA_GPA) / GMEM_PAGES(2);

	TEST_ASSERT(i < NR_PAIRS && gpa == poisoned_gpa(i),
		    "exit at 0x%lx, which is not poisoned", gpa);
	pthread_mutex_lock(&load.lock);
	load.nr_exits++;
	/* The other vCPU may have been faster. */
	if (load.pages[i] != GOOD) {
		WRITE_ONCE(load.state->dead[i], 0);
		gmem_slot_punch_hole(&load.slot, gpa, GMEM_PAGE_SIZE);
		load.pages[i] = GOOD;
		load.nr_repaired++;
	}
	pthread_mutex_unlock(&load.lock);
}

static void *load_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct kvm_run *run = vcpu->run;
	struct ucall uc;

	for (;;) {
		if (!__vcpu_run(vcpu)) {
			switch (get_ucall(vcpu, &uc)) {
			case UCALL_DONE:
				return NULL;
			case UCALL_ABORT:
				REPORT_GUEST_ASSERT_3(uc, "0x%lx: 0x%lx 0x%lx");
				break;
			default:
				TEST_FAIL("exit reason %u", run->exit_reason);
			}
		}
		if (errno == EINTR)
			continue;
		TEST_ASSERT(errno == EHWPOISON &&
			    run->exit_reason == KVM_EXIT_MEMORY_FAULT &&
			    run->memory_fault.flags ==
			    KVM_MEMORY_EXIT_FLAG_PRIVATE,
			    "KVM_RUN: errno %d, exit reason %u", errno,
			    run->exit_reason);
		repair(run->memory_fault.gpa);
	}
}

static void inject(u64 i)
{
	u64 number;
	int ret;

	pthread_mutex_lock(&load.lock);
	load.pages[i] = INJECTING;
	pthread_mutex_unlock(&load.lock);

	ret = __poison_pfn(load.pfns[2 * i], POISON_CORRUPT);
	TEST_ASSERT(pfn_is_poisoned(load.pfns[2 * i]), "an error is lost");
	poison_remember(load.pfns[2 * i]);

	pthread_mutex_lock(&load.lock);
	number = ++load.nr_injected;
	/* A page that was repaired before it was looked at is in no file. */
	TEST_ASSERT(!ret || (ret == -EBUSY && load.pages[i] == GOOD),
		    "poisoning page %lu: %d", i, ret);
	load.nr_late += ret == -EBUSY;
	if (load.pages[i] == INJECTING) {
		load.pages[i] = POISONED;
		WRITE_ONCE(load.state->dead[i], number);
	}
	pthread_mutex_unlock(&load.lock);
}

static void *injector(void *arg)
{
	u64 i;

	for (i = (u64)arg; i < NR_PAIRS; i += NR_INJECTORS)
		inject(i);
	return NULL;
}

static void *puncher(void *arg)
{
	u64 i;

	while (!__atomic_load_n(&load.stop, __ATOMIC_ACQUIRE)) {
		i = race_random_below(&load.rng, NR_PAIRS);
		gmem_slot_punch_hole(&load.slot,
				     poisoned_gpa(i) + GMEM_PAGE_SIZE,
				     GMEM_PAGE_SIZE);
		load.nr_holes++;
		usleep(race_random_below(&load.rng, 1000));
	}
	return NULL;
}

static void load_sleep(int *ms, const char *what)
{
	TEST_ASSERT((*ms)++ < WAIT_MS, "%s", what);
	usleep(1000);
}

/* Each vCPU has begun and ended a pass: it has written to every page. */
static void wait_for_pass(void)
{
	u64 goal[NR_VCPUS];
	int i, ms = 0;

	for (i = 0; i < NR_VCPUS; i++)
		goal[i] = READ_ONCE(load.state->passes[i]) + 2;
	for (i = 0; i < NR_VCPUS; i++)
		while (READ_ONCE(load.state->passes[i]) < goal[i])
			load_sleep(&ms, "a vCPU is stuck");
}

static bool all_repaired(void)
{
	bool ret;

	pthread_mutex_lock(&load.lock);
	ret = load.nr_repaired == load.nr_injected;
	pthread_mutex_unlock(&load.lock);
	return ret;
}

/* The punched pages can be away at this moment; the others must be found. */
static void find_poisoned_pages(void)
{
	int ms = 0;
	u64 i;

	do {
		load_sleep(&ms, "pages are not found");
		wait_for_pass();
		pfns_find_some(&load.cg, GMEM_DATA_GPA, 2 * NR_PAIRS, DATA,
			       load.pfns);
		for (i = 0; i < NR_PAIRS && load.pfns[2 * i]; i++)
			;
	} while (i < NR_PAIRS);
}

static void run_batch(void)
{
	pthread_t threads[NR_INJECTORS];
	int ms = 0;
	u64 i;

	find_poisoned_pages();
	for (i = 0; i < NR_INJECTORS; i++)
		pthread_create(&threads[i], NULL, injector, (void *)i);
	for (i = 0; i < NR_INJECTORS; i++)
		pthread_join(threads[i], NULL);
	while (!all_repaired())
		load_sleep(&ms, "an error has not arrived");
}

static void test_no_error_is_lost_under_load(void)
{
	pthread_t vcpus[NR_VCPUS], punch;
	u64 before, i;

	poison_require();
	before = nr_poisoned();
	pthread_mutex_init(&load.lock, NULL);
	load.rng.state = race_seed();
	ksft_print_msg("RACE_SEED=0x%lx\n", load.rng.state);

	load.vm = gmem_vm_create(NR_VCPUS, load.vcpus, load_guest, LOAD_SIZE,
				 &load.slot);
	load.state = addr_gva2hva(load.vm, (vm_vaddr_t)&load_state);
	vm_mem_set_private(load.vm, GMEM_DATA_GPA, LOAD_SIZE);
	/* Pages that vCPUs allocate are to be found as well. */
	gmem_cgroup_create(&load.cg);
	gmem_cgroup_enter(&load.cg);

	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_args_set(load.vcpus[i], 1, i);
		pthread_create(&vcpus[i], NULL, load_vcpu, load.vcpus[i]);
	}
	pthread_create(&punch, NULL, puncher, NULL);

	for (i = 0; i < NR_BATCHES; i++)
		run_batch();
	ASSERT_EQ(load.nr_injected, NR_BATCHES * NR_PAIRS);
	ASSERT_EQ(load.nr_repaired, load.nr_injected);
	ASSERT_EQ(nr_poisoned(), before + load.nr_injected);

	wait_for_pass();
	WRITE_ONCE(load.state->stop, 1);
	__atomic_store_n(&load.stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(vcpus[i], NULL);
	pthread_join(punch, NULL);
	ksft_print_msg("%lu errors, %lu repaired first, %lu exits, %lu holes\n",
		       load.nr_injected, load.nr_late, load.nr_exits,
		       load.nr_holes);
	gmem_cgroup_leave(&load.cg);
	gmem_vm_free(load.vm, &load.slot);
	poison_undo_all();
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_poison_against_fault_of_the_host),
	GMEM_TEST(test_poison_against_poison_of_the_same_page),
	GMEM_TEST(test_poison_against_poison_of_the_next_page),
	GMEM_TEST(test_poison_against_unpoison),
	GMEM_TEST(test_poison_against_punched_hole),
	GMEM_TEST(test_poison_against_close),
	GMEM_TEST(test_poison_against_fault_of_the_guest),
	GMEM_TEST(test_poison_against_a_slot_that_is_made_anew),
	GMEM_TEST(test_lost_page_against_to_private),
	GMEM_TEST(test_no_error_is_lost_under_load),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
