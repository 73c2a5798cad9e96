// SPDX-License-Identifier: GPL-2.0
/*
 * Two operations on guest_memfd at the same time, at every offset (race.h).
 *
 * Whatever the order, both must end, each with one of the results that a
 * serial execution could give, and the state afterwards must be that of such
 * an execution.  What KASAN and lockdep find besides is theirs to report.
 */
#include "guest_memfd_guest.h"
#include "processor.h"
#include "race.h"

#define MAX_LOOPS	3000
#define MAX_MS		2500

/* More loops are worth more here than more words. */
#define WORD_STEP	512

#define NR_PAGES	8
#define SIZE		GMEM_PAGES(NR_PAGES)
#define HALF		(SIZE / 2)

/* The slot and the address of a competitor. */
#define OTHER_SLOT	(GMEM_DATA_SLOT + 1)
#define OTHER_GPA	(GMEM_DATA_GPA + BIT_ULL(30))

/* Tags of patterns. */
enum { SHARED = 10, PRIVATE };

struct context {
	struct guest_fixture f;
	/* Result of each side: 0 or -errno. */
	int a, b;
	unsigned int loop;

	/* Of side B, where it is not the slot of the fixture. */
	u32 b_slot;
	u64 b_gpa, b_offset;
};

static void race(const struct race_ops *ops, struct context *c)
{
	struct race_stats stats;

	TEST_ASSERT(race_run(ops, c, MAX_LOOPS, MAX_MS, &stats), "%s",
		    ops->name);
}

static bool complain(struct context *c, const char *what)
{
	ksft_print_msg("%s; A = %d, B = %d\n", what, c->a, c->b);
	return false;
}

/* What the two sides do. */

static void a_close(void *ctx)
{
	struct context *c = ctx;

	c->a = errno_of(close(c->f.slot.fd));
}

static void a_punch(void *ctx)
{
	struct context *c = ctx;

	c->a = errno_of(__gmem_punch_hole(c->f.slot.fd, 0, HALF));
}

static void a_allocate(void *ctx)
{
	struct context *c = ctx;

	c->a = errno_of(__gmem_allocate(c->f.slot.fd, 0, SIZE));
}

static void a_bind(void *ctx)
{
	struct context *c = ctx;

	c->a = errno_of(__gmem_slot_bind(&c->f.slot));
}

static void a_delete(void *ctx)
{
	struct context *c = ctx;

	c->a = errno_of(__gmem_slot_delete(&c->f.slot));
}

static void b_delete(void *ctx)
{
	struct context *c = ctx;

	c->b = errno_of(__gmem_slot_delete(&c->f.slot));
}

static void b_close(void *ctx)
{
	struct context *c = ctx;

	c->b = errno_of(close(c->f.slot.fd));
}

static void b_punch(void *ctx)
{
	struct context *c = ctx;

	c->b = errno_of(__gmem_punch_hole(c->f.slot.fd, 0, HALF));
}

static void b_bind(void *ctx)
{
	struct context *c = ctx;
	struct gmem_slot *s = &c->f.slot;

	c->b = errno_of(__vm_set_user_memory_region2(c->f.vm, c->b_slot,
						     KVM_MEM_GUEST_MEMFD,
						     c->b_gpa, SIZE, s->hva,
						     s->fd, c->b_offset));
}

static void b_run(void *ctx)
{
	struct context *c = ctx;

	c->b = guest_cmd_run(c->f.vcpu);
}

/* Fixtures. */

/* Twice the slot's size: there is room for a competitor. */
static void new_file(struct context *c)
{
	c->f.slot.fd = vm_create_guest_memfd(c->f.vm, 2 * c->f.slot.size, 0);
}

static void start_sized(struct context *c, u64 size)
{
	*c = (struct context) {};
	guest_start_private(&c->f, size);

	gmem_slot_delete(&c->f.slot);
	close(c->f.slot.fd);
	new_file(c);
}

static void start(struct context *c)
{
	start_sized(c, SIZE);
}

static void end(struct context *c)
{
	guest_end(&c->f);
}

static void setup_bound_new_file(void *ctx)
{
	struct context *c = ctx;

	new_file(c);
	gmem_slot_bind(&c->f.slot);
}

