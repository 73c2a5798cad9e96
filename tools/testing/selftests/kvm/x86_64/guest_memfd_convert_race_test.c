// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion in place against all that the host can do at the same time.
 *
 * The main thread makes ranges private, has the guest write to them and look at
 * them again, and makes them shared.  Other threads write to random pages in all
 * ways that there are, hold pages, and punch holes.  Two things must never be
 * seen: by the guest, anything but what it has written to private memory; by the
 * host, anything that the guest has written there.
 *
 * Environment: RACE_SEED; RACE_MS and RACE_PERCENT for how long each test takes.
 */
#define _GNU_SOURCE /* for O_DIRECT and vmsplice(2) */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_guest.h"
#include "race.h"

#define P		GMEM_PAGE_SIZE
#define NR_PAGES	256
#define SIZE		GMEM_PAGES(NR_PAGES)
#define GPA(page)	(GMEM_DATA_GPA + GMEM_PAGES(page))
/* Of these pages the guest knows the contents; holes go to the others. */
#define NR_KNOWN	192
#define MAX_RANGE	16
#define DEFAULT_MS	6000
/* If nothing has been converted by then, or nothing was in use. */
#define LATE_MS		60000

/* What the host writes, everywhere; a guest's pattern has bit 0 set. */
#define HOST_BYTE	0x5a
#define HOST_WORD	0x5a5a5a5a5a5a5a5aULL

struct torture {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct gmem_slot slot;
	int fd;
	char *mem;
	u64 seed;
	u64 converted;
	u64 busy;
	bool stop;
};

static bool stopped(struct torture *t)
{
	return __atomic_load_n(&t->stop, __ATOMIC_RELAXED);
}

static u64 random_page(struct race_rng *rng)
{
	return race_random_below(rng, NR_PAGES);
}

/*
 * Threads of the host
 */

static __thread sigjmp_buf write_env;

static void write_handler(int sig)
{
	siglongjmp(write_env, sig);
}

static void *write_thread(void *arg)
{
	struct torture *t = arg;
	struct race_rng rng = { t->seed + 1 };

	while (!stopped(t)) {
		u64 *word = (u64 *)(t->mem + random_page(&rng) * P);

		/* The signal says that it is private. */
		if (!sigsetjmp(write_env, 1))
			WRITE_ONCE(word[race_random_below(&rng, P / 8)],
				   HOST_WORD);
	}
	return NULL;
}

static void *read_thread(void *arg)
{
	struct torture *t = arg;
	struct race_rng rng = { t->seed + 2 };
	int fd = open("/dev/ram0", O_RDWR | O_DIRECT);

	TEST_ASSERT(fd >= 0, "/dev/ram0: errno %d", errno);
	while (!stopped(t)) {
		u64 page = random_page(&rng);
		u64 nr = 1 + race_random_below(&rng, NR_PAGES - page);

		/* Much, so that it takes time.  Fails or not, and in part. */
		pread(fd, t->mem + page * P, nr * P, 0);
	}
	close(fd);
	return NULL;
}

static void *pin_thread(void *arg)
{
	struct torture *t = arg;
	struct race_rng rng = { t->seed + 3 };
	char *buf = gmem_alloc_hva(0, SIZE);

	memset(buf, HOST_BYTE, SIZE);
	while (!stopped(t)) {
		u64 page = random_page(&rng);
		u64 nr = 1 + race_random_below(&rng, NR_PAGES - page);
		struct iovec local = { buf, nr * P };
		struct iovec remote = { t->mem + page * P, nr * P };

		/* All are pinned until the last has been written. */
		process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	}
	gmem_free_hva(buf, SIZE);
	return NULL;
}

static void *pipe_thread(void *arg)
{
	struct torture *t = arg;
	struct race_rng rng = { t->seed + 4 };
	int fds[2];

	while (!stopped(t)) {
		struct iovec iov = { t->mem + random_page(&rng) * P, P };

		TEST_ASSERT(!pipe(fds), "pipe() failed, errno %d", errno);
		vmsplice(fds[1], &iov, 1, 0);
		usleep(race_random_below(&rng, 2000));
		close(fds[0]);
		close(fds[1]);
	}
	return NULL;
}

static void *punch_thread(void *arg)
{
	struct torture *t = arg;
	struct race_rng rng = { t->seed + 5 };

	while (!stopped(t)) {
		u64 page = NR_KNOWN + race_random_below(&rng,
							NR_PAGES - NR_KNOWN);
		u64 nr = 1 + race_random_below(&rng, NR_PAGES - page);

		gmem_punch_hole(t->fd, page * P, nr * P);
		usleep(race_random_below(&rng, 1000));
	}
	return NULL;
}

