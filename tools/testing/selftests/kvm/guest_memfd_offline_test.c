// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory blocks with poisoned pages of a guest_memfd do not go offline.
 *
 * Needs a block that can: one of a node where the kernel has next to nothing.
 * All such blocks but one are taken offline, so that a file with a policy for
 * this node gets pages of the one that is left.  Then the file has a single page
 * there, and apart from that page the block is as it was when it could go, which
 * is tried again in the end.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <sched.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "guest_memfd_guest.h"
#include "guest_memfd_map.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_undo.h"

#define MEMORY		"/sys/devices/system/memory/"
#define P		GMEM_PAGE_SIZE
#define MAX_BLOCKS	4096
/* At most that is allocated to get a page in the block. */
#define FILE_SIZE	(2ULL << 30)

static u64 block_size;
/* Blocks of the node that could be taken offline, and are. */
static unsigned int offline[MAX_BLOCKS];
static unsigned int nr_offline;

/* Return: 0 or -errno. */
static int set_block(unsigned int block, const char *state)
{
	char path[96];
	int fd, ret = 0;

	snprintf(path, sizeof(path), MEMORY "memory%u/state", block);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	if (write(fd, state, strlen(state)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static bool node_has_block(int node, unsigned int block)
{
	char path[96];

	snprintf(path, sizeof(path),
		 "/sys/devices/system/node/node%d/memory%u", node, block);
	return !access(path, F_OK);
}

static void all_online(void)
{
	while (nr_offline)
		set_block(offline[--nr_offline], "online_kernel");
}

static void read_block_size(void)
{
	FILE *f = fopen(MEMORY "block_size_bytes", "r");

	if (!f)
		gmem_skip("no memory blocks");
	TEST_ASSERT(fscanf(f, "%lx", &block_size) == 1, "no block size");
	fclose(f);
}

/* Kernel memory for what this test does comes from node 0. */
static void stay_on_node_0(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "errno %d",
		    errno);
}

/* Leaves all blocks of node 1 offline that can be, apart from the one returned. */
static unsigned int take_blocks_offline(void)
{
	unsigned int block;

	/* Free huge pages that are in a block go with it. */
	gmem_setting_keep("/proc/sys/vm/nr_hugepages");
	for (block = 0; block < MAX_BLOCKS; block++)
		if (node_has_block(1, block) && !set_block(block, "offline"))
			offline[nr_offline++] = block;
	if (!nr_offline)
		gmem_skip("no block of node 1 can be taken offline");
	block = offline[--nr_offline];
	TEST_ASSERT(!set_block(block, "online_kernel"), "block %u", block);
	return block;
}

struct lonely {
	struct kvm_vm *vm;
	int fd;
	unsigned int block;
	char *hva;	/* the one page that the file has */
	u64 pfn;
};

/* Touch pages until one is in the block; that one is kept. */
static void find_page(struct lonely *l, char *mem)
{
	u64 i;

	for (i = 0; i < FILE_SIZE; i += P) {
		WRITE_ONCE(mem[i], 1);
		l->pfn = pfn_at(mem + i);
		if (l->pfn * P / block_size == l->block)
			break;
	}
	TEST_ASSERT(i < FILE_SIZE, "no page in block %u", l->block);
	l->hva = mem + i;
	if (i)
		gmem_punch_hole(l->fd, 0, i);
	ASSERT_EQ(gmem_allocated(l->fd), P);
}

static void lonely_start(struct lonely *l)
{
	u64 mask = BIT(1);
	char *mem;

	poison_require();
	read_block_size();
	stay_on_node_0();
	atexit(all_online);
	l->block = take_blocks_offline();
	ksft_print_msg("block %u; %u are offline\n", l->block, nr_offline);

	l->vm = vm_create_barebones();
	l->fd = vm_create_guest_memfd(l->vm, FILE_SIZE, GMEM_SHARED_FLAGS);
	mem = gmem_mmap(l->fd, FILE_SIZE, 0);
	TEST_ASSERT(!madvise(mem, FILE_SIZE, MADV_NOHUGEPAGE), "errno %d",
		    errno);
	TEST_ASSERT(!syscall(__NR_mbind, mem, FILE_SIZE, MPOL_BIND, &mask, 64,
			     0), "mbind(): errno %d", errno);
	find_page(l, mem);
}

static void assert_stays_online(struct lonely *l, const char *when)
{
	int i, ret;

	for (i = 0; i < 3; i++) {
		ret = set_block(l->block, "offline");
		TEST_ASSERT(ret == -EBUSY, "%s: offline = %d", when, ret);
	}
}

static void assert_goes_offline(struct lonely *l, const char *when)
{
	int i, ret;

	/* Caches of free pages of the CPUs, and the like. */
	for (i = 0; i < 20; i++) {
		ret = set_block(l->block, "offline");
		if (!ret)
			break;
		usleep(100000);
	}
	TEST_ASSERT(!ret, "%s: offline = %d", when, ret);
	ret = set_block(l->block, "online_kernel");
	TEST_ASSERT(!ret, "%s: online = %d", when, ret);
}

static void test_block_stays_online_while_the_page_is_in_the_file(void)
{
	struct lonely l;

	lonely_start(&l);
	assert_stays_online(&l, "a page");
	poison_pfn(l.pfn, POISON_CORRUPT);
	assert_stays_online(&l, "a poisoned page");
	ASSERT_EQ(gmem_allocated(l.fd), P);
	TEST_ASSERT(pfn_is_poisoned(l.pfn), "pfn 0x%lx is not poisoned", l.pfn);
	TEST_ASSERT(gmem_touch(l.hva, false), "the page can be read");

	/* It was the page, and that it was in the file. */
	gmem_punch_hole(l.fd, 0, FILE_SIZE);
	poison_undo_all();
	assert_goes_offline(&l, "without the page");

	close(l.fd);
	kvm_vm_free(l.vm);
	all_online();
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_block_stays_online_while_the_page_is_in_the_file),
};

int main(void)
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
