// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for tests of memory that has to be movable, or is nearly all in use:
 * contiguous memory areas, memory blocks, and nodes.
 *
 * See guest_memfd_zone.h for what each function does.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "guest_memfd_undo.h"
#include "guest_memfd_zone.h"

/*
 * Contiguous memory areas
 */

void zone_find_cma(glob_t *dirs)
{
	if (glob("/sys/kernel/debug/cma/*", GLOB_ONLYDIR, NULL, dirs))
		gmem_skip("no contiguous memory area; boot with cma=64M");
}

u64 zone_cma_number(const char *dir, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return gmem_proc_number(path);
}

static int write_cma(const char *dir, const char *file, u64 nr)
{
	char path[160], number[32];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	snprintf(number, sizeof(number), "%lu", nr);
	return admin_write(path, number);
}

void zone_take_cma(const char *dir)
{
	u64 count = zone_cma_number(dir, "count");
	int ret, tries = 0;

	/* Others' pages in it are moved, and can be in use just now. */
	do {
		ret = write_cma(dir, "alloc", count);
	} while (ret && ++tries < 10 && !usleep(100000));
	TEST_ASSERT(!ret, "%s: %lu pages: %d", dir, count, ret);
}

void zone_free_cma(const char *dir)
{
	u64 count = zone_cma_number(dir, "count");
	int ret = write_cma(dir, "free", count);

	TEST_ASSERT(!ret, "%s: %lu pages back: %d", dir, count, ret);
}

/*
 * Memory blocks
 */

#define MAX_BLOCKS	4096
#define MAX_CPUS	1024
/* Free ones that are in a block go with it. */
#define HUGE_PAGES	"/proc/sys/vm/nr_hugepages"

static char *block_path(u64 block)
{
	static char path[96];

	snprintf(path, sizeof(path),
		 "/sys/devices/system/memory/memory%lu/state", block);
	return path;
}

int zone_set_block(u64 block, const char *state)
{
	return admin_write(block_path(block), state);
}

bool zone_node_has_block(int node, u64 block)
{
	char path[96];

	snprintf(path, sizeof(path),
		 "/sys/devices/system/node/node%d/memory%lu", node, block);
	return !access(path, F_OK);
}

u64 zone_movable_block(void)
{
	u64 block;

	gmem_setting_keep(HUGE_PAGES);
	for (block = MAX_BLOCKS; block--; )
		if (zone_node_has_block(1, block) &&
		    !zone_set_block(block, "offline"))
			break;
	if (block == -1UL)
		gmem_skip("no block of node 1 can be taken offline");
	/* In reverse order. */
	gmem_undo_by_write(block_path(block), "online_kernel");
	gmem_undo_by_write(block_path(block), "offline");
	ASSERT_EQ(zone_set_block(block, "online_movable"), 0);
	return block;
}

void zone_block_back(u64 block)
{
	zone_take_offline(block);
	gmem_undo_forget(block_path(block), "offline");
	ASSERT_EQ(zone_set_block(block, "online_kernel"), 0);
	gmem_undo_forget(block_path(block), "online_kernel");
}

void zone_take_offline(u64 block)
{
	int ret, tries = 0;

	do {
		ret = zone_set_block(block, "offline");
	} while (ret && ++tries < 20 && !usleep(100000));
	TEST_ASSERT(!ret, "block %lu: %d", block, ret);
}

/* What others allocate is local to the CPU that they are on. */
static void stop_cpus(int node)
{
	char path[96];
	int cpu;

	for (cpu = 0; cpu < MAX_CPUS; cpu++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/cpu%d", node, cpu);
		if (access(path, F_OK))
			continue;
		snprintf(path, sizeof(path),
			 "/sys/devices/system/cpu/cpu%d/online", cpu);
		gmem_setting_write(path, "0");
	}
}

u64 zone_only_block(void)
{
	u64 block, last = -1UL;

	stop_cpus(1);
	gmem_setting_keep(HUGE_PAGES);
	for (block = 0; block < MAX_BLOCKS; block++) {
		if (!zone_node_has_block(1, block) ||
		    zone_set_block(block, "offline"))
			continue;
		gmem_undo_by_write(block_path(block), "online_kernel");
		last = block;
	}
	if (last == -1UL)
		gmem_skip("no block of node 1 can be taken offline");
	ASSERT_EQ(zone_set_block(last, "online_kernel"), 0);
	return last;
}

/*
 * Nodes
 */

/* What others can have of the node; less makes the kernel look for victims. */
#define LEAVE_FREE	(150ULL << 20)
/* So much of it is in parts of half a huge page. */
#define HALVES		(160ULL << 20)
#define HALF		(GMEM_HUGE_SIZE / 2)
/* At most so much is in whole huge pages. */
#define REST		(600ULL << 20)
#define DEFRAG		"/sys/kernel/mm/transparent_hugepage/defrag"

u64 zone_free_on(int node)
{
	char path[96], key[32];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo",
		 node);
	snprintf(key, sizeof(key), "Node %d MemFree", node);
	return (u64)admin_file_value(path, key) << 10;
}

