// SPDX-License-Identifier: GPL-2.0-only
/*
 * Can the checker of the owners of private pages fail?
 *
 * Have it commit each violation that it knows, and expect one report in the
 * kernel's log for each: not run by gmem_run_tests(), for which a report is a
 * failure.
 */
#include "guest_memfd_owner.h"

/* By number; part of the text of the report. */
static const char * const canaries[] = {
	"made private for gfn 1, has gfn 1",
	"made private, not locked",
	"made private, left a file unreclaimed",
	"ends for gfn 1, is not private",
	"ends for gfn 2, has gfn 1",
	"ends, gfn 1 is mapped",
	"reclaimed, gfn 1 has it",
	"reclaimed, never was private",
	"is not its own",
	"is not its own",
	"shared gfn 1 mapped, pfn",
	"left a file unreclaimed",
	"relocated, is not of gfn 2",
	"relocated, gfn 1 is mapped",
	"not relocated",
	"belongs to a VM that is gone",
};

/* Reports in the kernel's log since the last call that contain @text. */
static int count_reports(int kmsg, const char *text)
{
	char record[8192];
	int found = 0;
	ssize_t n;

	for (;;) {
		n = read(kmsg, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			return found;
		record[n] = '\0';
		if (!strstr(record, "gmem_owner: "))
			continue;
		if (!strstr(record, text))
			return -1;
		found++;
	}
}

static bool check_canary(int kmsg, unsigned int i)
{
	struct owner_counters before, after;
	int reports, ret;

	owner_read(&before);
	ret = owner_write("canary", i);
	owner_read(&after);
	reports = count_reports(kmsg, canaries[i]);

	if (ret || reports != 1 || after.canaries != before.canaries + 1 ||
	    after.reports != before.reports || after.owned != before.owned ||
	    after.known != before.known) {
		ksft_print_msg("canary %u: returned %d, %d reports, %lu counted\n",
			       i, ret, reports,
			       after.canaries - before.canaries);
		return false;
	}
	return true;
}

int main(void)
{
	unsigned int i;
	int kmsg;

	owner_require();
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	TEST_ASSERT(kmsg >= 0, "cannot open /dev/kmsg, errno %d", errno);
	lseek(kmsg, 0, SEEK_END);

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(canaries) + 1);
	for (i = 0; i < ARRAY_SIZE(canaries); i++)
		ksft_test_result(check_canary(kmsg, i), "%s\n", canaries[i]);
	ksft_test_result(owner_write("canary", i) == -EINVAL &&
			 !count_reports(kmsg, ""), "no further canary\n");
	ksft_finished();
}
