// SPDX-License-Identifier: GPL-2.0
/*
 * The hardware loses pages of a guest's private memory.
 *
 * The VMM learns of it when the guest accesses the page: KVM_RUN fails with
 * EHWPOISON and an exit that says where.  No task is killed.  The rest of the
 * memory is as before, and what is in the lost page's place is up to the VMM.
 */
#include <signal.h>
#include <sys/prctl.h>

#include "guest_memfd_guest.h"
#include "guest_memfd_pfn.h"
#include "processor.h"

#define NR_PAGES	8
#define SIZE		GMEM_PAGES(NR_PAGES)
/* The page that is lost, not one at an edge. */
#define LOST		3
#define LOST_GPA	(GMEM_DATA_GPA + GMEM_PAGES(LOST))

/* Where memory is bound the second time. */
#define OTHER_SLOT	(GMEM_DATA_SLOT + 1)
#define OTHER_GPA	(GMEM_DATA_GPA + BIT_ULL(30))

#define SHARED_FLAGS	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

enum { DATA = 1, OTHER };

struct private {
	struct guest_fixture f;
	struct gmem_cgroup cg;
	u64 pfns[NR_PAGES];
};

static int nr_signals;
static siginfo_t last_signal;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	last_signal = *info;
	WRITE_ONCE(nr_signals, nr_signals + 1);
}

static void catch_sigbus(unsigned long policy)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO,
	};

	TEST_ASSERT(!sigaction(SIGBUS, &action, NULL) &&
		    !prctl(PR_MCE_KILL, PR_MCE_KILL_SET, policy, 0, 0),
		    "errno %d", errno);
}

/* One per test, as there is one cgroup; all signals are wanted. */
static void private_start(struct private *p)
{
	poison_require();
	catch_sigbus(PR_MCE_KILL_EARLY);
	gmem_cgroup_create(&p->cg);
	guest_start_private(&p->f, SIZE);
	gmem_cgroup_enter(&p->cg);
	gmem_allocate(p->f.slot.fd, 0, SIZE);
	gmem_cgroup_leave(&p->cg);
	guest_fill(p->f.vcpu, GMEM_DATA_GPA, SIZE, DATA);
	pfns_find(&p->cg, GMEM_DATA_GPA, NR_PAGES, DATA, p->pfns);
}

static void private_end(struct private *p)
{
	TEST_ASSERT(!READ_ONCE(nr_signals), "there were signals");
	guest_end(&p->f);
	poison_undo_all();
}

/*
 * The access exits, and exits again when it is repeated.  To get the guest over
 * it, give it the shared side for a moment: that does not touch the file.
 */
static void expect_lost(struct private *p, u64 gpa, enum guest_op op)
{
	int i;

	guest_cmd_set(p->f.vcpu, op, gpa + 8, 0, 0);
	for (i = 0; i < 2; i++)
		gmem_vcpu_run_memory_fault(p->f.vcpu, EHWPOISON,
					   KVM_MEMORY_EXIT_FLAG_PRIVATE, gpa,
					   GMEM_PAGE_SIZE);
	vm_mem_set_shared(p->f.vm, gpa, GMEM_PAGE_SIZE);
	guest_cmd_finish(p->f.vcpu);
	vm_mem_set_private(p->f.vm, gpa, GMEM_PAGE_SIZE);
}

/* Only page LOST of the file is, which is bound at @gpa. */
static void assert_contained_at(struct private *p, u64 gpa)
{
	u64 lost = gpa + GMEM_PAGES(LOST), next = lost + GMEM_PAGE_SIZE;
	u64 i, tag = gpa == GMEM_DATA_GPA ? DATA : OTHER;

	TEST_ASSERT(pfn_is_poisoned(p->pfns[LOST]), "not poisoned");
	expect_lost(p, lost, GUEST_OP_READ);
	expect_lost(p, lost, GUEST_OP_WRITE);
	ASSERT_EQ(gmem_allocated(p->f.slot.fd), SIZE);

	if (tag == DATA) {
		guest_check(p->f.vcpu, gpa, lost - gpa, DATA);
		guest_check(p->f.vcpu, next, gpa + SIZE - next, DATA);
		return;
	}
	/* The pattern depends on the address at which it was written. */
	for (i = 0; i < NR_PAGES; i++)
		if (i != LOST)
			ASSERT_EQ(guest_read(p->f.vcpu, gpa + GMEM_PAGES(i)),
				  guest_pattern(GMEM_DATA_GPA + GMEM_PAGES(i),
						DATA));
}

