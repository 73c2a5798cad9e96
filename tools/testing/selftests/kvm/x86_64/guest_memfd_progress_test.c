// SPDX-License-Identifier: GPL-2.0
/*
 * Does a vCPU get on that touches pages which are new to it, while memory next
 * to them, or far away, changes all the time?
 *
 * A vCPU fills a range, of which the host takes all mappings away again (a hole
 * in the file), and so on.  Meanwhile, other threads change memory without a
 * pause.  In the next moment they do just the same to another VM, and that is what
 * the vCPU does undisturbed, with the same load on CPUs and caches.  By turns, two
 * things are measured for each time that it fills the range:
 *
 * - How many faults it takes.  One that has to start again is taken again.  With
 *   small pages, no load on the machine changes that number.
 * - How much CPU time its thread uses.  Each change flushes TLBs, for which the
 *   vCPU leaves the guest, and on an emulated CPU that takes as long as the fault of
 *   a small page: so it is the time for each exit there.  A fault also meets the
 *   lock that a conversion in place holds, and to sleep and wake up is not free.
 *   What the host takes from an emulated CPU for its other work is in that time,
 *   too, and makes some times long, but none short: it is the lower quartile that
 *   is compared, and a bad one must be bad again.  How long the thread sleeps is
 *   left out, which another test asks for (stall); the share by the clock is
 *   printed.
 *
 * Each page that changes is one that is there and that KVM has mapped, so that a
 * change takes a mapping away, flushes TLBs, and has the vCPU leave the guest.  The
 * pages of a zone change one after the other, a batch at a time; a second vCPU,
 * which never runs, maps the batch before by KVM_PRE_FAULT_MEMORY.
 */
#include <linux/mempolicy.h>
#include <pthread.h>
#include <time.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_huge.h"
#include "guest_memfd_move.h"

/* Below what the vCPU fills, what it fills, and above; and far away. */
#define ZONE		H
#define FILL_GPA	(GPA + ZONE)
#define FILL_SIZE	(2 * H)
#define ABOVE		(ZONE + FILL_SIZE)
#define SLOT_SIZE	(ABOVE + ZONE)
#define FAR		(512ULL << 20)
#define FILE_SIZE	(FAR + ZONE)
#define FAR_SLOT	(GMEM_DATA_SLOT + 1)

/* Pages that change between two calls of KVM_PRE_FAULT_MEMORY. */
#define BATCH		32
#define BATCH_SIZE	(BATCH * P)

/*
 * A turn without disturbance and one with it are a pair.  Another try takes twice
 * as many: the machine is busy.
 */
#define TURN_NS		(200 * MS)
#define NR_PAIRS	7
/* At most so many until all disturbers have changed enough. */
#define MAX_PAIRS	(4 * NR_PAIRS)
#define MIN_CHANGES	100
#define MIN_SPEED	35
#define MIN_HUGE_SPEED	50
/*
 * Faults for 100 undisturbed ones.  While a large folio is cleared, more changes
 * may end than KVM remembers, and few faults fill the range.
 */
#define MAX_FAULTS	105
#define MAX_HUGE_FAULTS	150
#define NR_TRIES	4
/* So many calls in 100 that move memory succeed. */
#define MIN_MOVED	50
/* At most so many times are measured; each turn needs room for one. */
#define MAX_FILLS	8192

enum { PATTERN = 1 };

/* A guest, whose thread is the one that runs the test. */
struct guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu, *mapper;
	struct gmem_slot slot, far;
	int fd;
	char *mem;	/* a mapping of all of the file, if it has one */
	/* Calls that move memory, and those that could move all of it. */
	unsigned long nr_moves, nr_moved;
};

struct disturber {
	/* Change @page of a batch, which is mapped, and back. */
	void (*change)(struct guest *g, u64 page);
	void (*back)(struct guest *g, u64 page);
	/* Have the host use a batch of pages while they are shared. */
	void (*use)(struct guest *g, u64 batch);
	/* Before the batches of a zone begin anew. */
	void (*renew)(struct guest *g, u64 zone);
	/* Bytes that one change is about. */
	u64 step;
	u64 offset;
	/* Of the side that the guest does not use: nothing is mapped. */
	bool idle;
	/* The one that is measured, and another. */
	struct guest *near, *other;
	u64 at[2];
	unsigned long changes[2];
	bool seen;	/* the value of disturb that it follows */
	pthread_t thread;
};

static bool disturb, stop;