/* The guest is about to fill the slot with a new pattern. */
static void setup_fill(void *ctx)
{
	struct context *c = ctx;

	guest_cmd_set(c->f.vcpu, GUEST_OP_FILL, GMEM_DATA_GPA, SIZE, ++c->loop);
}

/*
 * The file is closed while its slot is deleted
 */

static bool check_close_delete(void *ctx)
{
	struct context *c = ctx;

	if (c->a || c->b)
		return complain(c, "close or deletion failed");

	return gmem_gpa_is_free(c->f.vm, GMEM_DATA_GPA, SIZE) ||
	       complain(c, "the slot is still there");
}

static void test_close_against_slot_deletion(void)
{
	static const struct race_ops ops = {
		.name = "close/delete",
		.setup = setup_bound_new_file,
		.run_a = a_close,
		.run_b = b_delete,
		.check = check_close_delete,
	};
	struct context c;

	start(&c);
	close(c.f.slot.fd);
	race(&ops, &c);
	new_file(&c);
	end(&c);
}

/*
 * The file is closed while it is bound
 */

static void setup_unbound_new_file(void *ctx)
{
	new_file(ctx);
}

static bool check_bind_close(void *ctx)
{
	struct context *c = ctx;
	bool ok = true;

	if (c->b || (c->a && c->a != -EBADF))
		return complain(c, "unexpected errno");

	if (gmem_gpa_is_free(c->f.vm, GMEM_DATA_GPA, SIZE) != !!c->a)
		ok = complain(c, "the slot does not match the result");

	if (!c->a) {
		/* A slot without a file: there, but of no use. */
		guest_cmd_set(c->f.vcpu, GUEST_OP_READ, GMEM_DATA_GPA, 0, 0);
		guest_expect_private_fault(c->f.vcpu, GMEM_DATA_GPA);
		vm_mem_set_shared(c->f.vm, GMEM_DATA_GPA, SIZE);
		guest_cmd_finish(c->f.vcpu);
		vm_mem_set_private(c->f.vm, GMEM_DATA_GPA, SIZE);
		gmem_slot_delete(&c->f.slot);
	}
	return ok;
}

static void test_bind_against_close(void)
{
	static const struct race_ops ops = {
		.name = "bind/close",
		.setup = setup_unbound_new_file,
		.run_a = a_bind,
		.run_b = b_close,
		.check = check_bind_close,
	};
	struct context c;

	start(&c);
	close(c.f.slot.fd);
	race(&ops, &c);
	new_file(&c);
	end(&c);
}

/*
 * The file is closed under a running vCPU
 */

static void setup_run_close(void *ctx)
{
	setup_bound_new_file(ctx);
	setup_fill(ctx);
}

static bool is_private_fault(struct context *c)
{
	struct kvm_run *run = c->f.vcpu->run;

	return c->b == -EFAULT && run->exit_reason == KVM_EXIT_MEMORY_FAULT &&
	       run->memory_fault.flags == KVM_MEMORY_EXIT_FLAG_PRIVATE &&
	       run->memory_fault.gpa - GMEM_DATA_GPA < SIZE &&
	       run->memory_fault.size == GMEM_PAGE_SIZE;
}

/* Let the guest complete what the race may have interrupted. */
static void complete_fill(struct context *c)
{
	if (c->b)
		guest_cmd_finish(c->f.vcpu);
	else
		guest_cmd_complete(c->f.vcpu);
}

static bool check_run_close(void *ctx)
{
	struct context *c = ctx;

	if (c->a || (c->b && !is_private_fault(c)))
		return complain(c, "unexpected result");

	/* With a new file the guest begins where it was, and finds zeros. */
	gmem_slot_delete(&c->f.slot);
	new_file(c);
	gmem_slot_bind(&c->f.slot);
	complete_fill(c);
	guest_do(c->f.vcpu, GUEST_OP_CHECK_EITHER, GMEM_DATA_GPA, SIZE,
		 c->loop);
	if (!c->b)
		guest_check_zero(c->f.vcpu, GMEM_DATA_GPA, SIZE);

	gmem_slot_delete(&c->f.slot);
	close(c->f.slot.fd);
	return true;
}

static void test_close_against_running_vcpu(void)
{
	static const struct race_ops ops = {
		.name = "close/run",
		.setup = setup_run_close,
		.run_a = a_close,
		.run_b = b_run,
		.check = check_run_close,
	};
	struct context c;

	start(&c);
	close(c.f.slot.fd);
	race(&ops, &c);
	new_file(&c);
	end(&c);
}

