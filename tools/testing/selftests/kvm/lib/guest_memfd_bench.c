// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for programs that say what it costs to move memory.
 *
 * See guest_memfd_bench.h for what each function does.
 */
#define _GNU_SOURCE /* for memfd_create(2) */
#include <sys/mman.h>
#include <time.h>

#include "guest_memfd_admin.h"
#include "guest_memfd_bench.h"
#include "guest_memfd_guest.h"
#include "guest_memfd_undo.h"

#define SHMEM_THP	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define LIMIT_PERCENT	115

bool bench_check;
static int nr_exceeded;

u64 bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void bench_report(const char *what, u64 cost, u64 limit)
{
	bool exceeded = limit && cost > limit;

	printf("%-52s %12lu %12lu%s\n", what, cost, limit,
	       exceeded ? "  above" : "");
	nr_exceeded += exceeded;
}

void bench_assert_limits(void)
{
	TEST_ASSERT(!bench_check || !nr_exceeded, "%d figures are exceeded",
		    nr_exceeded);
}

u64 bench_limit_of(u64 shmem)
{
	return shmem * LIMIT_PERCENT / 100;
}

u64 bench_nr_moved(void)
{
	return admin_file_value("/proc/vmstat", "pgmigrate_success");
}

int bench_open_shmem(u64 size)
{
	int fd = memfd_create("shmem", MFD_CLOEXEC);

	TEST_ASSERT(fd >= 0 && !ftruncate(fd, size), "errno %d", errno);
	return fd;
}

void bench_set_huge(bool huge)
{
	host_set_thp("madvise");
	gmem_setting_write(SHMEM_THP, huge ? "always" : "never");
}
