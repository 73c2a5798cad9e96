// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a test changes of the machine, and what puts it back.
 *
 * See guest_memfd_undo.h for what each function does.
 *
 * The log is shared memory, so that it outlives the process that wrote it.  A
 * process may be killed at any point: an entry counts from the moment that it
 * is complete, which is before the change itself is made.  Undoing twice, or
 * what has not been changed yet, does no harm.
 */
#define _GNU_SOURCE /* for pipe2(2) */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest_memfd_admin.h"
#include "guest_memfd_undo.h"
#include "guest_memfd_util.h"

#define PATH_LEN	128
#define TEXT_LEN	64
/* Each poisoned page of a test is one. */
#define MAX_UNDO	4352
/* A killed task takes a while to leave its control group. */
#define RMDIR_TRIES	500

enum undo_kind {
	UNDO_NOTHING,
	UNDO_SETTING,
	UNDO_WRITE,
	UNDO_RMDIR,
	UNDO_CGROUP,
};

struct undo {
	enum undo_kind kind;
	char path[PATH_LEN];
	char text[TEXT_LEN];
};

/* Writers hold the lock; after the end of a test there are none. */
struct undo_log {
	bool locked;
	int nr;
	struct undo undos[MAX_UNDO];
};

static struct undo_log *undo_log;
static pid_t undo_owner;

/* The watcher, and the end of the pipe that tells it of our death. */
static pid_t watcher;
static int watcher_fd = -1;

/* "always [madvise] never" is set to "madvise". */
static int read_setting(const char *path, char *text)
{
	char buf[256], *begin, *end;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return n ? -errno : -EIO;

	buf[n] = '\0';
	begin = strchr(buf, '[');
	end = begin ? strchr(begin, ']') : NULL;
	if (end) {
		begin++;
	} else {
		begin = buf;
		end = buf + strcspn(buf, "\n");
	}
	if (end - begin >= TEXT_LEN)
		return -E2BIG;
	memcpy(text, begin, end - begin);
	text[end - begin] = '\0';
	return 0;
}

static void leave_and_remove(const char *group)
{
	char path[PATH_LEN + 16];
	int tries;

	/* The runner and the watcher are not in it, and stay where they are. */
	if (getpid() == undo_owner)
		admin_write(GMEM_CGROUP_ROOT "/cgroup.procs", "0");
	snprintf(path, sizeof(path), "%s/cgroup.kill", group);
	admin_write(path, "1");
	for (tries = 0; tries < RMDIR_TRIES; tries++) {
		if (!rmdir(group) || errno != EBUSY)
			return;
		usleep(10000);
	}
}

/* What is busy is left for when the test's process is gone. */
static void undo_one(struct undo *u)
{
	switch (u->kind) {
	case UNDO_SETTING:
	case UNDO_WRITE:
		if (admin_write(u->path, u->text) == -EBUSY &&
		    getpid() == undo_owner)
			return;
		break;
	case UNDO_RMDIR:
		rmdir(u->path);
		break;
	case UNDO_CGROUP:
		leave_and_remove(u->path);
		break;
	default:
		break;
	}
	u->kind = UNDO_NOTHING;
}

static void forget_done(void)
{
	while (undo_log->nr && !undo_log->undos[undo_log->nr - 1].kind)
		undo_log->nr--;
}

void gmem_undo_all(void)
{
	int i;

	for (i = undo_log->nr - 1; i >= 0; i--)
		undo_one(&undo_log->undos[i]);
	forget_done();
	undo_log->locked = false;
}

/* A child that the test forked must not take anything away. */
static void undo_at_exit(void)
{
	if (getpid() == undo_owner)
		gmem_undo_all();
}

