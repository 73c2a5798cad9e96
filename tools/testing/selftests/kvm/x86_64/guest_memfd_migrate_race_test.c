// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that moves, against everything that uses or changes it at that time.
 *
 * What was written stays written, whoever has written it and whenever; what has
 * become private can be had by no one; what is lost is not found again.
 *
 * Needs two nodes with memory.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/kvm_para.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <signal.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "guest_memfd_move.h"
#include "guest_memfd_pfn.h"
#include "processor.h"
#include "race.h"

#define SIZE		(8 * H)
#define MAX_LOOPS	1000
#define MAX_MS		4000
/* At least so many of the migrations succeed, in per cent, that are tried. */
#define MIN_SUCCESS	25

/*
 * A task that moves a part of a file to and fro
 */

struct mover {
	struct move_file *f;
	u64 offset, size, step;
	unsigned int pause_us;
	u64 nr_moved, nr_tried;
	bool stop;
	pthread_t thread;
};

static int move_one(struct move_file *f, u64 offset, u64 size, int node)
{
	/* Mapped memory like a task that does not know of KVM. */
	if (!f->kind->private && size == (f->kind->huge ? H : P))
		return move_page(f->mem + offset, node) == node ? 0 : -EIO;
	return move_policy(f->fd, offset, size, node,
			   MPOL_MF_MOVE_ALL | MPOL_MF_STRICT);
}

static void *mover_thread(void *arg)
{
	struct mover *m = arg;
	int node = 1;
	u64 i;

	while (!__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE)) {
		for (i = 0; i < m->size; i += m->step) {
			m->nr_moved += !move_one(m->f, m->offset + i, m->step,
						 node);
			m->nr_tried++;
			if (m->pause_us)
				usleep(m->pause_us);
		}
		node = !node;
	}
	return NULL;
}

/* @pause_us: between two migrations */
static void mover_start(struct mover *m, struct move_file *f, u64 offset,
			u64 size, unsigned int pause_us)
{
	*m = (struct mover) {
		.f = f,
		.offset = offset,
		.size = size,
		.step = f->kind->huge ? H : P,
		.pause_us = pause_us,
	};
	pthread_create(&m->thread, NULL, mover_thread, m);
}

static void mover_join(struct mover *m)
{
	__atomic_store_n(&m->stop, true, __ATOMIC_RELEASE);
	pthread_join(m->thread, NULL);
}

static void mover_check(struct mover *m, const char *what)
{
	ksft_print_msg("%s, %s: %lu of %lu migrations\n", m->f->kind->name, what,
		       m->nr_moved, m->nr_tried);
	TEST_ASSERT(m->nr_moved && m->nr_moved * 100 >= m->nr_tried * MIN_SUCCESS,
		    "%s, %s: %lu of %lu migrations", m->f->kind->name, what,
		    m->nr_moved, m->nr_tried);
}

/*
 * A guest that counts
 */

/*
 * Two tasks move the two ends of the memory; the guest is everywhere.  They do so at
 * their leisure: QEMU can lose a guest that is interrupted all the time.
 */
static void count_and_move(const struct move_kind *kind)
{
	struct mover movers[2];
	struct move_counter c;
	struct move_file f;

	move_start(&f, kind, SIZE, 0, GUEST_MEMFD_FLAG_MOVABLE);
	move_counter_start(&c, &f);
	mover_start(&movers[0], &f, 0, 2 * H, 1000);
	mover_start(&movers[1], &f, SIZE - 2 * H, 2 * H, 1000);
	usleep(1000 * race_ms(MAX_MS));
	mover_join(&movers[0]);
	mover_join(&movers[1]);
	move_counter_end(&c);
	mover_check(&movers[0], "the guest writes");
	mover_check(&movers[1], "the guest writes");
	move_end(&f);
}

static void test_guest_writes_against_migration(void)
{
	move_require_nodes();
	count_and_move(&move_kinds[2]);
	count_and_move(&move_kinds[3]);
}

