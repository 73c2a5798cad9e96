// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an administrator sees of guest_memfd; see guest_memfd_admin.h.
 */
#define _GNU_SOURCE /* for strcasestr(3) and friends */
#include <sys/stat.h>

#include "guest_memfd_admin.h"
#include "guest_memfd_undo.h"

#define READ_CHUNK	65536
#define DEBUGFS_TOTAL	"/sys/kernel/debug/guest_memfd/total"
#define TRACEFS		"/sys/kernel/tracing"

char *admin_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0, size = 0;
	char *text = NULL;
	ssize_t n;

	if (fd < 0)
		return NULL;

	do {
		if (size - len < READ_CHUNK) {
			size += 2 * READ_CHUNK;
			text = realloc(text, size + 1);
			TEST_ASSERT(text, "out of memory");
		}
		n = read(fd, text + len, size - len);
		if (n < 0)
			break;
		len += n;
	} while (n);
	close(fd);
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	return text;
}

int admin_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* The text behind the key of the @n-th line that has it. */
static const char *find_key(const char *text, const char *key, int n)
{
	size_t len = strlen(key);

	for (; text && *text; text = strchr(text, '\n')) {
		if (*text == '\n')
			text++;
		if (strncmp(text, key, len) || !strchr(": \t", text[len]))
			continue;
		if (!n--)
			return text + len;
	}
	return NULL;
}

s64 admin_value(const char *text, const char *key)
{
	const char *p = find_key(text, key, 0);
	char *end;
	s64 value;

	if (!p)
		return -1;
	p += strspn(p, ": \t");
	value = strtoll(p, &end, 10);
	return end == p ? -1 : value;
}

s64 admin_file_value(const char *path, const char *key)
{
	char *text = admin_read(path);
	s64 value;

	if (!text)
		gmem_skip("cannot read %s", path);
	value = admin_value(text, key);
	free(text);
	TEST_ASSERT(value >= 0, "no %s in %s", key, path);
	return value;
}

bool admin_line(const char *text, const char *key, int n, char *line,
		size_t len)
{
	const char *p = find_key(text, key, n);
	size_t n_chars;

	if (!p)
		return false;
	p += strspn(p, ": \t");
	n_chars = strcspn(p, "\n");
	TEST_ASSERT(n_chars < len, "a line of %zu characters", n_chars);
	memcpy(line, p, n_chars);
	line[n_chars] = '\0';
	return true;
}

char *admin_fdinfo(int fd)
{
	char path[64], *text;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	text = admin_read(path);
	TEST_ASSERT(text, "cannot open %s, errno %d", path, errno);
	return text;
}

s64 admin_fdinfo_value(int fd, const char *key)
{
	char *text = admin_fdinfo(fd);
	s64 value = admin_value(text, key);

	TEST_ASSERT(value >= 0, "no %s in fdinfo:\n%s", key, text);
	free(text);
	return value;
}

s64 admin_total(const char *key)
{
	return admin_file_value(DEBUGFS_TOTAL, key);
}

/*
 * Trace events
 */

static char trace_dir[64];
static pid_t trace_owner;

static void trace_path(char *path, size_t len, const char *file)
{
	snprintf(path, len, "%s/%s", trace_dir, file);
}

static void trace_create(void)
{
	if (access(TRACEFS "/instances", W_OK))
		gmem_skip("no " TRACEFS);

	trace_owner = getpid();
	snprintf(trace_dir, sizeof(trace_dir), TRACEFS "/instances/gmem_%d",
		 trace_owner);
	gmem_undo_by_rmdir(trace_dir);
	TEST_ASSERT(!mkdir(trace_dir, 0700), "cannot create %s, errno %d",
		    trace_dir, errno);
}

bool admin_has_trace(void)
{
	return !access(TRACEFS "/instances", W_OK) &&
	       !access(TRACEFS "/events/guest_memfd", F_OK);
}

/* truncate() would do nothing: it is opening the file that empties the trace. */
static void trace_empty(void)
{
	char path[256];
	int fd;

	trace_path(path, sizeof(path), "trace");
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	TEST_ASSERT(fd >= 0, "cannot empty the trace, errno %d", errno);
	close(fd);
}

void admin_trace_start(const char * const *events, int nr)
{
	char path[256];
	int i, ret;

	if (trace_owner != getpid())
		trace_create();

	for (i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), "%s/events/%s/enable", trace_dir,
			 events[i]);
		ret = admin_write(path, "1");
		TEST_ASSERT(!ret, "cannot enable %s: %d", events[i], ret);
	}
	trace_empty();
}

