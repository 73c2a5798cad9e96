// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parts of large folios are taken away.
 *
 * Exactly what was asked for goes, and is free memory again; everything else
 * keeps its contents, as the guest sees it.  If a reference to the folio
 * is held, nothing happens at all, and the caller is told.
 */
#define _GNU_SOURCE /* for vmsplice(2) */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "fail_nth.h"
#include "guest_memfd_convert.h"
#include "guest_memfd_holder.h"
#include "guest_memfd_huge.h"
#include "guest_memfd_map.h"
#include "guest_memfd_task.h"
#include "processor.h"

#define NR_HUGE		3
#define SIZE		(NR_HUGE * H)

struct range {
	u64 offset;
	u64 size;
};

static const struct range ranges[] = {
	{ 0, P },				/* the first page */
	{ H - P, P },				/* the last one */
	{ H + 100 * P, P },			/* one in the middle */
	{ P, H - 2 * P },			/* all but two */
	{ H - P, 2 * P },			/* from both sides of an edge */
	{ H / 2, H },
	{ H / 2 + P, 2 * H - 3 * P },		/* with a whole one in it */
	{ H, H },				/* just a whole one */
	{ P, SIZE - 2 * P },
	{ 2 * H + 255 * P, 3 * P },
	{ 0, SIZE - P },
	{ P, SIZE - P },
	{ 0, SIZE },
};

/* Bytes of the folios that begin or end inside of a range, or are in it. */
static u64 overlapped(const struct range *r)
{
	u64 first = r->offset / H * H;

	return (r->offset + r->size - first + H - 1) / H * H;
}

static void check_around(struct guest_fixture *f, const struct range *r)
{
	u64 end = r->offset + r->size;

	guest_check(f->vcpu, GPA, r->offset, 1);
	guest_check(f->vcpu, GPA + end, SIZE - end, 1);
}

static void check_punch(const struct range *r)
{
	struct guest_fixture f;
	u64 before;

	huge_start(&f, SIZE);
	before = vm_nr_huge(f.vm);
	gmem_punch_hole(f.slot.fd, r->offset, r->size);
	gmem_assert_usage(f.slot.fd, SIZE - r->size, SIZE - overlapped(r),
			  "punched");
	ASSERT_EQ(before - vm_nr_huge(f.vm), overlapped(r) / H);

	check_around(&f, r);
	gmem_assert_usage(f.slot.fd, SIZE - r->size, SIZE - overlapped(r),
			  "looked at");
	guest_check_zero(f.vcpu, GPA + r->offset, r->size);
	ASSERT_EQ(gmem_allocated(f.slot.fd), SIZE);
	guest_fill(f.vcpu, GPA + r->offset, r->size, 1);
	guest_check(f.vcpu, GPA, SIZE, 1);
	guest_end(&f);
}

static void test_punch_takes_just_its_range(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		check_punch(&ranges[i]);
}

/* The memory was not touched: there is nothing to unmap. */
static void test_punch_of_unmapped_memory(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int i, fd;

	host_set_thp("always");
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		fd = vm_create_guest_memfd(vm, SIZE, 0);
		gmem_allocate(fd, 0, SIZE);
		gmem_punch_hole(fd, ranges[i].offset, ranges[i].size);
		gmem_assert_usage(fd, SIZE - ranges[i].size,
				  SIZE - overlapped(&ranges[i]), "punched");
		close(fd);
	}
	kvm_vm_free(vm);
}

static void test_folio_comes_back_large(void)
{
	struct guest_fixture f;

	huge_start(&f, SIZE);
	gmem_punch_hole(f.slot.fd, H + P, P);
	gmem_assert_usage(f.slot.fd, SIZE - P, SIZE - H, "punched");
	gmem_punch_hole(f.slot.fd, H, H);
	guest_check_zero(f.vcpu, GPA + H, H);
	gmem_assert_usage(f.slot.fd, SIZE, SIZE, "filled again");
	guest_end(&f);
}

