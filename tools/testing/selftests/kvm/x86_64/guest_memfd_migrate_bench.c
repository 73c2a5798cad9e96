// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to move a folio of a guest_memfd, next to what it costs to move one
 * of shmem.
 *
 * Memory that a guest has mapped is moved between two nodes; shared memory by
 * mbind(), private memory by KVM_GMEM_SET_POLICY.  Memory that is in no page table
 * moves when its memory block goes offline.
 *
 * Options: -c		fail if a figure is exceeded
 *
 * Needs two nodes with memory.
 */
#include <linux/mempolicy.h>

#include "guest_memfd_bench.h"
#include "guest_memfd_move.h"
#include "guest_memfd_zone.h"

#define SIZE		(32 * H)	/* half of a memory block */
#define ROUNDS		4

/*
 * Memory of a guest
 */

enum memory_kind { SHMEM, SHARED, PRIVATE, NR_BACKINGS };

static const char * const names[] = { "shmem", "shared", "private" };

/* Of shmem the move_file has what there is of it. */
struct memory {
	enum memory_kind backing;
	struct move_file f;
};

/* The name of a row: what is done to which memory. */
static const char *row(const char *what, const struct memory *m)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s, %s, %s", what,
		 m->f.kind->huge ? "2 MiB" : "4 KiB", names[m->backing]);
	return name;
}

static u64 nr_folios(const struct memory *m)
{
	return m->f.size / (m->f.kind->huge ? H : P);
}

/* A default VM to which it is shared memory, and a mapping of that. */
static void start_shared(struct memory *m, u64 flags)
{
	struct gmem_conv_guest *g = &m->f.g;

	g->vm = __vm_create_with_one_vcpu(&g->vcpu, m->f.nr, guest_cmd_loop);
	guest_cmd_init(g->vcpu);
	virt_map(g->vm, GPA, GPA, m->f.nr);
	if (m->backing == SHMEM) {
		g->fd = bench_open_shmem(m->f.size);
		m->f.mem = gmem_mmap_aligned(g->fd, m->f.size);
		vm_set_user_memory_region2(g->vm, GMEM_DATA_SLOT, 0, GPA,
					   m->f.size, m->f.mem, -1, 0);
	} else {
		g->fd = vm_create_guest_memfd(g->vm, m->f.size, flags |
					      GUEST_MEMFD_FLAG_INIT_SHARED);
		m->f.mem = gmem_mmap_aligned(g->fd, m->f.size);
		vm_set_user_memory_region2(g->vm, GMEM_DATA_SLOT,
					   KVM_MEM_GUEST_MEMFD, GPA, m->f.size,
					   NULL, g->fd, 0);
	}
}

/* @flags: as of mbind(); 0 is for memory that is not there yet. */
static void move(struct memory *m, int node, unsigned int flags)
{
	int ret;

	if (m->backing == PRIVATE)
		ret = move_policy(m->f.fd, 0, m->f.size, node, flags);
	else
		ret = move_mbind(&m->f, node, flags);
	TEST_ASSERT(!ret, "%s to node %d: %d", row("move", m), node, ret);
}

/* The guest looks at all pages. */
static u64 guest_looks(struct memory *m)
{
	u64 start = bench_now();

	guest_check(m->f.g.vcpu, GPA, m->f.size, 1);
	return bench_now() - start;
}

static u64 nr_mapped(struct memory *m)
{
	return vm_get_stat(m->f.g.vm,
			   m->f.kind->huge ? "pages_2m" : "pages_4k");
}

/* All is on one node, and mapped by the guest in pages of one size. */
static void assert_placed(struct memory *m, int node)
{
	u64 found = gmem_group_node_stat("file", node);

	TEST_ASSERT(nr_mapped(m) >= nr_folios(m), "%s: %lu mappings",
		    row("mapped", m), nr_mapped(m));
	TEST_ASSERT(found >= m->f.size, "%s: 0x%lx bytes are on node %d",
		    row("moved", m), found, node);
}

static void start(struct memory *m, enum memory_kind backing, bool huge,
		  int node)
{
	u64 flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_MOVABLE |
		    (huge ? GUEST_MEMFD_FLAG_HUGEPAGE : 0);

	*m = (struct memory) {
		.backing = backing,
		.f.kind = &move_kinds[2 * (backing == PRIVATE) + huge],
		.f.size = SIZE,
		.f.nr = SIZE / P,
	};
	bench_set_huge(huge);
	if (backing == PRIVATE)
		gmem_conv_guest_start(&m->f.g, SIZE, flags);
	else
		start_shared(m, flags);
	m->f.fd = m->f.g.fd;
	move(m, node, 0);
	guest_fill(m->f.g.vcpu, GPA, SIZE, 1);
	if (backing != PRIVATE)
		host_check(m->f.mem, GPA, SIZE, 1);
	guest_looks(m);
	assert_placed(m, node);
}