/*
 * The slot is deleted under a running vCPU
 */

static void setup_run_delete(void *ctx)
{
	struct context *c = ctx;

	gmem_slot_bind(&c->f.slot);
	setup_fill(ctx);
}

static bool check_run_delete(void *ctx)
{
	struct context *c = ctx;

	if (c->a || (c->b && !is_private_fault(c)))
		return complain(c, "unexpected result");

	gmem_slot_bind(&c->f.slot);
	complete_fill(c);
	guest_check(c->f.vcpu, GMEM_DATA_GPA, SIZE, c->loop);
	gmem_slot_delete(&c->f.slot);
	return true;
}

static void test_slot_deletion_against_running_vcpu(void)
{
	static const struct race_ops ops = {
		.name = "delete/run",
		.setup = setup_run_delete,
		.run_a = a_delete,
		.run_b = b_run,
		.check = check_run_delete,
	};
	struct context c;

	start(&c);
	race(&ops, &c);
	end(&c);
}

/*
 * A hole is punched under a running vCPU
 */

static bool check_punch_run(void *ctx)
{
	struct context *c = ctx;

	if (c->a || c->b)
		return complain(c, "hole or KVM_RUN failed");

	guest_cmd_complete(c->f.vcpu);
	guest_do(c->f.vcpu, GUEST_OP_CHECK_EITHER, GMEM_DATA_GPA, HALF,
		 c->loop);
	guest_check(c->f.vcpu, GMEM_DATA_GPA + HALF, HALF, c->loop);

	/* No mapping may have survived the hole. */
	gmem_punch_hole(c->f.slot.fd, 0, SIZE);
	if (gmem_allocated(c->f.slot.fd))
		return complain(c, "pages left behind");

	guest_check_zero(c->f.vcpu, GMEM_DATA_GPA, SIZE);
	return true;
}

static void test_hole_against_running_vcpu(void)
{
	static const struct race_ops ops = {
		.name = "punch/run",
		.setup = setup_fill,
		.run_a = a_punch,
		.run_b = b_run,
		.check = check_punch_run,
	};
	struct context c;

	start(&c);
	gmem_slot_bind(&c.f.slot);
	race(&ops, &c);
	end(&c);
}

/*
 * Pages are allocated by fallocate() and by the guest
 */

static void setup_allocate_run(void *ctx)
{
	struct context *c = ctx;

	gmem_punch_hole(c->f.slot.fd, 0, SIZE);
	setup_fill(ctx);
}

static bool check_allocate_run(void *ctx)
{
	struct context *c = ctx;

	if (c->a || c->b)
		return complain(c, "fallocate() or KVM_RUN failed");

	guest_cmd_complete(c->f.vcpu);
	guest_check(c->f.vcpu, GMEM_DATA_GPA, SIZE, c->loop);
	return gmem_allocated(c->f.slot.fd) == SIZE ||
	       complain(c, "wrong number of pages");
}

static void test_allocation_against_running_vcpu(void)
{
	static const struct race_ops ops = {
		.name = "fallocate/run",
		.setup = setup_allocate_run,
		.run_a = a_allocate,
		.run_b = b_run,
		.check = check_allocate_run,
	};
	struct context c;

	start(&c);
	gmem_slot_bind(&c.f.slot);
	race(&ops, &c);
	end(&c);
}

/*
 * Pages are allocated and thrown away
 */

static void setup_allocate_punch(void *ctx)
{
	struct context *c = ctx;

	gmem_punch_hole(c->f.slot.fd, 0, SIZE);
	/* Every second time there is something to throw away. */
	if (++c->loop & 1)
		guest_fill(c->f.vcpu, GMEM_DATA_GPA, SIZE, PRIVATE);
}

static bool check_allocate_punch(void *ctx)
{
	struct context *c = ctx;
	u64 allocated = gmem_allocated(c->f.slot.fd);

	if (c->a || c->b)
		return complain(c, "fallocate() failed");
	if (allocated < SIZE - HALF || allocated > SIZE)
		return complain(c, "wrong number of pages");

	guest_check_zero(c->f.vcpu, GMEM_DATA_GPA, HALF);
	if (c->loop & 1)
		guest_check(c->f.vcpu, GMEM_DATA_GPA + HALF, HALF, PRIVATE);
	else
		guest_check_zero(c->f.vcpu, GMEM_DATA_GPA + HALF, HALF);
	return true;
}