/* Offsets are those of the file in place, and of gfns. */
static void attributes_to_shared(struct guest *g, u64 page)
{
	vm_mem_set_shared(g->vm, GPA + page, P);
}

static void attributes_to_private(struct guest *g, u64 page)
{
	vm_mem_set_private(g->vm, GPA + page, P);
}

static int zone_fd(struct guest *g, u64 zone)
{
	return !g->mem && zone >= FAR ? g->far.fd : g->fd;
}

/* A large folio that has been split stays so until it has gone. */
static void renew_zone(struct guest *g, u64 zone)
{
	int fd = zone_fd(g, zone);
	u64 offset = fd == g->fd ? zone : zone - FAR;

	gmem_punch_hole(fd, offset, ZONE);
	gmem_allocate(fd, offset, ZONE);
}

static void in_place_to_shared(struct guest *g, u64 page)
{
	gmem_to_shared(g->fd, page, P);
}

static void in_place_to_private(struct guest *g, u64 page)
{
	gmem_to_private(g->fd, page, P);
}

static void use_in_place(struct guest *g, u64 batch)
{
	u64 page;

	for (page = batch; page < batch + BATCH_SIZE; page += P)
		WRITE_ONCE(g->mem[page], 1);
}

/* Of the shared side: what MMU notifiers are about. */
static void drop_mapping(struct guest *g, u64 page)
{
	TEST_ASSERT(!madvise(g->slot.hva + page, P, MADV_DONTNEED), "errno %d",
		    errno);
}

static void use_hva(struct guest *g, u64 batch)
{
	u64 page;

	for (page = batch; page < batch + BATCH_SIZE; page += P)
		WRITE_ONCE(*(char *)(g->slot.hva + page), 1);
}

/* From one node to the other: to mappings, a move is a change like others. */
static void move_from_to(struct guest *g, u64 page, u64 size, int node)
{
	int ret = move_policy(g->fd, page, size, node,
			      MPOL_MF_MOVE | MPOL_MF_STRICT);

	TEST_ASSERT(!ret || ret == -EIO, "KVM_GMEM_SET_POLICY: %d", ret);
	__atomic_add_fetch(&g->nr_moves, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&g->nr_moved, !ret, __ATOMIC_RELAXED);
}

static void move_there(struct guest *g, u64 page)
{
	move_from_to(g, page, BATCH_SIZE, 1);
}

static void move_back(struct guest *g, u64 page)
{
	move_from_to(g, page, BATCH_SIZE, 0);
}

static void move_zone_there(struct guest *g, u64 page)
{
	move_from_to(g, page, ZONE, 1);
}

static void move_zone_back(struct guest *g, u64 page)
{
	move_from_to(g, page, ZONE, 0);
}

static void renew_on_node_0(struct guest *g, u64 zone)
{
	ASSERT_EQ(move_policy(g->fd, zone, ZONE, 0, 0), 0);
	renew_zone(g, zone);
}

static const struct disturber by_attributes = {
	.step = P,
	.change = attributes_to_shared,
	.back = attributes_to_private,
	.renew = renew_zone,
};

static const struct disturber in_place = {
	.step = P,
	.change = in_place_to_shared,
	.back = in_place_to_private,
	.use = use_in_place,
	.renew = renew_zone,
};

static const struct disturber by_mapping = {
	.step = P,
	.change = drop_mapping,
	.use = use_hva,
};

static const struct disturber by_migration = {
	.step = BATCH_SIZE,
	.change = move_there,
	.back = move_back,
	.renew = renew_on_node_0,
};

static const struct disturber by_huge_migration = {
	.step = ZONE,
	.change = move_zone_there,
	.back = move_zone_back,
	.renew = renew_on_node_0,
};

static u64 nr_mapped(struct kvm_vm *vm)
{
	return vm_get_stat(vm, "pages_4k") + 512 * vm_get_stat(vm, "pages_2m");
}

static void map_batch(struct guest *g, u64 batch)
{
	vcpu_pre_fault(g->mapper, GPA + batch, BATCH_SIZE);
}

static u64 batch_size(const struct disturber *d)
{
	return max_t(u64, d->step, BATCH_SIZE);
}

static void change_batch(struct disturber *d, bool near, u64 batch,
			 void (*change)(struct guest *g, u64 page))
{
	struct guest *g = near ? d->near : d->other;
	u64 page;

	if (!d->idle)
		map_batch(g, batch);
	for (page = batch; page < batch + batch_size(d); page += d->step) {
		change(g, page);
		d->changes[near]++;
		/* With it may go a mapping of 2 MiB: on with smaller ones. */
		if (page == batch && !d->idle)
			map_batch(g, batch);
	}
}

