// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many guests in a row: what is missing afterwards?
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "account.h"

/*
 * Free memory, in KiB.  MemFree is without the lists that each CPU keeps for
 * itself, which can be a hundred MiB here.
 */
static long free_kib(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	long pages = 0, n;
	char text[256];

	while (f && fgets(text, sizeof(text), f))
		if (sscanf(text, " pages free %ld", &n) == 1 ||
		    sscanf(text, " count: %ld", &n) == 1)
			pages += n;
	if (f)
		fclose(f);
	return pages * 4;
}

/* Wait until no more memory comes back, then say how much there is. */
static void settle(long *unused, long *slab)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	long before = 0;
	int i;

	sync();
	if (fd < 0 || write(fd, "3", 1) != 1)
		die("drop_caches: %m");
	close(fd);
	for (i = 0; i < 20; i++) {
		usleep(500000);
		*unused = free_kib();
		if (labs(*unused - before) < 64)
			break;
		before = *unused;
	}
	*slab = kib_of("/proc/meminfo", "Slab");
}

/*
 * The first boots fill caches that stay; from then on nothing may be missing.
 */
void leak(int boots, const struct options *opt)
{
	long first_free = 0, first_slab = 0, last_free, last_slab;
	static struct vm vm;
	int i, warm = boots / 4, good = 0;
	double begin = seconds();

	printf("%d private guests in a row, %d CPUs, %d MiB\n", boots, opt->cpus, opt->memory);
	for (i = 0; i < boots; i++) {
		if (i == warm)
			settle(&first_free, &first_slab);
		if (start(&vm, i % 2 ? IN_PLACE : PRIVATE, opt))
			good += vm_stop(&vm) && vm.intact;
		if (verbose) {
			settle(&last_free, &last_slab);
			note("boot", "%d: %ld KiB free, slab %ld KiB", i + 1,
			     last_free, last_slab);
		}
	}
	settle(&last_free, &last_slab);
	check(good == boots, "boots", "%d of %d came up and ended, %.1f s", good, boots,
	      seconds() - begin);
	check(first_free - last_free < 1024, "free memory", "%+ld KiB after %d boots",
	      last_free - first_free, boots - warm);
	check(last_slab - first_slab < 512, "slab", "%+ld KiB", last_slab - first_slab);
}