/* What the file says of the pages that only one thread converts. */
static void check_model(struct torture *t, const u64 *model)
{
	u64 page, nr, size, attributes, resident, i;
	int ret;

	for (page = NR_KNOWN; page < NR_PAGES; page += nr) {
		size = (NR_PAGES - page) * P;
		ret = __gmem_get(t->fd, page * P, &size, &attributes,
				 &resident);
		nr = size / P;
		TEST_ASSERT(!ret && nr && page + nr <= NR_PAGES,
			    "page %lu: %d, %lu pages", page, ret, nr);
		for (i = page; i < page + nr; i++)
			TEST_ASSERT(attributes == model[i - NR_KNOWN],
				    "page %lu is 0x%lx, wanted 0x%lx", i,
				    attributes, model[i - NR_KNOWN]);
	}
}

/*
 * Conversions of what the guest does not use.  Whether they come in time is
 * open, but it is all or nothing.
 */
static void *convert_thread(void *arg)
{
	struct torture *t = arg;
	struct race_rng rng = { t->seed + 6 };
	u64 model[NR_PAGES - NR_KNOWN] = {};

	while (!stopped(t)) {
		u64 page = race_random_below(&rng, NR_PAGES - NR_KNOWN);
		u64 nr = 1 + race_random_below(&rng,
					       NR_PAGES - NR_KNOWN - page);
		u64 attributes = race_random_below(&rng, 2) ? GMEM_PRIVATE :
							      GMEM_SHARED;
		bool wait = race_random_below(&rng, 2);
		int ret;

		ret = __gmem_convert(t->fd, (NR_KNOWN + page) * P, nr * P,
				     attributes, wait ? GMEM_WAIT : 0,
				     wait ? 3 * MS : 0, NULL);
		TEST_ASSERT(!ret || ret == -EAGAIN, "%d", ret);
		for (; !ret && nr; nr--)
			model[page + nr - 1] = attributes;
		check_model(t, model);
	}
	return NULL;
}

/*
 * The main thread
 */

static int make_private(struct torture *t, u64 page, u64 nr, bool wait)
{
	int ret;

	ret = __gmem_convert(t->fd, page * P, nr * P, GMEM_PRIVATE,
			     wait ? GMEM_WAIT : 0, wait ? 100 * MS : 0, NULL);
	TEST_ASSERT(!ret || ret == -EAGAIN, "to private: %d", ret);
	return ret;
}

static void check_no_secret(struct torture *t, u64 page, u64 nr, u64 tag)
{
	u64 *words = (u64 *)(t->mem + page * P);
	u64 i, word;

	for (i = 0; i < nr * P / 8; i += 64) {
		word = READ_ONCE(words[i]);
		/* Others are writing: some bytes of it may be there. */
		TEST_ASSERT(!(word & ~HOST_WORD),
			    "page %lu, word %lu: 0x%lx, the guest's is 0x%lx",
			    page, i, word, guest_pattern(GPA(page) + i * 8,
							 tag));
	}
}

static void torture_once(struct torture *t, struct race_rng *rng, u64 tag)
{
	u64 nr = 1 + race_random_below(rng, MAX_RANGE);
	u64 page = race_random_below(rng, NR_KNOWN - nr);

	if (make_private(t, page, nr, race_random_below(rng, 2))) {
		t->busy++;
		/* Still shared: the guest writes where others do. */
		guest_do(t->vcpu, GUEST_OP_READ, GPA(page), 0, 0);
		return;
	}
	guest_fill(t->vcpu, GPA(page), nr * P, tag);
	guest_check(t->vcpu, GPA(page), nr * P, tag);
	/* Give late threads the time to come. */
	if (!race_random_below(rng, 4))
		usleep(race_random_below(rng, 5000));
	guest_check(t->vcpu, GPA(page), nr * P, tag);
	gmem_to_shared(t->fd, page * P, nr * P);
	check_no_secret(t, page, nr, tag);
	t->converted++;
}

