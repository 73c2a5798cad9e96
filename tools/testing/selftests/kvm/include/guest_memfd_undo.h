/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a test changes of the machine, and what puts it back.
 *
 * A setting is a file below /proc/sys, /sys or debugfs that says what it is set
 * to.  The first write of a test to it remembers that.  Likewise remembered are
 * control groups and directories that the test creates, and writes that are to
 * be made once it is over.
 *
 * All of this is undone when the test ends, in reverse order, however it ends:
 * at exit() by the test; by the runner, if a signal has ended the test; by a
 * process that watches over the runner, if that has been killed as well.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_UNDO_H
#define SELFTEST_KVM_GUEST_MEMFD_UNDO_H

#define GMEM_CGROUP_ROOT	"/sys/fs/cgroup"

/*
 * Write to a setting.  The form with underscores returns 0 or -errno, the other
 * one skips the test if the file cannot be opened, and asserts the rest.
 */
int __gmem_setting_write(const char *path, const char *value);
void gmem_setting_write(const char *path, const char *value);

/* When the test ends it is to be what it is now, if it exists. */
void gmem_setting_keep(const char *path);

/* Put one setting back now; nothing happens if it has not been written. */
void gmem_setting_restore(const char *path);

/* To be done when the test ends; errors are ignored. */
void gmem_undo_by_write(const char *path, const char *text);
void gmem_undo_by_rmdir(const char *path);
/* Leave the control group, kill what is left in it, and remove it. */
void gmem_undo_cgroup(const char *path);

/* The test has done it: forget the latest such write or directory. */
void gmem_undo_forget(const char *path, const char *text);

/*
 * For the runner: before the first test, in each test's process, after the end
 * of each, and after the last.
 */
void gmem_undo_start(void);
void gmem_undo_begin_test(void);
void gmem_undo_all(void);
void gmem_undo_stop(void);

#endif /* SELFTEST_KVM_GUEST_MEMFD_UNDO_H */
