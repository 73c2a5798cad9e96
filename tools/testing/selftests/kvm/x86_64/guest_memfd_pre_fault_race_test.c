// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_PRE_FAULT_MEMORY while the memory changes, at every offset (race.h).
 *
 * Side A maps all of the slot in advance.  Whatever side B does, A must end,
 * and no mapping may outlive the memory that it is of.
 */
#include <sys/mman.h>

#include "guest_memfd_guest.h"
#include "processor.h"
#include "race.h"

#define MAX_LOOPS	3000
#define MAX_MS		2500

#define WORD_STEP	512

#define NR_PAGES	8
#define SIZE		GMEM_PAGES(NR_PAGES)
#define HALF		(SIZE / 2)

/* Tags of patterns. */
enum { SHARED = 10, PRIVATE };

struct context {
	struct guest_fixture f;
	struct kvm_vcpu *vcpu_b;
	/* Result of each side: 0 or -errno; what A has left. */
	int a, b;
	u64 left;
	unsigned int loop;
	/* How often A had each of the results it can have. */
	unsigned int done, again, nothing, fault;
};

static void race(const struct race_ops *ops, struct context *c)
{
	struct race_stats stats;

	TEST_ASSERT(race_run(ops, c, MAX_LOOPS, MAX_MS, &stats), "%s",
		    ops->name);
	ksft_print_msg("%u done, %u EAGAIN, %u ENOENT, %u EFAULT\n", c->done,
		       c->again, c->nothing, c->fault);
}

static bool complain(struct context *c, const char *what)
{
	ksft_print_msg("%s; A = %d, 0x%lx left, B = %d\n", what, c->a, c->left,
		       c->b);
	return false;
}

static void start(struct context *c)
{
	*c = (struct context) {};
	guest_start_private(&c->f, SIZE);
}

static void a_pre_fault(void *ctx)
{
	struct context *c = ctx;

	c->a = __vcpu_pre_fault(c->f.vcpu, GMEM_DATA_GPA, SIZE, &c->left);
	c->done += !c->a;
	c->again += c->a == -EAGAIN;
	c->nothing += c->a == -ENOENT;
	c->fault += c->a == -EFAULT;
}

/*
 * The slot is deleted
 */

static void b_delete(void *ctx)
{
	struct context *c = ctx;

	c->b = errno_of(__gmem_slot_delete(&c->f.slot));
}

static bool check_delete(void *ctx)
{
	struct context *c = ctx;

	if (c->b || (c->a && c->a != -EAGAIN && c->a != -ENOENT))
		return complain(c, "unexpected result");
	if (!gmem_gpa_is_free(c->f.vm, GMEM_DATA_GPA, SIZE))
		return complain(c, "the slot is still there");

	gmem_slot_bind(&c->f.slot);
	vcpu_pre_fault(c->f.vcpu, GMEM_DATA_GPA, SIZE);
	guest_check(c->f.vcpu, GMEM_DATA_GPA, SIZE, PRIVATE);
	return true;
}

static void test_pre_fault_against_slot_deletion(void)
{
	static const struct race_ops ops = {
		.name = "pre-fault/delete",
		.run_a = a_pre_fault,
		.run_b = b_delete,
		.check = check_delete,
	};
	struct context c;

	start(&c);
	guest_fill(c.f.vcpu, GMEM_DATA_GPA, SIZE, PRIVATE);
	race(&ops, &c);
	guest_end(&c.f);
}

static void b_recreate(void *ctx)
{
	struct context *c = ctx;

	c->b = errno_of(__gmem_slot_delete(&c->f.slot)) ?: errno_of(__gmem_slot_bind(&c->f.slot));
}

static bool check_recreate(void *ctx)
{
	struct context *c = ctx;

	if (c->b || (c->a && c->a != -EAGAIN && c->a != -ENOENT))
		return complain(c, "unexpected result");

	vcpu_pre_fault(c->f.vcpu, GMEM_DATA_GPA, SIZE);
	guest_check(c->f.vcpu, GMEM_DATA_GPA, SIZE, PRIVATE);
	return true;
}