static void torture_start(struct torture *t)
{
	char *buf;
	int fd;

	*t = (struct torture) { .seed = race_seed() };
	guest_word_step = 256;
	t->vm = guest_vm_create(1, &t->vcpu, SIZE, &t->slot);
	gmem_slot_delete(&t->slot);
	t->fd = vm_create_guest_memfd(t->vm, SIZE, GMEM_SHARED_FLAGS);
	t->mem = gmem_mmap(t->fd, SIZE, 0);
	vm_set_user_memory_region2(t->vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA, SIZE, NULL, t->fd, 0);

	/* What O_DIRECT writes to the memory. */
	fd = open("/dev/ram0", O_RDWR);
	if (fd < 0)
		gmem_skip("no /dev/ram0, errno %d", errno);
	buf = gmem_alloc_hva(0, SIZE);
	memset(buf, HOST_BYTE, SIZE);
	ASSERT_EQ(pwrite(fd, buf, SIZE, 0), (ssize_t)SIZE);
	TEST_ASSERT(!fsync(fd), "fsync: errno %d", errno);
	gmem_free_hva(buf, SIZE);
	close(fd);
}

static void torture_end(struct torture *t)
{
	munmap(t->mem, SIZE);
	gmem_slot_delete(&t->slot);
	gmem_slot_bind(&t->slot);
	close(t->fd);
	gmem_vm_free(t->vm, &t->slot);
}

/* @users: the threads hold pages, so that some conversion must meet that. */
static void torture(void *(*const *threads)(void *), int nr, bool users)
{
	struct sigaction act = { .sa_handler = write_handler };
	struct race_rng rng;
	pthread_t ids[8];
	struct torture t;
	u64 stop, last, tag;
	int i;

	sigaction(SIGBUS, &act, NULL);
	torture_start(&t);
	rng.state = t.seed;
	pr_info("# seed %lu\n", t.seed);
	for (i = 0; i < nr; i++)
		TEST_ASSERT(!pthread_create(&ids[i], NULL, threads[i], &t),
			    "no thread");
	stop = gmem_now() + race_ms(DEFAULT_MS) * MS;
	last = stop + LATE_MS * MS;
	for (tag = 1; gmem_now() < stop ||
	     ((!t.converted || (users && !t.busy)) && gmem_now() < last);
	     tag++)
		torture_once(&t, &rng, tag);
	__atomic_store_n(&t.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < nr; i++)
		pthread_join(ids[i], NULL);
	pr_info("# converted %lu ranges, %lu were in use\n", t.converted,
		t.busy);
	TEST_ASSERT(t.converted, "nothing was converted");
	TEST_ASSERT(t.busy || !users, "nothing was in use");
	gmem_to_private(t.fd, 0, SIZE);
	gmem_to_shared(t.fd, 0, SIZE);
	host_check_zero(t.mem, SIZE);
	torture_end(&t);
}

static void test_against_writes(void)
{
	static void *(*const threads[])(void *) = { write_thread };

	torture(threads, ARRAY_SIZE(threads), false);
}

static void test_against_o_direct(void)
{
	static void *(*const threads[])(void *) = { read_thread };

	torture(threads, ARRAY_SIZE(threads), true);
}

static void test_against_pins(void)
{
	static void *(*const threads[])(void *) = { pin_thread };

	torture(threads, ARRAY_SIZE(threads), true);
}

static void test_against_everything(void)
{
	static void *(*const threads[])(void *) = {
		write_thread, read_thread, pin_thread, pipe_thread,
		punch_thread, convert_thread,
	};

	torture(threads, ARRAY_SIZE(threads), true);
}

/* Locked pages leave references in lists of each CPU: none is waited for. */
static void test_waiting_is_not_for_locked_memory(void)
{
	struct sigaction act = { .sa_handler = write_handler };
	struct gmem_conv conv;
	struct torture t;
	pthread_t id;
	int i, ret;

	sigaction(SIGBUS, &act, NULL);
	torture_start(&t);
	TEST_ASSERT(!mlock(t.mem, SIZE), "mlock, errno %d", errno);
	TEST_ASSERT(!pthread_create(&id, NULL, write_thread, &t), "no thread");
	for (i = 0; i < 100; i++) {
		usleep(1000);
		ret = __gmem_convert(t.fd, 0, SIZE, GMEM_PRIVATE, GMEM_WAIT,
				     100000 * MS, &conv);
		TEST_ASSERT(!ret && conv.ns < 50000 * MS,
			    "%d after %lu ms, reason %lu", ret, conv.ns / MS,
			    conv.reason);
		gmem_to_shared(t.fd, 0, SIZE);
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELAXED);
	pthread_join(id, NULL);
	torture_end(&t);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_waiting_is_not_for_locked_memory),
	GMEM_TEST(test_against_writes),
	GMEM_TEST(test_against_o_direct),
	GMEM_TEST(test_against_pins),
	GMEM_TEST(test_against_everything),
};

int main(int argc, char *argv[])
{
	setbuf(stdout, NULL);
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