static void assert_contained(struct private *p)
{
	assert_contained_at(p, GMEM_DATA_GPA);
}

/*
 * What the VMM sees
 */

static void check_access_exits(enum poison_how how)
{
	static struct private p;

	private_start(&p);
	poison_pfn(p.pfns[LOST], how);
	assert_contained(&p);
	private_end(&p);
}

/* By an instruction that KVM executes, and that reads the page for a device. */
static u64 guest_out_lost(void)
{
	u64 si = GMEM_DATA_GPA + GMEM_PAGES(LOST);

	asm volatile("outsb" : "+S"(si) : "d"(0x1234) : "memory");
	return 0;
}

static void test_emulated_access_exits_alike(void)
{
	u64 gpa = GMEM_DATA_GPA + GMEM_PAGES(LOST);
	static struct private p;
	int i;

	private_start(&p);
	poison_pfn(p.pfns[LOST], POISON_CORRUPT);
	guest_cmd_set(p.f.vcpu, GUEST_OP_CALL, (u64)guest_out_lost, 0, 0);
	for (i = 0; i < 2; i++)
		gmem_vcpu_run_memory_fault(p.f.vcpu, EHWPOISON,
					   KVM_MEMORY_EXIT_FLAG_PRIVATE, gpa,
					   GMEM_PAGE_SIZE);
	gmem_slot_punch_hole(&p.f.slot, gpa, GMEM_PAGE_SIZE);
	ASSERT_EQ(guest_cmd_run(p.f.vcpu), 0);
	ASSERT_EQ(p.f.vcpu->run->exit_reason, KVM_EXIT_IO);
	guest_cmd_finish(p.f.vcpu);
	private_end(&p);
}

static void test_access_to_a_poisoned_page_exits(void)
{
	check_access_exits(POISON_CORRUPT);
}

/* Not even then is a process killed. */
static void test_required_action_is_an_exit(void)
{
	check_access_exits(POISON_REQUIRED);
}

static void test_hard_offline_is_an_exit(void)
{
	check_access_exits(POISON_OFFLINE);
}

static void test_page_that_is_not_mapped_is_handled(void)
{
	static struct private p;

	private_start(&p);
	gmem_slot_delete(&p.f.slot);
	gmem_slot_bind(&p.f.slot);
	poison_pfn(p.pfns[LOST], POISON_CORRUPT);
	assert_contained(&p);
	private_end(&p);
}

static void test_page_without_a_slot_is_handled(void)
{
	static struct private p;

	private_start(&p);
	gmem_slot_delete(&p.f.slot);
	poison_pfn(p.pfns[LOST], POISON_CORRUPT);
	gmem_slot_bind(&p.f.slot);
	assert_contained(&p);
	private_end(&p);
}

static void test_poison_is_the_files_not_the_slots(void)
{
	struct gmem_slot other;
	static struct private p;

	private_start(&p);
	poison_pfn(p.pfns[LOST], POISON_CORRUPT);
	assert_contained(&p);

	gmem_slot_delete(&p.f.slot);
	virt_map(p.f.vm, OTHER_GPA, OTHER_GPA, NR_PAGES);
	gmem_slot_add(&other, p.f.vm, OTHER_SLOT, OTHER_GPA, SIZE, NULL,
		      p.f.slot.fd, 0);
	vm_mem_set_private(p.f.vm, OTHER_GPA, SIZE);
	assert_contained_at(&p, OTHER_GPA);
	gmem_slot_free(&other);
	private_end(&p);
}