static void test_pre_fault_against_slot_recreation(void)
{
	static const struct race_ops ops = {
		.name = "pre-fault/delete and create",
		.run_a = a_pre_fault,
		.run_b = b_recreate,
		.check = check_recreate,
	};
	struct context c;

	start(&c);
	guest_fill(c.f.vcpu, GMEM_DATA_GPA, SIZE, PRIVATE);
	race(&ops, &c);
	guest_end(&c.f);
}

/*
 * A hole is punched
 */

static void setup_fill(void *ctx)
{
	struct context *c = ctx;

	guest_fill(c->f.vcpu, GMEM_DATA_GPA, SIZE, ++c->loop);
	/* Unmap, so that there is something to map. */
	vm_mem_set_shared(c->f.vm, GMEM_DATA_GPA, SIZE);
	vm_mem_set_private(c->f.vm, GMEM_DATA_GPA, SIZE);
}

static void b_punch(void *ctx)
{
	struct context *c = ctx;

	c->b = errno_of(__gmem_punch_hole(c->f.slot.fd, 0, HALF));
}

static bool check_punch(void *ctx)
{
	struct context *c = ctx;

	if (c->a || c->b)
		return complain(c, "unexpected result");

	guest_check_zero(c->f.vcpu, GMEM_DATA_GPA, HALF);
	guest_check(c->f.vcpu, GMEM_DATA_GPA + HALF, HALF, c->loop);
	return true;
}

static void test_pre_fault_against_hole(void)
{
	static const struct race_ops ops = {
		.name = "pre-fault/punch",
		.setup = setup_fill,
		.run_a = a_pre_fault,
		.run_b = b_punch,
		.check = check_punch,
	};
	struct context c;

	start(&c);
	race(&ops, &c);
	guest_end(&c.f);
}

/*
 * The range becomes shared or private
 */

static void b_convert(void *ctx)
{
	struct context *c = ctx;

	c->b = errno_of(__vm_set_memory_attributes(c->f.vm, GMEM_DATA_GPA, SIZE,
						   c->loop % 2 ? 0 :
						   KVM_MEMORY_ATTRIBUTE_PRIVATE));
}

static void setup_convert(void *ctx)
{
	struct context *c = ctx;

	c->loop++;
}

static bool check_convert(void *ctx)
{
	struct context *c = ctx;

	if (c->a || c->b)
		return complain(c, "unexpected result");

	guest_check(c->f.vcpu, GMEM_DATA_GPA, SIZE,
		    c->loop % 2 ? SHARED : PRIVATE);
	return true;
}

static void test_pre_fault_against_conversion(void)
{
	static const struct race_ops ops = {
		.name = "pre-fault/convert",
		.setup = setup_convert,
		.run_a = a_pre_fault,
		.run_b = b_convert,
		.check = check_convert,
	};
	struct context c;

	start(&c);
	guest_fill(c.f.vcpu, GMEM_DATA_GPA, SIZE, PRIVATE);
	host_fill(c.f.slot.hva, GMEM_DATA_GPA, SIZE, SHARED);
	race(&ops, &c);
	guest_end(&c.f);
}

/*
 * The file is closed
 */

static void b_close(void *ctx)
{
	struct context *c = ctx;

	c->b = errno_of(close(c->f.slot.fd));
}

static bool check_close(void *ctx)
{
	struct context *c = ctx;
	u64 left;

	if (c->b || (c->a && c->a != -EFAULT))
		return complain(c, "unexpected result");
	if (__vcpu_pre_fault(c->f.vcpu, GMEM_DATA_GPA, SIZE, &left) != -EFAULT)
		return complain(c, "there is still memory");

	gmem_slot_delete(&c->f.slot);
	c->f.slot.fd = vm_create_guest_memfd(c->f.vm, SIZE, 0);
	gmem_slot_bind(&c->f.slot);
	return true;
}

static void test_pre_fault_against_close(void)
{
	static const struct race_ops ops = {
		.name = "pre-fault/close",
		.run_a = a_pre_fault,
		.run_b = b_close,
		.check = check_close,
	};
	struct context c;

	start(&c);
	race(&ops, &c);
	guest_end(&c.f);
}

/*
 * Shared memory is discarded
 */

static void setup_discard(void *ctx)
{
	struct context *c = ctx;

	host_fill(c->f.slot.hva, GMEM_DATA_GPA, SIZE, SHARED);
}

