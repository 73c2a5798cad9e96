// SPDX-License-Identifier: GPL-2.0
/*
 * Run out of memory at every single allocation.
 *
 * Each test sweeps one operation with fail_nth.h.  What must hold for each
 * fault: the operation succeeds, or fails with ENOMEM and has not changed
 * anything, and then succeeds when it is repeated.  Needs a kernel with
 * CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC and CONFIG_FAULT_INJECTION_DEBUG_FS.
 */
#include <signal.h>
#include <sys/prctl.h>

#include "fail_nth.h"
#include "guest_memfd_guest.h"
#include "guest_memfd_pfn.h"
#include "processor.h"

/* Tags of patterns. */
enum { SHARED = 10, PRIVATE };

struct context {
	struct guest_fixture f;
	int kvm_fd;
	int fd;
	int next_fd;
	u64 offset;
	u64 size;
	u64 allocated;	/* in the file, before */
	const struct shape *shape;
};

/* The number that the next open() will return: shows leaked descriptors. */
static int next_free_fd(void)
{
	int fd = dup(STDOUT_FILENO);

	TEST_ASSERT(fd >= 0, "dup() failed, errno %d", errno);
	close(fd);
	return fd;
}

static bool no_fd_leaked(void *ctx)
{
	struct context *c = ctx;

	return next_free_fd() == c->next_fd;
}

