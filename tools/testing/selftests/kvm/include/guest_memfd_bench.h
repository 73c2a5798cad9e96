/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for programs that say what it costs to move memory of a guest_memfd, or
 * to leave it where it is, next to what shmem costs.
 *
 * Each line is one piece of work, in nanoseconds of CPU time, next to the figure
 * that it should not exceed.  Where one instruction takes one nanosecond, see
 * guest_memfd_bench.c, this is a number of instructions.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_BENCH_H
#define SELFTEST_KVM_GUEST_MEMFD_BENCH_H

#include "guest_memfd_util.h"

#define MIB	BIT_ULL(20)

/* The test fails if a figure is exceeded. */
extern bool bench_check;

/* What this thread has used: it waits for grace periods, too. */
u64 bench_now(void);

/* Print a line; there is no @limit if that is 0. */
void bench_report(const char *what, u64 cost, u64 limit);

/* To be called at the end of each test. */
void bench_assert_limits(void);

/* What a file may cost where shmem costs @shmem. */
u64 bench_limit_of(u64 shmem);

/* Pages that have been moved in this machine so far. */
u64 bench_nr_moved(void);

int bench_open_shmem(u64 size);

/*
 * Whether shmem has huge folios; files of guest_memfd have them only if they ask
 * for it, and other memory of the test has not.
 */
void bench_set_huge(bool huge);

#endif /* SELFTEST_KVM_GUEST_MEMFD_BENCH_H */