/* A page at the end of one binding and one at the beginning of the next. */
static void test_pages_at_the_edges_of_slots_are_handled(void)
{
	struct gmem_slot parts[2];
	static struct private p;
	u64 gpa;
	int i;

	private_start(&p);
	gmem_slot_delete(&p.f.slot);
	for (i = 0; i < 2; i++)
		gmem_slot_add(&parts[i], p.f.vm, OTHER_SLOT + i,
			      GMEM_DATA_GPA + i * (SIZE / 2), SIZE / 2, NULL,
			      p.f.slot.fd, i * (SIZE / 2));
	guest_check(p.f.vcpu, GMEM_DATA_GPA, SIZE, DATA);

	for (i = 0; i < 2; i++) {
		gpa = GMEM_DATA_GPA + SIZE / 2 - (i ? 0 : GMEM_PAGE_SIZE);
		poison_pfn(p.pfns[NR_PAGES / 2 - 1 + i], POISON_CORRUPT);
		expect_lost(&p, gpa, GUEST_OP_READ);
	}
	guest_check(p.f.vcpu, GMEM_DATA_GPA, SIZE / 2 - GMEM_PAGE_SIZE, DATA);
	guest_check(p.f.vcpu, GMEM_DATA_GPA + SIZE / 2 + GMEM_PAGE_SIZE,
		    SIZE / 2 - GMEM_PAGE_SIZE, DATA);
	for (i = 0; i < 2; i++)
		gmem_slot_free(&parts[i]);
	private_end(&p);
}

static void test_second_error_is_no_news(void)
{
	static struct private p;
	u64 nr;
	int ret;

	private_start(&p);
	nr = nr_poisoned();
	poison_pfn(p.pfns[LOST], POISON_CORRUPT);
	ret = __poison_pfn(p.pfns[LOST], POISON_CORRUPT);
	TEST_ASSERT(ret == -EHWPOISON, "again: %d", ret);
	ret = __poison_pfn(p.pfns[LOST], POISON_REQUIRED);
	TEST_ASSERT(!ret, "again, action required: %d", ret);
	ASSERT_EQ(nr_poisoned(), nr + 1);
	assert_contained(&p);
	private_end(&p);
}

/* A VM whose data are a shared file: by a mapping of it, or by the file. */
struct shared_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	void *mem;
	int fd;
};

static void shared_vm_start(struct shared_vm *s, u32 slot_flags)
{
	poison_require();
	catch_sigbus(PR_MCE_KILL_LATE);
	s->vm = vm_create_with_one_vcpu(&s->vcpu, guest_cmd_loop);
	guest_cmd_init(s->vcpu);
	s->fd = vm_create_guest_memfd(s->vm, SIZE, SHARED_FLAGS);
	s->mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	TEST_ASSERT(s->mem != MAP_FAILED, "mmap() failed, errno %d", errno);
	vm_set_user_memory_region2(s->vm, GMEM_DATA_SLOT, slot_flags,
				   GMEM_DATA_GPA, SIZE, s->mem, s->fd, 0);
	virt_map(s->vm, GMEM_DATA_GPA, GMEM_DATA_GPA, NR_PAGES);
	guest_fill(s->vcpu, GMEM_DATA_GPA, SIZE, DATA);
	host_check(s->mem, GMEM_DATA_GPA, SIZE, DATA);

	poison_pfn(pfn_at(s->mem + GMEM_PAGES(LOST)), POISON_CORRUPT);
	ASSERT_EQ(READ_ONCE(nr_signals), 0);
	guest_cmd_set(s->vcpu, GUEST_OP_READ, LOST_GPA, 0, 0);
}

/* A hole lets the guest's access end, and nothing else is lost. */
static void shared_vm_end(struct shared_vm *s)
{
	gmem_punch_hole(s->fd, GMEM_PAGES(LOST), GMEM_PAGE_SIZE);
	guest_cmd_finish(s->vcpu);
	ASSERT_EQ(guest_cmd_of(s->vcpu)->value, 0);
	guest_check(s->vcpu, GMEM_DATA_GPA, GMEM_PAGES(LOST), DATA);
	guest_check(s->vcpu, LOST_GPA + GMEM_PAGE_SIZE, GMEM_PAGE_SIZE, DATA);

	munmap(s->mem, SIZE);
	close(s->fd);
	kvm_vm_free(s->vm);
	poison_undo_all();
}

/*
 * A slot without a guest_memfd whose memory is a mapping of one: the guest's
 * access is the host's, and answered with a signal to the vCPU's thread.
 */
static void test_slot_over_a_mapping_is_answered_with_a_signal(void)
{
	struct shared_vm s;

	shared_vm_start(&s, 0);
	GMEM_ASSERT_ERRNO(__vcpu_run(s.vcpu), EINTR, "the lost page");
	ASSERT_EQ(READ_ONCE(nr_signals), 1);
	TEST_ASSERT(last_signal.si_code == BUS_MCEERR_AR &&
		    last_signal.si_addr == s.mem + GMEM_PAGES(LOST),
		    "code %d, address %p", last_signal.si_code,
		    last_signal.si_addr);
	shared_vm_end(&s);
}