static void b_discard(void *ctx)
{
	struct context *c = ctx;

	c->b = errno_of(madvise(c->f.slot.hva, HALF, MADV_DONTNEED));
}

static bool check_discard(void *ctx)
{
	struct context *c = ctx;

	if (c->a || c->b)
		return complain(c, "unexpected result");

	guest_check_zero(c->f.vcpu, GMEM_DATA_GPA, HALF);
	guest_check(c->f.vcpu, GMEM_DATA_GPA + HALF, HALF, SHARED);
	return true;
}

static void test_pre_fault_against_discard_of_shared_memory(void)
{
	static const struct race_ops ops = {
		.name = "pre-fault/madvise",
		.setup = setup_discard,
		.run_a = a_pre_fault,
		.run_b = b_discard,
		.check = check_discard,
	};
	struct context c = {};

	guest_start(&c.f, SIZE);
	race(&ops, &c);
	guest_end(&c.f);
}

/*
 * Another vCPU maps the same memory: in advance, or because it runs
 */

static void start_two(struct context *c)
{
	struct kvm_vcpu *vcpus[2];

	*c = (struct context) {};
	c->f.vm = guest_vm_create(2, vcpus, SIZE, &c->f.slot);
	c->f.vcpu = vcpus[0];
	c->vcpu_b = vcpus[1];
	vm_mem_set_private(c->f.vm, GMEM_DATA_GPA, SIZE);
}

static void setup_empty(void *ctx)
{
	struct context *c = ctx;

	gmem_slot_punch_hole(&c->f.slot, GMEM_DATA_GPA, SIZE);
	guest_cmd_set(c->vcpu_b, GUEST_OP_FILL, GMEM_DATA_GPA, SIZE, ++c->loop);
}

static void b_pre_fault(void *ctx)
{
	struct context *c = ctx;
	u64 left;

	c->b = __vcpu_pre_fault(c->vcpu_b, GMEM_DATA_GPA, SIZE, &left);
}

static bool check_both(void *ctx)
{
	struct context *c = ctx;

	if (c->a || c->b || gmem_allocated(c->f.slot.fd) != SIZE)
		return complain(c, "unexpected result");

	guest_check_zero(c->f.vcpu, GMEM_DATA_GPA, SIZE);
	return true;
}

static void test_two_vcpus_can_pre_fault(void)
{
	static const struct race_ops ops = {
		.name = "pre-fault/pre-fault",
		.setup = setup_empty,
		.run_a = a_pre_fault,
		.run_b = b_pre_fault,
		.check = check_both,
	};
	struct context c;

	start_two(&c);
	race(&ops, &c);
	guest_end(&c.f);
}

static void b_run(void *ctx)
{
	struct context *c = ctx;

	c->b = guest_cmd_run(c->vcpu_b);
}

static bool check_run(void *ctx)
{
	struct context *c = ctx;

	if (c->a || c->b || gmem_allocated(c->f.slot.fd) != SIZE)
		return complain(c, "unexpected result");

	guest_cmd_complete(c->vcpu_b);
	guest_check(c->f.vcpu, GMEM_DATA_GPA, SIZE, c->loop);
	return true;
}

static void test_pre_fault_against_running_vcpu(void)
{
	static const struct race_ops ops = {
		.name = "pre-fault/run",
		.setup = setup_empty,
		.run_a = a_pre_fault,
		.run_b = b_run,
		.check = check_run,
	};
	struct context c;

	start_two(&c);
	race(&ops, &c);
	guest_end(&c.f);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_pre_fault_against_slot_deletion),
	GMEM_TEST(test_pre_fault_against_slot_recreation),
	GMEM_TEST(test_pre_fault_against_hole),
	GMEM_TEST(test_pre_fault_against_conversion),
	GMEM_TEST(test_pre_fault_against_close),
	GMEM_TEST(test_pre_fault_against_discard_of_shared_memory),
	GMEM_TEST(test_two_vcpus_can_pre_fault),
	GMEM_TEST(test_pre_fault_against_running_vcpu),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_PRE_FAULT_MEMORY));
	guest_word_step = WORD_STEP;

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
