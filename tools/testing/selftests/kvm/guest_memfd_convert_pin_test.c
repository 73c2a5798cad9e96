// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion in place of pages that are held: which holders keep a page from
 * becoming private, and that waiting for them works.  Holders are real, see
 * guest_memfd_holder.h; long-term pins are refused instead.
 */
#define _GNU_SOURCE /* for O_DIRECT */
#include <linux/stddef.h>	/* gup_test.h needs it */
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "../../../../mm/gup_test.h"
#include "guest_memfd_convert.h"
#include "guest_memfd_holder.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	GMEM_FILE_SIZE
/* Longer than any test, shorter than the runner's patience. */
#define LONG		(100000 * MS)
#define HELD		3
#define NR_HELD		2

/* From include/linux/mm.h of the kernel. */
#define FOLL_WRITE	0x01
#define FOLL_LONGTERM	0x10000

/* Tags of patterns. */
enum { FIRST = 1 };

static u64 reason_of(enum gmem_holder_kind kind)
{
	return kind == GMEM_HOLD_PIN ? KVM_GMEM_BUSY_PINNED :
				       KVM_GMEM_BUSY_OTHER;
}

static void setup_filled(struct gmem_map *m)
{
	gmem_conv_setup(m, FILE_SIZE);
	gmem_fill(m->mem, 0, FILE_SIZE, FIRST);
}

static struct gmem_holder *hold(struct gmem_map *m, enum gmem_holder_kind kind)
{
	return gmem_hold(kind, m->mem + HELD * P, NR_HELD * P);
}

/* Read or written by the holder, which writes what is on the disk. */
static void check_all_but_held(struct gmem_map *m)
{
	gmem_check(m->mem, 0, HELD * P, FIRST);
	gmem_check(m->mem + (HELD + NR_HELD) * P, (HELD + NR_HELD) * P,
		   FILE_SIZE - (HELD + NR_HELD) * P, FIRST);
}

static void check_held_gives_eagain(enum gmem_holder_kind kind)
{
	struct gmem_holder *h;
	struct gmem_conv c;
	struct gmem_map m;

	setup_filled(&m);
	h = hold(&m, kind);
	/* All or nothing, and the page that it is about. */
	gmem_assert_busy(m.fd, 0, FILE_SIZE, HELD * P);
	gmem_assert_busy(m.fd, HELD * P, P, HELD * P);
	gmem_assert_busy(m.fd, (HELD + 1) * P, P, (HELD + 1) * P);
	gmem_assert_is(m.fd, 0, FILE_SIZE, GMEM_SHARED);
	check_all_but_held(&m);

	/* Asked to wait, but not for how long: the same, and why. */
	ASSERT_EQ(__gmem_convert(m.fd, 0, FILE_SIZE, GMEM_PRIVATE, GMEM_WAIT, 0,
				 &c), -EAGAIN);
	ASSERT_EQ(c.error_offset, HELD * P);
	ASSERT_EQ(c.reason, reason_of(kind));
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-pending"), 0ULL);

	/* Neighbours are not affected. */
	gmem_to_private(m.fd, 0, HELD * P);
	gmem_to_private(m.fd, (HELD + NR_HELD) * P, P);
	gmem_assert_is(m.fd, HELD * P, NR_HELD * P, GMEM_SHARED);

	ASSERT_EQ(gmem_release(h), (s64)(NR_HELD * P));
	gmem_to_private(m.fd, 0, FILE_SIZE);
	gmem_assert_is(m.fd, 0, FILE_SIZE, GMEM_PRIVATE);
	gmem_map_teardown(&m);
}

static void test_page_in_a_pipe_gives_eagain(void)
{
	check_held_gives_eagain(GMEM_HOLD_PIPE);
}

static void test_pinned_page_gives_eagain(void)
{
	check_held_gives_eagain(GMEM_HOLD_PIN);
}

static void test_page_of_o_direct_gives_eagain(void)
{
	check_held_gives_eagain(GMEM_HOLD_DISK);
}

static void check_wait_ends_in_time(enum gmem_holder_kind kind)
{
	struct gmem_holder *h;
	struct gmem_conv c;
	struct gmem_map m;

	setup_filled(&m);
	h = hold(&m, kind);
	ASSERT_EQ(__gmem_convert(m.fd, 0, FILE_SIZE, GMEM_PRIVATE, GMEM_WAIT,
				 300 * MS, &c), -EAGAIN);
	TEST_ASSERT(c.ns >= 300 * MS && c.ns < LONG, "waited %lu ns", c.ns);
	ASSERT_EQ(c.error_offset, HELD * P);
	ASSERT_EQ(c.reason, reason_of(kind));
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-pending"), 0ULL);
	gmem_assert_is(m.fd, 0, FILE_SIZE, GMEM_SHARED);
	check_all_but_held(&m);
	gmem_release(h);
	gmem_map_teardown(&m);
}

