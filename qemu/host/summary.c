// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guests side by side.
 */
#include <stdio.h>

#include "account.h"

#define COLUMN 11

static struct result results[KINDS];

struct result *result_of(enum kind kind)
{
	results[kind].known = true;
	return &results[kind];
}

static int value(int row, const struct result *r, char *buf, size_t size)
{
	switch (row) {
	case 0:
		return snprintf(buf, size, "%u times", r->secret);
	case 1:
		return snprintf(buf, size, "%u times", r->marker);
	case 2:
		return snprintf(buf, size, "%lld", r->private);
	case 3:
		return snprintf(buf, size, "%lld", r->shared);
	case 4:
		return snprintf(buf, size, "%lld", r->huge);
	case 5:
		return snprintf(buf, size, "%lld", r->moved);
	case 6:
		return snprintf(buf, size, "%ld", r->rss);
	case 7:
		return snprintf(buf, size, "%.1f s", r->up);
	}
	return snprintf(buf, size, "%.1f s", r->total);
}

void summary(void)
{
	static const char *const name[] = {
		"root finds the secret", "root finds the message", "KiB private",
		"KiB shared", "KiB in huge pages", "KiB moved and back",
		"KiB in QEMU's RSS", "up after", "in all",
	};
	char buf[32];
	size_t row;
	int k;

	printf("%-25s", "in short");
	for (k = 0; k < KINDS; k++)
		if (results[k].known)
			printf("%*s", COLUMN, kind_name[k]);
	printf("\n");
	for (row = 0; row < sizeof(name) / sizeof(name[0]); row++) {
		printf("  %-23s", name[row]);
		for (k = 0; k < KINDS; k++) {
			if (!results[k].known)
				continue;
			value(row, &results[k], buf, sizeof(buf));
			printf("%*s", COLUMN, buf);
		}
		printf("\n");
	}
}