/* A slot whose memory is all in a shared file: an exit, too, and not private. */
static void test_shared_page_of_a_gmem_only_slot_exits(void)
{
	struct shared_vm s;
	int i;

	shared_vm_start(&s, KVM_MEM_GUEST_MEMFD);
	for (i = 0; i < 2; i++)
		gmem_vcpu_run_memory_fault(s.vcpu, EHWPOISON, 0, LOST_GPA,
					   GMEM_PAGE_SIZE);
	ASSERT_EQ(READ_ONCE(nr_signals), 0);
	shared_vm_end(&s);
}

/*
 * What the VMM can do
 */

static void test_hole_makes_room_for_a_new_page(void)
{
	static struct private p;

	private_start(&p);
	poison_pfn(p.pfns[LOST], POISON_CORRUPT);
	guest_cmd_set(p.f.vcpu, GUEST_OP_CHECK_ZERO, LOST_GPA, GMEM_PAGE_SIZE,
		      0);
	gmem_vcpu_run_memory_fault(p.f.vcpu, EHWPOISON,
				   KVM_MEMORY_EXIT_FLAG_PRIVATE, LOST_GPA,
				   GMEM_PAGE_SIZE);
	gmem_slot_punch_hole(&p.f.slot, LOST_GPA, GMEM_PAGE_SIZE);
	/* The guest goes on where it was. */
	guest_cmd_finish(p.f.vcpu);
	TEST_ASSERT(pfn_is_poisoned(p.pfns[LOST]), "not poisoned any more");

	guest_fill(p.f.vcpu, GMEM_DATA_GPA, SIZE, OTHER);
	guest_check(p.f.vcpu, GMEM_DATA_GPA, SIZE, OTHER);
	ASSERT_EQ(gmem_allocated(p.f.slot.fd), SIZE);
	private_end(&p);
}

static void test_fallocate_fails_at_the_page(void)
{
	static struct private p;
	int fd;

	private_start(&p);
	fd = p.f.slot.fd;
	gmem_punch_hole(fd, 0, GMEM_PAGES(1));
	gmem_punch_hole(fd, GMEM_PAGES(LOST + 1), GMEM_PAGES(1));
	poison_pfn(p.pfns[LOST], POISON_CORRUPT);

	GMEM_ASSERT_ERRNO(__gmem_allocate(fd, 0, SIZE), EHWPOISON, "all");
	/* Up to there it has been done. */
	ASSERT_EQ(gmem_allocated(fd), SIZE - GMEM_PAGE_SIZE);
	GMEM_ASSERT_ERRNO(__gmem_allocate(fd, GMEM_PAGES(LOST), GMEM_PAGES(1)),
			  EHWPOISON, "the page");
	gmem_allocate(fd, GMEM_PAGES(LOST + 1), SIZE - GMEM_PAGES(LOST + 1));
	ASSERT_EQ(gmem_allocated(fd), SIZE);
	expect_lost(&p, LOST_GPA, GUEST_OP_READ);
	private_end(&p);
}

#ifndef KVM_PRE_FAULT_MEMORY
struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};

#define KVM_PRE_FAULT_MEMORY	_IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#define KVM_CAP_PRE_FAULT_MEMORY	236
#endif

static void test_prefault_fails_at_the_page(void)
{
	struct kvm_pre_fault_memory range = {
		.gpa = GMEM_DATA_GPA,
		.size = SIZE,
	};
	static struct private p;

	if (!kvm_has_cap(KVM_CAP_PRE_FAULT_MEMORY))
		gmem_skip("no KVM_PRE_FAULT_MEMORY");

	private_start(&p);
	poison_pfn(p.pfns[LOST], POISON_CORRUPT);
	/* What comes before it is done, and said to be. */
	TEST_ASSERT(!__vcpu_ioctl(p.f.vcpu, KVM_PRE_FAULT_MEMORY, &range),
		    "errno %d", errno);
	ASSERT_EQ(range.gpa, LOST_GPA);
	ASSERT_EQ(range.size, SIZE - GMEM_PAGES(LOST));
	GMEM_ASSERT_ERRNO(__vcpu_ioctl(p.f.vcpu, KVM_PRE_FAULT_MEMORY, &range),
			  EHWPOISON, "the page");
	ASSERT_EQ(range.gpa, LOST_GPA);
	assert_contained(&p);
	private_end(&p);
}