/* It would end by itself after LONG, but then with EAGAIN. */
static void check_wait_ends_with_the_holder(enum gmem_holder_kind kind)
{
	struct gmem_conv_thread t;
	struct gmem_holder *h;
	struct gmem_map m;

	setup_filled(&m);
	h = hold(&m, kind);
	gmem_conv_start(&t, m.fd, 0, FILE_SIZE, LONG);
	gmem_conv_assert_waits(&t);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-pending"), FILE_SIZE);
	gmem_assert_is(m.fd, 0, FILE_SIZE, GMEM_SHARED);

	ASSERT_EQ(gmem_release(h), (s64)(NR_HELD * P));
	ASSERT_EQ(gmem_conv_join(&t), 0);
	gmem_assert_is(m.fd, 0, FILE_SIZE, GMEM_PRIVATE);
	gmem_assert_sigbus(m.mem + HELD * P);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-pending"), 0ULL);
	gmem_map_teardown(&m);
}

static void test_wait_for_a_pipe(void)
{
	check_wait_ends_in_time(GMEM_HOLD_PIPE);
	check_wait_ends_with_the_holder(GMEM_HOLD_PIPE);
}

static void test_wait_for_a_pin(void)
{
	check_wait_ends_in_time(GMEM_HOLD_PIN);
	check_wait_ends_with_the_holder(GMEM_HOLD_PIN);
}

static void test_wait_for_o_direct(void)
{
	check_wait_ends_in_time(GMEM_HOLD_DISK);
	check_wait_ends_with_the_holder(GMEM_HOLD_DISK);
}

/* Holders of different pages: all of them are waited for, in any order. */
static void test_wait_for_several(void)
{
	struct gmem_conv_thread t;
	struct gmem_holder *h[4];
	struct gmem_map m;
	int i;

	setup_filled(&m);
	for (i = 0; i < 4; i++)
		h[i] = gmem_hold(i & 1 ? GMEM_HOLD_PIN : GMEM_HOLD_PIPE,
				 m.mem + (12 - 4 * i) * P, P);
	gmem_conv_start(&t, m.fd, 0, FILE_SIZE, LONG);
	for (i = 0; i < 4; i++) {
		gmem_conv_assert_waits(&t);
		gmem_release(h[i]);
	}
	ASSERT_EQ(gmem_conv_join(&t), 0);
	gmem_assert_is(m.fd, 0, FILE_SIZE, GMEM_PRIVATE);
	gmem_map_teardown(&m);
}

/* A page that leaves the file is no obstacle any more. */
static void test_hole_under_the_holder_ends_the_wait(void)
{
	struct gmem_conv_thread t;
	struct gmem_holder *h;
	struct gmem_map m;

	setup_filled(&m);
	h = hold(&m, GMEM_HOLD_PIPE);
	gmem_conv_start(&t, m.fd, 0, FILE_SIZE, LONG);
	gmem_punch_hole(m.fd, HELD * P, NR_HELD * P);
	ASSERT_EQ(gmem_conv_join(&t), 0);
	gmem_assert_is(m.fd, 0, FILE_SIZE, GMEM_PRIVATE);
	gmem_release(h);
	gmem_map_teardown(&m);
}

static void no_action(int sig)
{
}

static void test_signal_ends_the_wait(void)
{
	struct sigaction act = { .sa_handler = no_action, .sa_flags = SA_RESTART };
	struct gmem_conv_thread t;
	struct gmem_holder *h;
	struct gmem_map m;

	sigaction(SIGUSR1, &act, NULL);
	setup_filled(&m);
	h = hold(&m, GMEM_HOLD_PIPE);
	gmem_conv_start(&t, m.fd, 0, FILE_SIZE, LONG);
	pthread_kill(t.thread, SIGUSR1);
	ASSERT_EQ(gmem_conv_join(&t), -EINTR);
	ASSERT_EQ(gmem_fdinfo(m.fd, "gmem-pending"), 0ULL);
	gmem_assert_is(m.fd, 0, FILE_SIZE, GMEM_SHARED);
	gmem_check(m.mem, 0, FILE_SIZE, FIRST);
	gmem_release(h);
	gmem_map_teardown(&m);
}

/*
 * A read that holds page 0 and then wants page 1, of a range that is being
 * converted: the conversion waits for the read, which must not wait for it.
 */
struct reader {
	int fd;
	struct iovec iov[3];
	ssize_t ret;
};

static void *reader_thread(void *arg)
{
	struct reader *r = arg;

	r->ret = errno_of(preadv(r->fd, r->iov, 3, 0));
	return NULL;
}

