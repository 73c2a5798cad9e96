// SPDX-License-Identifier: GPL-2.0-only
/*
 * What conversion in place costs.  Each figure is for one range that becomes
 * private and shared again, with its memory allocated, in a file with a slot.
 *
 * Time is what the clock says.  In an emulator that counts one nanosecond for
 * each instruction, it is the number of instructions, and the same twice.
 *
 * Argument: size of the large file in MiB, 64 unless given.
 */
#include "guest_memfd_convert.h"

#define P		GMEM_PAGE_SIZE
#define ROUNDS		64

static u64 mib = 64;

/* Have the host use the range in between, or not. */
static void touch(char *mem, u64 size)
{
	u64 i;

	for (i = 0; i < size; i += P)
		WRITE_ONCE(mem[i], 1);
}

static void bench_round_trip(const char *what, u64 size, bool use)
{
	u64 ns = 0, start, private_ns = 0;
	struct gmem_map m;
	int i;

	gmem_conv_setup(&m, 2 * size);
	vm_set_user_memory_region2(m.vm, 0, KVM_MEM_GUEST_MEMFD, 0, 2 * size,
				   NULL, m.fd, 0);
	touch(m.mem, 2 * size);
	for (i = 0; i < ROUNDS; i++) {
		if (use)
			touch(m.mem, size);
		start = gmem_now();
		gmem_to_private(m.fd, 0, size);
		private_ns += gmem_now() - start;
		start = gmem_now();
		gmem_to_shared(m.fd, 0, size);
		ns += gmem_now() - start;
	}
	pr_info("# %s%s: to private %lu ns, to shared %lu ns\n", what,
		use ? ", used by the host" : "", private_ns / ROUNDS,
		ns / ROUNDS);
	gmem_map_teardown(&m);
}

static void bench_4k(void)
{
	bench_round_trip("4 KiB", P, false);
	bench_round_trip("4 KiB", P, true);
}

static void bench_2m(void)
{
	bench_round_trip("2 MiB", GMEM_HUGE_SIZE, false);
	bench_round_trip("2 MiB", GMEM_HUGE_SIZE, true);
}

static void steps_one_by_one(int fd, u64 size, u64 attributes)
{
	u64 offset;

	for (offset = 0; offset < size; offset += P)
		gmem_convert(fd, offset, P, attributes);
}

static void steps_batched(int fd, u64 size, u64 attributes)
{
	struct kvm_gmem_range *ranges = calloc(size / P, sizeof(*ranges));
	struct kvm_gmem_attributes_vec vec = {
		.ranges = (uintptr_t)ranges,
		.nr = size / P,
		.attributes = attributes,
	};
	u64 i;

	for (i = 0; i < size / P; i++)
		ranges[i] = (struct kvm_gmem_range) { i * P, P };
	TEST_ASSERT(!ioctl(fd, KVM_GMEM_SET_ATTRIBUTES_VEC, &vec), "errno %d",
		    errno);
	free(ranges);
}

static void steps_at_once(int fd, u64 size, u64 attributes)
{
	gmem_convert(fd, 0, size, attributes);
}

static void bench_large(void)
{
	static const struct {
		const char *name;
		void (*fn)(int fd, u64 size, u64 attributes);
	} ways[] = {
		{ "page by page", steps_one_by_one },
		{ "page by page, batched", steps_batched },
		{ "at once", steps_at_once },
	};
	u64 size = mib << 20, start, middle;
	struct gmem_map m;
	int i;

	gmem_conv_setup(&m, size);
	vm_set_user_memory_region2(m.vm, 0, KVM_MEM_GUEST_MEMFD, 0, size, NULL,
				   m.fd, 0);
	gmem_allocate(m.fd, 0, size);
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		start = gmem_now();
		ways[i].fn(m.fd, size, GMEM_PRIVATE);
		middle = gmem_now();
		ways[i].fn(m.fd, size, GMEM_SHARED);
		pr_info("# %lu MiB %s: to private %lu us, to shared %lu us\n",
			mib, ways[i].name, (middle - start) / 1000,
			(gmem_now() - middle) / 1000);
	}
	gmem_map_teardown(&m);
}

/* How long others wait for what they need while much is converted. */
static void *large_thread(void *arg)
{
	struct gmem_map *m = arg;

	gmem_to_private(m->fd, P, m->size - P);
	gmem_to_shared(m->fd, P, m->size - P);
	return NULL;
}

static void bench_others(void)
{
	u64 start, ns, longest = 0, total;
	struct gmem_map m;
	pthread_t thread;
	int i, n = 0;

	gmem_conv_setup(&m, mib << 20);
	gmem_allocate(m.fd, 0, m.size);
	total = gmem_now();
	TEST_ASSERT(!pthread_create(&thread, NULL, large_thread, &m),
		    "no thread");
	for (i = 0; i < 100; i++) {
		start = gmem_now();
		touch(m.mem, P);
		madvise(m.mem, P, MADV_DONTNEED);
		ns = gmem_now() - start;
		longest = longest < ns ? ns : longest;
		n++;
		usleep(1000);
	}
	pthread_join(thread, NULL);
	total = gmem_now() - total;
	pr_info("# %lu MiB at once: %lu us; longest of %d faults %lu us\n",
		mib, total / 1000, n, longest / 1000);
	gmem_map_teardown(&m);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(bench_4k),
	GMEM_TEST(bench_2m),
	GMEM_TEST(bench_large),
	GMEM_TEST(bench_others),
};

int main(int argc, char *argv[])
{
	setbuf(stdout, NULL);
	if (argc > 1)
		mib = strtoull(argv[1], NULL, 0);
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
