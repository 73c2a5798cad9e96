// SPDX-License-Identifier: GPL-2.0-only
/*
 * NUMA policies of guest_memfd files: set with mbind() on a mapping, kept by
 * the file, obeyed by every allocation.  Needs two nodes with memory; one is a
 * failure, as everything would pass there.
 *
 * Where a page is, the kernel tells only for mapped pages.  For others, the
 * statistics of the nodes show where a large allocation went.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/compiler.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "guest_memfd_guest.h"
#include "guest_memfd_map.h"

#define P		GMEM_PAGE_SIZE
#define NR_PAGES	GMEM_FILE_PAGES
#define FILE_SIZE	GMEM_FILE_SIZE
#define BIG_SIZE	(8ULL << 20)
#define MAX_NODES	64
/* Policies of single pages, and how often. */
#define NR_POLICIES	1024
#define NR_ROUNDS	10
#define LEAK_TRIES	10

/* Tags of patterns. */
enum { FIRST = 1, SECOND };

static u64 all_nodes;
static int nodes[MAX_NODES], nr_nodes;

static int do_mbind(void *mem, u64 size, int mode, u64 mask, unsigned int flags)
{
	return syscall(__NR_mbind, mem, size, mode, &mask, MAX_NODES + 1,
		       flags);
}

static void set_policy(void *mem, u64 size, int mode, u64 mask)
{
	TEST_ASSERT(!do_mbind(mem, size, mode, mask, 0),
		    "mbind(mode %d, nodes 0x%lx): errno %d", mode, mask, errno);
}

static void assert_policy(void *mem, int mode, u64 mask)
{
	u64 mask_now = -1;
	int mode_now = -1;

	TEST_ASSERT(!syscall(__NR_get_mempolicy, &mode_now, &mask_now,
			     MAX_NODES, mem, MPOL_F_ADDR),
		    "get_mempolicy(): errno %d", errno);
	TEST_ASSERT(mode_now == mode && mask_now == mask,
		    "policy %d, nodes 0x%lx, wanted %d and 0x%lx", mode_now,
		    mask_now, mode, mask);
}

/* Of a page that is mapped; without changing anything. */
static int node_of(void *addr)
{
	int status = -1000;

	TEST_ASSERT(!syscall(__NR_move_pages, 0, 1, &addr, NULL, &status, 0),
		    "move_pages(): errno %d", errno);
	TEST_ASSERT(status >= 0, "no page at %p: %d", addr, status);
	return status;
}

static void assert_on_node(void *mem, u64 size, int node)
{
	u64 i;

	for (i = 0; i < size; i += P)
		TEST_ASSERT(node_of(mem + i) == node,
			    "page at 0x%lx is on node %d, wanted %d", i,
			    node_of(mem + i), node);
}

static void touch(void *mem, u64 size)
{
	u64 i;

	for (i = 0; i < size; i += P)
		WRITE_ONCE(*(char *)(mem + i), 1);
}

/* Page cache of this test on a node in KiB. */
static u64 node_file_kb(int node)
{
	return gmem_group_node_stat("file", node) / 1024;
}

/*
 * What mbind() and get_mempolicy() say
 */

static const struct {
	unsigned long vm_type;
	u64 flags;
} kinds[] = {
	{ KVM_X86_DEFAULT_VM, GMEM_SHARED_FLAGS },
	{ KVM_X86_DEFAULT_VM, GUEST_MEMFD_FLAG_MMAP },
	{ KVM_X86_SW_PROTECTED_VM, GUEST_MEMFD_FLAG_MMAP },
};

static void test_policies_read_back_as_set(void)
{
	struct gmem_map m;
	int i, mode;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		__gmem_map_setup(&m, kinds[i].vm_type, FILE_SIZE,
				 kinds[i].flags);
		assert_policy(m.mem, MPOL_DEFAULT, 0);
		for (mode = MPOL_PREFERRED; mode <= MPOL_PREFERRED_MANY;
		     mode++) {
			if (mode == MPOL_LOCAL)
				continue;
			set_policy(m.mem, FILE_SIZE, mode, BIT(nodes[1]));
			assert_policy(m.mem, mode, BIT(nodes[1]));
			assert_policy(m.mem + FILE_SIZE - P, mode,
				      BIT(nodes[1]));
		}
		set_policy(m.mem, FILE_SIZE, MPOL_INTERLEAVE, all_nodes);
		assert_policy(m.mem + P, MPOL_INTERLEAVE, all_nodes);
		set_policy(m.mem, FILE_SIZE, MPOL_LOCAL, 0);
		assert_policy(m.mem + P, MPOL_LOCAL, 0);
		set_policy(m.mem, FILE_SIZE, MPOL_DEFAULT, 0);
		assert_policy(m.mem, MPOL_DEFAULT, 0);
		ASSERT_EQ(gmem_allocated(m.fd), 0ULL);
		gmem_map_teardown(&m);
	}
}

