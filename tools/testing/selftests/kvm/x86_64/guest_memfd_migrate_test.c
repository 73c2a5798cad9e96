// SPDX-License-Identifier: GPL-2.0-only
/*
 * Movable memory moves: mm is asked in all the ways that there are, and the pages
 * have to be elsewhere afterwards, with their contents.
 *
 * Each test is run on pages of 4 KiB and of 2 MiB, shared and mapped by the host,
 * or private and mapped by a guest.
 *
 * Needs two nodes with memory.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <pthread.h>
#include <signal.h>
#include <linux/mempolicy.h>

#include "guest_memfd_move.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_zone.h"

#define SIZE		(4 * H)
#define MIGRATE_EVENT	"guest_memfd_migrate"

static u64 huge_of(struct move_file *f)
{
	return f->kind->huge ? f->size : 0;
}

/* All pages are on the node, with the contents that they had. */
static void assert_on_node(struct move_file *f, int node, const char *when)
{
	u64 *now = move_find(f, when), i;

	for (i = 0; i < f->nr; i++)
		TEST_ASSERT(move_node_of(now[i]) == node,
			    "%s, %s: page %lu is at 0x%lx, not on node %d",
			    f->kind->name, when, i, now[i], node);
	free(f->pfns);
	f->pfns = now;
	move_check(f, 1);
}

/*
 * What the host's page tables lead to
 */

static void move_to(struct move_file *f, int node)
{
	u64 step = f->kind->huge ? H : P, i;
	int status;

	for (i = 0; i < f->size; i += step) {
		status = move_page(f->mem + i, node);
		TEST_ASSERT(status == node, "%s, page %llu: %d", f->kind->name,
			    i / P, status);
	}
	assert_on_node(f, node, "move_pages()");
	move_assert_usage(f, huge_of(f), "move_pages()");
}

static void do_move_pages(struct move_file *f)
{
	if (f->kind->private) {
		ASSERT_EQ(move_page(f->mem, 1), -ENOENT);
		move_assert_still(f, "move_pages()");
		return;
	}
	move_to(f, 1);
	move_to(f, 0);
}

static void test_move_pages(void)
{
	move_with_all(SIZE, 0, GUEST_MEMFD_FLAG_MOVABLE, do_move_pages);
}

static void do_mbind(struct move_file *f)
{
	if (f->kind->private)
		return;
	ASSERT_EQ(move_mbind(f, 1, MPOL_MF_MOVE | MPOL_MF_STRICT), 0);
	assert_on_node(f, 1, "mbind()");
	move_assert_usage(f, huge_of(f), "mbind()");
}

static void test_mbind(void)
{
	move_with_all(SIZE, 0, GUEST_MEMFD_FLAG_MOVABLE, do_mbind);
}

/* What is private, too; in one call, and page by page. */
static void do_set_policy(struct move_file *f)
{
	u64 step = f->kind->huge ? H : P, i;

	ASSERT_EQ(move_policy(f->fd, 0, f->size, 1,
			      MPOL_MF_MOVE | MPOL_MF_STRICT), 0);
	assert_on_node(f, 1, "KVM_GMEM_SET_POLICY");
	move_assert_usage(f, huge_of(f), "KVM_GMEM_SET_POLICY");

	for (i = 0; i < f->size; i += step)
		ASSERT_EQ(move_policy(f->fd, i, step, 0,
				      MPOL_MF_MOVE_ALL | MPOL_MF_STRICT), 0);
	assert_on_node(f, 0, "KVM_GMEM_SET_POLICY, in parts");
	move_assert_usage(f, huge_of(f), "KVM_GMEM_SET_POLICY, in parts");

	/* The policy, without the memory; then what does not follow it. */
	ASSERT_EQ(move_policy(f->fd, 0, f->size, 1, 0), 0);
	assert_on_node(f, 0, "policy");
	ASSERT_EQ(move_policy(f->fd, 0, f->size, 1, MPOL_MF_STRICT), -EIO);
	gmem_punch_hole(f->fd, 0, f->size);
	move_fill(f, 1);
	assert_on_node(f, 1, "allocated anew");
	ASSERT_EQ(move_policy(f->fd, 0, f->size, 1, MPOL_MF_STRICT), 0);
}

static void test_set_policy(void)
{
	move_with_all(SIZE, 0, GUEST_MEMFD_FLAG_MOVABLE, do_set_policy);
}