/* Charge the root control group, whatever the test's own one is. */
static void allocate(int fd, u64 offset, u64 size)
{
	admin_write(GMEM_CGROUP_ROOT "/cgroup.procs", "0");
	gmem_allocate(fd, offset, size);
	gmem_group_return();
}

static int file_on(struct kvm_vm *vm, int node, u64 size, u64 flags)
{
	u64 mask = BIT(node);
	char *mem;
	int fd;

	fd = vm_create_guest_memfd(vm, size, GMEM_SHARED_FLAGS |
				   GUEST_MEMFD_FLAG_HUGEPAGE | flags);
	mem = gmem_mmap(fd, size, 0);
	TEST_ASSERT(!syscall(__NR_mbind, mem, size, MPOL_BIND, &mask, 64, 0),
		    "errno %d", errno);
	munmap(mem, size);
	return fd;
}

void zone_fill_node(struct zone_hog *hog, int node)
{
	u64 size = zone_free_on(node);

	TEST_ASSERT(size > LEAVE_FREE + 2 * HALVES, "%lu bytes free", size);
	hog->size = (size - LEAVE_FREE) / GMEM_HUGE_SIZE * GMEM_HUGE_SIZE;
	hog->node = node;
	hog->vm = vm_create_barebones();
	hog->rest = -1;
	hog->fd = file_on(hog->vm, node, hog->size, 0);
	allocate(hog->fd, 0, hog->size);
}

void zone_use_huge(struct zone_hog *hog)
{
	u64 at;

	/* Or the kernel would make some, out of others' small pages. */
	gmem_setting_write(DEFRAG, "never");
	for (at = 0; at < 2 * HALVES; at += GMEM_HUGE_SIZE)
		gmem_punch_hole(hog->fd, at, HALF);

	/* Movable, as some that is free may be for such memory only. */
	hog->rest = file_on(hog->vm, hog->node, REST, GUEST_MEMFD_FLAG_MOVABLE);
	zone_use_huge_again(hog);
}

static void use_huge(struct zone_hog *hog)
{
	u64 at;

	for (at = gmem_huge(hog->rest); at < REST; at += GMEM_HUGE_SIZE) {
		allocate(hog->rest, at, GMEM_HUGE_SIZE);
		if (gmem_huge(hog->rest) == at)
			break;
	}
	TEST_ASSERT(at < REST, "there are always more huge pages");
	gmem_punch_hole(hog->rest, at, GMEM_HUGE_SIZE);
}

/* A CPU keeps some for itself. */
void zone_use_huge_again(struct zone_hog *hog)
{
	cpu_set_t all, one;
	int cpu;

	TEST_ASSERT(!sched_getaffinity(0, sizeof(all), &all), "errno %d", errno);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		use_huge(hog);
	}
	sched_setaffinity(0, sizeof(all), &all);
}

void zone_lend_huge(struct zone_hog *hog)
{
	u64 at = gmem_huge(hog->rest);

	TEST_ASSERT(at, "there is none left to lend");
	gmem_punch_hole(hog->rest, at - GMEM_HUGE_SIZE, GMEM_HUGE_SIZE);
}

void zone_leave_node(struct zone_hog *hog)
{
	if (hog->rest >= 0)
		close(hog->rest);
	gmem_setting_restore(DEFRAG);
	close(hog->fd);
	kvm_vm_free(hog->vm);
}

/* More files that take what is free outside of the area, one at a time. */
#define MAX_MORE	4
#define MORE_SIZE	(8 * H)

/*
 * Movable memory is taken from the area when there is more free in it than
 * outside.  So have most of the node pinned by a file that cannot be in it, and, if
 * that is not enough, by others.
 */
static void with_one_cma(const struct move_kind *kind, u64 size,
			 const char *dir,
			 void (*act)(struct move_file *f, const char *dir))
{
	u64 base = zone_cma_number(dir, "base_pfn"), nr;
	struct move_file f, more[MAX_MORE];
	int node = move_node_of(base), i = 0;
	struct zone_hog hog;

	host_set_thp("madvise");
	/* So that it is empty. */
	zone_take_cma(dir);
	zone_free_cma(dir);
	zone_fill_node(&hog, node);
	for (;;) {
		move_start(&f, kind, size, node, GUEST_MEMFD_FLAG_MOVABLE);
		nr = move_count_within(&f, base, zone_cma_number(dir, "count"));
		if (nr || i == MAX_MORE)
			break;
		move_end(&f);
		move_start(&more[i++], &move_kinds[0], MORE_SIZE, node, 0);
	}
	ksft_print_msg("%s: %lu pages are in %s\n", kind->name, nr, dir);
	TEST_ASSERT(nr, "%s: no page is in %s", kind->name, dir);
	while (i)
		move_end(&more[--i]);
	zone_leave_node(&hog);
	act(&f, dir);
	move_end(&f);
}

void zone_with_cma(const struct move_kind *kind, u64 size,
		   void (*act)(struct move_file *f, const char *dir))
{
	glob_t dirs;
	size_t i;

	zone_find_cma(&dirs);
	for (i = 0; i < dirs.gl_pathc; i++)
		with_one_cma(kind, size, dirs.gl_pathv[i], act);
	globfree(&dirs);
}