static void close_fd(void *ctx)
{
	struct context *c = ctx;

	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/*
 * KVM_CREATE_VM
 */

static void vm_setup(void *ctx)
{
	struct context *c = ctx;

	c->fd = -1;
	c->next_fd = next_free_fd();
}

static int vm_run(void *ctx)
{
	struct context *c = ctx;

	c->fd = errno_of(ioctl(c->kvm_fd, KVM_CREATE_VM,
			       KVM_X86_SW_PROTECTED_VM));
	return c->fd;
}

static bool vm_done(void *ctx)
{
	struct context *c = ctx;

	return gmem_check_cap(c->fd, KVM_CAP_MEMORY_ATTRIBUTES) ==
	       KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

static void test_vm_creation_rolls_back(void)
{
	struct fail_nth_op op = {
		.name = "KVM_CREATE_VM",
		.setup = vm_setup,
		.run = vm_run,
		.unchanged = no_fd_leaked,
		.done = vm_done,
		.teardown = close_fd,
	};
	struct context c = { .kvm_fd = open_kvm_dev_path_or_exit() };

	fail_nth_check(&op, &c);
	close(c.kvm_fd);
}

/*
 * KVM_CREATE_GUEST_MEMFD
 */

static int create_run(void *ctx)
{
	struct context *c = ctx;

	c->fd = errno_of(__vm_create_guest_memfd(c->f.vm, c->size, 0));
	return c->fd;
}

static bool create_done(void *ctx)
{
	struct context *c = ctx;
	struct gmem_state state;

	gmem_state_get(c->fd, &state);
	return state.size == c->size && !state.blocks;
}

static void test_file_creation_rolls_back(void)
{
	struct fail_nth_op op = {
		.name = "KVM_CREATE_GUEST_MEMFD",
		.setup = vm_setup,
		.run = create_run,
		.unchanged = no_fd_leaked,
		.done = create_done,
		.teardown = close_fd,
	};
	struct context c = { .size = GMEM_PAGES(3) };

	c.f.vm = gmem_vm_create_barebones();
	fail_nth_check(&op, &c);
	kvm_vm_free(c.f.vm);
}

/*
 * KVM_SET_USER_MEMORY_REGION2: bind and delete
 */

static void bind_setup(void *ctx)
{
	struct context *c = ctx;
	u64 file_size = c->offset + c->size + GMEM_PAGE_SIZE;

	c->f.vm = gmem_vm_create_barebones();
	c->f.slot = (struct gmem_slot) {
		.vm = c->f.vm,
		.slot = GMEM_DATA_SLOT,
		.fd = vm_create_guest_memfd(c->f.vm, file_size, 0),
		.offset = c->offset,
		.gpa = GMEM_DATA_GPA,
		.size = c->size,
		.hva = gmem_alloc_hva(GMEM_DATA_GPA, c->size),
		.own_fd = true,
		.own_hva = true,
	};
}

static int bind_run(void *ctx)
{
	struct context *c = ctx;

	return errno_of(__gmem_slot_bind(&c->f.slot));
}

static bool is_bound(struct context *c)
{
	return !gmem_gpa_is_free(c->f.vm, GMEM_DATA_GPA, c->size) &&
	       !gmem_file_range_is_free(c->f.vm, c->f.slot.fd, c->offset,
					c->size);
}

static bool is_unbound(struct context *c)
{
	return gmem_gpa_is_free(c->f.vm, GMEM_DATA_GPA, c->size) &&
	       gmem_file_range_is_free(c->f.vm, c->f.slot.fd, 0,
				       c->offset + c->size);
}

static bool bind_unchanged(void *ctx)
{
	return is_unbound(ctx);
}

static bool bind_done(void *ctx)
{
	return is_bound(ctx);
}

static void bind_teardown(void *ctx)
{
	struct context *c = ctx;

	guest_end(&c->f);
}

/* Ranges that are not a power of two, at offsets that are none either. */
static void check_bind(u64 offset, u64 size)
{
	struct fail_nth_op op = {
		.name = "KVM_SET_USER_MEMORY_REGION2, bind",
		.setup = bind_setup,
		.run = bind_run,
		.unchanged = bind_unchanged,
		.done = bind_done,
		.teardown = bind_teardown,
	};
	struct context c = { .offset = offset, .size = size };

	fail_nth_check(&op, &c);
}

static void test_bind_of_one_page_rolls_back(void)
{
	check_bind(0, GMEM_PAGES(1));
}

static void test_bind_of_odd_range_rolls_back(void)
{
	check_bind(GMEM_PAGES(61), GMEM_PAGES(7));
}

static void test_bind_of_large_odd_range_rolls_back(void)
{
	check_bind(GMEM_PAGES(4093), GMEM_HUGE_SIZE * 3 + GMEM_PAGES(5));
}

static void delete_setup(void *ctx)
{
	struct context *c = ctx;

	bind_setup(ctx);
	gmem_slot_bind(&c->f.slot);
}

static int delete_run(void *ctx)
{
	struct context *c = ctx;

	return errno_of(__vm_set_user_memory_region2(c->f.vm, GMEM_DATA_SLOT, 0,
						     GMEM_DATA_GPA, 0, NULL, -1,
						     0));
}

static void test_slot_deletion_rolls_back(void)
{
	struct fail_nth_op op = {
		.name = "KVM_SET_USER_MEMORY_REGION2, delete",
		.setup = delete_setup,
		.run = delete_run,
		.unchanged = bind_done,
		.done = bind_unchanged,
		.teardown = bind_teardown,
	};
	struct context c = { .offset = GMEM_PAGES(5), .size = GMEM_PAGES(7) };

	fail_nth_check(&op, &c);
}

/*
 * KVM_SET_MEMORY_ATTRIBUTES
 *
 * There is no way to read attributes back, so the guest looks at its memory:
 * a page is private if it shows the pattern of the private side.
 */

#define NR_PAGES	12

struct shape {
	const char *name;
	const char *before;
	u64 first, nr;
	u64 attributes;
	const char *after;
};

static const struct shape shape_new = {
	"attributes, new range", "SSSSSSSSSSSS", 3, 4,
	KVM_MEMORY_ATTRIBUTE_PRIVATE, "SSSPPPPSSSSS",
};

static const struct shape shape_split = {
	"attributes, split", "PPPPPPPPPPPP", 5, 2, 0, "PPPPPSSPPPPP",
};

static const struct shape shape_merge = {
	"attributes, merge", "PPPPSSSSPPPP", 4, 4,
	KVM_MEMORY_ATTRIBUTE_PRIVATE, "PPPPPPPPPPPP",
};

static const struct shape shape_extend = {
	"attributes, extend", "SSPPPSSSSSSS", 4, 3,
	KVM_MEMORY_ATTRIBUTE_PRIVATE, "SSPPPPPSSSSS",
};

static const struct shape shape_overwrite = {
	"attributes, overwrite", "SPSPSPSPSPSP", 0, 12,
	KVM_MEMORY_ATTRIBUTE_PRIVATE, "PPPPPPPPPPPP",
};

static const struct shape shape_clear = {
	"attributes, clear", "SPPSPPSPPSPP", 2, 9, 0, "SPSSSSSSSSSP",
};

static void set_pages(struct context *c, const char *pages)
{
	int i;

	for (i = 0; i < NR_PAGES; i++)
		vm_set_memory_attributes(c->f.vm, GMEM_DATA_GPA + GMEM_PAGES(i),
					 GMEM_PAGE_SIZE, pages[i] == 'P' ?
					 KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
}

/* Asserts; what is wrong is more than true or false. */
static bool guest_sees(struct context *c, const char *pages)
{
	u8 sides[NR_PAGES];
	int i;

	for (i = 0; i < NR_PAGES; i++)
		sides[i] = pages[i] == 'P' ? GUEST_SIDE_PRIVATE :
					     GUEST_SIDE_SHARED;
	guest_check_sides(c->f.vcpu, GMEM_DATA_GPA, sides, NR_PAGES, SHARED);
	return true;
}

static void attributes_setup(void *ctx)
{
	struct context *c = ctx;
	u64 size = GMEM_PAGES(NR_PAGES);

	guest_start_private(&c->f, size);
	host_fill(c->f.slot.hva, GMEM_DATA_GPA, size, SHARED);
	guest_fill(c->f.vcpu, GMEM_DATA_GPA, size, PRIVATE);
	vm_mem_set_shared(c->f.vm, GMEM_DATA_GPA, size);
	set_pages(c, c->shape->before);
}

static int attributes_run(void *ctx)
{
	struct context *c = ctx;
	const struct shape *s = c->shape;

	return errno_of(__vm_set_memory_attributes(c->f.vm, GMEM_DATA_GPA +
						   GMEM_PAGES(s->first),
						   GMEM_PAGES(s->nr),
						   s->attributes));
}

static bool attributes_unchanged(void *ctx)
{
	struct context *c = ctx;

	return guest_sees(c, c->shape->before);
}

static bool attributes_done(void *ctx)
{
	struct context *c = ctx;

	return guest_sees(c, c->shape->after);
}

static void check_attributes(const struct shape *shape)
{
	struct fail_nth_op op = {
		.name = shape->name,
		.setup = attributes_setup,
		.run = attributes_run,
		.unchanged = attributes_unchanged,
		.done = attributes_done,
		.teardown = bind_teardown,
		/* The VM keeps two ranges that have become spare before. */
		.may_allocate_nothing = shape != &shape_split,
	};
	struct context c = { .shape = shape };

	fail_nth_check(&op, &c);
}

static void test_new_attribute_range_rolls_back(void)
{
	check_attributes(&shape_new);
}

static void test_attribute_split_rolls_back(void)
{
	check_attributes(&shape_split);
}

static void test_attribute_merge_rolls_back(void)
{
	check_attributes(&shape_merge);
}

static void test_attribute_extension_rolls_back(void)
{
	check_attributes(&shape_extend);
}

static void test_attribute_overwrite_rolls_back(void)
{
	check_attributes(&shape_overwrite);
}

static void test_attribute_clear_rolls_back(void)
{
	check_attributes(&shape_clear);
}

/*
 * fallocate()
 */

/* Pages of the file that are there and hold something from the beginning. */
#define OLD_SIZE	GMEM_PAGES(2)

static void allocate_setup(void *ctx)
{
	struct context *c = ctx;

	guest_start_private(&c->f, c->offset + c->size);
	guest_fill(c->f.vcpu, GMEM_DATA_GPA, OLD_SIZE, PRIVATE);
	c->allocated = gmem_allocated(c->f.slot.fd);
}

static int allocate_run(void *ctx)
{
	struct context *c = ctx;

	return errno_of(__gmem_allocate(c->f.slot.fd, c->offset, c->size));
}

/*
 * Like any file system, a failed fallocate() may leave a part of the range
 * allocated.  What else is in the file must not suffer, and what was
 * allocated must be within the range and read as zero (see done).
 */
static bool allocate_unchanged(void *ctx)
{
	struct context *c = ctx;
	u64 allocated = gmem_allocated(c->f.slot.fd);

	guest_check(c->f.vcpu, GMEM_DATA_GPA, OLD_SIZE, PRIVATE);
	return allocated >= c->allocated &&
	       allocated < c->allocated + c->size;
}

static bool allocate_done(void *ctx)
{
	struct context *c = ctx;

	if (gmem_allocated(c->f.slot.fd) != c->allocated + c->size)
		return false;

	guest_check(c->f.vcpu, GMEM_DATA_GPA, OLD_SIZE, PRIVATE);
	guest_check_zero(c->f.vcpu, GMEM_DATA_GPA + c->offset, c->size);
	return true;
}

static void check_allocate(u64 offset, u64 size)
{
	struct fail_nth_op op = {
		.name = "fallocate()",
		.setup = allocate_setup,
		.run = allocate_run,
		.unchanged = allocate_unchanged,
		.done = allocate_done,
		.teardown = bind_teardown,
	};
	struct context c = { .offset = offset, .size = size };

	fail_nth_check(&op, &c);
}

static void test_allocation_small_loses_nothing(void)
{
	host_set_thp("never");
	check_allocate(GMEM_PAGES(61), GMEM_PAGES(6));
}

/*
 * KVM_RUN
 */

static void touch_setup(void *ctx)
{
	struct context *c = ctx;

	guest_start_private(&c->f, c->offset + c->size);
	/* Everything that the guest itself needs is mapped after this. */
	guest_do(c->f.vcpu, GUEST_OP_NOP, 0, 0, 0);
	guest_cmd_set(c->f.vcpu, GUEST_OP_FILL, GMEM_DATA_GPA + c->offset,
		      c->size, PRIVATE);
}

static int touch_run(void *ctx)
{
	struct context *c = ctx;

	return guest_cmd_run(c->f.vcpu);
}

/* The guest is in the middle of a store; the shared side shows nothing. */
static bool touch_unchanged(void *ctx)
{
	struct context *c = ctx;

	host_check_zero(c->f.slot.hva, c->f.slot.size);
	return gmem_allocated(c->f.slot.fd) <= c->size;
}

static bool touch_done(void *ctx)
{
	struct context *c = ctx;

	guest_cmd_complete(c->f.vcpu);
	guest_check(c->f.vcpu, GMEM_DATA_GPA + c->offset, c->size, PRIVATE);
	host_check_zero(c->f.slot.hva, c->f.slot.size);
	return gmem_allocated(c->f.slot.fd) >= c->size;
}

/* KVM_RUN: ENOMEM from page tables; EFAULT with a memory fault exit. */
static void check_touch(u64 offset, u64 size)
{
	struct fail_nth_op op = {
		.name = "KVM_RUN, first touch",
		.setup = touch_setup,
		.run = touch_run,
		.unchanged = touch_unchanged,
		.done = touch_done,
		.teardown = bind_teardown,
		.errnos = { ENOMEM, EFAULT },
	};
	struct context c = { .offset = offset, .size = size };

	fail_nth_check(&op, &c);
}

static void test_first_touch_small_can_be_repeated(void)
{
	host_set_thp("never");
	check_touch(GMEM_PAGES(61), GMEM_PAGES(4));
}

/*
 * KVM_PRE_FAULT_MEMORY, of a vCPU that has no page tables yet
 */

static void pre_fault_setup(void *ctx)
{
	struct context *c = ctx;

	guest_start_private(&c->f, c->size);
}

static void pre_fault_shared_setup(void *ctx)
{
	struct context *c = ctx;

	guest_start(&c->f, c->size);
	host_fill(c->f.slot.hva, GMEM_DATA_GPA, c->size, SHARED);
}

/* Once: what has been mapped before a failure is a success. */
static int pre_fault_run(void *ctx)
{
	struct context *c = ctx;
	struct kvm_pre_fault_memory range = {
		.gpa = GMEM_DATA_GPA,
		.size = c->size,
	};
	int ret = vcpu_pre_fault_once(c->f.vcpu, &range);

	c->allocated = c->size - range.size;
	return ret;
}

/* The page at which it failed can be in the file, but is not mapped. */
static bool pre_fault_allocated(struct context *c)
{
	u64 allocated = gmem_allocated(c->f.slot.fd);

	return allocated >= c->allocated &&
	       allocated <= c->allocated + GMEM_PAGE_SIZE;
}

static bool pre_fault_unchanged(void *ctx)
{
	struct context *c = ctx;

	return !c->allocated && pre_fault_allocated(c);
}

static bool pre_fault_shared_unchanged(void *ctx)
{
	struct context *c = ctx;

	return !c->allocated && !gmem_allocated(c->f.slot.fd);
}

static bool pre_fault_done(void *ctx)
{
	struct context *c = ctx;

	if (!pre_fault_allocated(c))
		return false;

	vcpu_pre_fault(c->f.vcpu, GMEM_DATA_GPA, c->size);
	guest_check_zero(c->f.vcpu, GMEM_DATA_GPA, c->size);
	return gmem_allocated(c->f.slot.fd) == c->size;
}

static bool pre_fault_shared_done(void *ctx)
{
	struct context *c = ctx;

	vcpu_pre_fault(c->f.vcpu, GMEM_DATA_GPA, c->size);
	guest_check(c->f.vcpu, GMEM_DATA_GPA, c->size, SHARED);
	return !gmem_allocated(c->f.slot.fd);
}

static void test_pre_fault_of_private_memory_can_be_repeated(void)
{
	struct fail_nth_op op = {
		.name = "KVM_PRE_FAULT_MEMORY, private",
		.setup = pre_fault_setup,
		.run = pre_fault_run,
		.unchanged = pre_fault_unchanged,
		.done = pre_fault_done,
		.teardown = bind_teardown,
	};
	struct context c = { .size = GMEM_PAGES(3) };

	host_set_thp("never");
	fail_nth_check(&op, &c);
}

static void test_pre_fault_of_shared_memory_can_be_repeated(void)
{
	struct fail_nth_op op = {
		.name = "KVM_PRE_FAULT_MEMORY, shared",
		.setup = pre_fault_shared_setup,
		.run = pre_fault_run,
		.unchanged = pre_fault_shared_unchanged,
		.done = pre_fault_shared_done,
		.teardown = bind_teardown,
	};
	struct context c = { .size = GMEM_PAGES(3) };

	fail_nth_check(&op, &c);
}

/*
 * Holes
 */

static void punch_setup(void *ctx)
{
	struct context *c = ctx;

	guest_start_private(&c->f, 2 * GMEM_HUGE_SIZE);
	guest_fill(c->f.vcpu, GMEM_DATA_GPA, 2 * GMEM_HUGE_SIZE, PRIVATE);
}

static int punch_run(void *ctx)
{
	struct context *c = ctx;

	return errno_of(__gmem_punch_hole(c->f.slot.fd, c->offset, c->size));
}

static bool punch_unchanged(void *ctx)
{
	struct context *c = ctx;

	guest_check(c->f.vcpu, GMEM_DATA_GPA, 2 * GMEM_HUGE_SIZE, PRIVATE);
	return gmem_allocated(c->f.slot.fd) == 2 * GMEM_HUGE_SIZE;
}

static bool punch_done(void *ctx)
{
	u64 end_gpa = GMEM_DATA_GPA + 2 * GMEM_HUGE_SIZE;
	struct context *c = ctx;
	u64 gpa = GMEM_DATA_GPA + c->offset;

	if (gmem_allocated(c->f.slot.fd) != 2 * GMEM_HUGE_SIZE - c->size)
		return false;

	guest_check(c->f.vcpu, GMEM_DATA_GPA, c->offset, PRIVATE);
	guest_check(c->f.vcpu, gpa + c->size, end_gpa - (gpa + c->size),
		    PRIVATE);
	guest_check_zero(c->f.vcpu, gpa, c->size);
	return true;
}

/* A hole at the edges of folios has nothing to allocate. */
static void check_punch(u64 offset, u64 size)
{
	struct fail_nth_op op = {
		.name = "punch hole",
		.setup = punch_setup,
		.run = punch_run,
		.unchanged = punch_unchanged,
		.done = punch_done,
		.teardown = bind_teardown,
		.may_allocate_nothing = true,
	};
	struct context c = { .offset = offset, .size = size };

	fail_nth_check(&op, &c);
}

static void test_hole_in_small_folios_rolls_back(void)
{
	host_set_thp("never");
	check_punch(GMEM_PAGES(61), GMEM_PAGES(7));
}

/*
 * close(): cannot fail, and what it does must not depend on free memory
 */

static void close_setup(void *ctx)
{
	struct context *c = ctx;

	guest_start_private(&c->f, GMEM_HUGE_SIZE + GMEM_PAGE_SIZE);
	guest_fill(c->f.vcpu, GMEM_DATA_GPA, c->f.slot.size, PRIVATE);
	c->f.slot.own_fd = false;
}

static int close_run(void *ctx)
{
	struct context *c = ctx;

	return errno_of(close(c->f.slot.fd));
}

static bool close_done(void *ctx)
{
	struct context *c = ctx;

	guest_cmd_set(c->f.vcpu, GUEST_OP_READ, GMEM_DATA_GPA, 0, 0);
	guest_expect_private_fault(c->f.vcpu, GMEM_DATA_GPA);
	return true;
}

static void test_close_needs_no_memory(void)
{
	struct fail_nth_op op = {
		.name = "close()",
		.setup = close_setup,
		.run = close_run,
		.done = close_done,
		.teardown = bind_teardown,
		.may_allocate_nothing = true,
	};
	struct context c = {};

	fail_nth_check(&op, &c);
}

/*
 * memory_failure(): without memory it cannot notify, but it must contain
 */

#define SHARED_FLAGS	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

#define ABSORB_TRIES	50

struct poison_context {
	struct kvm_vm *vm;
	int fd;
	char *mem;
	u64 pfn;
};

static void poison_setup(void *ctx)
{
	struct poison_context *c = ctx;

	c->fd = vm_create_guest_memfd(c->vm, GMEM_PAGE_SIZE, SHARED_FLAGS);
	c->mem = mmap(NULL, GMEM_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      c->fd, 0);
	TEST_ASSERT(c->mem != MAP_FAILED, "mmap() failed, errno %d", errno);
	*c->mem = 1;
	c->pfn = pfn_at(c->mem);
}

static int poison_run(void *ctx)
{
	struct poison_context *c = ctx;

	return __poison_pfn(c->pfn, POISON_CORRUPT);
}

/* It did not even come to the error. */
static bool poison_unchanged(void *ctx)
{
	struct poison_context *c = ctx;

	return !pfn_is_poisoned(c->pfn) && pfn_at(c->mem) == c->pfn;
}

static bool poison_done(void *ctx)
{
	struct poison_context *c = ctx;

	return pfn_is_poisoned(c->pfn) && !pfn_mapcount(c->pfn) &&
	       !pfn_at(c->mem) && __gmem_allocate(c->fd, 0, GMEM_PAGE_SIZE) &&
	       errno == EHWPOISON;
}

static void poison_teardown(void *ctx)
{
	struct poison_context *c = ctx;

	munmap(c->mem, GMEM_PAGE_SIZE);
	close(c->fd);
	if (pfn_is_poisoned(c->pfn))
		poison_remember(c->pfn);
	poison_undo_all();
}

static void test_memory_failure_contains_in_any_case(void)
{
	struct fail_nth_op op = {
		.name = "memory_failure()",
		.setup = poison_setup,
		.run = poison_run,
		.unchanged = poison_unchanged,
		.done = poison_done,
		.teardown = poison_teardown,
	};
	struct poison_context c = {};
	struct fail_nth_stats stats;
	int tries = 0;
	bool ok;

	poison_require();
	signal(SIGBUS, SIG_IGN);
	prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
	if (fail_nth_open())
		gmem_skip("%s", fail_nth_reason());
	c.vm = vm_create_barebones();
	op.errnos[0] = ENOMEM;
	/*
	 * A CPU's lists are refilled now and then, which takes an allocation
	 * more: when that happens in the wrong loop, the sweep ends before it
	 * has come to the one in memory_failure().
	 */
	do {
		ok = fail_nth_sweep(&op, &c, &stats);
	} while (ok && !stats.absorbed && ++tries < ABSORB_TRIES);
	fail_nth_close();
	TEST_ASSERT(ok && stats.absorbed, "%s", op.name);
	kvm_vm_free(c.vm);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_vm_creation_rolls_back),
	GMEM_TEST(test_file_creation_rolls_back),
	GMEM_TEST(test_bind_of_one_page_rolls_back),
	GMEM_TEST(test_bind_of_odd_range_rolls_back),
	GMEM_TEST(test_bind_of_large_odd_range_rolls_back),
	GMEM_TEST(test_slot_deletion_rolls_back),
	GMEM_TEST(test_new_attribute_range_rolls_back),
	GMEM_TEST(test_attribute_split_rolls_back),
	GMEM_TEST(test_attribute_merge_rolls_back),
	GMEM_TEST(test_attribute_extension_rolls_back),
	GMEM_TEST(test_attribute_overwrite_rolls_back),
	GMEM_TEST(test_attribute_clear_rolls_back),
	GMEM_TEST(test_allocation_small_loses_nothing),
	GMEM_TEST(test_first_touch_small_can_be_repeated),
	GMEM_TEST(test_pre_fault_of_private_memory_can_be_repeated),
	GMEM_TEST(test_pre_fault_of_shared_memory_can_be_repeated),
	GMEM_TEST(test_hole_in_small_folios_rolls_back),
	GMEM_TEST(test_close_needs_no_memory),
	GMEM_TEST(test_memory_failure_contains_in_any_case),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