/* A huge page in which policies differ is split, and a part of it moves. */
static void test_set_policy_of_a_part_of_a_huge_page(void)
{
	struct move_file f;
	u64 *now, i;

	move_require_nodes();
	move_start(&f, &move_kinds[3], SIZE, 0, GUEST_MEMFD_FLAG_MOVABLE);
	ASSERT_EQ(move_policy(f.fd, H + P, 2 * P, 1,
			      MPOL_MF_MOVE | MPOL_MF_STRICT), 0);
	now = move_find(&f, "policy of two pages");
	for (i = 0; i < f.nr; i++)
		ASSERT_EQ(move_node_of(now[i]), i / 512 == 1 && (i % 512 == 1 ||
								 i % 512 == 2));
	free(now);
	move_assert_usage(&f, SIZE - H, "policy of two pages");
	move_check(&f, 1);
	move_end(&f);
}

/*
 * However many policies a call replaces, a task that allocates elsewhere does not
 * wait for it.
 */
#define NR_POLICIES	60000

struct allocator {
	int fd;
	u64 page;
	bool stop;
	u64 rounds;
	u64 longest;	/* in ns */
};

static void *allocate_and_punch(void *arg)
{
	struct allocator *a = arg;

	while (!READ_ONCE(a->stop)) {
		u64 start = gmem_now(), ns;

		gmem_allocate(a->fd, a->page * P, P);
		ns = gmem_now() - start;
		if (ns > a->longest)
			WRITE_ONCE(a->longest, ns);
		gmem_punch_hole(a->fd, a->page * P, P);
		WRITE_ONCE(a->rounds, a->rounds + 1);
	}
	return NULL;
}

static void set_policies(int fd)
{
	u64 i;

	/* Holes between them, which are one policy less. */
	for (i = 0; i < NR_POLICIES; i++)
		ASSERT_EQ(move_policy(fd, 2 * i * P, P, 0, 0), 0);
}

static void test_many_policies_keep_nobody_waiting(void)
{
	struct allocator a = { .page = 2 * NR_POLICIES };
	u64 took, rounds, longest;
	pthread_t thread;
	struct kvm_vm *vm;

	vm = vm_create_barebones();
	a.fd = vm_create_guest_memfd(vm, GMEM_PAGES(2 * NR_POLICIES + 1), 0);
	set_policies(a.fd);
	pthread_create(&thread, NULL, allocate_and_punch, &a);
	while (READ_ONCE(a.rounds) < 10)
		usleep(1000);

	WRITE_ONCE(a.longest, 0);
	rounds = READ_ONCE(a.rounds);
	took = gmem_now();
	ASSERT_EQ(move_policy(a.fd, 0, GMEM_PAGES(2 * NR_POLICIES), 0, 0), 0);
	took = gmem_now() - took;
	longest = READ_ONCE(a.longest);
	rounds = READ_ONCE(a.rounds) - rounds;
	WRITE_ONCE(a.stop, true);
	pthread_join(thread, NULL);
	ksft_print_msg("%u policies: %lu us, %lu allocations, the longest %lu us\n",
		       NR_POLICIES, took / 1000, rounds, longest / 1000);
	TEST_ASSERT(rounds > 10 && longest < took / 2,
		    "an allocation took %lu of %lu us, %lu rounds",
		    longest / 1000, took / 1000, rounds);
	set_policies(a.fd);
	close(a.fd);
	kvm_vm_free(vm);
}

