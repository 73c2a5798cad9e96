// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count in half of the memory that is free, while the host does something to it.
 *
 * In each pass every CPU looks at a word of each page of its part, which has to be
 * the number of the pass, and writes the next one.  How far it is the host can see in
 * the shared page.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "proof.h"

#define PAGE	4096ul

static struct counter {
	pthread_t thread;
	int cpu;
	char *mem;
	uint64_t pass;
	bool wrong;
} counters[COUNTED_CPUS];

static volatile uint64_t *counted;
static volatile bool stop;
static unsigned long pages;		/* of each CPU */
static int cpus;

/* Not always the same in each page. */
static volatile uint64_t *word(const struct counter *c, unsigned long i)
{
	return (volatile uint64_t *)(c->mem + i * PAGE + i % 512 * 8);
}

static bool one_pass(struct counter *c)
{
	unsigned long i;

	for (i = 0; i < pages; i++) {
		if (*word(c, i) != c->pass)
			return false;
		*word(c, i) = c->pass + 1;
		if (i % 64 == 63)
			counted[c->cpu] += 64;
	}
	c->pass++;
	return true;
}

static void *count(void *arg)
{
	struct counter *c = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(c->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	while (!stop && !c->wrong) {
		c->wrong = !one_pass(c);
		/* Leave the host some time to do it. */
		usleep(20000);
	}
	return NULL;
}

void count_start(void)
{
	struct sysinfo info;
	char *mem;
	int i;

	cpus = get_nprocs();
	sysinfo(&info);
	if (cpus > COUNTED_CPUS)
		fail("more CPUs than counters");
	pages = info.freeram * info.mem_unit / 2 / PAGE / cpus;
	mem = mmap(NULL, cpus * pages * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (mem == MAP_FAILED)
		fail("no memory to count in");
	counted = (volatile uint64_t *)map_shared() + COUNTED_OFFSET / 8;
	for (i = 0; i < cpus; i++) {
		counters[i] = (struct counter) {
			.cpu = i,
			.mem = mem + i * pages * PAGE,
		};
		if (pthread_create(&counters[i].thread, NULL, count, &counters[i]))
			fail("pthread_create");
	}
	say("counting %lu", cpus * pages * (PAGE / 1024));
}

/* Says how many passes the slowest CPU has made. */
void count_stop(void)
{
	uint64_t least = UINT64_MAX;
	int i;

	stop = true;
	for (i = 0; i < cpus; i++) {
		pthread_join(counters[i].thread, NULL);
		if (counters[i].wrong)
			fail("a count is not what it was");
		if (counters[i].pass < least)
			least = counters[i].pass;
	}
	say("counted %llu", (unsigned long long)least);
}
