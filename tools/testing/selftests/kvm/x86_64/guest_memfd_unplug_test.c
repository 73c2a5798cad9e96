// SPDX-License-Identifier: GPL-2.0-only
/*
 * A memory module with guest memory in it is unplugged, and plugged in again, while the
 * guest counts.
 *
 * Needs a machine with such a module, all of it in ZONE_MOVABLE of node 1 since it
 * came online, e.g. of QEMU:
 *
 *	-m 3072M,slots=1,maxmem=8G
 *	-object memory-backend-ram,id=m2,size=256M
 *	-device pc-dimm,id=dimm,memdev=m2,node=1
 *	(kernel) memhp_default_state=online_movable
 *
 * To unplug it, the kernel tells the firmware.  Only from outside can it be plugged in:
 * GMEM_MONITOR in the environment is a serial line to QEMU's monitor.  Without that, the
 * test ends after the first half, and the module is gone.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <termios.h>

#include "guest_memfd_move.h"
#include "guest_memfd_undo.h"
#include "guest_memfd_zone.h"

#define MODULE		"/sys/bus/acpi/devices/PNP0C80:00/"
#define PLUG_IN		"device_add pc-dimm,id=dimm,memdev=m2,node=1\n"
#define HUGE_PAGES	"/proc/sys/vm/nr_hugepages"
#define MAX_BLOCKS	4096
#define SIZE		(16 * H)
#define SECONDS		120

static bool block_says(u64 block, const char *name, const char *wanted)
{
	char path[96], *text;
	bool ok;

	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%lu/%s",
		 block, name);
	text = admin_read(path);
	ok = text && !strncmp(text, wanted, strlen(wanted));
	free(text);
	return ok;
}

/* One that is about to come online has its zone before. */
static bool block_is_movable(u64 block)
{
	return zone_node_has_block(1, block) &&
	       block_says(block, "state", "online") &&
	       block_says(block, "valid_zones", "Movable");
}

/* Return: how many blocks the module has; the first of them. */
static u64 find_module(u64 *first)
{
	u64 block, nr = 0;

	for (block = MAX_BLOCKS; block--; ) {
		if (!block_is_movable(block))
			continue;
		*first = block;
		nr++;
	}
	return nr;
}

/* Return: whether it has as many, within so many ms. */
static bool wait_for_blocks(u64 wanted, u64 ms)
{
	u64 end = gmem_now() + ms * MS, first;

	while (find_module(&first) != wanted) {
		if (gmem_now() >= end)
			return false;
		usleep(100000);
	}
	return true;
}

/* One that goes offline is not online any more, but there. */
static void wait_until_unplugged(u64 first, u64 nr)
{
	u64 end = gmem_now() + SECONDS * 1000 * MS, block;

	for (block = first; block < first + nr; block++)
		while (zone_node_has_block(1, block)) {
			TEST_ASSERT(gmem_now() < end, "block %lu stays in", block);
			usleep(100000);
		}
}

static void ask_to_plug_in(const char *monitor)
{
	struct termios t;
	int fd = open(monitor, O_RDWR | O_NOCTTY);

	TEST_ASSERT(fd >= 0 && !tcgetattr(fd, &t), "%s: errno %d", monitor,
		    errno);
	/* What the monitor says is not to go back to it. */
	cfmakeraw(&t);
	TEST_ASSERT(!tcsetattr(fd, TCSANOW, &t), "errno %d", errno);
	TEST_ASSERT(write(fd, PLUG_IN, strlen(PLUG_IN)) == strlen(PLUG_IN),
		    "errno %d", errno);
	tcdrain(fd);
	close(fd);
}

/* Again and again: the firmware may not have let go of it yet. */
static void plug_in(const char *monitor, u64 nr)
{
	int tries = 0;

	do {
		TEST_ASSERT(tries++ < SECONDS, "it does not come back");
		ask_to_plug_in(monitor);
	} while (!wait_for_blocks(nr, 2000));
}

static u64 count_in_module(struct move_file *f, u64 first, u64 nr)
{
	u64 pages = move_block_pages();

	return move_count_within(f, first * pages, nr * pages);
}

/* Others can have a part of it. */
static void assert_some_in_module(struct move_file *f, u64 first, u64 nr,
				  const char *when)
{
	u64 in_module = count_in_module(f, first, nr);

	ksft_print_msg("%s, %s: %lu of %lu pages are in the module\n",
		       f->kind->name, when, in_module, f->nr);
	TEST_ASSERT(in_module, "%s: no page is in the module", when);
}

/* With the guest's counts as contents: the module is there at first, and in the end. */
static void unplug_and_plug(const struct move_kind *kind, const char *monitor)
{
	struct move_counter c;
	struct move_file f;
	u64 first, nr = find_module(&first);

	move_start(&f, kind, SIZE, 1, GUEST_MEMFD_FLAG_MOVABLE);
	assert_some_in_module(&f, first, nr, "at first");
	move_counter_start(&c, &f);

	ASSERT_EQ(admin_write(MODULE "eject", "1"), 0);
	wait_until_unplugged(first, nr);
	move_counter_check(&c, "unplugged");
	move_find_again(&f, "unplugged");
	ASSERT_EQ(count_in_module(&f, first, nr), 0UL);
	move_assert_usage(&f, kind->huge ? f.size : 0, "unplugged");

	if (monitor) {
		plug_in(monitor, nr);
		/* And back, by way of the other node. */
		ASSERT_EQ(move_policy(f.fd, 0, f.size, 0,
				      MPOL_MF_MOVE | MPOL_MF_STRICT), 0);
		ASSERT_EQ(move_policy(f.fd, 0, f.size, 1,
				      MPOL_MF_MOVE | MPOL_MF_STRICT), 0);
		move_find_again(&f, "plugged in");
		assert_some_in_module(&f, first, nr, "plugged in");
		move_counter_check(&c, "plugged in");
	}
	move_counter_end(&c);
	move_end(&f);
}

static void test_module_is_unplugged_and_plugged_in(void)
{
	const char *monitor = getenv("GMEM_MONITOR");
	u64 first;
	int k;

	move_require_nodes();
	if (access(MODULE "eject", W_OK) || !find_module(&first))
		gmem_skip("no memory module in ZONE_MOVABLE");
	/* Free ones that are in the module go with it. */
	gmem_setting_keep(HUGE_PAGES);
	for (k = 0; k < MOVE_KINDS; k++) {
		if (!move_kinds[k].private)
			continue;
		unplug_and_plug(&move_kinds[k], monitor);
		if (!monitor) {
			ksft_print_msg("no monitor, the module stays out\n");
			return;
		}
	}
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_module_is_unplugged_and_plugged_in),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	guest_word_step = 512;

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
