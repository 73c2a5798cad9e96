// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel says of a process's guest_memfd files.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"

static void add_file(FILE *f, int fd, struct gmem *gmem)
{
	const struct { const char *name; long long *sum; } field[] = {
		{ "gmem-size:", &gmem->size },
		{ "gmem-private:", &gmem->private },
		{ "gmem-shared:", &gmem->shared },
		{ "gmem-resident:", &gmem->resident },
		{ "gmem-huge:", &gmem->huge },
	};
	char line[256];
	long long bytes;
	size_t i, len;

	while (fgets(line, sizeof(line), f)) {
		for (i = 0; i < sizeof(field) / sizeof(field[0]); i++) {
			len = strlen(field[i].name);
			if (strncmp(line, field[i].name, len) ||
			    sscanf(line + len, "%lld", &bytes) != 1)
				continue;
			*field[i].sum += bytes / 1024;
			if (!i) {
				gmem->files++;
				gmem->fd = fd;
			}
		}
	}
}

/* In KiB, of all its files together. */
void gmem_figures(pid_t pid, struct gmem *gmem)
{
	char path[320];
	struct dirent *d;
	DIR *dir;
	FILE *f;

	*gmem = (struct gmem){};
	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", pid, d->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		add_file(f, atoi(d->d_name), gmem);
		fclose(f);
	}
	if (dir)
		closedir(dir);
}