static void disturb_once(struct disturber *d, bool near)
{
	struct guest *g = near ? d->near : d->other;
	u64 batch = d->offset + d->at[near];

	WRITE_ONCE(d->seen, near);
	if (!d->at[near] && d->renew)
		d->renew(g, d->offset);
	if (!d->back) {
		d->use(g, batch);
		change_batch(d, near, batch, d->change);
	} else {
		change_batch(d, near, batch, d->change);
		if (d->use)
			d->use(g, batch);
		change_batch(d, near, batch, d->back);
	}
	d->at[near] = (d->at[near] + batch_size(d)) % ZONE;
}

static void *disturber_run(void *arg)
{
	struct disturber *d = arg;

	while (!READ_ONCE(stop))
		disturb_once(d, READ_ONCE(disturb));
	return NULL;
}

/* Do mappings go?  Nothing else happens in the VM meanwhile. */
static void check_disturber(struct disturber *d, struct guest *g)
{
	u64 batch = d->offset, before;

	if (d->idle)
		return;
	if (d->renew)
		d->renew(g, d->offset);
	if (!d->back)
		d->use(g, batch);
	map_batch(g, batch);
	before = nr_mapped(g->vm);
	d->change(g, batch);
	TEST_ASSERT(nr_mapped(g->vm) < before, "no mapping was taken away");
	if (!d->back)
		return;
	map_batch(g, batch);
	before = nr_mapped(g->vm);
	d->back(g, batch);
	TEST_ASSERT(nr_mapped(g->vm) < before, "nor back");
}

static u64 thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* What it took to fill the range, each time. */
struct fills {
	u64 cpu_ns[MAX_FILLS];
	u64 clock_ns[MAX_FILLS];
	unsigned int nr;
	u64 faults;	/* of all of them */
	u64 exits;
};

static void fill_once(struct guest *g, struct fills *f)
{
	u64 begin = gmem_now();
	u64 start = thread_ns();

	guest_fill(g->vcpu, FILL_GPA, FILL_SIZE, PATTERN);
	if (f) {
		f->cpu_ns[f->nr] = thread_ns() - start;
		f->clock_ns[f->nr++] = gmem_now() - begin;
	}
	gmem_punch_hole(g->fd, ZONE, FILL_SIZE);
}

static bool all_have_seen(const struct disturber *d, int nr, bool with)
{
	while (nr--)
		if (READ_ONCE(d[nr].seen) != with)
			return false;
	return true;
}

/* Fill for a while. */
static void fill_turn(struct guest *g, const struct disturber *d, int nr,
		      bool with, struct fills *f)
{
	u64 begin;

	WRITE_ONCE(disturb, with);
	do {
		fill_once(g, NULL);
	} while (!all_have_seen(d, nr, with));
	f->faults -= vcpu_get_stat(g->vcpu, "pf_taken");
	f->exits -= vcpu_get_stat(g->vcpu, "exits");
	begin = gmem_now();
	do {
		fill_once(g, f);
	} while (gmem_now() < begin + TURN_NS && f->nr < MAX_FILLS - MAX_PAIRS);
	f->faults += vcpu_get_stat(g->vcpu, "pf_taken");
	f->exits += vcpu_get_stat(g->vcpu, "exits");
}

static bool changed_enough(const struct disturber *d, int nr)
{
	while (nr--)
		if (READ_ONCE(d[nr].changes[1]) < MIN_CHANGES)
			return false;
	return true;
}

