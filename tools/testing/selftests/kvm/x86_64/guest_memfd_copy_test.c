// SPDX-License-Identifier: GPL-2.0
/*
 * Structures that cannot be read or written, for each ioctl of guest_memfd.
 *
 * A call whose structure is at a bad address fails with EFAULT and has changed
 * nothing.  One whose answer cannot be written has done all that it was asked for,
 * or nothing.  A structure can be in the file itself, even in the page that the
 * call takes away from it; and reading it can take as long as userspace likes,
 * and holds up nobody else.
 */
#include <linux/mempolicy.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_uffd.h"
#include "processor.h"

#define P		GMEM_PAGE_SIZE
#define SIZE		GMEM_HUGE_SIZE
#define OTHER_SLOT	5
#define OTHER_GPA	(GMEM_DATA_GPA + BIT_ULL(32))

/* Pages of the file. */
enum { WORD, ONE, TWO, HELD, INSIDE };

enum target { ON_VM, ON_FILE, ON_VCPU };

struct copy {
	struct gmem_conv_guest g;
	int other_fd;
	char *mem;		/* structures; inaccessible memory behind it */
	struct kvm_gmem_range range;
	u64 nodes;
};

struct call {
	const char *name;
	unsigned long cmd;
	enum target on;
	void (*fill)(struct copy *c, void *arg);
	/* What a call that has succeeded is undone by. */
	void (*undo)(struct copy *c, int ret);
	/* Offset of an address in the structure, or 0. */
	size_t inner;
	/* Of what is an answer, written also if all is well. */
	bool answers;
};

static void fill_create(struct copy *c, void *arg)
{
	*(struct kvm_create_guest_memfd *)arg =
		(struct kvm_create_guest_memfd) { .size = P };
}

static void undo_create(struct copy *c, int ret)
{
	close(ret);
}

static void fill_slot(struct copy *c, void *arg)
{
	*(struct kvm_userspace_memory_region2 *)arg =
		(struct kvm_userspace_memory_region2) {
			.slot = OTHER_SLOT,
			.flags = KVM_MEM_GUEST_MEMFD,
			.guest_phys_addr = OTHER_GPA,
			.memory_size = P,
			.userspace_addr = (u64)c->mem,
			.guest_memfd = c->other_fd,
		};
}

static void undo_slot(struct copy *c, int ret)
{
	vm_set_user_memory_region2(c->g.vm, OTHER_SLOT, 0, OTHER_GPA, 0, NULL,
				   -1, 0);
}

static void fill_attributes(struct copy *c, void *arg)
{
	*(struct kvm_memory_attributes *)arg = (struct kvm_memory_attributes) {
		.address = OTHER_GPA,
		.size = P,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
}

static void undo_attributes(struct copy *c, int ret)
{
	vm_mem_set_shared(c->g.vm, OTHER_GPA, P);
}

static void fill_convert(struct copy *c, void *arg)
{
	*(struct kvm_memory_attributes2 *)arg = (struct kvm_memory_attributes2) {
		.offset = ONE * P,
		.size = P,
		.attributes = GMEM_PRIVATE,
	};
}

static void undo_convert(struct copy *c, int ret)
{
	gmem_to_shared(c->g.fd, ONE * P, P);
}

static void fill_vec(struct copy *c, void *arg)
{
	c->range = (struct kvm_gmem_range) { TWO * P, P };
	*(struct kvm_gmem_attributes_vec *)arg =
		(struct kvm_gmem_attributes_vec) {
			.ranges = (u64)&c->range,
			.nr = 1,
			.attributes = GMEM_PRIVATE,
		};
}

static void undo_vec(struct copy *c, int ret)
{
	gmem_to_shared(c->g.fd, TWO * P, P);
}

static void fill_get(struct copy *c, void *arg)
{
	*(struct kvm_gmem_get_attributes *)arg =
		(struct kvm_gmem_get_attributes) { .size = SIZE };
}

static void undo_get(struct copy *c, int ret)
{
}

static void fill_policy(struct copy *c, void *arg)
{
	c->nodes = 1;
	*(struct kvm_gmem_policy *)arg = (struct kvm_gmem_policy) {
		.size = P,
		.mode = MPOL_PREFERRED,
		.nodemask = (u64)&c->nodes,
		.maxnode = 64,
	};
}

static void undo_policy(struct copy *c, int ret)
{
	struct kvm_gmem_policy policy = { .size = P, .mode = MPOL_DEFAULT };

	ASSERT_EQ(ioctl(c->g.fd, KVM_GMEM_SET_POLICY, &policy), 0);
}

static void fill_collapse(struct copy *c, void *arg)
{
	*(struct kvm_gmem_collapse *)arg =
		(struct kvm_gmem_collapse) { .size = SIZE };
}

static void undo_collapse(struct copy *c, int ret)
{
}

static void fill_pre_fault(struct copy *c, void *arg)
{
	*(struct kvm_pre_fault_memory *)arg = (struct kvm_pre_fault_memory) {
		.gpa = GMEM_DATA_GPA,
		.size = P,
	};
}

static void undo_pre_fault(struct copy *c, int ret)
{
}

#define CALL(cmd_, on_, what, inner_, answers_) {			\
	.name = #cmd_, .cmd = cmd_, .on = on_, .fill = fill_##what,	\
	.undo = undo_##what, .inner = inner_, .answers = answers_,	\
}