static void test_set_policy_with_bad_arguments(void)
{
	static const struct {
		const char *what;
		u64 offset, size;
		u32 mode, flags;
		u64 nodes, maxnode, reserved;
		int err;
	} bad[] = {
		{ "not aligned", 1, P, MPOL_BIND, 0, 1, 64, 0, EINVAL },
		{ "size not aligned", 0, P + 1, MPOL_BIND, 0, 1, 64, 0, EINVAL },
		{ "size 0", 0, 0, MPOL_BIND, 0, 1, 64, 0, EINVAL },
		{ "beyond the end", P, SIZE, MPOL_BIND, 0, 1, 64, 0, EINVAL },
		{ "overflow", -P, 2 * P, MPOL_BIND, 0, 1, 64, 0, EINVAL },
		{ "mode", 0, P, 0x7fff, 0, 1, 64, 0, EINVAL },
		{ "flags", 0, P, MPOL_BIND, 0x80, 1, 64, 0, EINVAL },
		{ "no nodes", 0, P, MPOL_BIND, 0, 0, 64, 0, EINVAL },
		{ "nodes that do not exist", 0, P, MPOL_BIND, 0, 1UL << 60, 64,
		  0, EINVAL },
		{ "default with nodes", 0, P, MPOL_DEFAULT, 0, 1, 64, 0, EINVAL },
		{ "maxnode", 0, P, MPOL_BIND, 0, 1, 1UL << 40, 0, EINVAL },
		{ "reserved", 0, P, MPOL_BIND, 0, 1, 64, 1, EINVAL },
	};
	struct kvm_gmem_policy policy;
	struct move_file f;
	u64 nodes;
	int i;

	move_require_nodes();
	move_start(&f, &move_kinds[0], SIZE, 0, GUEST_MEMFD_FLAG_MOVABLE);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		nodes = bad[i].nodes;
		policy = (struct kvm_gmem_policy) {
			.offset = bad[i].offset,
			.size = bad[i].size,
			.mode = bad[i].mode,
			.flags = bad[i].flags,
			.nodemask = (u64)&nodes,
			.maxnode = bad[i].maxnode,
			.reserved[9] = bad[i].reserved,
		};
		GMEM_ASSERT_ERRNO(ioctl(f.fd, KVM_GMEM_SET_POLICY, &policy),
				  bad[i].err, "%s", bad[i].what);
	}
	GMEM_ASSERT_ERRNO(ioctl(f.fd, KVM_GMEM_SET_POLICY, NULL), EFAULT, "NULL");
	policy = (struct kvm_gmem_policy) {
		.size = P, .mode = MPOL_BIND, .nodemask = 8, .maxnode = 64,
	};
	GMEM_ASSERT_ERRNO(ioctl(f.fd, KVM_GMEM_SET_POLICY, &policy), EFAULT,
			  "nodes");

	/* The policy is what it was: node 0 is where new pages come from. */
	move_assert_still(&f, "bad arguments");
	ASSERT_EQ(move_policy(f.fd, 0, SIZE, 0, MPOL_MF_STRICT), 0);
	gmem_punch_hole(f.fd, 0, SIZE);
	move_fill(&f, 1);
	assert_on_node(&f, 0, "bad arguments");
	move_end(&f);
}

/* References from elsewhere to pages of a file. */
struct pins {
	int fds[2];
};

static void pins_start(struct pins *p)
{
	TEST_ASSERT(!pipe(p->fds), "errno %d", errno);
}

static void pin(struct pins *p, void *addr)
{
	struct iovec iov = { addr, 1 };

	TEST_ASSERT(vmsplice(p->fds[1], &iov, 1, 0) == 1, "errno %d", errno);
}

/* The first that has been pinned. */
static void unpin(struct pins *p)
{
	char c;

	TEST_ASSERT(read(p->fds[0], &c, 1) == 1, "errno %d", errno);
}

static void pins_end(struct pins *p)
{
	close(p->fds[0]);
	close(p->fds[1]);
}

/* A reference from elsewhere: the page stays, and with it the contents. */
static void test_page_in_use_does_not_move(void)
{
	struct move_file f;
	struct pins pins;
	int i;

	move_require_nodes();
	for (i = 0; i < 2; i++) {
		move_start(&f, &move_kinds[i], SIZE, 0, GUEST_MEMFD_FLAG_MOVABLE);
		pins_start(&pins);
		pin(&pins, f.mem);

		ASSERT_EQ(move_page(f.mem, 1), -EAGAIN);
		ASSERT_EQ(move_policy(f.fd, 0, SIZE, 1, MPOL_MF_STRICT), -EIO);
		move_assert_still(&f, "in use");

		unpin(&pins);
		ASSERT_EQ(move_page(f.mem, 1), 1);
		move_check(&f, 1);
		pins_end(&pins);
		move_end(&f);
	}
}

/*
 * What page frames lead to
 */

static void do_soft_offline(struct move_file *f)
{
	u64 *before = f->pfns, i, step = f->nr / 4 + 1, nr = 0;

	for (i = 0; i < f->nr; i += step) {
		int ret = soft_offline_pfn(before[i]);

		if (ret == -ENOENT)
			gmem_skip("no soft_offline_page");
		TEST_ASSERT(!ret, "%s, page %lu: %d", f->kind->name, i, ret);
		poison_remember(before[i]);
		TEST_ASSERT(pfn_is_poisoned(before[i]) && pfn_is_alone(before[i]),
			    "page frame 0x%lx is in use", before[i]);
		nr++;
	}

	/* Of a huge page no more than that is lost. */
	f->pfns = move_find(f, "soft offline");
	for (i = 0; i < f->nr; i++)
		TEST_ASSERT((f->pfns[i] == before[i]) == !!(i % step),
			    "%s: page %lu was at 0x%lx, is at 0x%lx",
			    f->kind->name, i, before[i], f->pfns[i]);
	free(before);
	move_check(f, 1);
	move_assert_usage(f, huge_of(f) ? huge_of(f) - nr * H : 0,
			  "soft offline");
}