static void test_allocation_against_hole(void)
{
	static const struct race_ops ops = {
		.name = "fallocate/punch",
		.setup = setup_allocate_punch,
		.run_a = a_allocate,
		.run_b = b_punch,
		.check = check_allocate_punch,
	};
	struct context c;

	start(&c);
	gmem_slot_bind(&c.f.slot);
	race(&ops, &c);
	end(&c);
}

/*
 * The file is bound, or its slot deleted, while a hole is punched
 */

static void setup_bind_punch(void *ctx)
{
	struct context *c = ctx;

	gmem_slot_bind(&c->f.slot);
	guest_fill(c->f.vcpu, GMEM_DATA_GPA, SIZE, ++c->loop);
	gmem_slot_delete(&c->f.slot);
}

static bool check_hole_is_exact(struct context *c)
{
	guest_check_zero(c->f.vcpu, GMEM_DATA_GPA, HALF);
	guest_check(c->f.vcpu, GMEM_DATA_GPA + HALF, HALF, c->loop);
	gmem_slot_delete(&c->f.slot);
	return true;
}

static bool check_bind_punch(void *ctx)
{
	struct context *c = ctx;

	if (c->a || c->b)
		return complain(c, "bind or hole failed");

	return check_hole_is_exact(c);
}

static void test_bind_against_hole(void)
{
	static const struct race_ops ops = {
		.name = "bind/punch",
		.setup = setup_bind_punch,
		.run_a = a_bind,
		.run_b = b_punch,
		.check = check_bind_punch,
	};
	struct context c;

	start(&c);
	race(&ops, &c);
	end(&c);
}

static void setup_delete_punch(void *ctx)
{
	struct context *c = ctx;

	gmem_slot_bind(&c->f.slot);
	guest_fill(c->f.vcpu, GMEM_DATA_GPA, SIZE, ++c->loop);
}

static bool check_delete_punch(void *ctx)
{
	struct context *c = ctx;

	if (c->a || c->b)
		return complain(c, "deletion or hole failed");

	gmem_slot_bind(&c->f.slot);
	return check_hole_is_exact(c);
}

static void test_slot_deletion_against_hole(void)
{
	static const struct race_ops ops = {
		.name = "delete/punch",
		.setup = setup_delete_punch,
		.run_a = a_delete,
		.run_b = b_punch,
		.check = check_delete_punch,
	};
	struct context c;

	start(&c);
	race(&ops, &c);
	end(&c);
}

/*
 * Two slots want the same: there can be only one
 */

static bool check_one_winner(void *ctx)
{
	struct context *c = ctx;
	u64 lost_gpa = c->a ? GMEM_DATA_GPA : c->b_gpa;
	u64 lost_offset = c->a ? 0 : c->b_offset;
	bool a_won = !c->a && c->b == -EEXIST;
	bool b_won = !c->b && c->a == -EEXIST;

	if (!a_won && !b_won)
		return complain(c, "not exactly one winner");

	/* What the loser alone wanted is free; what both wanted is not. */
	if (c->b_gpa != GMEM_DATA_GPA &&
	    !gmem_gpa_is_free(c->f.vm, lost_gpa, SIZE))
		return complain(c, "the loser has its gpa");
	if (c->b_offset &&
	    !gmem_file_range_is_free(c->f.vm, c->f.slot.fd, lost_offset, SIZE))
		return complain(c, "the loser has its file range");

	vm_set_user_memory_region2(c->f.vm, a_won ? GMEM_DATA_SLOT : c->b_slot,
				   0, 0, 0, NULL, -1, 0);
	return gmem_gpa_is_free(c->f.vm, GMEM_DATA_GPA, SIZE) ||
	       complain(c, "the winner cannot be removed");
}

static void check_two_binds(const char *name, u32 slot, u64 gpa, u64 offset)
{
	struct race_ops ops = {
		.name = name,
		.run_a = a_bind,
		.run_b = b_bind,
		.check = check_one_winner,
	};
	struct context c;

	start(&c);
	c.b_slot = slot;
	c.b_gpa = gpa;
	c.b_offset = offset;
	race(&ops, &c);
	end(&c);
}