static const struct call calls[] = {
	CALL(KVM_CREATE_GUEST_MEMFD, ON_VM, create, 0, false),
	CALL(KVM_SET_USER_MEMORY_REGION2, ON_VM, slot, 0, false),
	CALL(KVM_SET_MEMORY_ATTRIBUTES, ON_VM, attributes, 0, false),
	CALL(KVM_SET_MEMORY_ATTRIBUTES2, ON_FILE, convert, 0, false),
	CALL(KVM_GMEM_SET_ATTRIBUTES_VEC, ON_FILE, vec,
	     offsetof(struct kvm_gmem_attributes_vec, ranges), true),
	CALL(KVM_GMEM_GET_ATTRIBUTES, ON_FILE, get, 0, true),
	CALL(KVM_GMEM_SET_POLICY, ON_FILE, policy,
	     offsetof(struct kvm_gmem_policy, nodemask), false),
	CALL(KVM_GMEM_COLLAPSE, ON_FILE, collapse, 0, true),
	CALL(KVM_PRE_FAULT_MEMORY, ON_VCPU, pre_fault, 0, true),
};

/* The first one after @call, or the first one of all. */
static const struct call *next_call(const struct call *call)
{
	call = call ? call + 1 : calls;
	return call < calls + ARRAY_SIZE(calls) ? call : NULL;
}

/* Return: what the ioctl does, or -errno. */
static int do_call(struct copy *c, const struct call *call, void *arg)
{
	int fd = call->on == ON_VM ? c->g.vm->fd :
		 call->on == ON_FILE ? c->g.fd : c->g.vcpu->fd;
	int ret = ioctl(fd, call->cmd, arg);

	return ret < 0 ? -errno : ret;
}

/*
 * What the calls change
 */

struct snapshot {
	u64 shared, allocated;
	int next_fd;
	bool slot_free;
};

static int next_fd(void)
{
	int fd = dup(STDOUT_FILENO);

	close(fd);
	return fd;
}

static struct snapshot snapshot(struct copy *c)
{
	return (struct snapshot) {
		.shared = gmem_fdinfo(c->g.fd, "gmem-shared"),
		.allocated = gmem_allocated(c->g.fd),
		.next_fd = next_fd(),
		.slot_free = gmem_gpa_is_free(c->g.vm, OTHER_GPA, P),
	};
}

static void assert_same(struct copy *c, const struct snapshot *was,
			const char *name, const char *what)
{
	struct snapshot is = snapshot(c);

	TEST_ASSERT(is.shared == was->shared && is.allocated == was->allocated &&
		    is.next_fd == was->next_fd &&
		    is.slot_free == was->slot_free,
		    "%s, %s: shared %lu -> %lu, allocated %lu -> %lu, fd %d -> %d, slot free %d -> %d",
		    name, what, was->shared, is.shared, was->allocated,
		    is.allocated, was->next_fd, is.next_fd, was->slot_free,
		    is.slot_free);
}

