// SPDX-License-Identifier: GPL-2.0-only
/*
 * First process of the guest: makes a secret, says what it sees of its machine,
 * and at the end whether the secret is still what it was.
 *
 * Lines "guest: ..." on the console are for the program on the host, whose lines
 * are "count" and "stop", and any other to end the guest.  With
 * "shell" on the kernel's command line there is a shell in between.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#include "proof.h"

static uint32_t secret[TOKEN_COPIES][TOKEN_WORDS] __attribute__((aligned(4096)));

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("guest: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
}

static void end(void)
{
	sync();
	/* A triple fault does not wait for what the serial port has yet to send. */
	tcdrain(STDOUT_FILENO);
	reboot(RB_AUTOBOOT);
}

int fail(const char *what)
{
	say("FAILED %s", what);
	end();
	return 1;
}

static char *first_line(const char *path, char *buf, int size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return buf;
}

static void new_token(uint32_t *token, const char *name)
{
	/* Nothing that memory is full of anyway. */
	do {
		if (getrandom(token, 4 * TOKEN_WORDS, GRND_INSECURE) != 4 * TOKEN_WORDS)
			fail("getrandom");
	} while (token[0] < 0x01000000 || token[0] > 0xfeffffff);
	say("%s %08x %016llx", name, token[0],
	    (unsigned long long)token_digest(token));
}

volatile uint32_t *map_shared(void)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	volatile uint32_t *page;

	page = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					  MAP_SHARED, fd, SHARED_GPA);
	if (page == MAP_FAILED)
		fail("/dev/mem");
	close(fd);
	return page;
}

static void leave_message(void)
{
	volatile uint32_t *page = map_shared();
	uint32_t token[TOKEN_WORDS];
	int i;

	say("rom %.40s", (const char *)page);
	say("rom answers %d %d nonsense %d left %x", (int)page[16], (int)page[17],
	    (int)page[18], page[19]);
	new_token(token, "marker");
	for (i = 0; i < TOKEN_WORDS; i++)
		page[i] = token[i];
	munmap((void *)page, 4096);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Does KVM say that the VMM cannot access private memory? */
static bool is_protected(void)
{
	unsigned int eax, ebx, ecx, edx;

	__cpuid(0x40000000, eax, ebx, ecx, edx);
	if (ebx != 0x4b4d564b || ecx != 0x564b4d56 || edx != 0x4d)
		return false;
	__cpuid(0x40000001, eax, ebx, ecx, edx);
	return eax & (1u << KVM_FEATURE_SW_PROTECTED);
}

/* Go round the CPUs: each is there, and the clock never goes back. */
static void check_cpus(void)
{
	uint64_t t, last = 0;
	int cpu, round, n = get_nprocs();
	cpu_set_t set;
	char clock[64];

	for (round = 0; round < 20; round++) {
		for (cpu = 0; cpu < n; cpu++) {
			CPU_ZERO(&set);
			CPU_SET(cpu, &set);
			if (sched_setaffinity(0, sizeof(set), &set) ||
			    sched_getcpu() != cpu)
				fail("sched_setaffinity");
			t = now();
			if (t < last)
				fail("clock goes back");
			last = t;
		}
	}
	CPU_ZERO(&set);
	for (cpu = 0; cpu < n; cpu++)
		CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	say("cpus %d protected %d clock %s", n, is_protected(), first_line(
	    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
	    clock, sizeof(clock)));
}

static void shell(void)
{
	pid_t pid = fork();
	int i, fd;

	if (!pid) {
		/* A terminal that can be the controlling one; console cannot. */
		setsid();
		for (i = 0, fd = open("/dev/ttyS0", O_RDWR); i < 3; i++)
			dup2(fd, i);
		execl("/bin/sh", "sh", "-l", NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

/* Do what the host says, until the end.  A host that is gone wants that, too. */
static void obey(void)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "count\n"))
			count_start();
		else if (!strcmp(line, "stop\n"))
			count_stop();
		else
			return;
	}
	say("no host");
}

int main(void)
{
	char line[512];
	uint64_t digest;
	int i;

	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);

	say("linux %s", first_line("/proc/sys/kernel/osrelease", line, sizeof(line)));
	check_cpus();
	leave_message();
	new_token(secret[0], "secret");
	for (i = 1; i < TOKEN_COPIES; i++)
		memcpy(secret[i], secret[0], sizeof(secret[0]));
	digest = token_digest(secret[0]);

	if (strstr(first_line("/proc/cmdline", line, sizeof(line)), " shell"))
		shell();
	say("ready");
	obey();

	for (i = 0; i < TOKEN_COPIES; i++)
		if (token_digest(secret[i]) != digest)
			return fail("the secret is not what it was");
	say("intact");
	end();
	return 0;
}