static void test_slots_that_share_a_folio(void)
{
	u64 half = GPA + H / 2;
	struct guest_fixture f;

	huge_start(&f, H);
	gmem_slot_delete(&f.slot);
	vm_set_user_memory_region2(f.vm, GMEM_DATA_SLOT + 1,
				   KVM_MEM_GUEST_MEMFD, GPA, H / 2, f.slot.hva,
				   f.slot.fd, 0);
	vm_set_user_memory_region2(f.vm, GMEM_DATA_SLOT + 2,
				   KVM_MEM_GUEST_MEMFD, half, H / 2,
				   f.slot.hva + H / 2, f.slot.fd, H / 2);
	guest_check(f.vcpu, GPA, H, 1);
	gmem_assert_usage(f.slot.fd, H, H, "looked at");

	/* The hole is in one, the folio is split for both. */
	gmem_punch_hole(f.slot.fd, P, P);
	gmem_assert_usage(f.slot.fd, H - P, 0, "punched");
	guest_check(f.vcpu, GPA, P, 1);
	guest_check_zero(f.vcpu, GPA + P, P);
	guest_check(f.vcpu, GPA + 2 * P, H - 2 * P, 1);
	guest_end(&f);
}

static void test_memory_given_back_is_free(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	u64 nr = 32, size = nr * H, before, i;
	int fd;

	host_set_thp("always");
	fd = vm_create_guest_memfd(vm, size, 0);
	gmem_allocate(fd, 0, P);
	gmem_punch_hole(fd, 0, P);
	before = gmem_free_kb();
	gmem_allocate(fd, 0, size);
	gmem_assert_usage(fd, size, size, "allocated");

	/* All but one page of each. */
	for (i = 0; i < nr; i++)
		gmem_punch_hole(fd, i * H + P, H - P);
	gmem_assert_usage(fd, nr * P, 0, "punched");
	gmem_assert_mem_returned(before - nr * P / 1024, 2048);
	close(fd);
	gmem_assert_mem_returned(before, 2048);
	kvm_vm_free(vm);
}

/*
 * References of others
 */

struct holder {
	int pipe[2];
};

/* A pipe holds the page at @addr. */
static void hold(struct holder *h, void *addr)
{
	struct iovec iov = { .iov_base = addr, .iov_len = P };

	TEST_ASSERT(!pipe(h->pipe), "pipe, errno %d", errno);
	TEST_ASSERT(vmsplice(h->pipe[1], &iov, 1, 0) == P,
		    "vmsplice, errno %d", errno);
}

static void let_go(struct holder *h)
{
	close(h->pipe[0]);
	close(h->pipe[1]);
}

static void shared_start(struct gmem_map *m)
{
	host_set_thp("always");
	guest_word_step = P / 4;
	gmem_map_setup(m, SIZE);
	host_fill(m->mem, 0, SIZE, 1);
	gmem_assert_usage(m->fd, SIZE, SIZE, "filled");
}

static void test_held_page_refuses_a_split(void)
{
	static const struct range parts[] = {
		{ H, P }, { 2 * H - P, P }, { H + 7 * P, P }, { P, H },
		{ 2 * H - P, H },
	};
	struct gmem_state state;
	struct gmem_map m;
	struct holder h;
	int i;

	shared_start(&m);
	gmem_state_get(m.fd, &state);
	hold(&h, m.mem + H + 5 * P);
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		GMEM_ASSERT_ERRNO(__gmem_punch_hole(m.fd, parts[i].offset,
						    parts[i].size),
				  EBUSY, "part %d", i);
		gmem_state_assert_same(m.fd, &state, "punching, refused");
		host_check(m.mem, 0, SIZE, 1);
		TEST_ASSERT(gmem_huge(m.fd) >= H, "all is split");
	}

	let_go(&h);
	gmem_punch_hole(m.fd, H + 7 * P, P);
	host_check(m.mem, 0, H + 7 * P, 1);
	gmem_check_zero(m.mem + H + 7 * P, P);
	host_check(m.mem + H + 8 * P, H + 8 * P, SIZE - H - 8 * P, 1);
	gmem_map_teardown(&m);
}

static void test_held_page_can_leave_with_its_folio(void)
{
	struct gmem_map m;
	struct holder h;
	u64 word;

	shared_start(&m);
	hold(&h, m.mem + H + 5 * P);
	gmem_punch_hole(m.fd, H, H);
	gmem_assert_usage(m.fd, SIZE - H, SIZE - H, "punched");
	gmem_check_zero(m.mem + H, H);
	TEST_ASSERT(read(h.pipe[0], &word, sizeof(word)) == sizeof(word),
		    "read, errno %d", errno);
	ASSERT_EQ(word, guest_pattern(H + 5 * P, 1));
	let_go(&h);
	gmem_map_teardown(&m);
}