char *admin_trace_read(void)
{
	char path[256], *text;

	trace_path(path, sizeof(path), "trace");
	text = admin_read(path);
	TEST_ASSERT(text, "cannot read the trace");
	trace_empty();
	return text;
}

static bool line_has_words(const char *line, const char *args)
{
	char words[256], *word, *next = words;
	char *p;

	TEST_ASSERT(strlen(args) < sizeof(words), "too many words");
	strcpy(words, args);
	while ((word = strsep(&next, " "))) {
		size_t len = strlen(word);

		/* strstr() finds no word everywhere, behind the line, too. */
		if (!len)
			continue;
		for (p = strstr(line, word); p; p = strstr(p + 1, word))
			if (p[-1] == ' ' && (!p[len] || p[len] == ' '))
				break;
		if (!p)
			return false;
	}
	return true;
}

/* Copy the next line with event and words; Return: what follows it. */
static const char *trace_next(const char *trace, const char *event,
			      const char *args, char *line, size_t len)
{
	char name[64];
	size_t n;

	snprintf(name, sizeof(name), " %s: ", event);
	while (*trace) {
		n = strcspn(trace, "\n");
		TEST_ASSERT(n < len, "a line of %zu characters", n);
		memcpy(line, trace, n);
		line[n] = '\0';
		trace += n + !!trace[n];
		if (*line != '#' && strstr(line, name) &&
		    line_has_words(strstr(line, name), args))
			return trace;
	}
	return NULL;
}

int admin_trace_count(const char *trace, const char *event, const char *args)
{
	char line[512];
	int nr = 0;

	while ((trace = trace_next(trace, event, args, line, sizeof(line))))
		nr++;
	return nr;
}

u64 admin_trace_number(const char *trace, const char *event, const char *args,
		       const char *key)
{
	char line[512], *p;
	char name[64];

	TEST_ASSERT(trace_next(trace, event, args, line, sizeof(line)),
		    "no %s with %s in:\n%s", event, args, trace);
	snprintf(name, sizeof(name), " %s=", key);
	p = strstr(line, name);
	TEST_ASSERT(p, "no %s in: %s", key, line);
	return strtoull(p + strlen(name), NULL, 0);
}

void admin_allocate_pfns(int fd, u64 offset, u64 *pfns, int nr)
{
	static const char * const events[] = {
		"guest_memfd/guest_memfd_get_folio",
	};
	char args[128], *trace;
	struct stat st;
	int i;

	TEST_ASSERT(!fstat(fd, &st), "fstat() failed");
	admin_trace_start(events, 1);
	gmem_allocate(fd, offset, nr * GMEM_PAGE_SIZE);
	trace = admin_trace_read();
	for (i = 0; i < nr; i++) {
		snprintf(args, sizeof(args), "ino=%lu index=0x%llx allocated",
			 st.st_ino, offset / GMEM_PAGE_SIZE + i);
		pfns[i] = admin_trace_number(trace, "guest_memfd_get_folio",
					     args, "pfn");
	}
	free(trace);
}

u64 admin_kpage(const char *path, u64 pfn)
{
	int fd = open(path, O_RDONLY);
	u64 value;

	if (fd < 0)
		gmem_skip("no %s", path);
	TEST_ASSERT(pread(fd, &value, sizeof(value), pfn * sizeof(value)) ==
		    sizeof(value), "pfn 0x%lx of %s: errno %d", pfn, path,
		    errno);
	close(fd);
	return value;
}

/*
 * Control groups
 */

void admin_cgroup_create(struct admin_cgroup *cg, const char *name)
{
	snprintf(cg->path, sizeof(cg->path), GMEM_CGROUP_ROOT "/gmem_%d_%s",
		 getpid(), name);
	cg->ino = gmem_cgroup_mkdir(cg->path);
}

void admin_cgroup_enter(struct admin_cgroup *cg)
{
	int ret = admin_cgroup_write(cg, "cgroup.procs", "0");

	TEST_ASSERT(!ret, "cannot enter %s: %d", cg->path, ret);
}

void admin_cgroup_leave(void)
{
	gmem_group_return();
}

int admin_cgroup_write(struct admin_cgroup *cg, const char *file,
		       const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", cg->path, file);
	return admin_write(path, text);
}

s64 admin_cgroup_value(struct admin_cgroup *cg, const char *file,
		       const char *key)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", cg->path, file);
	return key ? admin_file_value(path, key) : gmem_proc_number(path);
}

int admin_cgroup_remove(struct admin_cgroup *cg)
{
	return rmdir(cg->path) ? -errno : 0;
}