static void unmap(struct memory *m)
{
	vm_set_user_memory_region2(m->f.g.vm, GMEM_DATA_SLOT, 0, GPA, 0, NULL,
				   -1, 0);
	gmem_free_hva(m->f.mem, m->f.size);
	m->f.mem = NULL;
}

static void end(struct memory *m)
{
	if (m->backing == PRIVATE) {
		gmem_conv_guest_end(&m->f.g);
		return;
	}
	if (m->f.mem)
		unmap(m);
	kvm_vm_free(m->f.g.vm);
	close(m->f.fd);
}

/*
 * While the guest has it mapped
 */

static u64 move_once(struct memory *m, int node)
{
	u64 mapped = nr_mapped(m), ns = bench_now();

	move(m, node, MPOL_MF_MOVE | MPOL_MF_STRICT);
	ns = bench_now() - ns;
	TEST_ASSERT(nr_mapped(m) + nr_folios(m) <= mapped,
		    "%s: of %lu mappings %lu are left", row("moved", m), mapped,
		    nr_mapped(m));
	return ns;
}

/* For each folio: to move it, and for the guest to map it again. */
static void measure_moves(struct memory *m, u64 *move, u64 *again)
{
	u64 moves = 0, looks = 0, mapped = 0, nr = ROUNDS * nr_folios(m);
	int i;

	for (i = 1; i <= ROUNDS; i++) {
		moves += move_once(m, i % 2);
		looks += guest_looks(m);
		assert_placed(m, i % 2);
		mapped += guest_looks(m);
	}
	*move = moves / nr;
	*again = looks > mapped ? (looks - mapped) / nr : 0;
}

/* What the first is, the others are compared with. */
static void bench_mapped(bool huge)
{
	u64 move, again, limit = 0;
	enum memory_kind backing;
	struct memory m;

	move_require_nodes();
	gmem_group_enter();
	for (backing = SHMEM; backing < NR_BACKINGS; backing++) {
		start(&m, backing, huge, 0);
		measure_moves(&m, &move, &again);
		bench_report(row("move", &m), move, limit);
		bench_report(row("map again in the guest", &m), again, 0);
		if (backing == SHMEM)
			limit = bench_limit_of(move);
		end(&m);
	}
	bench_assert_limits();
}

static void bench_mapped_4k(void)
{
	bench_mapped(false);
}

static void bench_mapped_2m(void)
{
	bench_mapped(true);
}

/*
 * Not mapped, in a memory block that goes offline
 */

/* Offline and back; returns the cost of the former. */
static u64 cycle_block(u64 block)
{
	u64 ns = bench_now();

	zone_take_offline(block);
	ns = bench_now() - ns;
	ASSERT_EQ(zone_set_block(block, "online_movable"), 0);
	return ns;
}

/* For each folio, without what an empty block costs. */
static u64 measure_unmapped(struct memory *m, u64 block, u64 idle)
{
	u64 moved, ns;

	unmap(m);
	moved = bench_nr_moved();
	ns = cycle_block(block);
	moved = bench_nr_moved() - moved;
	TEST_ASSERT(gmem_group_node_stat("file", 0) >= m->f.size &&
		    moved >= m->f.nr, "%s: %lu pages", row("moved", m), moved);
	return ns > idle ? (ns - idle) / nr_folios(m) : 0;
}

static void bench_unmapped_of(bool huge, u64 block, u64 idle)
{
	enum memory_kind backing;
	u64 ns, limit = 0;
	struct memory m;

	for (backing = SHMEM; backing <= SHARED; backing++) {
		start(&m, backing, huge, 1);
		ns = measure_unmapped(&m, block, idle);
		bench_report(row("move, not mapped", &m), ns, limit);
		if (backing == SHMEM)
			limit = bench_limit_of(ns);
		end(&m);
	}
}

static void bench_unmapped(void)
{
	u64 block, idle;

	move_require_nodes();
	gmem_group_enter();
	block = zone_movable_block();
	cycle_block(block);
	idle = cycle_block(block);
	bench_unmapped_of(false, block, idle);
	bench_unmapped_of(true, block, idle);
	zone_block_back(block);
	bench_assert_limits();
}

static const struct gmem_test tests[] = {
	GMEM_TEST(bench_mapped_4k),
	GMEM_TEST(bench_mapped_2m),
	GMEM_TEST(bench_unmapped),
};

int main(int argc, char *argv[])
{
	int opt;

	while ((opt = getopt(argc, argv, "c")) != -1) {
		if (opt != 'c')
			return 2;
		bench_check = true;
	}

	setbuf(stdout, NULL);
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	guest_word_step = P;
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