static void test_two_binds_of_a_file_range_have_one_winner(void)
{
	check_two_binds("bind/bind, same file range", OTHER_SLOT, OTHER_GPA, 0);
}

static void test_two_binds_to_a_gpa_have_one_winner(void)
{
	check_two_binds("bind/bind, same gpa", OTHER_SLOT, GMEM_DATA_GPA, SIZE);
}

/*
 * Attributes
 */

static void set_half(struct context *c, u64 first, u64 attributes, int *ret)
{
	*ret = errno_of(__vm_set_memory_attributes(c->f.vm, GMEM_DATA_GPA +
						   GMEM_PAGES(first), HALF,
						   attributes));
}

/* Pages 0 to 3, and pages 2 to 5. */
static void a_set_private(void *ctx)
{
	struct context *c = ctx;

	set_half(c, 0, KVM_MEMORY_ATTRIBUTE_PRIVATE, &c->a);
}

static void b_set_shared(void *ctx)
{
	struct context *c = ctx;

	set_half(c, 2, 0, &c->b);
}

/* Pages 0, 1, 6, 7 shared and pages 2 to 5 private. */
static void setup_attributes(void *ctx)
{
	struct context *c = ctx;

	vm_mem_set_shared(c->f.vm, GMEM_DATA_GPA, SIZE);
	vm_mem_set_private(c->f.vm, GMEM_DATA_GPA + GMEM_PAGES(2), HALF);
}

/* Pages 2 and 3 are either both private or both shared. */
static bool check_attributes(void *ctx)
{
	struct context *c = ctx;
	u64 gpa = GMEM_DATA_GPA + GMEM_PAGES(2);
	u8 sides[NR_PAGES] = { GUEST_SIDE_PRIVATE, GUEST_SIDE_PRIVATE };

	if (c->a || c->b)
		return complain(c, "KVM_SET_MEMORY_ATTRIBUTES failed");

	if (guest_read(c->f.vcpu, gpa) == guest_pattern(gpa, PRIVATE)) {
		sides[2] = GUEST_SIDE_PRIVATE;
		sides[3] = GUEST_SIDE_PRIVATE;
	}
	guest_check_sides(c->f.vcpu, GMEM_DATA_GPA, sides, NR_PAGES, SHARED);
	return true;
}

static void fill_both_sides(struct context *c)
{
	gmem_slot_bind(&c->f.slot);
	host_fill(c->f.slot.hva, GMEM_DATA_GPA, SIZE, SHARED);
	guest_fill(c->f.vcpu, GMEM_DATA_GPA, SIZE, PRIVATE);
}

static void test_attributes_against_attributes(void)
{
	static const struct race_ops ops = {
		.name = "attributes/attributes",
		.setup = setup_attributes,
		.run_a = a_set_private,
		.run_b = b_set_shared,
		.check = check_attributes,
	};
	struct context c;

	start(&c);
	fill_both_sides(&c);
	race(&ops, &c);
	end(&c);
}

/* The other half of the slot turns shared or private beside the guest's. */
static void a_flip_upper_half(void *ctx)
{
	struct context *c = ctx;

	set_half(c, NR_PAGES / 2,
		 c->loop & 1 ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE, &c->a);
}

static void setup_fill_lower_half(void *ctx)
{
	struct context *c = ctx;

	guest_cmd_set(c->f.vcpu, GUEST_OP_FILL, GMEM_DATA_GPA, HALF, ++c->loop);
}

static bool check_flip_run(void *ctx)
{
	struct context *c = ctx;

	if (c->a || c->b)
		return complain(c, "attributes or KVM_RUN failed");

	guest_cmd_complete(c->f.vcpu);
	guest_check(c->f.vcpu, GMEM_DATA_GPA, HALF, c->loop);
	guest_check(c->f.vcpu, GMEM_DATA_GPA + HALF, HALF,
		    c->loop & 1 ? SHARED : PRIVATE);
	return true;
}

