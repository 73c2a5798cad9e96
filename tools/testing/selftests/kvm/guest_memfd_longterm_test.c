// SPDX-License-Identifier: GPL-2.0-only
/*
 * Long-term pins of movable memory, which all is shared: first it leaves the places
 * where memory has to stay movable, ZONE_MOVABLE and contiguous memory areas.
 *
 * The pins are taken through the kernel's gup_test, which gives them up again before
 * it returns.  (io_uring refuses the file, as any but those of shmem.)
 *
 * Needs two nodes with memory.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/stddef.h>	/* gup_test.h needs it */

#include "../../../../mm/gup_test.h"
#include "guest_memfd_holder.h"
#include "guest_memfd_move.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_zone.h"

#define SIZE		(4 * H)
#define CMA_SIZE	(16 * H)

/* From include/linux/mm.h of the kernel. */
#define FOLL_WRITE	0x01
#define FOLL_LONGTERM	0x10000

struct pin {
	const char *name;
	unsigned long cmd;
	u32 flags;
};

static const struct pin short_pin = {
	"pin", PIN_FAST_BENCHMARK, FOLL_WRITE,
};

static const struct pin pins[] = {
	{ "long-term pin", PIN_LONGTERM_BENCHMARK, FOLL_WRITE },
	{ "long-term pin for reading", PIN_LONGTERM_BENCHMARK, 0 },
	{ "fast long-term pin", PIN_FAST_BENCHMARK, FOLL_WRITE | FOLL_LONGTERM },
};

/* Return: how many bytes could be pinned. */
static u64 do_pin(const struct pin *pin, void *mem, u64 size)
{
	struct gup_test args = {
		.addr = (uintptr_t)mem,
		.size = size,
		.nr_pages_per_call = size / P,
		.gup_flags = pin->flags,
	};
	int fd = open("/sys/kernel/debug/gup_test", O_RDWR);

	if (fd < 0)
		gmem_skip("no gup_test in debugfs, errno %d", errno);
	if (ioctl(fd, pin->cmd, &args))
		args.size = 0;
	close(fd);
	return args.size;
}

/* What is mapped is what the file has. */
static void assert_mapped(struct move_file *f, const char *when)
{
	u64 *mapped = calloc(f->nr, sizeof(*mapped)), i;

	TEST_ASSERT(mapped, "no memory");
	move_check(f, 1);
	pfns_at(f->mem, f->nr, mapped);
	for (i = 0; i < f->nr; i++)
		TEST_ASSERT(mapped[i] == f->pfns[i],
			    "%s, %s: page %lu is at 0x%lx, mapped at 0x%lx",
			    f->kind->name, when, i, f->pfns[i], mapped[i]);
	free(mapped);
}

/*
 * Pages from @base on are those that have to stay movable.  Those of the file are in
 * there, and are not afterwards; what need not move does not.
 */
static void pin_moves(struct move_file *f, const struct pin *pin, u64 base,
		      u64 count)
{
	u64 *before = f->pfns, i, nr = 0;

	ASSERT_EQ(do_pin(&short_pin, f->mem, f->size), f->size);
	move_assert_still(f, short_pin.name);

	ASSERT_EQ(do_pin(pin, f->mem, f->size), f->size);
	f->pfns = move_find(f, pin->name);
	ASSERT_EQ(move_count_within(f, base, count), 0UL);
	for (i = 0; i < f->nr; i++) {
		bool within = before[i] - base < count;

		TEST_ASSERT(within == (before[i] != f->pfns[i]),
			    "%s, %s: page %lu was at 0x%lx, is at 0x%lx",
			    f->kind->name, pin->name, i, before[i], f->pfns[i]);
		nr += within;
	}
	free(before);
	ksft_print_msg("%s, %s: %lu of %lu pages have moved\n", f->kind->name,
		       pin->name, nr, f->nr);
	assert_mapped(f, pin->name);
	move_assert_usage(f, f->kind->huge ? f->size : 0, pin->name);

	/* Again: it can stay where it is now. */
	ASSERT_EQ(do_pin(pin, f->mem, f->size), f->size);
	move_assert_still(f, "pinned again");
}

/*
 * ZONE_MOVABLE
 */

static void pin_in_block(const struct move_kind *kind, const struct pin *pin,
			 u64 block)
{
	u64 nr = move_block_pages();
	struct move_file f;

	move_start(&f, kind, SIZE, 1, GUEST_MEMFD_FLAG_MOVABLE);
	ASSERT_EQ(move_count_in_block(&f, block), f.nr);
	pin_moves(&f, pin, block * nr, nr);
	/* Nothing of it is left behind. */
	zone_take_offline(block);
	move_check(&f, 1);
	ASSERT_EQ(zone_set_block(block, "online_movable"), 0);
	move_end(&f);
}

static void test_pin_leaves_zone_movable(void)
{
	u64 block;
	int i, k;

	move_require_nodes();
	block = zone_movable_block();
	for (i = 0; i < ARRAY_SIZE(pins); i++)
		for (k = 0; k < 2; k++)
			pin_in_block(&move_kinds[k], &pins[i], block);
	zone_block_back(block);
}

/* What cannot move is not pinned, and stays where it is. */
static void test_page_in_use_is_not_pinned(void)
{
	struct gmem_holder *holder;
	struct move_file f;
	u64 block;
	int k;

	move_require_nodes();
	block = zone_movable_block();
	for (k = 0; k < 2; k++) {
		move_start(&f, &move_kinds[k], H, 1, GUEST_MEMFD_FLAG_MOVABLE);
		ASSERT_EQ(move_count_in_block(&f, block), f.nr);
		holder = gmem_hold(GMEM_HOLD_PIPE, f.mem, P);
		ASSERT_EQ(do_pin(&pins[0], f.mem, P), 0UL);
		move_assert_still(&f, "in use");

		gmem_release(holder);
		ASSERT_EQ(do_pin(&pins[0], f.mem, f.size), f.size);
		move_find_again(&f, "in use no more");
		ASSERT_EQ(move_count_in_block(&f, block), 0UL);
		assert_mapped(&f, "in use no more");
		move_end(&f);
	}
	zone_block_back(block);
}

/*
 * Contiguous memory areas
 */

static void pin_in_cma(struct move_file *f, const char *dir)
{
	pin_moves(f, &pins[0], zone_cma_number(dir, "base_pfn"),
		  zone_cma_number(dir, "count"));
}

static void test_pin_leaves_contiguous_area(void)
{
	int k;

	move_require_nodes();
	for (k = 0; k < 2; k++)
		zone_with_cma(&move_kinds[k], CMA_SIZE, pin_in_cma);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_pin_leaves_zone_movable),
	GMEM_TEST(test_page_in_use_is_not_pinned),
	GMEM_TEST(test_pin_leaves_contiguous_area),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_DEFAULT_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