static void test_o_direct_across_a_pending_page_fails_at_once(void)
{
	struct gmem_conv_thread t;
	struct gmem_stopper s;
	struct gmem_map m;
	struct reader r;
	pthread_t thread;

	r.fd = open("/dev/ram0", O_RDWR | O_DIRECT);
	if (r.fd < 0)
		gmem_skip("no /dev/ram0, errno %d", errno);
	setup_filled(&m);
	gmem_stopper_init(&s, P);
	r.iov[0] = (struct iovec) { m.mem, P };
	r.iov[1] = (struct iovec) { s.mem, P };
	r.iov[2] = (struct iovec) { m.mem + P, P };
	TEST_ASSERT(!pthread_create(&thread, NULL, reader_thread, &r),
		    "no thread");
	gmem_stopper_wait(&s);

	gmem_conv_start(&t, m.fd, 0, 2 * P, LONG);
	TEST_ASSERT(!__atomic_load_n(&t.done, __ATOMIC_ACQUIRE),
		    "page 0 is not held: %d", t.ret);
	gmem_stopper_open(&s);
	pthread_join(thread, NULL);
	/* EAGAIN, after LONG, if the read waited for the conversion. */
	ASSERT_EQ(gmem_conv_join(&t), 0);
	TEST_ASSERT(r.ret < (ssize_t)(3 * P), "read %ld", r.ret);
	gmem_assert_is(m.fd, 0, 2 * P, GMEM_PRIVATE);
	close(r.fd);
	gmem_stopper_free(&s);
	gmem_map_teardown(&m);
}

/*
 * Long-term pins
 */

static const struct {
	unsigned long cmd;
	u32 flags;
	const char *name;
} gups[] = {
	{ PIN_FAST_BENCHMARK, FOLL_LONGTERM, "fast" },
	{ PIN_FAST_BENCHMARK, FOLL_LONGTERM | FOLL_WRITE, "fast, writing" },
	{ PIN_LONGTERM_BENCHMARK, 0, "slow" },
	{ PIN_LONGTERM_BENCHMARK, FOLL_WRITE, "slow, writing" },
	{ PIN_FAST_BENCHMARK, 0, "short" },
};

/* Return: how many bytes could be pinned, and have been given back. */
static u64 do_gup(int i, void *mem, u64 size)
{
	struct gup_test args = {
		.addr = (uintptr_t)mem,
		.size = size,
		.nr_pages_per_call = size / P,
		.gup_flags = gups[i].flags,
	};
	int fd = open("/sys/kernel/debug/gup_test", O_RDWR);

	if (fd < 0)
		gmem_skip("no gup_test in debugfs, errno %d", errno);
	TEST_ASSERT(!ioctl(fd, gups[i].cmd, &args), "%s: errno %d",
		    gups[i].name, errno);
	close(fd);
	return args.size;
}

static void test_long_term_pins_are_refused(void)
{
	struct gmem_map m;
	int i, round;
	u64 want;

	for (i = 0; i < ARRAY_SIZE(gups); i++) {
		want = i == ARRAY_SIZE(gups) - 1 ? FILE_SIZE : 0;
		setup_filled(&m);
		for (round = 0; round < 2; round++) {
			TEST_ASSERT(do_gup(i, m.mem, FILE_SIZE) == want,
				    "%s, %s", gups[i].name,
				    round ? "unmapped" : "mapped");
			madvise(m.mem, FILE_SIZE, MADV_DONTNEED);
		}
		gmem_to_private(m.fd, 0, FILE_SIZE);
		gmem_map_teardown(&m);
	}
}

/* As before: files that are shared for ever can be given to devices. */
static void test_long_term_pins_of_shared_files_work(void)
{
	struct gmem_map m;
	int i;

	for (i = 0; i < ARRAY_SIZE(gups); i++) {
		gmem_map_setup(&m, FILE_SIZE);
		gmem_fill(m.mem, 0, FILE_SIZE, FIRST);
		TEST_ASSERT(do_gup(i, m.mem, FILE_SIZE) == FILE_SIZE, "%s",
			    gups[i].name);
		gmem_map_teardown(&m);
	}
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_page_in_a_pipe_gives_eagain),
	GMEM_TEST(test_pinned_page_gives_eagain),
	GMEM_TEST(test_page_of_o_direct_gives_eagain),
	GMEM_TEST(test_wait_for_a_pipe),
	GMEM_TEST(test_wait_for_a_pin),
	GMEM_TEST(test_wait_for_o_direct),
	GMEM_TEST(test_wait_for_several),
	GMEM_TEST(test_hole_under_the_holder_ends_the_wait),
	GMEM_TEST(test_signal_ends_the_wait),
	GMEM_TEST(test_o_direct_across_a_pending_page_fails_at_once),
	GMEM_TEST(test_long_term_pins_are_refused),
	GMEM_TEST(test_long_term_pins_of_shared_files_work),
};

int main(int argc, char *argv[])
{
	setbuf(stdout, NULL);
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
