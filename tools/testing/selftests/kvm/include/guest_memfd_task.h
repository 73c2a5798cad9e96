/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that wait: whether they do, without relying on time.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_TASK_H
#define SELFTEST_KVM_GUEST_MEMFD_TASK_H

#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/types.h>

/* In place of a system call's number: an access to memory. */
#define GMEM_IN_FAULT	(-1L)

pid_t gmem_gettid(void);

/* Does thread @tid sleep in system call @nr at this moment? */
bool gmem_is_blocked(pid_t tid, long nr);

/*
 * Wait for a thread of this process to sleep in system call @nr, which it may
 * yet have to enter, and be there for some looks in a row; assert that it does
 * not end instead.  @tid is written by the thread when it begins, @done before
 * it ends.
 */
void gmem_assert_blocks(const pid_t *tid, long nr, const bool *done);

#endif /* SELFTEST_KVM_GUEST_MEMFD_TASK_H */
