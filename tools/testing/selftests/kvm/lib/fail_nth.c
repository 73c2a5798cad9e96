// SPDX-License-Identifier: GPL-2.0
/*
 * fail_nth: make every allocation of one operation fail, one after the other.
 *
 * There is one session per process: the settings in debugfs are global to the
 * machine anyway.  The fail-nth file stays open throughout, so that arming
 * and disarming allocate nothing; but with fault injection in user copies
 * they can be hit themselves, which both account for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail_nth.h"
#include "guest_memfd_undo.h"
#include "guest_memfd_util.h"
#include "test_util.h"

#define DEBUGFS		"/sys/kernel/debug"
#define VALUE_LEN	24

static const struct {
	const char *file;
	const char *value;
} settings[] = {
	{ "failslab/probability", "0" },
	{ "failslab/ignore-gfp-wait", "N" },
	{ "failslab/verbose", "0" },
	{ "fail_page_alloc/probability", "0" },
	{ "fail_page_alloc/ignore-gfp-wait", "N" },
	{ "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ "fail_page_alloc/min-order", "0" },
	{ "fail_page_alloc/verbose", "0" },
};

static char reason[160];
static int nth_fd = -1;

static const char *setting_path(int i)
{
	static char path[128];

	snprintf(path, sizeof(path), DEBUGFS "/%s", settings[i].file);
	return path;
}

static int settings_apply(void)
{
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		ret = __gmem_setting_write(setting_path(i), settings[i].value);
		if (ret) {
			snprintf(reason, sizeof(reason), "no %s: %s",
				 setting_path(i), strerror(-ret));
			return ret == -ENOENT ? -EOPNOTSUPP : ret;
		}
	}
	return 0;
}

static void settings_restore(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(settings); i++)
		gmem_setting_restore(setting_path(i));
}

int fail_nth_open(void)
{
	static bool registered;
	int ret;

	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0) {
		ret = errno;
		snprintf(reason, sizeof(reason), "no fail-nth in /proc: %s",
			 strerror(ret));
		return ret == ENOENT ? -EOPNOTSUPP : -ret;
	}

	ret = settings_apply();
	if (ret) {
		close(nth_fd);
		nth_fd = -1;
		return ret;
	}

	if (!registered)
		atexit(fail_nth_close);
	registered = true;
	return 0;
}

void fail_nth_close(void)
{
	if (nth_fd < 0)
		return;

	fail_nth_disarm();
	settings_restore();
	close(nth_fd);
	nth_fd = -1;
}

const char *fail_nth_reason(void)
{
	return reason;
}

void fail_nth_arm(unsigned int nth)
{
	char buf[VALUE_LEN];
	int len;

	len = snprintf(buf, sizeof(buf), "%u", nth);
	TEST_ASSERT(pwrite(nth_fd, buf, len, 0) == len,
		    "write of %u to fail-nth failed, errno: %d", nth, errno);
}

bool fail_nth_disarm(void)
{
	char buf[VALUE_LEN] = {};
	int saved = errno;
	bool injected;
	ssize_t n;

	/*
	 * EFAULT: the countdown ended in this read's own copy to user memory,
	 * so it was still running when the operation had finished.
	 */
	n = pread(nth_fd, buf, sizeof(buf) - 1, 0);
	TEST_ASSERT(n > 0 || errno == EFAULT,
		    "read of fail-nth failed, errno: %d", errno);
	injected = n > 0 && !strtoul(buf, NULL, 10);

	/* Two tries: the first may be the one that is made to fail. */
	if (pwrite(nth_fd, "0", 1, 0) != 1)
		fail_nth_arm(0);

	errno = saved;
	return injected;
}

static bool errno_allowed(const struct fail_nth_op *op, int err)
{
	int i;

	for (i = 0; i < FAIL_NTH_MAX_ERRNOS && op->errnos[i]; i++)
		if (op->errnos[i] == err)
			return true;

	return false;
}