static void check_flip_beside_vcpu(const char *thp)
{
	static const struct race_ops ops = {
		.name = "attributes/run",
		.setup = setup_fill_lower_half,
		.run_a = a_flip_upper_half,
		.run_b = b_run,
		.check = check_flip_run,
	};
	struct context c;

	host_set_thp(thp);
	start_sized(&c, GMEM_HUGE_SIZE);
	fill_both_sides(&c);
	race(&ops, &c);
	end(&c);
}

static void test_attributes_against_vcpu_beside_small(void)
{
	check_flip_beside_vcpu("never");
}

static void test_attributes_against_vcpu_beside_large(void)
{
	check_flip_beside_vcpu("always");
}

/* The very memory that the guest fills flips: it goes to either side. */
static void a_flip_all(void *ctx)
{
	struct context *c = ctx;

	c->a = errno_of(__vm_set_memory_attributes(c->f.vm, GMEM_DATA_GPA, SIZE,
						   0));
}

static void setup_flip_all(void *ctx)
{
	struct context *c = ctx;

	vm_mem_set_private(c->f.vm, GMEM_DATA_GPA, SIZE);
	gmem_punch_hole(c->f.slot.fd, 0, SIZE);
	memset(c->f.slot.hva, 0, SIZE);
	setup_fill(ctx);
}

/* Each word went to exactly one of the sides: first private, then shared. */
static bool check_flip_all(void *ctx)
{
	struct context *c = ctx;
	u64 *word = c->f.slot.hva;
	u64 i, first;

	if (c->a || c->b)
		return complain(c, "attributes or KVM_RUN failed");

	guest_cmd_complete(c->f.vcpu);
	for (first = 0; first < SIZE && !word[first / sizeof(u64)];)
		first += guest_word_step;

	host_check(c->f.slot.hva + first, GMEM_DATA_GPA + first, SIZE - first,
		   c->loop);
	vm_mem_set_private(c->f.vm, GMEM_DATA_GPA, SIZE);
	for (i = 0; i < SIZE; i += GMEM_PAGE_SIZE) {
		u64 want = i < first ? guest_pattern(GMEM_DATA_GPA + i, c->loop)
				     : 0;

		if (guest_read(c->f.vcpu, GMEM_DATA_GPA + i) != want)
			return complain(c, "a write went to the wrong side");
	}
	return true;
}

static void test_attributes_against_vcpu_inside(void)
{
	static const struct race_ops ops = {
		.name = "attributes/run, same range",
		.setup = setup_flip_all,
		.run_a = a_flip_all,
		.run_b = b_run,
		.check = check_flip_all,
	};
	struct context c;

	start(&c);
	gmem_slot_bind(&c.f.slot);
	race(&ops, &c);
	end(&c);
}

/*
 * The last references to a VM and to its file go at the same time
 */

/* Much more than what else a loop may leave behind for a while. */
#define LAST_PUT_SIZE	BIT_ULL(20)

struct last_put {
	int kvm_fd;
	struct kvm_vm vm;	/* only as an argument: nothing but fd is used */
	int fd;
	void *hva;
	int a, b;
};