/*
 * Where the page ends
 */

static void test_page_of_a_file_cannot_be_unpoisoned(void)
{
	static struct private p;

	private_start(&p);
	poison_pfn(p.pfns[LOST], POISON_CORRUPT);
	assert_unpoison_busy(p.pfns[LOST], "in the file");
	expect_lost(&p, LOST_GPA, GUEST_OP_READ);
	gmem_slot_punch_hole(&p.f.slot, GMEM_DATA_GPA, GMEM_PAGES(LOST));
	assert_unpoison_busy(p.pfns[LOST], "beside a hole");
	gmem_slot_delete(&p.f.slot);
	assert_unpoison_busy(p.pfns[LOST], "in a file without a slot");
	gmem_slot_bind(&p.f.slot);
	expect_lost(&p, LOST_GPA, GUEST_OP_READ);

	gmem_slot_punch_hole(&p.f.slot, LOST_GPA, GMEM_PAGE_SIZE);
	poison_undo_all();
	guest_check_zero(p.f.vcpu, LOST_GPA, GMEM_PAGE_SIZE);
	private_end(&p);
}

static void test_page_leaves_with_the_file(void)
{
	static struct private p;
	u64 nr;

	private_start(&p);
	nr = nr_poisoned();
	poison_pfn(p.pfns[LOST], POISON_CORRUPT);
	ASSERT_EQ(pfn_cgroup(p.pfns[LOST]), p.cg.ino);
	close(p.f.slot.fd);

	/* It is kept, charged to no group. */
	TEST_ASSERT(pfn_is_poisoned(p.pfns[LOST]), "not poisoned any more");
	ASSERT_EQ(pfn_cgroup(p.pfns[LOST]), 0);
	ASSERT_EQ(nr_poisoned(), nr + 1);
	ASSERT_EQ(gmem_cgroup_find_pfns(&p.cg, NULL, 0), 0);

	p.f.slot.own_fd = false;
	private_end(&p);
}

/* All of it, one by one, with a guest that looks at what is left. */
static void test_every_page_can_be_lost(void)
{
	static struct private p;
	u64 nr, gpa;
	int i;

	private_start(&p);
	nr = nr_poisoned();
	for (i = 0; i < NR_PAGES; i++) {
		gpa = GMEM_DATA_GPA + GMEM_PAGES(i);
		poison_pfn(p.pfns[i], POISON_CORRUPT);
		ASSERT_EQ(nr_poisoned(), nr + i + 1);
		expect_lost(&p, gpa, GUEST_OP_READ);
		gpa += GMEM_PAGE_SIZE;
		guest_check(p.f.vcpu, gpa, GMEM_DATA_GPA + SIZE - gpa, DATA);
	}
	gmem_slot_punch_hole(&p.f.slot, GMEM_DATA_GPA, SIZE);
	guest_check_zero(p.f.vcpu, GMEM_DATA_GPA, SIZE);
	private_end(&p);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_access_to_a_poisoned_page_exits),
	GMEM_TEST(test_emulated_access_exits_alike),
	GMEM_TEST(test_required_action_is_an_exit),
	GMEM_TEST(test_hard_offline_is_an_exit),
	GMEM_TEST(test_page_that_is_not_mapped_is_handled),
	GMEM_TEST(test_page_without_a_slot_is_handled),
	GMEM_TEST(test_poison_is_the_files_not_the_slots),
	GMEM_TEST(test_pages_at_the_edges_of_slots_are_handled),
	GMEM_TEST(test_second_error_is_no_news),
	GMEM_TEST(test_slot_over_a_mapping_is_answered_with_a_signal),
	GMEM_TEST(test_shared_page_of_a_gmem_only_slot_exits),
	GMEM_TEST(test_hole_makes_room_for_a_new_page),
	GMEM_TEST(test_fallocate_fails_at_the_page),
	GMEM_TEST(test_prefault_fails_at_the_page),
	GMEM_TEST(test_page_of_a_file_cannot_be_unpoisoned),
	GMEM_TEST(test_page_leaves_with_the_file),
	GMEM_TEST(test_every_page_can_be_lost),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