static bool check_failure(const struct fail_nth_op *op, void *ctx,
			  unsigned int nth, int err)
{
	int ret;

	if (!errno_allowed(op, err)) {
		ksft_print_msg("%s: fault %u: unexpected errno %d (%s)\n",
			       op->name, nth, err, strerror(err));
		return false;
	}

	if (op->unchanged && !op->unchanged(ctx)) {
		ksft_print_msg("%s: fault %u: failed with %s, state changed\n",
			       op->name, nth, strerror(err));
		return false;
	}

	ret = op->run(ctx);
	if (ret < 0) {
		ksft_print_msg("%s: fault %u: retry failed: %s\n", op->name,
			       nth, strerror(-ret));
		return false;
	}
	return true;
}

/* Once without faults: to see it work, and to fill what is filled once. */
static bool dry_run(const struct fail_nth_op *op, void *ctx)
{
	bool ok;
	int ret;

	if (op->setup)
		op->setup(ctx);

	ret = op->run(ctx);
	ok = ret >= 0 && (!op->done || op->done(ctx));
	if (ret < 0)
		ksft_print_msg("%s: failed without a fault: %s\n", op->name,
			       strerror(-ret));
	else if (!ok)
		ksft_print_msg("%s: incomplete without a fault\n", op->name);

	if (op->teardown)
		op->teardown(ctx);
	return ok;
}

/* Return: true to go on; *injected says whether there was a fault at all. */
static bool sweep_one(const struct fail_nth_op *op, void *ctx,
		      unsigned int nth, struct fail_nth_stats *stats,
		      bool *injected)
{
	bool ok = true;
	int ret;

	if (op->setup)
		op->setup(ctx);

	fail_nth_arm(nth);
	ret = op->run(ctx);
	*injected = fail_nth_disarm();

	if (ret < 0 && !*injected) {
		ksft_print_msg("%s: failed without a fault: %s\n", op->name,
			       strerror(-ret));
		ok = false;
	} else if (ret < 0) {
		stats->failed++;
		ok = check_failure(op, ctx, nth, -ret);
	} else if (*injected) {
		stats->absorbed++;
	}
	stats->points += *injected;

	if (ok && op->done && !op->done(ctx)) {
		ksft_print_msg("%s: fault %u: succeeded, but is incomplete\n",
			       op->name, nth);
		ok = false;
	}

	if (op->teardown)
		op->teardown(ctx);
	return ok;
}

bool fail_nth_sweep(const struct fail_nth_op *op, void *ctx,
		    struct fail_nth_stats *stats)
{
	unsigned int max = op->max ?: FAIL_NTH_DEFAULT_MAX;
	bool injected = true, ok = true;
	unsigned int nth;

	memset(stats, 0, sizeof(*stats));

	if (!dry_run(op, ctx))
		return false;

	for (nth = 1; nth <= max && injected && ok; nth++)
		ok = sweep_one(op, ctx, nth, stats, &injected);

	ksft_print_msg("%s: %u faults: %u failed, %u absorbed\n", op->name,
		       stats->points, stats->failed, stats->absorbed);
	if (!ok)
		return false;

	if (injected)
		ksft_print_msg("%s: no end after %u faults\n", op->name, max);
	else if (!stats->points && !op->may_allocate_nothing)
		ksft_print_msg("%s: no fault was injected\n", op->name);
	else
		return true;
	return false;
}

void fail_nth_check(struct fail_nth_op *op, void *ctx)
{
	struct fail_nth_stats stats;
	bool ok;
	int ret;

	ret = fail_nth_open();
	if (ret == -EOPNOTSUPP)
		gmem_skip("%s", fail_nth_reason());
	TEST_ASSERT(!ret, "fault injection: %d (%s)", ret, fail_nth_reason());

	if (!op->errnos[0])
		op->errnos[0] = ENOMEM;
	ok = fail_nth_sweep(op, ctx, &stats);
	fail_nth_close();
	TEST_ASSERT(ok, "%s", op->name);
}