/* Lets go once the main thread is seen to wait, or is told that it does not. */
struct patient {
	struct holder h;
	pid_t tid;
	bool over;
	bool waited;
};

static void *let_go_later(void *arg)
{
	struct patient *p = arg;

	while (!p->waited && !__atomic_load_n(&p->over, __ATOMIC_ACQUIRE))
		p->waited = gmem_is_blocked(p->tid, SYS_fallocate);
	let_go(&p->h);
	return NULL;
}

/* Return: whether the hole came when the holder had let go. */
static bool punch_held(struct gmem_map *m)
{
	struct patient p = { .tid = gmem_gettid() };
	struct gmem_state before;
	pthread_t thread;
	int ret;

	gmem_state_get(m->fd, &before);
	hold(&p.h, m->mem + P);
	TEST_ASSERT(!pthread_create(&thread, NULL, let_go_later, &p),
		    "no thread");
	ret = errno_of(__gmem_punch_hole(m->fd, 0, P));
	__atomic_store_n(&p.over, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	TEST_ASSERT(ret ? ret == -EBUSY : p.waited, "%d, %s", ret,
		    p.waited ? "waited" : "did not wait");
	if (ret)
		gmem_state_assert_same(m->fd, &before, "no hole");
	return !ret;
}

static void test_split_waits_for_a_short_time(void)
{
	struct gmem_map m;
	int tries = 0;

	shared_start(&m);
	/* It waits for a second; the other thread can be late. */
	while (!punch_held(&m))
		TEST_ASSERT(++tries < 20, "never waits for long enough");
	gmem_assert_usage(m.fd, SIZE - P, SIZE - H, "punched");
	gmem_check_zero(m.mem, P);
	host_check(m.mem + P, P, SIZE - P, 1);
	gmem_map_teardown(&m);
}

/*
 * A split that is refused costs the guest nothing: it has not been told of it,
 * and keeps its mapping of 2 MiB.
 */

#define EVENT_START	"guest_memfd/guest_memfd_invalidate_start"

/* The guest and a mapping of the host share a file of large folios. */
struct held {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	int fd;
	char *mem;
};

static void start_held(struct held *g)
{
	host_set_thp("never");
	guest_word_step = P / 4;
	/* With room for the page tables of the data. */
	g->vm = __vm_create_with_one_vcpu(&g->vcpu, SIZE / P, guest_cmd_loop);
	guest_cmd_init(g->vcpu);
	g->fd = vm_create_guest_memfd(g->vm, SIZE, GMEM_SHARED_FLAGS);
	g->mem = gmem_mmap(g->fd, SIZE, 0);
	vm_set_user_memory_region2(g->vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GPA, SIZE, NULL, g->fd, 0);
	virt_map(g->vm, GPA, GPA, SIZE / P);
	guest_do(g->vcpu, GUEST_OP_NOP, 0, 0, 0);
	host_set_thp("always");
	guest_fill(g->vcpu, GPA, SIZE, 1);
	gmem_assert_usage(g->fd, SIZE, SIZE, "filled");
	ASSERT_EQ(vm_nr_huge(g->vm), (u64)NR_HUGE);
}

static void end_held(struct held *g)
{
	munmap(g->mem, SIZE);
	close(g->fd);
	kvm_vm_free(g->vm);
}

static void check_refused(enum gmem_holder_kind kind)
{
	static const char * const event[] = { EVENT_START };
	struct gmem_holder *holder;
	struct held g;
	char *trace;

	start_held(&g);
	holder = gmem_hold(kind, g.mem + H, P);
	admin_trace_start(event, 1);
	GMEM_ASSERT_ERRNO(__gmem_punch_hole(g.fd, H + 7 * P, P), EBUSY, "%s",
			  gmem_holder_names[kind]);
	trace = admin_trace_read();
	TEST_ASSERT(!strstr(trace, EVENT_START + strlen("guest_memfd/")),
		    "%s: the guest was told:\n%s", gmem_holder_names[kind],
		    trace);
	free(trace);
	ASSERT_EQ(vm_nr_huge(g.vm), (u64)NR_HUGE);
	guest_check(g.vcpu, GPA, SIZE, 1);

	/* But a split that is done does. */
	ASSERT_EQ(gmem_release(holder), (s64)P);
	gmem_punch_hole(g.fd, H + 7 * P, P);
	trace = admin_trace_read();
	TEST_ASSERT(strstr(trace, EVENT_START + strlen("guest_memfd/")),
		    "no event");
	free(trace);
	ASSERT_EQ(vm_nr_huge(g.vm), (u64)NR_HUGE - 1);
	end_held(&g);
}

static void test_refused_split_takes_no_mapping(void)
{
	check_refused(GMEM_HOLD_PIPE);
	check_refused(GMEM_HOLD_PIN);
}

/*
 * A pin is known as such, and waited for 15 ms; anything else, which may be over
 * in a moment, for a second.  On a busy machine both take longer: the shortest
 * of some tries counts.
 */
#define HELD_TRIES	10
#define PIN_LIMIT	(500 * MS)
#define REF_LEAST	(900 * MS)

static u64 refusal_ns(int fd)
{
	u64 start = gmem_now();

	GMEM_ASSERT_ERRNO(__gmem_punch_hole(fd, H + 7 * P, P), EBUSY, "held");
	return gmem_now() - start;
}

static void test_pin_is_reported_soon(void)
{
	struct gmem_holder *holder;
	u64 ns, best = ~0ULL;
	struct gmem_map m;
	int tries = 0;

	shared_start(&m);
	holder = gmem_hold(GMEM_HOLD_PIPE, m.mem + H, P);
	ns = refusal_ns(m.fd);
	ksft_print_msg("reference: %lu ms\n", ns / MS);
	TEST_ASSERT(ns > REF_LEAST, "not waited for");
	ASSERT_EQ(gmem_release(holder), (s64)P);

	holder = gmem_hold(GMEM_HOLD_PIN, m.mem + H, P);
	while (tries++ < HELD_TRIES && best >= PIN_LIMIT)
		best = min(best, refusal_ns(m.fd));
	ksft_print_msg("pin: %lu ms, %d tries\n", best / MS, tries - 1);
	TEST_ASSERT(best < PIN_LIMIT, "pin: %lu ms", best / MS);
	ASSERT_EQ(gmem_release(holder), (s64)P);
	gmem_punch_hole(m.fd, H + 7 * P, P);
	gmem_map_teardown(&m);
}

/*
 * Mappings of the host
 */

static void check_mapped(char *mem, struct gmem_map *m, const struct range *r)
{
	u64 end = r->offset + r->size;

	host_check(mem, 0, SIZE, 1);
	gmem_punch_hole(m->fd, r->offset, r->size);
	gmem_assert_usage(m->fd, SIZE - r->size, SIZE - overlapped(r),
			  "punched");
	host_check(mem, 0, r->offset, 1);
	host_check(mem + end, end, SIZE - end, 1);
	gmem_assert_usage(m->fd, SIZE - r->size, SIZE - overlapped(r),
			  "looked at");
	gmem_check_zero(mem + r->offset, r->size);
}

/* Mapped by 2 MiB, by pages, both, and locked. */
static void check_mapped_all_ways(const struct range *r)
{
	char *aligned, *odd;
	struct gmem_map m;
	int way;

	for (way = 0; way < 4; way++) {
		shared_start(&m);
		aligned = gmem_mmap_aligned(m.fd, SIZE);
		odd = gmem_mmap(m.fd, SIZE, 0);
		if (way == 3)
			TEST_ASSERT(!mlock(aligned, SIZE), "mlock, errno %d",
				    errno);
		if (way == 2)
			host_check(odd, 0, SIZE, 1);
		check_mapped(way == 1 ? odd : aligned, &m, r);
		munmap(aligned, SIZE);
		munmap(odd, SIZE);
		gmem_map_teardown(&m);
	}
}

static void test_punch_of_mapped_memory(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		check_mapped_all_ways(&ranges[i]);
}

static void test_parts_of_mappings_can_be_dropped(void)
{
	struct gmem_map m;
	char *mem;

	shared_start(&m);
	mem = gmem_mmap_aligned(m.fd, SIZE);
	host_check(mem, 0, SIZE, 1);
	TEST_ASSERT(!madvise(mem + P, H, MADV_DONTNEED) &&
		    !mprotect(mem + H, P, PROT_READ) &&
		    !mprotect(mem + H, P, PROT_READ | PROT_WRITE) &&
		    !munmap(mem + 2 * H + P, P), "errno %d", errno);
	host_check(mem, 0, 2 * H + P, 1);
	host_check(mem + 2 * H + 2 * P, 2 * H + 2 * P, H - 2 * P, 1);
	host_fill(mem, 0, 2 * H, 2);
	host_check(m.mem, 0, 2 * H, 2);
	gmem_assert_usage(m.fd, SIZE, SIZE, "after all");
	munmap(mem, SIZE);
	gmem_map_teardown(&m);
}

static void test_fork_and_exit_with_huge_mappings(void)
{
	struct gmem_map m;
	char *mem;
	int status;
	pid_t pid;

	shared_start(&m);
	mem = gmem_mmap_aligned(m.fd, SIZE);
	host_check(mem, 0, SIZE, 1);
	pid = fork();
	if (!pid) {
		host_fill(mem, 0, SIZE, 2);
		_exit(0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && !status, "status 0x%x",
		    status);
	host_check(mem, 0, SIZE, 2);
	munmap(mem, SIZE);
	gmem_map_teardown(&m);
}

/*
 * Others may not split: ->release_folio() refuses, and the reference that pins
 * the folio alone would suffice.  Which of them it was does not show.
 */

static void test_others_cannot_split(void)
{
	const char *path = "/sys/kernel/debug/split_huge_pages";
	struct gmem_map m;
	char text[64];
	char *mem;

	shared_start(&m);
	mem = gmem_mmap_aligned(m.fd, SIZE);
	/* Pageout leaves alone what is mapped twice. */
	TEST_ASSERT(!madvise(m.mem, SIZE, MADV_DONTNEED), "errno %d", errno);
	host_check(mem, 0, SIZE, 1);
	snprintf(text, sizeof(text), "%d,%p,%p", getpid(),
		 mem, mem + SIZE);
	gmem_proc_write(path, text);
	/* Pageout splits what is mapped in part. */
	TEST_ASSERT(!madvise(mem + P, P, MADV_PAGEOUT), "errno %d", errno);
	TEST_ASSERT(!madvise(mem, SIZE, MADV_PAGEOUT), "errno %d", errno);
	gmem_assert_usage(m.fd, SIZE, SIZE, "after all");
	host_check(mem, 0, SIZE, 1);
	munmap(mem, SIZE);
	gmem_map_teardown(&m);
}

/*
 * What can fail
 */

static int fail_run(void *ctx)
{
	struct huge_file *f = ctx;

	return errno_of(__gmem_punch_hole(f->fd, H + P, P));
}

static bool fail_unchanged(void *ctx)
{
	return huge_file_has(ctx, SIZE, SIZE);
}

static bool fail_done(void *ctx)
{
	return huge_file_has(ctx, SIZE - P, SIZE - H);
}

static void test_split_without_memory_changes_nothing(void)
{
	struct fail_nth_op op = {
		.name = "split",
		.setup = huge_file_setup,
		.run = fail_run,
		.unchanged = fail_unchanged,
		.done = fail_done,
		.teardown = huge_file_teardown,
	};
	struct huge_file f = {
		.vm = gmem_vm_create_barebones(),
		.size = SIZE,
	};

	host_set_thp("always");
	fail_nth_check(&op, &f);
	kvm_vm_free(f.vm);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_punch_takes_just_its_range),
	GMEM_TEST(test_punch_of_unmapped_memory),
	GMEM_TEST(test_folio_comes_back_large),
	GMEM_TEST(test_slots_that_share_a_folio),
	GMEM_TEST(test_memory_given_back_is_free),
	GMEM_TEST(test_held_page_refuses_a_split),
	GMEM_TEST(test_held_page_can_leave_with_its_folio),
	GMEM_TEST(test_split_waits_for_a_short_time),
	GMEM_TEST(test_refused_split_takes_no_mapping),
	GMEM_TEST(test_pin_is_reported_soon),
	GMEM_TEST(test_punch_of_mapped_memory),
	GMEM_TEST(test_parts_of_mappings_can_be_dropped),
	GMEM_TEST(test_fork_and_exit_with_huge_mappings),
	GMEM_TEST(test_others_cannot_split),
	GMEM_TEST(test_split_without_memory_changes_nothing),
};

int main(int argc, char *argv[])
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