static int compare(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static u64 lower_quartile(u64 *ns, unsigned int nr)
{
	qsort(ns, nr, sizeof(ns[0]), compare);
	return ns[nr / 4];
}

/* In percent of what is undisturbed. */
struct result {
	unsigned int speed;
	unsigned int faults;
	unsigned int exits;
	bool huge;
};

static bool good_result(struct result r)
{
	if (r.huge)
		return r.speed >= MIN_HUGE_SPEED && r.faults <= MAX_HUGE_FAULTS;
	return r.speed * r.exits / 100 >= MIN_SPEED && r.faults <= MAX_FAULTS;
}

static struct result measure_once(struct guest *g, struct guest *other,
				  struct disturber *d, int nr, int min_pairs,
				  const char *what)
{
	static struct fills alone, with;
	int i, pairs = 0;
	struct result r;

	/* The vCPU runs before a thread of ioctls holds RCU up. */
	fill_once(g, NULL);
	for (i = 0; i < nr; i++)
		check_disturber(&d[i], other);
	disturb = false;
	stop = false;
	for (i = 0; i < nr; i++) {
		d[i].near = g;
		d[i].other = other;
		memset(d[i].changes, 0, sizeof(d[i].changes));
		memset(d[i].at, 0, sizeof(d[i].at));
		d[i].seen = true;	/* not yet */
		TEST_ASSERT(!pthread_create(&d[i].thread, NULL, disturber_run,
					    &d[i]), "no thread");
	}
	alone.nr = 0;
	alone.faults = 0;
	alone.exits = 0;
	with.nr = 0;
	with.faults = 0;
	with.exits = 0;
	do {
		fill_turn(g, d, nr, false, &alone);
		fill_turn(g, d, nr, true, &with);
		pairs++;
	} while (pairs < min_pairs ||
		 (pairs < MAX_PAIRS && !changed_enough(d, nr)));
	WRITE_ONCE(stop, true);
	for (i = 0; i < nr; i++)
		pthread_join(d[i].thread, NULL);

	r.huge = alone.faults < alone.nr * (FILL_SIZE / P);
	r.faults = 100 * with.faults * alone.nr / (alone.faults * with.nr);
	r.exits = 100 * with.exits * alone.nr / (alone.exits * with.nr);
	r.speed = 100 * lower_quartile(alone.cpu_ns, alone.nr) /
		  lower_quartile(with.cpu_ns, with.nr);
	ksft_print_msg("%s: speed %u %% (clock %lu %%), faults %u %%, exits %u %%, %u (%u) times\n",
		       what, r.speed,
		       100 * lower_quartile(alone.clock_ns, alone.nr) /
		       lower_quartile(with.clock_ns, with.nr),
		       r.faults, r.exits, with.nr, alone.nr);
	for (i = 0; i < nr; i++)
		ksft_print_msg("%s: %lu changes\n", what, d[i].changes[1]);
	TEST_ASSERT(changed_enough(d, nr), "%s: too few changes", what);
	return r;
}

static void measure(struct guest *g, struct guest *other, struct disturber *d,
		    int nr, const char *what)
{
	int pairs = NR_PAIRS, tries = 0;
	struct result r;

	do {
		r = measure_once(g, other, d, nr, pairs, what);
		pairs = min(2 * pairs, MAX_PAIRS);
	} while (!good_result(r) && ++tries < NR_TRIES);
	TEST_ASSERT(good_result(r), "%s: speed %u %%, faults %u %%, exits %u %%",
		    what, r.speed, r.faults, r.exits);
}

/*
 * With attributes that decide between two sides, all private
 */

/* The second vCPU is there to map memory. */
static void start_guest(struct guest *g)
{
	struct kvm_vcpu *vcpus[2];

	huge_require_private();
	host_set_thp("never");
	guest_word_step = P;
	g->vm = guest_vm_create(2, vcpus, SLOT_SIZE, &g->slot);
	g->vcpu = vcpus[0];
	g->mapper = vcpus[1];
	g->mem = NULL;
	g->nr_moves = 0;
	g->nr_moved = 0;
}

static void start_two_sides(struct guest *g, const char *thp)
{
	start_guest(g);
	g->fd = g->slot.fd;
	gmem_slot_add(&g->far, g->vm, FAR_SLOT, GPA + FAR, ZONE, NULL, -1, 0);
	vm_mem_set_private(g->vm, GPA, FILE_SIZE);
	guest_do(g->vcpu, GUEST_OP_NOP, 0, 0, 0);
	host_set_thp(thp);
}

static void end_two_sides(struct guest *g)
{
	gmem_vm_free(g->vm, &g->slot);
	gmem_slot_free(&g->far);
}

static void measure_two_sides(const char *thp, struct disturber *d, int nr,
			      const char *what)
{
	struct guest g, other;

	start_two_sides(&g, thp);
	start_two_sides(&other, thp);
	measure(&g, &other, d, nr, what);
	end_two_sides(&other);
	end_two_sides(&g);
}

static void measure_attributes(const char *thp, u64 offset, const char *what)
{
	struct disturber d = by_attributes;

	d.offset = offset;
	measure_two_sides(thp, &d, 1, what);
}

static void test_attributes_near_small_pages(void)
{
	measure_attributes("never", ABOVE, "4 KiB, next page");
}

static void test_attributes_far_from_small_pages(void)
{
	measure_attributes("never", FAR, "4 KiB, far");
}

static void test_attributes_near_huge_pages(void)
{
	measure_attributes("always", ABOVE, "2 MiB, next page");
}

static void test_attributes_far_from_huge_pages(void)
{
	measure_attributes("always", FAR, "2 MiB, far");
}

/*
 * Conversion in place
 */

static void start_in_place(struct guest *g, const char *thp, u64 flags)
{
	start_guest(g);
	gmem_slot_delete(&g->slot);
	g->fd = vm_create_guest_memfd(g->vm, FILE_SIZE,
				      GUEST_MEMFD_FLAG_MMAP | flags);
	vm_set_user_memory_region2(g->vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA, SLOT_SIZE, NULL, g->fd, 0);
	g->mem = gmem_mmap_aligned(g->fd, FILE_SIZE);
	vm_set_user_memory_region2(g->vm, FAR_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA + FAR, ZONE, NULL, g->fd, FAR);
	guest_do(g->vcpu, GUEST_OP_NOP, 0, 0, 0);
	host_set_thp(thp);
}

static void end_in_place(struct guest *g)
{
	munmap(g->mem, FILE_SIZE);
	vm_set_user_memory_region2(g->vm, FAR_SLOT, 0, GPA + FAR, 0, NULL, -1,
				   0);
	vm_set_user_memory_region2(g->vm, GMEM_DATA_SLOT, 0, GPA, 0, NULL, -1,
				   0);
	gmem_slot_bind(&g->slot);
	close(g->fd);
	gmem_vm_free(g->vm, &g->slot);
}

static void __measure_in_place(const char *thp, u64 flags, struct disturber *d,
			       int nr, const char *what)
{
	struct guest g, other;

	start_in_place(&g, thp, flags);
	start_in_place(&other, thp, flags);
	measure(&g, &other, d, nr, what);
	end_in_place(&other);
	end_in_place(&g);
	if (!g.nr_moves)
		return;
	ksft_print_msg("%s: %lu of %lu migrations\n", what, g.nr_moved,
		       g.nr_moves);
	TEST_ASSERT(g.nr_moved * 100 >= g.nr_moves * MIN_MOVED,
		    "%s: %lu of %lu migrations", what, g.nr_moved, g.nr_moves);
}

static void measure_in_place(const char *thp, u64 offset, const char *what)
{
	struct disturber d = in_place;

	d.offset = offset;
	__measure_in_place(thp, 0, &d, 1, what);
}

static void test_in_place_near_small_pages(void)
{
	measure_in_place("never", ABOVE, "in place, 4 KiB, next page");
}

static void test_in_place_far_from_small_pages(void)
{
	measure_in_place("never", FAR, "in place, 4 KiB, far");
}

static void test_in_place_near_huge_pages(void)
{
	measure_in_place("always", ABOVE, "in place, 2 MiB, next page");
}

static void test_in_place_far_from_huge_pages(void)
{
	measure_in_place("always", FAR, "in place, 2 MiB, far");
}

/*
 * Migration: one task below, one above and far away, in the same file
 */

static void measure_between_moves(const char *thp, const struct disturber *mover,
				  const char *what)
{
	struct disturber d[] = { *mover, *mover };

	move_require_nodes();
	d[0].offset = 0;
	d[1].offset = FAR;
	__measure_in_place(thp, GUEST_MEMFD_FLAG_MOVABLE, d, ARRAY_SIZE(d),
			   what);
}

static void test_between_migrations_of_small_pages(void)
{
	measure_between_moves("never", &by_migration, "migration, 4 KiB");
}

static void test_between_migrations_of_huge_pages(void)
{
	measure_between_moves("always", &by_huge_migration, "migration, 2 MiB");
}

/*
 * MMU notifiers
 */

static void share_for_mapping(struct guest *g, struct disturber *d)
{
	vm_mem_set_shared(g->vm, GPA + d->offset, ZONE);
}

/* The first disturber is one by mapping, whose zone is shared. */
static void measure_mappings(struct disturber *d, int nr, const char *what)
{
	struct guest g, other;

	start_two_sides(&g, "never");
	start_two_sides(&other, "never");
	share_for_mapping(&g, &d[0]);
	share_for_mapping(&other, &d[0]);
	measure(&g, &other, d, nr, what);
	end_two_sides(&other);
	end_two_sides(&g);
}

static void test_mapping_of_neighbour(void)
{
	struct disturber d = by_mapping;

	d.offset = ABOVE;
	measure_mappings(&d, 1, "mapping, next page");
}

/* The shared side of the very pages that the vCPU has in private. */
static void test_mapping_of_other_side(void)
{
	struct disturber d = by_mapping;

	d.offset = ZONE;
	d.idle = true;
	measure_two_sides("never", &d, 1, "mapping, other side");
}

/* One below and one above: all between them is not concerned. */
static void test_between_two_invalidations(void)
{
	struct disturber d[] = { by_mapping, by_attributes };

	d[0].offset = 0;
	d[1].offset = FAR;
	measure_mappings(d, ARRAY_SIZE(d), "between two");
}

static void check_mappings_of_private_stay(const char *thp)
{
	struct guest g;
	u64 before;

	start_two_sides(&g, thp);
	memset(g.slot.hva, 1, SLOT_SIZE);
	guest_fill(g.vcpu, FILL_GPA, FILL_SIZE, PATTERN);
	before = nr_mapped(g.vm);
	TEST_ASSERT(before >= FILL_SIZE / P, "%lu pages mapped", before);

	TEST_ASSERT(!madvise(g.slot.hva, SLOT_SIZE, MADV_DONTNEED), "madvise");
	ASSERT_EQ(nr_mapped(g.vm), before);
	guest_check(g.vcpu, FILL_GPA, FILL_SIZE, PATTERN);
	end_two_sides(&g);
}

static void test_mmu_notifier_leaves_private_mappings(void)
{
	check_mappings_of_private_stay("never");
	check_mappings_of_private_stay("always");
}

/* Every other page: each mapping is judged by itself. */
static void test_mmu_notifier_zaps_shared_among_private(void)
{
	u64 gpa, before;
	struct guest g;

	start_two_sides(&g, "never");
	for (gpa = FILL_GPA; gpa < FILL_GPA + H; gpa += 2 * P)
		vm_mem_set_shared(g.vm, gpa, P);
	guest_fill(g.vcpu, FILL_GPA, H, PATTERN);
	before = nr_mapped(g.vm);

	TEST_ASSERT(!madvise(g.slot.hva, SLOT_SIZE, MADV_DONTNEED), "madvise");
	ASSERT_EQ(nr_mapped(g.vm), before - H / P / 2);
	for (gpa = FILL_GPA; gpa < FILL_GPA + H; gpa += 2 * P) {
		guest_check_zero(g.vcpu, gpa, P);
		guest_check(g.vcpu, gpa + P, P, PATTERN);
	}
	end_two_sides(&g);
}

static void test_hole_leaves_shared_mappings(void)
{
	struct guest g;
	u64 before;

	start_two_sides(&g, "never");
	vm_mem_set_shared(g.vm, FILL_GPA, H);
	guest_fill(g.vcpu, FILL_GPA, FILL_SIZE, PATTERN);
	before = nr_mapped(g.vm);

	gmem_punch_hole(g.fd, ZONE, FILL_SIZE);
	ASSERT_EQ(nr_mapped(g.vm), before - (FILL_SIZE - H) / P);
	guest_check(g.vcpu, FILL_GPA, H, PATTERN);
	guest_check_zero(g.vcpu, FILL_GPA + H, FILL_SIZE - H);
	end_two_sides(&g);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_mmu_notifier_leaves_private_mappings),
	GMEM_TEST(test_mmu_notifier_zaps_shared_among_private),
	GMEM_TEST(test_hole_leaves_shared_mappings),
	GMEM_TEST(test_attributes_near_small_pages),
	GMEM_TEST(test_attributes_far_from_small_pages),
	GMEM_TEST(test_attributes_near_huge_pages),
	GMEM_TEST(test_attributes_far_from_huge_pages),
	GMEM_TEST(test_in_place_near_small_pages),
	GMEM_TEST(test_in_place_far_from_small_pages),
	GMEM_TEST(test_in_place_near_huge_pages),
	GMEM_TEST(test_in_place_far_from_huge_pages),
	GMEM_TEST(test_between_migrations_of_small_pages),
	GMEM_TEST(test_between_migrations_of_huge_pages),
	GMEM_TEST(test_mapping_of_neighbour),
	GMEM_TEST(test_mapping_of_other_side),
	GMEM_TEST(test_between_two_invalidations),
};

int main(int argc, char *argv[])
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