static void setup_last_put(void *ctx)
{
	struct last_put *p = ctx;

	p->vm.fd = ioctl(p->kvm_fd, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	TEST_ASSERT(p->vm.fd >= 0, KVM_IOCTL_ERROR(KVM_CREATE_VM, p->vm.fd));
	p->fd = vm_create_guest_memfd(&p->vm, LAST_PUT_SIZE, 0);
	vm_set_user_memory_region2(&p->vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA, LAST_PUT_SIZE, p->hva, p->fd,
				   0);
	gmem_allocate(p->fd, 0, LAST_PUT_SIZE);
}

static void a_close_vm(void *ctx)
{
	struct last_put *p = ctx;

	p->a = errno_of(close(p->vm.fd));
}

static void b_close_file(void *ctx)
{
	struct last_put *p = ctx;

	p->b = errno_of(close(p->fd));
}

static bool check_last_put(void *ctx)
{
	struct last_put *p = ctx;

	return !p->a && !p->b;
}

static void test_close_of_vm_against_close_of_file(void)
{
	static const struct race_ops ops = {
		.name = "close VM/close file",
		.setup = setup_last_put,
		.run_a = a_close_vm,
		.run_b = b_close_file,
		.check = check_last_put,
	};
	struct last_put p = { .kvm_fd = open_kvm_dev_path_or_exit() };
	struct race_stats stats;
	u64 free_kb;

	p.hva = gmem_alloc_hva(GMEM_DATA_GPA, LAST_PUT_SIZE);
	/* Warm up, and then look whether every loop gives back its memory. */
	TEST_ASSERT(race_run(&ops, &p, 20, MAX_MS, &stats), "warming up");
	free_kb = gmem_free_kb();
	TEST_ASSERT(race_run(&ops, &p, MAX_LOOPS, MAX_MS, &stats), "close");

	/* Half of what the files alone would leak. */
	gmem_assert_mem_returned(free_kb, stats.loops * LAST_PUT_SIZE / 2048);
	close(p.kvm_fd);
}

/*
 * Many ranges become one while a vCPU uses a page that is private before and
 * after: at no time may the page seem to be anything else.  The shared side
 * cannot be accessed, so an access that goes there is an exit.
 */
#define MANY_PAGES	1024

/* Near the start: what is done piece by piece is done here first. */
static u64 many_gpa(void)
{
	return GMEM_DATA_GPA + GMEM_PAGES(1);
}

static void setup_many_ranges(void *ctx)
{
	struct context *c = ctx;
	u64 i;

	for (i = 0; i < MANY_PAGES; i += 2)
		vm_mem_set_shared(c->f.vm, GMEM_DATA_GPA + GMEM_PAGES(i),
				  GMEM_PAGE_SIZE);
}

static void a_make_all_private(void *ctx)
{
	struct context *c = ctx;

	c->a = errno_of(__vm_set_memory_attributes(c->f.vm, GMEM_DATA_GPA,
						   GMEM_PAGES(MANY_PAGES),
						   KVM_MEMORY_ATTRIBUTE_PRIVATE));
}

static void b_read_many(void *ctx)
{
	struct context *c = ctx;
	int i;

	for (i = 0; i < 8 && !c->b; i++) {
		guest_cmd_set(c->f.vcpu, GUEST_OP_CHECK, many_gpa(),
			      GMEM_PAGE_SIZE, PRIVATE);
		c->b = guest_cmd_run(c->f.vcpu);
	}
}

static bool check_many_ranges(void *ctx)
{
	struct context *c = ctx;

	if (c->a || c->b)
		return complain(c, "a private page seemed to be shared");
	guest_cmd_complete(c->f.vcpu);
	if (guest_cmd_of(c->f.vcpu)->nr_bad)
		return complain(c, "the private page has lost its contents");
	return true;
}

static void test_merging_ranges_against_vcpu_inside(void)
{
	static const struct race_ops ops = {
		.name = "many ranges become one / private access",
		.setup = setup_many_ranges,
		.run_a = a_make_all_private,
		.run_b = b_read_many,
		.check = check_many_ranges,
	};
	struct context c = {};

	guest_start_private(&c.f, GMEM_PAGES(MANY_PAGES));
	guest_fill(c.f.vcpu, many_gpa(), GMEM_PAGE_SIZE, PRIVATE);
	TEST_ASSERT(!mprotect(c.f.slot.hva, GMEM_PAGES(MANY_PAGES), PROT_NONE),
		    "mprotect() failed");
	race(&ops, &c);
	guest_end(&c.f);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_close_against_slot_deletion),
	GMEM_TEST(test_bind_against_close),
	GMEM_TEST(test_close_against_running_vcpu),
	GMEM_TEST(test_slot_deletion_against_running_vcpu),
	GMEM_TEST(test_hole_against_running_vcpu),
	GMEM_TEST(test_allocation_against_running_vcpu),
	GMEM_TEST(test_allocation_against_hole),
	GMEM_TEST(test_bind_against_hole),
	GMEM_TEST(test_slot_deletion_against_hole),
	GMEM_TEST(test_two_binds_of_a_file_range_have_one_winner),
	GMEM_TEST(test_two_binds_to_a_gpa_have_one_winner),
	GMEM_TEST(test_attributes_against_attributes),
	GMEM_TEST(test_attributes_against_vcpu_beside_small),
	GMEM_TEST(test_attributes_against_vcpu_beside_large),
	GMEM_TEST(test_attributes_against_vcpu_inside),
	GMEM_TEST(test_merging_ranges_against_vcpu_inside),
	GMEM_TEST(test_close_of_vm_against_close_of_file),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	guest_word_step = WORD_STEP;

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
