/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an administrator sees of guest_memfd: fdinfo, debugfs, trace events,
 * page flags, and control groups.
 *
 * Functions that look at something that a kernel can lack end the test as
 * skipped if it does; see gmem_skip().
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_ADMIN_H
#define SELFTEST_KVM_GUEST_MEMFD_ADMIN_H

#include "guest_memfd_util.h"

/*
 * Files with lines of "key:<tab>value" or "key value"
 */

/* All of a small file; free() it.  NULL if it cannot be opened or read. */
char *admin_read(const char *path);

/* Return: 0 or -errno of open() or write(). */
int admin_write(const char *path, const char *text);

/* The number behind @key, or -1. */
s64 admin_value(const char *text, const char *key);
s64 admin_file_value(const char *path, const char *key);

/* The @n-th line that begins with @key and a colon, without them, or NULL. */
bool admin_line(const char *text, const char *key, int n, char *line,
		size_t len);

/* fdinfo of a file of this process; free() it. */
char *admin_fdinfo(int fd);
s64 admin_fdinfo_value(int fd, const char *key);

/* A figure of /sys/kernel/debug/guest_memfd/total. */
s64 admin_total(const char *key);

/*
 * Trace events, in an instance of their own
 */

/* Whether the following does not skip. */
bool admin_has_trace(void);
/* Begin to record; @events are names like "guest_memfd/guest_memfd_bind". */
void admin_trace_start(const char * const *events, int nr);
/* What was recorded since the last call; free() it. */
char *admin_trace_read(void);
/* How many lines have @event and every word of @args in them. */
int admin_trace_count(const char *trace, const char *event, const char *args);
/* A number out of the first such line, behind "@key=". */
u64 admin_trace_number(const char *trace, const char *event, const char *args,
		       const char *key);

/* Page frame numbers of pages of a file that have not been allocated yet. */
void admin_allocate_pfns(int fd, u64 offset, u64 *pfns, int nr);

/* An entry of /proc/kpageflags, /proc/kpagecount or /proc/kpagecgroup. */
u64 admin_kpage(const char *path, u64 pfn);

/*
 * Control groups, version 2
 */

struct admin_cgroup {
	char path[128];
	u64 ino;
};

/* A new group below the root; removed when the test ends. */
void admin_cgroup_create(struct admin_cgroup *cg, const char *name);
/* Move this process. */
void admin_cgroup_enter(struct admin_cgroup *cg);
void admin_cgroup_leave(void);
int admin_cgroup_write(struct admin_cgroup *cg, const char *file,
		       const char *text);
s64 admin_cgroup_value(struct admin_cgroup *cg, const char *file,
		       const char *key);	/* NULL: the first number */
int admin_cgroup_remove(struct admin_cgroup *cg);

#endif /* SELFTEST_KVM_GUEST_MEMFD_ADMIN_H */