static void test_soft_offline(void)
{
	poison_require();
	move_with_all(SIZE, 0, GUEST_MEMFD_FLAG_MOVABLE, do_soft_offline);
	poison_undo_all();
}

/*
 * Compaction
 */

#define COMPACT_SIZE	(16 * H)
#define MAX_FILES	12

static u64 migrations(const char *trace, const char *args)
{
	return admin_trace_count(trace, MIGRATE_EVENT, args);
}

/* Return: how many folios have been moved. */
static u64 compact(struct move_file *f)
{
	static const char * const events[] = { "guest_memfd/" MIGRATE_EVENT };
	char *trace;
	u64 nr;

	admin_trace_start(events, ARRAY_SIZE(events));
	ASSERT_EQ(admin_write("/proc/sys/vm/compact_memory", "1"), 0);
	trace = admin_trace_read();
	nr = migrations(trace, "ret=0");
	ksft_print_msg("%s: %lu moved, %lu busy, %lu to be tried again\n",
		       f->kind->name, nr, migrations(trace, "ret=-16"),
		       migrations(trace, "ret=-11"));
	free(trace);
	return nr;
}

static void check_every_other(struct move_file *f)
{
	u64 i;

	for (i = P; i < f->size; i += 2 * P) {
		if (f->kind->private)
			guest_check(f->g.vcpu, GPA + i, P, 1);
		else
			gmem_check(f->mem + i, i, P, 1);
	}
}

/*
 * Small pages with holes between them.  If compaction does not come to where they are,
 * others are made, somewhere else.
 */
static void compact_small(const struct move_kind *kind)
{
	struct move_file files[MAX_FILES];
	int nr = 0, k;
	u64 moved, i;

	do {
		move_start_before_room(&files[nr], kind, COMPACT_SIZE, 1,
				       GUEST_MEMFD_FLAG_MOVABLE);
		for (i = 0; i < COMPACT_SIZE; i += 2 * P)
			gmem_punch_hole(files[nr].fd, i, P);
		moved = compact(&files[nr++]);
	} while (!moved && nr < MAX_FILES);

	for (k = 0; k < nr; k++) {
		check_every_other(&files[k]);
		move_end(&files[k]);
	}
	TEST_ASSERT(moved, "%s: nothing has moved", kind->name);
}

/* Huge ones are not looked at. */
static void compact_huge(const struct move_kind *kind)
{
	struct move_file f;

	move_start(&f, kind, COMPACT_SIZE, 1, GUEST_MEMFD_FLAG_MOVABLE);
	ASSERT_EQ(compact(&f), 0UL);
	move_assert_still(&f, "compaction");
	move_end(&f);
}

static void test_compaction(void)
{
	int k;

	move_require_nodes();
	for (k = 0; k < MOVE_KINDS; k++)
		if (move_kinds[k].huge)
			compact_huge(&move_kinds[k]);
		else
			compact_small(&move_kinds[k]);
}

/*
 * A contiguous memory area
 */

/* Who it is for gets all of it, and the file's pages are elsewhere. */
static void take_cma(struct move_file *f, const char *dir)
{
	u64 base = zone_cma_number(dir, "base_pfn");
	u64 count = zone_cma_number(dir, "count");

	zone_take_cma(dir);
	move_find_again(f, "allocation of the area");
	ASSERT_EQ(move_count_within(f, base, count), 0UL);
	move_check(f, 1);
	move_assert_usage(f, huge_of(f), "allocation of the area");
	zone_free_cma(dir);
}

static void test_contiguous_area(void)
{
	int k;

	move_require_nodes();
	for (k = 0; k < MOVE_KINDS; k++)
		zone_with_cma(&move_kinds[k], COMPACT_SIZE, take_cma);
}

/*
 * A memory block of ZONE_MOVABLE goes offline and comes back
 */

#define OFFLINE_SIZE	(32 * H)

static void offline_with(const struct move_kind *kind, u64 block)
{
	struct move_file f;

	move_start(&f, kind, OFFLINE_SIZE, 1, GUEST_MEMFD_FLAG_MOVABLE);
	ASSERT_EQ(move_count_in_block(&f, block), f.nr);

	zone_take_offline(block);
	move_find_again(&f, "offline");
	ASSERT_EQ(move_count_in_block(&f, block), 0UL);
	move_check(&f, 1);
	move_assert_usage(&f, huge_of(&f), "offline");

	ASSERT_EQ(zone_set_block(block, "online_movable"), 0);
	move_check(&f, 1);
	move_end(&f);
}