static void test_bad_policies_give_einval(void)
{
	struct gmem_map m;

	gmem_map_setup(&m, FILE_SIZE);
	set_policy(m.mem, FILE_SIZE, MPOL_BIND, BIT(nodes[1]));
	GMEM_ASSERT_ERRNO(do_mbind(m.mem, FILE_SIZE, 999, all_nodes, 0), EINVAL,
			  "unknown mode");
	GMEM_ASSERT_ERRNO(do_mbind(m.mem, FILE_SIZE, MPOL_BIND, 0, 0), EINVAL,
			  "no nodes");
	GMEM_ASSERT_ERRNO(do_mbind(m.mem + 1, P, MPOL_BIND, all_nodes, 0),
			  EINVAL, "unaligned");
	GMEM_ASSERT_ERRNO(do_mbind(m.mem, P, MPOL_BIND, all_nodes, BIT(20)),
			  EINVAL, "unknown flag");
	assert_policy(m.mem, MPOL_BIND, BIT(nodes[1]));
	touch(m.mem, FILE_SIZE);
	assert_on_node(m.mem, FILE_SIZE, nodes[1]);
	gmem_map_teardown(&m);
}

static void test_task_policy_is_not_the_files_policy(void)
{
	u64 mask = BIT(nodes[1]);
	struct gmem_map m;

	gmem_map_setup(&m, FILE_SIZE);
	TEST_ASSERT(!syscall(__NR_set_mempolicy, MPOL_BIND, &mask,
			     MAX_NODES + 1), "errno %d", errno);
	assert_policy(m.mem, MPOL_DEFAULT, 0);
	touch(m.mem, FILE_SIZE / 2);
	gmem_allocate(m.fd, FILE_SIZE / 2, FILE_SIZE / 2);
	gmem_check_zero(m.mem + FILE_SIZE / 2, FILE_SIZE / 2);
	assert_on_node(m.mem, FILE_SIZE, nodes[1]);

	/* The file's goes first. */
	gmem_punch_hole(m.fd, 0, FILE_SIZE);
	set_policy(m.mem, FILE_SIZE, MPOL_BIND, BIT(nodes[0]));
	touch(m.mem, FILE_SIZE);
	assert_on_node(m.mem, FILE_SIZE, nodes[0]);
	gmem_map_teardown(&m);
}

static void test_policies_hold_for_their_range(void)
{
	char *mem, *part;
	struct gmem_map m;

	gmem_map_setup(&m, FILE_SIZE);
	mem = m.mem;
	set_policy(mem, 8 * P, MPOL_BIND, BIT(nodes[0]));
	set_policy(mem + 8 * P, 8 * P, MPOL_BIND, BIT(nodes[1]));
	/* Over the border of both, through a mapping of just that part. */
	part = gmem_mmap(m.fd, 8 * P, 4 * P);
	set_policy(part, 8 * P, MPOL_PREFERRED, BIT(nodes[1]));
	set_policy(part + 2 * P, P, MPOL_DEFAULT, 0);
	munmap(part, 8 * P);

	assert_policy(mem + 3 * P, MPOL_BIND, BIT(nodes[0]));
	assert_policy(mem + 4 * P, MPOL_PREFERRED, BIT(nodes[1]));
	assert_policy(mem + 5 * P, MPOL_PREFERRED, BIT(nodes[1]));
	assert_policy(mem + 6 * P, MPOL_DEFAULT, 0);
	assert_policy(mem + 7 * P, MPOL_PREFERRED, BIT(nodes[1]));
	assert_policy(mem + 11 * P, MPOL_PREFERRED, BIT(nodes[1]));
	assert_policy(mem + 12 * P, MPOL_BIND, BIT(nodes[1]));
	touch(mem, FILE_SIZE);
	assert_on_node(mem, 4 * P, nodes[0]);
	assert_on_node(mem + 4 * P, 2 * P, nodes[1]);
	assert_on_node(mem + 7 * P, 9 * P, nodes[1]);
	gmem_map_teardown(&m);
}