static void start(struct copy *c)
{
	gmem_conv_guest_start(&c->g, SIZE, GMEM_SHARED_FLAGS |
			      GUEST_MEMFD_FLAG_MOVABLE);
	c->other_fd = vm_create_guest_memfd(c->g.vm, P, 0);
	c->mem = mmap(NULL, 2 * P, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(c->mem != MAP_FAILED, "mmap, errno %d", errno);
	mprotect(c->mem + P, P, PROT_NONE);
	gmem_fill(c->g.mem, 0, 8 * P, 1);
	guest_write(c->g.vcpu, GMEM_DATA_GPA, 1);
}

static void end(struct copy *c)
{
	munmap(c->mem, 2 * P);
	close(c->other_fd);
	gmem_conv_guest_end(&c->g);
}

/* With a good structure it works. */
static void assert_works(struct copy *c, const struct call *call)
{
	struct snapshot was = snapshot(c);
	int ret;

	call->fill(c, c->mem);
	ret = do_call(c, call, c->mem);
	TEST_ASSERT(ret >= 0, "%s: %d", call->name, ret);
	call->undo(c, ret);
	assert_same(c, &was, call->name, "undone");
}

static void test_good_structures_work(void)
{
	const struct call *call;
	struct copy c;

	start(&c);
	for (call = next_call(NULL); call; call = next_call(call))
		assert_works(&c, call);
	end(&c);
}

/*
 * Addresses that are none
 */

static const struct bad {
	const char *what;
	u64 addr;
} bad_addrs[] = {
	{ "null", 0 },
	{ "not mapped", 0x10000 },
	{ "not canonical", 0x0000800000000000ULL },
	{ "the kernel's", 0xffff888000000000ULL },
	{ "the last bytes", -8ULL },
};

static void expect_efault(struct copy *c, const struct call *call, void *arg,
			  const char *what)
{
	struct snapshot was = snapshot(c);
	int ret = do_call(c, call, arg);

	TEST_ASSERT(ret == -EFAULT, "%s, %s: %d", call->name, what, ret);
	assert_same(c, &was, call->name, what);
}

static void test_bad_addresses_are_efault(void)
{
	const struct call *call;
	struct copy c;
	int i;

	start(&c);
	for (call = next_call(NULL); call; call = next_call(call)) {
		for (i = 0; i < ARRAY_SIZE(bad_addrs); i++)
			expect_efault(&c, call, (void *)bad_addrs[i].addr,
				      bad_addrs[i].what);
		expect_efault(&c, call, c.mem + P, "inaccessible");
		/* Its last word is inaccessible, all else is good. */
		call->fill(&c, c.mem);
		memmove(c.mem + P - _IOC_SIZE(call->cmd) + 8, c.mem,
			_IOC_SIZE(call->cmd) - 8);
		expect_efault(&c, call,
			      c.mem + P - _IOC_SIZE(call->cmd) + 8,
			      "in part");
		assert_works(&c, call);
	}
	end(&c);
}

static void set_inner(struct copy *c, const struct call *call, u64 addr)
{
	call->fill(c, c->mem);
	*(u64 *)(c->mem + call->inner) = addr;
}

static void test_bad_addresses_in_structures_are_efault(void)
{
	const struct call *call;
	struct copy c;
	int i;

	start(&c);
	for (call = next_call(NULL); call; call = next_call(call)) {
		if (!call->inner)
			continue;
		/* NULL is no nodes to a policy. */
		for (i = 1; i < ARRAY_SIZE(bad_addrs); i++) {
			set_inner(&c, call, bad_addrs[i].addr);
			expect_efault(&c, call, c.mem, bad_addrs[i].what);
		}
		set_inner(&c, call, (u64)c.mem + P);
		expect_efault(&c, call, c.mem, "inaccessible");
		assert_works(&c, call);
	}
	end(&c);
}

/*
 * Answers that cannot be written
 */

static void test_answers_that_cannot_be_written(void)
{
	const struct call *call;
	struct snapshot was;
	struct copy c;
	int ret;

	start(&c);
	for (call = next_call(NULL); call; call = next_call(call)) {
		was = snapshot(&c);
		call->fill(&c, c.mem);
		mprotect(c.mem, P, PROT_READ);
		ret = do_call(&c, call, c.mem);
		mprotect(c.mem, P, PROT_READ | PROT_WRITE);
		if (call->answers)
			TEST_ASSERT(ret == -EFAULT, "%s: %d", call->name, ret);
		else
			TEST_ASSERT(ret >= 0, "%s: %d", call->name, ret);
		call->undo(&c, ret);
		assert_same(&c, &was, call->name, "read-only");
		assert_works(&c, call);
	}
	end(&c);
}

/*
 * In the file
 */

static void test_structures_in_shared_pages_of_the_file(void)
{
	const struct call *call;
	struct copy c;
	int ret;

	start(&c);
	for (call = next_call(NULL); call; call = next_call(call)) {
		call->fill(&c, c.g.mem + INSIDE * P);
		ret = do_call(&c, call, c.g.mem + INSIDE * P);
		TEST_ASSERT(ret >= 0, "%s: %d", call->name, ret);
		call->undo(&c, ret);
	}
	end(&c);
}

static void test_structures_in_private_pages_of_the_file(void)
{
	const struct call *call;
	struct copy c;

	start(&c);
	gmem_to_private(c.g.fd, INSIDE * P, P);
	for (call = next_call(NULL); call; call = next_call(call)) {
		expect_efault(&c, call, c.g.mem + INSIDE * P, "private");
		if (!call->inner)
			continue;
		set_inner(&c, call, (u64)c.g.mem + INSIDE * P);
		expect_efault(&c, call, c.mem, "private, in it");
	}
	end(&c);
}

/*
 * The page that is to become private has the structure, or the ranges, or both.
 * Whether that works is a matter of when what is read, but it ends.
 */
static void check_own_page(bool structure, bool ranges, u64 flags)
{
	struct kvm_gmem_attributes_vec *vec;
	struct kvm_gmem_range *range;
	struct copy c;
	u64 size, attributes, resident;
	int ret;

	start(&c);
	vec = (void *)(structure ? c.g.mem + INSIDE * P : c.mem);
	range = (void *)(ranges ? c.g.mem + INSIDE * P + P / 2 : c.mem + P / 2);
	*range = (struct kvm_gmem_range) { INSIDE * P, P };
	*vec = (struct kvm_gmem_attributes_vec) {
		.ranges = (u64)range,
		.nr = 1,
		.attributes = GMEM_PRIVATE,
		.flags = flags,
		.timeout_ns = flags ? 100 * MS : 0,
	};
	ret = ioctl(c.g.fd, KVM_GMEM_SET_ATTRIBUTES_VEC, vec) ? -errno : 0;
	size = P;
	ASSERT_EQ(__gmem_get(c.g.fd, INSIDE * P, &size, &attributes, &resident),
		  0);
	/* The answer is lost with the page, not the conversion. */
	ASSERT_EQ(ret, structure ? -EFAULT : 0);
	ASSERT_EQ(attributes, GMEM_PRIVATE);
	gmem_to_shared(c.g.fd, INSIDE * P, P);
	guest_write(c.g.vcpu, GMEM_DATA_GPA + INSIDE * P, 3);
	ASSERT_EQ(*(u64 *)(c.g.mem + INSIDE * P), 3UL);
	end(&c);
}

static void test_structures_in_the_page_that_they_convert(void)
{
	int i;

	for (i = 1; i < 4; i++) {
		check_own_page(i & 1, i & 2, 0);
		check_own_page(i & 1, i & 2, GMEM_WAIT);
	}
}

/*
 * Held back
 */

struct held {
	struct copy c;
	const struct call *call;
	void *arg;
	int ret;
};

static void *do_held(void *arg)
{
	struct held *h = arg;

	h->ret = do_call(&h->c, h->call, h->arg);
	return NULL;
}

/* What others do meanwhile; the vCPU is taken by a call on it. */
static void do_others(struct copy *c, const struct call *held)
{
	const struct call *call;

	for (call = next_call(NULL); call; call = next_call(call))
		if (call->on != ON_VCPU || held->on != ON_VCPU)
			assert_works(c, call);
	gmem_allocate(c->g.fd, HELD * P, P);
	gmem_punch_hole(c->g.fd, HELD * P, P);
	ASSERT_EQ(*(u64 *)(c->g.mem + HELD * P), 0UL);
	if (held->on != ON_VCPU)
		guest_write(c->g.vcpu, GMEM_DATA_GPA + HELD * P, 7);
}

/*
 * The last word of the structure, 0 in each of them, is what does not come; or
 * first what the structure points to.
 */
static void check_held(const struct call *call, bool inner)
{
	struct missing_page missing;
	struct held h = { .call = call };
	struct snapshot was;
	pthread_t thread;
	size_t size = _IOC_SIZE(call->cmd);
	char *page;

	start(&h.c);
	page = mmap(NULL, 2 * P, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(page != MAP_FAILED, "mmap, errno %d", errno);
	call->fill(&h.c, page);
	if (inner) {
		*(u64 *)(page + call->inner) = (u64)page + P;
		h.arg = page;
	} else {
		h.arg = page + P - size + 8;
		memmove(h.arg, page, size - 8);
	}
	was = snapshot(&h.c);
	missing_page_init(&missing, page + P);
	pthread_create(&thread, NULL, do_held, &h);
	missing_page_wait(&missing);
	do_others(&h.c, call);
	missing_page_provide(&missing, 0);
	pthread_join(thread, NULL);
	/* Zeros are a range of no size, but a good set of nodes. */
	if (inner && call->cmd == KVM_GMEM_SET_ATTRIBUTES_VEC)
		ASSERT_EQ(h.ret, -EINVAL);
	else
		TEST_ASSERT(h.ret >= 0, "%s: %d", call->name, h.ret);
	if (h.ret >= 0)
		call->undo(&h.c, h.ret);
	was.allocated = gmem_allocated(h.c.g.fd);
	was.next_fd = next_fd();
	assert_same(&h.c, &was, call->name, "held back");
	munmap(page, 2 * P);
	end(&h.c);
}

static void test_structures_that_are_held_back_hold_up_nobody(void)
{
	const struct call *call;

	for (call = next_call(NULL); call; call = next_call(call)) {
		check_held(call, false);
		if (call->inner)
			check_held(call, true);
	}
}

/* Who waits for it can be killed; the child does so to itself. */
static void die_held_back(struct copy *c, const struct call *call)
{
	struct held h = { .c = *c, .call = call };
	struct missing_page missing;
	pthread_t thread;

	h.arg = mmap(NULL, P, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	missing_page_init(&missing, h.arg);
	pthread_create(&thread, NULL, do_held, &h);
	missing_page_wait(&missing);
	kill(getpid(), SIGKILL);
}

static void test_who_is_held_back_can_be_killed(void)
{
	const struct call *call;
	struct copy c;
	int status;
	pid_t pid;

	for (call = next_call(NULL); call; call = next_call(call)) {
		/* A VM is of no use to a child. */
		if (call->on != ON_FILE)
			continue;
		start(&c);
		pid = fork();
		if (!pid)
			die_held_back(&c, call);
		TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
		TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
			    "%s: status 0x%x", call->name, status);
		assert_works(&c, call);
		end(&c);
	}
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_good_structures_work),
	GMEM_TEST(test_bad_addresses_are_efault),
	GMEM_TEST(test_bad_addresses_in_structures_are_efault),
	GMEM_TEST(test_answers_that_cannot_be_written),
	GMEM_TEST(test_structures_in_shared_pages_of_the_file),
	GMEM_TEST(test_structures_in_private_pages_of_the_file),
	GMEM_TEST(test_structures_in_the_page_that_they_convert),
	GMEM_TEST(test_structures_that_are_held_back_hold_up_nobody),
	GMEM_TEST(test_who_is_held_back_can_be_killed),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