static void test_memory_offline(void)
{
	u64 block;
	int k;

	move_require_nodes();
	block = zone_movable_block();
	for (k = 0; k < MOVE_KINDS; k++)
		offline_with(&move_kinds[k], block);
	zone_block_back(block);
}

/*
 * Lost pages do not move, and keep their block online, whenever they are lost
 */

struct attempt {
	u64 block;
	int ret;
	bool done;
};

static void *offline_thread(void *arg)
{
	struct attempt *a = arg;

	a->ret = zone_set_block(a->block, "offline");
	__atomic_store_n(&a->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void on_signal(int sig)
{
}

static void test_page_that_is_lost_meanwhile_keeps_its_block_online(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct attempt a = {};
	struct move_file f;
	pthread_t thread;
	struct pins pins;

	move_require_nodes();
	poison_require();
	a.block = zone_movable_block();
	pins_start(&pins);
	move_start(&f, &move_kinds[0], SIZE, 1, GUEST_MEMFD_FLAG_MOVABLE);
	pin(&pins, f.mem);
	pin(&pins, f.mem + 5 * P);
	TEST_ASSERT(!sigaction(SIGUSR1, &action, NULL), "errno %d", errno);

	/* It waits for these two pages, one of which is lost. */
	pthread_create(&thread, NULL, offline_thread, &a);
	usleep(500000);
	TEST_ASSERT(!__atomic_load_n(&a.done, __ATOMIC_ACQUIRE),
		    "pages in use have gone offline: %d", a.ret);
	poison_pfn(f.pfns[5], POISON_CORRUPT);
	unpin(&pins);
	sleep(2);
	TEST_ASSERT(!__atomic_load_n(&a.done, __ATOMIC_ACQUIRE),
		    "a page that is in a file has gone offline: %d", a.ret);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	ASSERT_EQ(a.ret, -EINTR);
	/* From the beginning on it is refused. */
	ASSERT_EQ(zone_set_block(a.block, "offline"), -EBUSY);

	unpin(&pins);
	pins_end(&pins);
	gmem_punch_hole(f.fd, 5 * P, P);
	/* Nor is anything of it left in page tables. */
	TEST_ASSERT(!gmem_touch(f.mem + 5 * P, false), "no new page");
	move_end(&f);
	poison_undo_all();
	zone_block_back(a.block);
}

/*
 * A guest that counts, while its memory is moved: no count goes back
 */

#define COUNT_SIZE	(16 * H)

/* Round and round between the nodes, by way of memory that goes offline. */
static void count_while_offline(const struct move_kind *kind, u64 block)
{
	struct move_counter c;
	struct move_file f;

	move_start(&f, kind, COUNT_SIZE, 1, GUEST_MEMFD_FLAG_MOVABLE);
	ASSERT_EQ(move_count_in_block(&f, block), f.nr);
	move_counter_start(&c, &f);

	zone_take_offline(block);
	move_counter_check(&c, "offline");
	move_find_again(&f, "offline");
	ASSERT_EQ(move_count_in_block(&f, block), 0UL);
	ASSERT_EQ(zone_set_block(block, "online_movable"), 0);

	ASSERT_EQ(admin_write("/proc/sys/vm/compact_memory", "1"), 0);
	move_counter_check(&c, "compaction");
	move_counter_end(&c);
	move_end(&f);
}

static void test_guest_counts_meanwhile(void)
{
	u64 block;
	int k;

	move_require_nodes();
	block = zone_movable_block();
	for (k = 0; k < MOVE_KINDS; k++)
		if (move_kinds[k].private)
			count_while_offline(&move_kinds[k], block);
	zone_block_back(block);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_move_pages),
	GMEM_TEST(test_mbind),
	GMEM_TEST(test_set_policy),
	GMEM_TEST(test_set_policy_of_a_part_of_a_huge_page),
	GMEM_TEST(test_set_policy_with_bad_arguments),
	GMEM_TEST(test_many_policies_keep_nobody_waiting),
	GMEM_TEST(test_page_in_use_does_not_move),
	GMEM_TEST(test_soft_offline),
	GMEM_TEST(test_compaction),
	GMEM_TEST(test_contiguous_area),
	GMEM_TEST(test_memory_offline),
	GMEM_TEST(test_page_that_is_lost_meanwhile_keeps_its_block_online),
	GMEM_TEST(test_guest_counts_meanwhile),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	guest_word_step = 64;

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
