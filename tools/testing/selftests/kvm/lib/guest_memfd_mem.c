// SPDX-License-Identifier: GPL-2.0-only
/*
 * What memory a test takes and gives back.
 *
 * Free memory of the machine says little while others use it.  A test that asks
 * is therefore moved to a memory control group of its own, where files, slabs,
 * page tables and the test's own data are charged.  What was charged elsewhere
 * before is not counted, neither then nor when it is freed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <uapi/linux/filter.h>	/* linux/filter.h of the tools hides it */

#include "guest_memfd_undo.h"
#include "guest_memfd_util.h"

/* Seconds; freeing can be deferred, and the machine can be busy. */
#define RETURN_TIMEOUT	60
#define SETTLE_TRIES	100
#define SETTLE_SLACK_KB	64

static void gmem_try_write(int dirfd, const char *path, const char *val)
{
	int fd = openat(dirfd, path, O_WRONLY);

	if (fd < 0)
		return;
	TEST_ASSERT(write(fd, val, strlen(val)) == strlen(val),
		    "write to %s failed, errno %d", path, errno);
	close(fd);
}

/*
 * The test's own control group
 */

static char group[64];

#define CONTROL	GMEM_CGROUP_ROOT "/cgroup.subtree_control"

static void require_memory_controller(void)
{
	char on[256] = {};
	int fd = open(CONTROL, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		gmem_skip("no cgroup2 at " GMEM_CGROUP_ROOT);
	if (read(fd, on, sizeof(on) - 1) < 0 || !strstr(on, "memory")) {
		gmem_undo_by_write(CONTROL, "-memory");
		if (write(fd, "+memory", 7) != 7)
			gmem_skip("cgroup2 has no memory controller");
	}
	close(fd);
}

u64 gmem_cgroup_mkdir(const char *path)
{
	struct stat st;

	require_memory_controller();
	gmem_undo_cgroup(path);
	TEST_ASSERT(!mkdir(path, 0700) && !stat(path, &st),
		    "cannot create %s, errno %d", path, errno);
	return st.st_ino;
}

static char *group_path(const char *file)
{
	static __thread char path[128];

	snprintf(path, sizeof(path), "%s/%s", group, file);
	return path;
}

void gmem_group_enter(void)
{
	if (*group)
		return;
	snprintf(group, sizeof(group), GMEM_CGROUP_ROOT "/gmem_test_%d",
		 getpid());
	gmem_cgroup_mkdir(group);
	gmem_proc_write(group_path("cgroup.procs"), "0");
}

void gmem_group_return(void)
{
	gmem_try_write(AT_FDCWD, *group ? group_path("cgroup.procs") :
		       GMEM_CGROUP_ROOT "/cgroup.procs", "0");
}

/*
 * memory.current counts what each CPU has in stock for the group, up to 64
 * pages.  A limit below it returns the stock, and the page cache of what has
 * been read; a limit that is gone again has no other effect.
 */
static u64 group_settle(void)
{
	gmem_try_write(AT_FDCWD, group_path("memory.high"), "0");
	gmem_try_write(AT_FDCWD, group_path("memory.high"), "max");
	return gmem_proc_number(group_path("memory.current")) / 1024;
}

u64 gmem_free_kb(void)
{
	int tries = SETTLE_TRIES;
	u64 before_kb, kb;

	gmem_group_enter();
	kb = group_settle();
	do {
		before_kb = kb;
		usleep(1000);
		kb = group_settle();
	} while (labs((long)(kb - before_kb)) > SETTLE_SLACK_KB && --tries);
	return gmem_meminfo_kb("MemTotal") - kb;
}

void gmem_assert_mem_returned(u64 before_kb, u64 tolerance_kb)
{
	time_t end = time(NULL) + RETURN_TIMEOUT;
	u64 now_kb;

	for (;;) {
		now_kb = gmem_free_kb();
		if (now_kb + tolerance_kb >= before_kb)
			return;
		if (time(NULL) > end)
			break;
		usleep(100000);
	}
	TEST_FAIL("memory not returned: %lu kB free before, %lu kB now, tolerance %lu kB",
		  before_kb, now_kb, tolerance_kb);
}

/* Behind " @what" in the line that begins with @key. */
static u64 group_number(const char *file, const char *key, const char *what)
{
	size_t len = strlen(key);
	char line[512], *p;
	u64 value = 0;
	bool found = false;
	FILE *f;

	gmem_group_enter();
	f = fopen(group_path(file), "r");
	TEST_ASSERT(f, "cannot open %s, errno %d", group_path(file), errno);
	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, len) || line[len] != ' ')
			continue;
		p = strstr(line + len, what);
		found = p && sscanf(p + strlen(what), "%lu", &value) == 1;
	}
	fclose(f);
	TEST_ASSERT(found, "no %s%s in %s", key, what, group_path(file));
	return value;
}