static void test_policy_belongs_to_the_file(void)
{
	struct gmem_map m, other;
	int status;
	char *mem;
	pid_t pid;

	gmem_map_setup(&m, FILE_SIZE);
	gmem_map_setup(&other, FILE_SIZE);
	mem = gmem_mmap(m.fd, FILE_SIZE, 0);
	set_policy(mem, FILE_SIZE, MPOL_BIND, BIT(nodes[1]));
	munmap(mem, FILE_SIZE);
	assert_policy(m.mem, MPOL_BIND, BIT(nodes[1]));
	assert_policy(other.mem, MPOL_DEFAULT, 0);

	pid = fork();
	if (!pid) {
		assert_policy(m.mem, MPOL_BIND, BIT(nodes[1]));
		set_policy(m.mem, P, MPOL_BIND, BIT(nodes[0]));
		_exit(0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid() failed");
	TEST_ASSERT(!status, "child: status 0x%x", status);
	assert_policy(m.mem, MPOL_BIND, BIT(nodes[0]));
	touch(m.mem, FILE_SIZE);
	assert_on_node(m.mem, P, nodes[0]);
	assert_on_node(m.mem + P, FILE_SIZE - P, nodes[1]);
	gmem_map_teardown(&m);
	gmem_map_teardown(&other);
}

/* Inodes are recycled; a new file has no policy all the same. */
static void test_new_files_have_no_policy(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	char *mem;
	int i, fd;

	for (i = 0; i < 200; i++) {
		fd = vm_create_guest_memfd(vm, FILE_SIZE, GMEM_SHARED_FLAGS);
		mem = gmem_mmap(fd, FILE_SIZE, 0);
		assert_policy(mem, MPOL_DEFAULT, 0);
		set_policy(mem, FILE_SIZE, MPOL_BIND, BIT(nodes[i & 1]));
		munmap(mem, FILE_SIZE);
		close(fd);
	}
	kvm_vm_free(vm);
}

static void set_many_policies(int rounds)
{
	struct gmem_map m;
	int i, j;

	for (i = 0; i < rounds; i++) {
		gmem_map_setup(&m, NR_POLICIES * P);
		for (j = 0; j < NR_POLICIES; j++)
			set_policy(m.mem + j * P, P, MPOL_BIND,
				   BIT(nodes[j & 1]));
		assert_policy(m.mem, MPOL_BIND, BIT(nodes[0]));
		gmem_map_teardown(&m);
	}
}

/* No control group is charged for them: a leak would show each time. */
static void test_policies_are_freed_with_the_file(void)
{
	/* A policy and a node of the tree are more than 256 bytes. */
	s64 leak = 0, most = NR_ROUNDS * NR_POLICIES / 4 / 4;
	int tries;

	/* Once before measuring: caches grow. */
	set_many_policies(1);
	for (tries = 0; tries < LEAK_TRIES; tries++) {
		leak = gmem_machine_free_kb();
		set_many_policies(NR_ROUNDS);
		leak -= gmem_machine_free_kb();
		if (leak <= most)
			return;
	}
	TEST_FAIL("%ld kB are gone after %d policies", leak,
		  NR_ROUNDS * NR_POLICIES);
}

/*
 * Where memory goes
 */

static void test_host_faults_and_fallocate_obey_bind(void)
{
	struct gmem_map m;
	int i;

	gmem_map_setup(&m, FILE_SIZE);
	for (i = 0; i < 2 * nr_nodes; i++) {
		set_policy(m.mem, FILE_SIZE, MPOL_BIND,
			   BIT(nodes[i % nr_nodes]));
		touch(m.mem, FILE_SIZE / 2);
		gmem_allocate(m.fd, 0, FILE_SIZE);
		gmem_check_zero(m.mem + FILE_SIZE / 2, FILE_SIZE / 2);
		assert_on_node(m.mem, FILE_SIZE, nodes[i % nr_nodes]);
		gmem_punch_hole(m.fd, 0, FILE_SIZE);
	}
	gmem_map_teardown(&m);
}

static void test_policy_is_for_memory_to_come(void)
{
	struct gmem_map m;

	gmem_map_setup(&m, FILE_SIZE);
	set_policy(m.mem, FILE_SIZE, MPOL_BIND, BIT(nodes[0]));
	touch(m.mem, FILE_SIZE);
	set_policy(m.mem, FILE_SIZE, MPOL_BIND, BIT(nodes[1]));
	assert_on_node(m.mem, FILE_SIZE, nodes[0]);
	gmem_punch_hole(m.fd, 0, FILE_SIZE / 2);
	touch(m.mem, FILE_SIZE);
	assert_on_node(m.mem, FILE_SIZE / 2, nodes[1]);
	assert_on_node(m.mem + FILE_SIZE / 2, FILE_SIZE / 2, nodes[0]);
	gmem_map_teardown(&m);
}

/* Neighbours in the file are on neighbouring nodes, in whatever order they come. */
static void assert_interleaved(char *mem)
{
	int first, i, want;

	for (first = 0; nodes[first] != node_of(mem); first++)
		;
	for (i = 0; i < NR_PAGES; i++) {
		want = nodes[(first + i) % nr_nodes];
		TEST_ASSERT(node_of(mem + i * P) == want,
			    "page %d is on node %d, wanted %d", i,
			    node_of(mem + i * P), want);
	}
}

static void test_interleave_is_by_file_offset(void)
{
	static const int order[NR_PAGES] = {
		15, 3, 7, 5, 0, 2, 14, 1, 13, 4, 12, 6, 9, 8, 10, 11,
	};
	struct gmem_map m;
	int i, first;

	gmem_map_setup(&m, FILE_SIZE);
	set_policy(m.mem, FILE_SIZE, MPOL_INTERLEAVE, all_nodes);
	touch(m.mem, FILE_SIZE);
	assert_interleaved(m.mem);
	first = node_of(m.mem);

	gmem_punch_hole(m.fd, 0, FILE_SIZE);
	for (i = 0; i < NR_PAGES; i++)
		touch(m.mem + order[i] * P, P);
	assert_interleaved(m.mem);
	ASSERT_EQ(node_of(m.mem), first);

	gmem_punch_hole(m.fd, 0, FILE_SIZE);
	for (i = 0; i < NR_PAGES; i++)
		if (i & 1)
			touch(m.mem + order[i] * P, P);
		else
			gmem_allocate(m.fd, order[i] * P, P);
	gmem_check_zero(m.mem, 0);
	for (i = 0; i < NR_PAGES; i++)
		ASSERT_EQ(gmem_touch(m.mem + i * P, false), 0);
	assert_interleaved(m.mem);
	ASSERT_EQ(node_of(m.mem), first);
	gmem_map_teardown(&m);
}

/* Statistics of the nodes before and after, for memory without mappings. */
static void check_growth(const u64 *before, int node, u64 size)
{
	s64 grown, want, slack = size / 1024 / 8;
	int i;

	for (i = 0; i < nr_nodes; i++) {
		grown = node_file_kb(nodes[i]) - before[i];
		want = 0;
		if (node == nodes[i])
			want = size / 1024;
		else if (node < 0)
			want = size / 1024 / nr_nodes;
		TEST_ASSERT(labs(grown - want) <= slack,
			    "node %d grew by %ld kB, wanted %ld", nodes[i],
			    grown, want);
	}
}

static void get_node_sizes(u64 *sizes)
{
	int i;

	for (i = 0; i < nr_nodes; i++)
		sizes[i] = node_file_kb(nodes[i]);
}

static void test_fallocate_of_what_is_not_shared_obeys(void)
{
	u64 before[MAX_NODES];
	struct gmem_map m;
	int kind, i;

	for (kind = 1; kind < ARRAY_SIZE(kinds); kind++) {
		__gmem_map_setup(&m, kinds[kind].vm_type, BIG_SIZE,
				 kinds[kind].flags);
		get_node_sizes(before);
		for (i = 0; i < 2 * nr_nodes; i++) {
			set_policy(m.mem, BIG_SIZE, MPOL_BIND,
				   BIT(nodes[i % nr_nodes]));
			gmem_allocate(m.fd, 0, BIG_SIZE);
			check_growth(before, nodes[i % nr_nodes], BIG_SIZE);
			gmem_punch_hole(m.fd, 0, BIG_SIZE);
		}
		set_policy(m.mem, BIG_SIZE, MPOL_INTERLEAVE, all_nodes);
		gmem_allocate(m.fd, 0, BIG_SIZE);
		check_growth(before, -1, BIG_SIZE);
		gmem_map_teardown(&m);
	}
}

/* The private memory of a protected VM, in a file that can be mapped. */
static void start_guest(struct guest_fixture *f, char **mem)
{
	int fd;

	guest_start(f, BIG_SIZE);
	gmem_slot_delete(&f->slot);
	gmem_slot_free(&f->slot);
	fd = vm_create_guest_memfd(f->vm, BIG_SIZE, GUEST_MEMFD_FLAG_MMAP);
	gmem_slot_add(&f->slot, f->vm, GMEM_DATA_SLOT, GMEM_DATA_GPA, BIG_SIZE,
		      NULL, fd, 0);
	vm_mem_set_private(f->vm, GMEM_DATA_GPA, BIG_SIZE);
	*mem = gmem_mmap(fd, BIG_SIZE, 0);
}

static void test_guest_faults_obey(void)
{
	u64 before[MAX_NODES];
	struct guest_fixture f;
	char *mem;
	int i;

	guest_word_step = P;
	start_guest(&f, &mem);
	get_node_sizes(before);
	for (i = 0; i < 2 * nr_nodes; i++) {
		set_policy(mem, BIG_SIZE, MPOL_BIND, BIT(nodes[i % nr_nodes]));
		guest_fill(f.vcpu, GMEM_DATA_GPA, BIG_SIZE, FIRST);
		ASSERT_EQ(gmem_allocated(f.slot.fd), BIG_SIZE);
		check_growth(before, nodes[i % nr_nodes], BIG_SIZE);
		guest_check(f.vcpu, GMEM_DATA_GPA, BIG_SIZE, FIRST);
		gmem_punch_hole(f.slot.fd, 0, BIG_SIZE);
	}
	set_policy(mem, BIG_SIZE, MPOL_INTERLEAVE, all_nodes);
	guest_fill(f.vcpu, GMEM_DATA_GPA, BIG_SIZE, SECOND);
	check_growth(before, -1, BIG_SIZE);
	gmem_assert_sigbus(mem);
	munmap(mem, BIG_SIZE);
	close(f.slot.fd);
	guest_end(&f);
}

/*
 * Moving: the pages of a file stay where they are
 */

static void setup_on_first_node(struct gmem_map *m)
{
	gmem_map_setup(m, FILE_SIZE);
	set_policy(m->mem, FILE_SIZE, MPOL_BIND, BIT(nodes[0]));
	gmem_fill(m->mem, 0, FILE_SIZE, FIRST);
	assert_on_node(m->mem, FILE_SIZE, nodes[0]);
}

static void end_on_first_node(struct gmem_map *m)
{
	assert_on_node(m->mem, FILE_SIZE, nodes[0]);
	gmem_check(m->mem, 0, FILE_SIZE, FIRST);
	ASSERT_EQ(gmem_allocated(m->fd), FILE_SIZE);
	gmem_map_teardown(m);
}

static void test_mbind_strict_gives_eio(void)
{
	struct gmem_map m;

	setup_on_first_node(&m);
	GMEM_ASSERT_ERRNO(do_mbind(m.mem, FILE_SIZE, MPOL_BIND, BIT(nodes[1]),
				   MPOL_MF_STRICT), EIO, "strict");
	assert_policy(m.mem, MPOL_BIND, BIT(nodes[0]));
	TEST_ASSERT(!do_mbind(m.mem, FILE_SIZE, MPOL_BIND, BIT(nodes[0]),
			      MPOL_MF_STRICT), "fulfilled: errno %d", errno);
	end_on_first_node(&m);
}

/* As mbind() does it: the policy is set even if pages could not be moved. */
static void test_mbind_move_sets_the_policy_and_moves_nothing(void)
{
	static const unsigned int flags[] = {
		MPOL_MF_MOVE, MPOL_MF_MOVE_ALL,
	};
	struct gmem_map m;
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		setup_on_first_node(&m);
		TEST_ASSERT(!do_mbind(m.mem, FILE_SIZE, MPOL_BIND,
				      BIT(nodes[1]), flags[i]),
			    "flags 0x%x: errno %d", flags[i], errno);
		assert_policy(m.mem, MPOL_BIND, BIT(nodes[1]));
		assert_on_node(m.mem, FILE_SIZE, nodes[0]);

		set_policy(m.mem, FILE_SIZE, MPOL_BIND, BIT(nodes[0]));
		GMEM_ASSERT_ERRNO(do_mbind(m.mem, FILE_SIZE, MPOL_BIND,
					   BIT(nodes[1]),
					   flags[i] | MPOL_MF_STRICT),
				  EIO, "flags 0x%x, strict", flags[i]);
		assert_policy(m.mem, MPOL_BIND, BIT(nodes[1]));
		end_on_first_node(&m);
	}
}

static void test_move_pages_gives_ebusy(void)
{
	struct gmem_map m;
	int i, status, node = nodes[1];
	void *addr;

	setup_on_first_node(&m);
	for (i = 0; i < NR_PAGES; i++) {
		addr = m.mem + i * P;
		status = 1000;
		TEST_ASSERT(syscall(__NR_move_pages, 0, 1, &addr, &node,
				    &status, MPOL_MF_MOVE) >= 0,
			    "move_pages(): errno %d", errno);
		ASSERT_EQ(status, -EBUSY);
	}
	end_on_first_node(&m);
}

static void test_migrate_pages_moves_nothing(void)
{
	u64 from = BIT(nodes[0]), to = BIT(nodes[1]);
	struct gmem_map m;

	setup_on_first_node(&m);
	TEST_ASSERT(syscall(__NR_migrate_pages, 0, MAX_NODES + 1, &from,
			    &to) >= 0, "errno %d", errno);
	assert_policy(m.mem, MPOL_BIND, BIT(nodes[0]));
	end_on_first_node(&m);
}

static void test_moving_what_is_not_shared_is_harmless(void)
{
	struct gmem_map m;

	__gmem_map_setup(&m, KVM_X86_DEFAULT_VM, FILE_SIZE,
			 GUEST_MEMFD_FLAG_MMAP);
	gmem_allocate(m.fd, 0, FILE_SIZE);
	TEST_ASSERT(!do_mbind(m.mem, FILE_SIZE, MPOL_BIND, BIT(nodes[1]),
			      MPOL_MF_MOVE | MPOL_MF_STRICT), "errno %d", errno);
	assert_policy(m.mem, MPOL_BIND, BIT(nodes[1]));
	ASSERT_EQ(gmem_allocated(m.fd), FILE_SIZE);
	gmem_map_teardown(&m);
}

static void find_nodes(void)
{
	int i;

	TEST_ASSERT(!syscall(__NR_get_mempolicy, NULL, &all_nodes, MAX_NODES,
			     NULL, MPOL_F_MEMS_ALLOWED),
		    "get_mempolicy(): errno %d", errno);
	for (i = 0; i < MAX_NODES; i++)
		if (all_nodes & BIT_ULL(i))
			nodes[nr_nodes++] = i;
	TEST_ASSERT(nr_nodes >= 2, "%d nodes; boot with numa=fake=2", nr_nodes);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_policies_read_back_as_set),
	GMEM_TEST(test_bad_policies_give_einval),
	GMEM_TEST(test_task_policy_is_not_the_files_policy),
	GMEM_TEST(test_policies_hold_for_their_range),
	GMEM_TEST(test_policy_belongs_to_the_file),
	GMEM_TEST(test_new_files_have_no_policy),
	GMEM_TEST(test_policies_are_freed_with_the_file),
	GMEM_TEST(test_host_faults_and_fallocate_obey_bind),
	GMEM_TEST(test_policy_is_for_memory_to_come),
	GMEM_TEST(test_interleave_is_by_file_offset),
	GMEM_TEST(test_fallocate_of_what_is_not_shared_obeys),
	GMEM_TEST(test_guest_faults_obey),
	GMEM_TEST(test_mbind_strict_gives_eio),
	GMEM_TEST(test_mbind_move_sets_the_policy_and_moves_nothing),
	GMEM_TEST(test_move_pages_gives_ebusy),
	GMEM_TEST(test_migrate_pages_moves_nothing),
	GMEM_TEST(test_moving_what_is_not_shared_is_harmless),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	find_nodes();
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