/*
 * KVM counts: each time that it is asked to write the wall clock, the version there
 * goes up by two.
 */
static void clock_and_move(const struct move_kind *kind)
{
	u64 passes = 0, end, i, value;
	struct move_file f;
	struct mover mover;

	move_start(&f, kind, kind->huge ? 2 * H : H / 8, 0,
		   GUEST_MEMFD_FLAG_MOVABLE);
	for (i = 0; i < f.nr; i++)
		guest_write(f.g.vcpu, GPA + i * P, 0);
	mover_start(&mover, &f, 0, f.size, 0);
	for (end = gmem_now() + race_ms(MAX_MS) * MS; gmem_now() < end; passes++)
		for (i = 0; i < f.nr; i++)
			vcpu_set_msr(f.g.vcpu, MSR_KVM_WALL_CLOCK_NEW,
				     GPA + i * P);
	mover_join(&mover);

	ksft_print_msg("%s: %lu passes of KVM\n", kind->name, passes);
	for (i = 0; i < f.nr; i++) {
		value = guest_read(f.g.vcpu, GPA + i * P) & 0xffffffff;
		TEST_ASSERT(value == 2 * passes,
			    "%s, page %lu: version %lu after %lu passes",
			    kind->name, i, value, passes);
	}
	mover_check(&mover, "KVM writes");
	move_end(&f);
}

static void test_kvm_writes_against_migration(void)
{
	move_require_nodes();
	clock_and_move(&move_kinds[2]);
	clock_and_move(&move_kinds[3]);
}

/*
 * Steal time, which KVM writes when the vCPU is scheduled in and out
 */

#define STEAL_OFFSET	(3 * P)

static struct stealing {
	u64 steal, version, nr_changes;
	u64 went_back;
	u64 stop;
} stealing;

static u64 guest_watch_steal(void)
{
	struct kvm_steal_time *st = (void *)(GPA + STEAL_OFFSET);
	u64 steal;
	u32 version;

	memset(st, 0, sizeof(*st));
	wrmsr(MSR_KVM_STEAL_TIME, (u64)st | KVM_MSR_ENABLED);
	while (!READ_ONCE(stealing.stop)) {
		steal = READ_ONCE(st->steal);
		version = READ_ONCE(st->version);
		if (steal < stealing.steal ||
		    (s32)(version - (u32)stealing.version) < 0)
			stealing.went_back++;
		stealing.nr_changes += version != (u32)stealing.version;
		stealing.steal = steal;
		stealing.version = version;
	}
	wrmsr(MSR_KVM_STEAL_TIME, 0);
	return 0;
}

static void *steal_thread(void *vcpu)
{
	guest_cmd_set(vcpu, GUEST_OP_CALL, (u64)guest_watch_steal, 0, 0);
	guest_cmd_finish(vcpu);
	return NULL;
}

static void *burn_thread(void *stop)
{
	while (!READ_ONCE(*(bool *)stop))
		;
	return NULL;
}