static void create_log(void)
{
	if (undo_log)
		return;
	undo_log = mmap(NULL, sizeof(*undo_log), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(undo_log != MAP_FAILED, "mmap() failed, errno %d", errno);
}

/* Called early: what the test itself has for its exit() comes before. */
void gmem_undo_begin_test(void)
{
	create_log();
	undo_owner = getpid();
	atexit(undo_at_exit);
}

static void lock(void)
{
	/* Programs without the runner. */
	if (!undo_owner)
		gmem_undo_begin_test();
	while (__atomic_exchange_n(&undo_log->locked, true, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void unlock(void)
{
	__atomic_store_n(&undo_log->locked, false, __ATOMIC_RELEASE);
}

static void add(enum undo_kind kind, const char *path, const char *text)
{
	struct undo *u = &undo_log->undos[undo_log->nr];

	TEST_ASSERT(undo_log->nr < MAX_UNDO, "too much to undo");
	TEST_ASSERT(strlen(path) < PATH_LEN && strlen(text) < TEXT_LEN,
		    "too long: %s, %s", path, text);
	strcpy(u->path, path);
	strcpy(u->text, text);
	u->kind = kind;
	__atomic_store_n(&undo_log->nr, undo_log->nr + 1, __ATOMIC_RELEASE);
}

static struct undo *find_setting(const char *path)
{
	int i;

	for (i = 0; i < undo_log->nr; i++)
		if (undo_log->undos[i].kind == UNDO_SETTING &&
		    !strcmp(undo_log->undos[i].path, path))
			return &undo_log->undos[i];
	return NULL;
}

int __gmem_setting_write(const char *path, const char *value)
{
	char old[TEXT_LEN];
	int ret = 0;

	lock();
	if (!find_setting(path)) {
		ret = read_setting(path, old);
		if (!ret)
			add(UNDO_SETTING, path, old);
	}
	unlock();
	return ret ?: admin_write(path, value);
}

void gmem_setting_write(const char *path, const char *value)
{
	int ret;

	if (access(path, R_OK | W_OK))
		gmem_skip("no %s, errno %d", path, errno);
	ret = __gmem_setting_write(path, value);
	TEST_ASSERT(!ret, "cannot set %s to %s: %d", path, value, ret);
}

/* The entry stays: another write needs none. */
void gmem_setting_keep(const char *path)
{
	char *value = admin_read(path);

	if (value)
		gmem_setting_write(path, value);
	free(value);
}

void gmem_setting_restore(const char *path)
{
	struct undo *u;

	lock();
	u = find_setting(path);
	unlock();
	if (u)
		admin_write(path, u->text);
}

static void add_locked(enum undo_kind kind, const char *path, const char *text)
{
	lock();
	add(kind, path, text);
	unlock();
}

void gmem_undo_by_write(const char *path, const char *text)
{
	add_locked(UNDO_WRITE, path, text);
}

void gmem_undo_by_rmdir(const char *path)
{
	add_locked(UNDO_RMDIR, path, "");
}

void gmem_undo_cgroup(const char *path)
{
	add_locked(UNDO_CGROUP, path, "");
}

void gmem_undo_forget(const char *path, const char *text)
{
	struct undo *u;
	int i;

	lock();
	for (i = undo_log->nr - 1; i >= 0; i--) {
		u = &undo_log->undos[i];
		if (u->kind != UNDO_SETTING && !strcmp(u->path, path) &&
		    !strcmp(u->text, text))
			break;
	}
	if (i >= 0)
		undo_log->undos[i].kind = UNDO_NOTHING;
	forget_done();
	unlock();
}

/*
 * The watcher
 */

/* The other end is closed once the runner and all tests are gone. */
static void __noreturn watch(int fd)
{
	int null = open("/dev/null", O_RDWR), i;
	char c;

	setsid();
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	/* Nothing must wait for our end of the output. */
	for (i = 0; i < 3; i++)
		dup2(null, i);
	while (read(fd, &c, 1) < 0 && errno == EINTR)
		;
	gmem_undo_all();
	_exit(0);
}

void gmem_undo_start(void)
{
	int fds[2];

	create_log();
	TEST_ASSERT(!pipe2(fds, O_CLOEXEC), "pipe2() failed, errno %d", errno);
	watcher = fork();
	TEST_ASSERT(watcher >= 0, "fork() failed, errno %d", errno);
	if (!watcher) {
		close(fds[1]);
		watch(fds[0]);
	}
	close(fds[0]);
	watcher_fd = fds[1];
}

void gmem_undo_stop(void)
{
	gmem_undo_all();
	close(watcher_fd);
	/* Even if a process of a test is left and has the pipe. */
	kill(watcher, SIGKILL);
	waitpid(watcher, NULL, 0);
}