u64 gmem_group_stat(const char *key)
{
	return group_number("memory.stat", key, " ");
}

u64 gmem_group_node_stat(const char *key, int node)
{
	char what[16];

	snprintf(what, sizeof(what), " N%d=", node);
	return group_number("memory.numa_stat", key, what);
}

/*
 * The machine's
 */

/*
 * Free empty slabs and, with KASAN, the objects in its quarantine, which may
 * be tens of megabytes. Merged caches are symbolic links: once is enough.
 */
static void gmem_shrink_slabs(void)
{
	char path[NAME_MAX + 16];
	struct dirent *entry;
	DIR *dir;

	dir = opendir("/sys/kernel/slab");
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/shrink", entry->d_name);
		gmem_try_write(dirfd(dir), path, "1");
	}
	closedir(dir);
}

/*
 * Free what is kept for vmalloc areas that are gone; with KASAN that is an
 * eighth of their size. Making memory read-only, like that of a socket filter,
 * has the side effect of purging them all.
 */
static void gmem_purge_vmalloc(void)
{
	struct sock_filter filter = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { .len = 1, .filter = &filter };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
	close(fd);
}

/* Free pages on the lists of the CPUs, in KiB. */
static u64 gmem_pcp_kb(void)
{
	u64 pages, sum = 0;
	char line[256];
	FILE *f;

	f = fopen("/proc/zoneinfo", "r");
	TEST_ASSERT(f, "cannot open /proc/zoneinfo, errno %d", errno);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %lu", &pages) == 1)
			sum += pages;
	fclose(f);
	return sum * getpagesize() / 1024;
}

/*
 * MemFree leaves out the free pages on the lists of the CPUs, tens of
 * megabytes, which the kernel empties when it likes: read the lists before and
 * after, until nothing much moved between the two files.
 */
u64 gmem_machine_free_kb(void)
{
	u64 pcp_kb, free_kb, now_kb;
	int tries = SETTLE_TRIES;

	gmem_try_write(AT_FDCWD, "/proc/sys/vm/drop_caches", "3");
	gmem_shrink_slabs();
	gmem_purge_vmalloc();
	gmem_try_write(AT_FDCWD, "/proc/sys/vm/stat_refresh", "1");
	now_kb = gmem_pcp_kb();
	do {
		pcp_kb = now_kb;
		free_kb = gmem_meminfo_kb("MemFree");
		now_kb = gmem_pcp_kb();
	} while (labs((long)(now_kb - pcp_kb)) > SETTLE_SLACK_KB && --tries);
	return free_kb + now_kb;
}

/*
 * Files
 */

#define TOTAL	"/sys/kernel/debug/guest_memfd/total"

s64 gmem_nr_files(void)
{
	FILE *f = fopen(TOTAL, "r");
	char line[128];
	s64 nr = -1;

	if (!f)
		gmem_skip("cannot open " TOTAL ", errno %d", errno);
	while (nr < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "files: %ld", &nr) != 1)
			nr = -1;
	fclose(f);
	TEST_ASSERT(nr >= 0, "no files in " TOTAL);
	return nr;
}

/* The last reference may be put by another task, later. */
void gmem_assert_files_returned(s64 before)
{
	time_t end = time(NULL) + RETURN_TIMEOUT;
	s64 now;

	for (now = gmem_nr_files(); now > before; now = gmem_nr_files()) {
		TEST_ASSERT(time(NULL) <= end, "%ld files, %ld before", now,
			    before);
		usleep(10000);
	}
}