static void test_steal_time_against_migration(void)
{
	pthread_t thread, burners[2];
	struct stealing *s;
	struct move_file f;
	struct mover mover;
	bool stop = false;
	int i;

	move_require_nodes();
	move_start(&f, &move_kinds[2], H, 0, GUEST_MEMFD_FLAG_MOVABLE);
	s = addr_gva2hva(f.g.vm, (vm_vaddr_t)&stealing);
	pthread_create(&thread, NULL, steal_thread, f.g.vcpu);
	/* Somebody has to steal. */
	for (i = 0; i < 2; i++)
		pthread_create(&burners[i], NULL, burn_thread, &stop);
	mover_start(&mover, &f, STEAL_OFFSET, P, 200);
	usleep(1000 * race_ms(MAX_MS));
	mover_join(&mover);
	WRITE_ONCE(s->stop, 1);
	pthread_join(thread, NULL);
	WRITE_ONCE(stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(burners[i], NULL);

	ksft_print_msg("steal time: %lu ns, %lu changes; %lu of %lu migrations\n",
		       s->steal, s->nr_changes, mover.nr_moved, mover.nr_tried);
	TEST_ASSERT(!s->went_back, "it went back %lu times", s->went_back);
	TEST_ASSERT(s->steal && s->nr_changes && mover.nr_moved,
		    "nothing has happened");
	move_end(&f);
}

/*
 * The kernel writes to pages that it has looked up in page tables of the host
 */

static void pin_and_move(const struct move_kind *kind)
{
	u64 pass = 0, value, i, nr_bad = 0, end;
	struct iovec local = { &value, sizeof(value) }, remote;
	struct move_file f;
	struct mover mover;

	move_start(&f, kind, kind->huge ? 2 * H : H / 8, 0,
		   GUEST_MEMFD_FLAG_MOVABLE);
	for (i = 0; i < f.nr; i++)
		*(u64 *)(f.mem + move_word_of(i)) = 0;
	mover_start(&mover, &f, 0, f.size, 0);

	end = gmem_now() + race_ms(MAX_MS) * MS;
	while (!nr_bad && gmem_now() < end) {
		for (i = 0; i < f.nr; i++) {
			u64 *p = (u64 *)(f.mem + move_word_of(i));

			nr_bad += READ_ONCE(*p) != pass;
			value = pass + 1;
			remote = (struct iovec) { p, sizeof(*p) };
			TEST_ASSERT(process_vm_writev(getpid(), &local, 1,
						      &remote, 1, 0) == 8,
				    "errno %d", errno);
		}
		pass++;
	}
	mover_join(&mover);
	TEST_ASSERT(!nr_bad, "%s: %lu words are not what was written in pass %lu",
		    kind->name, nr_bad, pass);
	ksft_print_msg("%s: %lu passes\n", kind->name, pass);
	mover_check(&mover, "pins");
	move_end(&f);
}

static void test_pins_against_migration(void)
{
	move_require_nodes();
	pin_and_move(&move_kinds[0]);
	pin_and_move(&move_kinds[1]);
}

/*
 * Pairs of calls
 */

struct pair {
	struct move_file f;
	u64 pfn;
	int node;	/* to move to */
	int a, b;
	bool wait;
	unsigned int nr_moved, nr_b, nr_both;
};

static bool pair_complain(struct pair *p, const char *what)
{
	ksft_print_msg("%s: %s; A = %d, B = %d\n", p->f.kind->name, what, p->a,
		       p->b);
	return false;
}

static void pair_count(struct pair *p)
{
	p->nr_moved += !p->a;
	p->nr_b += !p->b;
	p->nr_both += !p->a && !p->b;
	if (!p->a)
		p->node = !p->node;
}

/* Both have succeeded at times. */
static bool pair_met(void *ctx)
{
	struct pair *p = ctx;

	return p->nr_moved && p->nr_b;
}

static void pair_race(const struct race_ops *ops, struct pair *p)
{
	struct race_stats stats;
	bool ok = race_run(ops, p, MAX_LOOPS, MAX_MS, &stats);

	ksft_print_msg("%s: %u moved, %u times B, %u both\n", p->f.kind->name,
		       p->nr_moved, p->nr_b, p->nr_both);
	TEST_ASSERT(ok, "%s", ops->name);
}

/* Conversion of a page that is mapped, moved by way of the mapping. */

static void run_move_mapped(void *ctx)
{
	struct pair *p = ctx;

	p->a = move_page(p->f.mem, p->node) == p->node ? 0 : -EIO;
}

static void run_to_private(void *ctx)
{
	struct pair *p = ctx;

	p->b = __gmem_convert(p->f.fd, 0, P, GMEM_PRIVATE,
			      p->wait ? GMEM_WAIT : 0, p->wait ? 100 * MS : 0,
			      NULL);
}

static void setup_shared(void *ctx)
{
	struct pair *p = ctx;

	*(u64 *)p->f.mem = 0x1234;
}

static bool check_converted(void *ctx)
{
	struct pair *p = ctx;

	pair_count(p);
	if (p->b && p->b != -EAGAIN)
		return pair_complain(p, "wrong result");
	if (p->b)
		return *(u64 *)p->f.mem == 0x1234 ||
		       pair_complain(p, "wrong data of the host");
	if (gmem_touch(p->f.mem, false) != SIGBUS ||
	    gmem_touch(p->f.mem, true) != SIGBUS)
		return pair_complain(p, "the host has the page");
	if (guest_read(p->f.g.vcpu, GPA) != 0x1234)
		return pair_complain(p, "wrong data of the guest");
	gmem_to_shared(p->f.fd, 0, P);
	return true;
}

static void move_against_conversion(bool wait)
{
	static const struct race_ops ops = {
		.name = "move_pages, to private",
		.setup = setup_shared,
		.run_a = run_move_mapped,
		.run_b = run_to_private,
		.check = check_converted,
		.met = pair_met,
	};
	struct pair p = { .node = 1, .wait = wait };

	move_require_nodes();
	move_start(&p.f, &move_kinds[2], H, 0, GUEST_MEMFD_FLAG_MOVABLE);
	gmem_to_shared(p.f.fd, 0, P);
	pair_race(&ops, &p);
	move_end(&p.f);
}

static void test_conversion_against_migration(void)
{
	move_against_conversion(false);
}

static void test_waiting_conversion_against_migration(void)
{
	move_against_conversion(true);
}

/* What is private, moved by the file's policy. */

static void run_move_private(void *ctx)
{
	struct pair *p = ctx;

	p->a = move_policy(p->f.fd, 0, p->f.kind->huge ? H : P, p->node,
			   MPOL_MF_MOVE | MPOL_MF_STRICT);
}

static void run_punch(void *ctx)
{
	struct pair *p = ctx;

	p->b = errno_of(__gmem_punch_hole(p->f.fd, 0, P));
}

static void setup_private(void *ctx)
{
	struct pair *p = ctx;

	if (p->f.kind->huge) {
		gmem_punch_hole(p->f.fd, 0, H);
		gmem_allocate(p->f.fd, 0, H);
	}
	guest_write(p->f.g.vcpu, GPA, 0x1234);
	guest_write(p->f.g.vcpu, GPA + P, 0x5678);
}

static bool check_punched(void *ctx)
{
	struct pair *p = ctx;

	pair_count(p);
	if (p->b)
		return pair_complain(p, "no hole");
	if (p->a && p->a != -EIO)
		return pair_complain(p, "wrong result");
	if (gmem_allocated(p->f.fd) != p->f.size - P)
		return pair_complain(p, "wrong size");
	if (guest_read(p->f.g.vcpu, GPA))
		return pair_complain(p, "not a new page");
	if (guest_read(p->f.g.vcpu, GPA + P) != 0x5678)
		return pair_complain(p, "wrong data");
	return true;
}

static void race_private(const struct race_ops *ops, const struct move_kind *kind)
{
	struct pair p = { .node = 1 };

	move_require_nodes();
	move_start(&p.f, kind, H, 0, GUEST_MEMFD_FLAG_MOVABLE);
	pair_race(ops, &p);
	move_end(&p.f);
}

static const struct race_ops punch_ops = {
	.name = "migration, punch",
	.setup = setup_private,
	.run_a = run_move_private,
	.run_b = run_punch,
	.check = check_punched,
	.met = pair_met,
};

static void test_hole_against_migration(void)
{
	race_private(&punch_ops, &move_kinds[2]);
}

static void test_hole_in_a_huge_page_against_migration(void)
{
	race_private(&punch_ops, &move_kinds[3]);
}

/* A page is lost where it is, or where it has just been. */

static void setup_poison(void *ctx)
{
	struct pair *p = ctx;

	setup_private(p);
	p->pfn = move_pfn(&p->f, 0);
}

static void run_poison(void *ctx)
{
	struct pair *p = ctx;

	p->b = __poison_pfn(p->pfn, POISON_CORRUPT);
	poison_remember(p->pfn);
}

static bool check_poisoned(void *ctx)
{
	struct pair *p = ctx;
	struct kvm_vcpu *vcpu = p->f.g.vcpu;
	bool ok = true;
	int ret;

	pair_count(p);
	if (p->a && p->a != -EIO)
		return pair_complain(p, "wrong result of A");
	/* It is elsewhere, or lost; never somebody else's zeros. */
	guest_cmd_set(vcpu, GUEST_OP_READ, GPA, 0, 0);
	ret = guest_cmd_run(vcpu);
	if (!ret) {
		guest_cmd_complete(vcpu);
		ok = guest_cmd_of(vcpu)->value == 0x1234 ||
		     pair_complain(p, "wrong data");
	} else if (ret != -EHWPOISON || p->b) {
		ok = pair_complain(p, "wrong exit");
	}
	gmem_punch_hole(p->f.fd, 0, p->f.size);
	gmem_allocate(p->f.fd, 0, p->f.size);
	if (ret)
		guest_cmd_finish(vcpu);
	poison_undo_all();
	return ok;
}

static const struct race_ops poison_ops = {
	.name = "migration, poison",
	.setup = setup_poison,
	.run_a = run_move_private,
	.run_b = run_poison,
	.check = check_poisoned,
	.met = pair_met,
};

static void test_poison_against_migration(void)
{
	poison_require();
	race_private(&poison_ops, &move_kinds[2]);
}

static void test_poison_of_a_huge_page_against_migration(void)
{
	poison_require();
	race_private(&poison_ops, &move_kinds[3]);
}

/*
 * Everything ends while memory is being moved
 */

static void end_while_moving(const struct move_kind *kind, bool kill_it)
{
	struct mover movers[2];
	struct move_file f;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		move_start(&f, kind, SIZE, 0, GUEST_MEMFD_FLAG_MOVABLE);
		mover_start(&movers[0], &f, 0, 2 * H, 0);
		mover_start(&movers[1], &f, SIZE - 2 * H, 2 * H, 0);
		usleep(200000);
		if (kill_it)
			kill(getpid(), SIGKILL);
		/* The slot goes, then the file, then the VM. */
		vm_set_user_memory_region2(f.g.vm, GMEM_DATA_SLOT, 0,
					   GMEM_DATA_GPA, 0, NULL, -1, 0);
		_exit(movers[0].nr_tried && movers[1].nr_tried ? 0 : 1);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "errno %d", errno);
	if (kill_it)
		TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
			    "status 0x%x", status);
	else
		TEST_ASSERT(!status, "status 0x%x", status);
}

static void test_end_against_migration(void)
{
	u64 before;
	int i, k;

	move_require_nodes();
	host_set_thp("madvise");
	before = gmem_nr_files();
	for (i = 0; i < 3; i++) {
		for (k = 2; k < MOVE_KINDS; k++) {
			end_while_moving(&move_kinds[k], false);
			end_while_moving(&move_kinds[k], true);
		}
	}
	gmem_assert_files_returned(before);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_guest_writes_against_migration),
	GMEM_TEST(test_kvm_writes_against_migration),
	GMEM_TEST(test_steal_time_against_migration),
	GMEM_TEST(test_pins_against_migration),
	GMEM_TEST(test_conversion_against_migration),
	GMEM_TEST(test_waiting_conversion_against_migration),
	GMEM_TEST(test_hole_against_migration),
	GMEM_TEST(test_hole_in_a_huge_page_against_migration),
	GMEM_TEST(test_poison_against_migration),
	GMEM_TEST(test_poison_of_a_huge_page_against_migration),
	GMEM_TEST(test_end_against_migration),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	guest_word_step = 512;

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
