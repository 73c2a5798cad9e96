// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory errors that memory_failure() takes back.
 *
 * hwpoison_filter() is asked when PG_hwpoison has been set already.  The flag is
 * there for a moment and goes again, and nothing of it may last: the page is as
 * usable as before, and what was private in it is not to be seen.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_pfn.h"
#include "race.h"

#define FILTER		"/sys/kernel/debug/hwpoison/corrupt-filter-"
#define HARD_OFFLINE	"/sys/devices/system/memory/hard_offline_page"
#define SECRET		0x5ec2e75ec2e75ec2ULL
#define NR_PAGES	64
#define SIZE		GMEM_PAGES(NR_PAGES)
/* So many look-ups have to meet an error, within this time. */
#define NR_MEETINGS	20
#define MAX_MS		60000
/* Largest delay of a look-up, in turns of a loop. */
#define MAX_SPIN	2000

static sigjmp_buf back;

static void on_sigbus(int sig)
{
	siglongjmp(back, 1);
}

/* Nothing is on a device with this number: all errors are filtered. */
static void filter_all(void)
{
	poison_require();
	gmem_proc_write(FILTER "dev-major", "4095");
	gmem_proc_write(FILTER "enable", "1");
}

static void filter_none(void)
{
	gmem_proc_write(FILTER "enable", "0");
	gmem_proc_write(FILTER "dev-major", "4294967295");
}

struct filtered {
	struct gmem_map m;
	u64 pfns[NR_PAGES];
	int hard_offline;
	int turn;		/* the page that is hit, -1 is the end */
	int done;		/* pages that have been */
	unsigned int nr_signals;
};

static u64 *word_of(struct filtered *f, int page)
{
	return (u64 *)(f->m.mem + GMEM_PAGES(page));
}

static void filtered_start(struct filtered *f)
{
	int i;

	memset(f, 0, sizeof(*f));
	filter_all();
	atexit(filter_none);
	TEST_ASSERT(signal(SIGBUS, on_sigbus) != SIG_ERR, "errno %d", errno);
	f->hard_offline = open(HARD_OFFLINE, O_WRONLY);
	TEST_ASSERT(f->hard_offline >= 0, "errno %d", errno);
	gmem_conv_setup(&f->m, SIZE);
	for (i = 0; i < NR_PAGES; i++) {
		WRITE_ONCE(*word_of(f, i), SECRET);
		f->pfns[i] = pfn_at(word_of(f, i));
	}
}

static void filtered_end(struct filtered *f)
{
	int i;

	for (i = 0; i < NR_PAGES; i++)
		TEST_ASSERT(!pfn_is_poisoned(f->pfns[i]),
			    "pfn 0x%lx is poisoned", f->pfns[i]);
	ASSERT_EQ(gmem_allocated(f->m.fd), SIZE);
	gmem_map_teardown(&f->m);
	close(f->hard_offline);
	filter_none();
}

/* Return: whether there was a signal instead. */
static bool read_word(struct filtered *f, int page, u64 *val)
{
	if (sigsetjmp(back, 1))
		return true;
	*val = READ_ONCE(*word_of(f, page));
	return false;
}

static int hit(struct filtered *f, int page)
{
	char text[32];
	int len;

	len = sprintf(text, "0x%llx", f->pfns[page] * GMEM_PAGE_SIZE);
	return pwrite(f->hard_offline, text, len, 0) == len ? 0 : -errno;
}

/* It says 0 for an error that is filtered, or the same as memory_failure(). */
static bool was_filtered(int err)
{
	return !err || err == -EOPNOTSUPP;
}

/* Hit one page after the other, each when it is its turn. */
static void *hit_thread(void *arg)
{
	struct filtered *f = arg;
	int turn, last = 0;

	for (;;) {
		turn = __atomic_load_n(&f->turn, __ATOMIC_ACQUIRE);
		if (turn < 0)
			break;
		if (turn == last) {
			sched_yield();
			continue;
		}
		last = turn;
		TEST_ASSERT(was_filtered(hit(f, (turn - 1) % NR_PAGES)),
			    "errno %d", errno);
		__atomic_store_n(&f->done, turn, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void set_turn(struct filtered *f, int turn)
{
	__atomic_store_n(&f->turn, turn, __ATOMIC_RELEASE);
}

/* What the error does not change is that the next look-up finds zeros. */
static void look_at_page(struct filtered *f, int turn, struct race_rng *rng)
{
	u64 spin = race_random_below(rng, MAX_SPIN), val = 0;
	int page = (turn - 1) % NR_PAGES;

	set_turn(f, turn);
	while (spin--)
		asm volatile("pause" ::: "memory");
	f->nr_signals += read_word(f, page, &val);
	TEST_ASSERT(!val, "turn %d: the host reads 0x%lx", turn, val);

	while (__atomic_load_n(&f->done, __ATOMIC_ACQUIRE) != turn)
		sched_yield();
	val = SECRET;
	TEST_ASSERT(!read_word(f, page, &val), "page %d has been lost", page);
	TEST_ASSERT(!val, "turn %d: the host reads 0x%lx", turn, val);
}

/* A new look-up finds each page not uptodate. */
static void fill_with_secrets(struct filtered *f)
{
	int i;

	for (i = 0; i < NR_PAGES; i++)
		WRITE_ONCE(*word_of(f, i), SECRET);
	gmem_to_private(f->m.fd, 0, SIZE);
	gmem_to_shared(f->m.fd, 0, SIZE);
}

/* Each signal is a look-up that has met the flag. */
static void test_what_was_private_stays_unseen(void)
{
	struct race_rng rng = { race_seed() };
	struct filtered f;
	pthread_t thread;
	int turn = 0;
	u64 start;

	ksft_print_msg("seed 0x%lx\n", rng.state);
	filtered_start(&f);
	pthread_create(&thread, NULL, hit_thread, &f);
	start = gmem_now();
	do {
		if (turn % NR_PAGES == 0)
			fill_with_secrets(&f);
		turn++;
		look_at_page(&f, turn, &rng);
	} while (f.nr_signals < NR_MEETINGS &&
		 gmem_now() - start < MAX_MS * MS);
	set_turn(&f, -1);
	pthread_join(thread, NULL);

	ksft_print_msg("%d look-ups, %u signals\n", turn, f.nr_signals);
	TEST_ASSERT(f.nr_signals, "no look-up has met an error");
	filtered_end(&f);
}

static void test_filtered_error_changes_nothing(void)
{
	struct filtered f;
	u64 nr, val;
	int i;

	filtered_start(&f);
	nr = nr_poisoned();
	for (i = 0; i < NR_PAGES; i++) {
		TEST_ASSERT(was_filtered(hit(&f, i)), "errno %d", errno);
		ASSERT_EQ(pfn_at(word_of(&f, i)), f.pfns[i]);
		TEST_ASSERT(!read_word(&f, i, &val) && val == SECRET,
			    "page %d", i);
	}
	ASSERT_EQ(nr_poisoned(), nr);
	/* To become private, a page must have no reference too many. */
	gmem_to_private(f.m.fd, 0, SIZE);
	gmem_to_shared(f.m.fd, 0, SIZE);
	for (i = 0; i < NR_PAGES; i++)
		TEST_ASSERT(!read_word(&f, i, &val) && !val, "page %d", i);
	filtered_end(&f);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_filtered_error_changes_nothing),
	GMEM_TEST(test_what_was_private_stays_unseen),
};

int main(void)
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
