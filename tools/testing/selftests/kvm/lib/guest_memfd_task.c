// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that wait: whether they do, without relying on time.
 *
 * /proc/PID/task/TID/syscall names the system call that a sleeping thread is
 * in, "-1" if it is in none, which is in a page fault, and "running".
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "guest_memfd_task.h"
#include "guest_memfd_util.h"

/* Seconds; it only takes longer than a moment if the machine is busy. */
#define BLOCK_TIMEOUT	120
/* A thread on its way may sleep elsewhere, for a lock, but not for long. */
#define LOOKS		5

pid_t gmem_gettid(void)
{
	return syscall(SYS_gettid);
}

bool gmem_is_blocked(pid_t tid, long nr)
{
	char path[64], text[32] = {};
	char *end;
	long in;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	f = fopen(path, "r");
	if (!f)		/* it has ended */
		return false;
	if (!fgets(text, sizeof(text), f))
		*text = '\0';
	fclose(f);
	in = strtol(text, &end, 10);
	return end != text && in == nr;
}

void gmem_assert_blocks(const pid_t *tid, long nr, const bool *done)
{
	time_t until = time(NULL) + BLOCK_TIMEOUT;
	int looks = 0;
	pid_t id;

	while (looks < LOOKS) {
		id = __atomic_load_n(tid, __ATOMIC_ACQUIRE);
		looks = id && gmem_is_blocked(id, nr) ? looks + 1 : 0;
		TEST_ASSERT(!__atomic_load_n(done, __ATOMIC_ACQUIRE),
			    "did not wait");
		TEST_ASSERT(time(NULL) <= until, "never waits");
		usleep(2000);
	}
}
