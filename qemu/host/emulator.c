// SPDX-License-Identifier: GPL-2.0-only
/*
 * Was it the emulator?
 *
 * QEMU's emulation of SVM now and then leaves a guest with an instruction
 * pointer of the host, the one behind VMRUN, and the guest dies of a triple
 * fault or never comes to anything.  The guest's kernel may be the same image
 * as the host's, but does not run guests of its own: exits from inside the
 * host's function around VMRUN are that fault and nothing else.  Without such
 * an exit the emulator is not to blame.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "account.h"

#define TRACING "/sys/kernel/tracing/"
#define KVM_EXIT TRACING "events/kvm/kvm_exit/"

unsigned int lost;

static unsigned long vmrun_start, vmrun_end;

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return done;
}

/* From __svm_vcpu_run to the symbol behind it. */
static bool vmrun(void)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[256], name[128];
	unsigned long addr;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx %*c %127s", &addr, name) != 2)
			continue;
		if (!strcmp(name, "__svm_vcpu_run"))
			vmrun_start = addr;
		else if (vmrun_start && addr > vmrun_start &&
			 (!vmrun_end || addr < vmrun_end))
			vmrun_end = addr;
	}
	if (f)
		fclose(f);
	return vmrun_start && vmrun_end;
}

/* Trace exits from there, and triple faults, which is what guests die of. */
void emulator_watch(void)
{
	char filter[128];

	put(KVM_EXIT "enable", "0");
	put(TRACING "trace", "");
	if (!vmrun_end && !vmrun())
		return;
	snprintf(filter, sizeof(filter),
		 "(guest_rip >= 0x%lx && guest_rip < 0x%lx) || exit_reason == 0x7f",
		 vmrun_start, vmrun_end);
	if (put(KVM_EXIT "filter", filter))
		put(KVM_EXIT "enable", "1");
}

/* A guest that does not come up: what has it done, what does it do now? */
void emulator_look(const struct vm *vm)
{
	const char *reply = monitor(vm, "info registers -a"), *p;

	/* Lines of the reply are separated by the four characters \r\n. */
	for (p = reply; p && (p = strstr(p, "RIP=")); p++)
		printf("    | CPU at %.*s\n", (int)strcspn(p, " \\"), p);
	if (reply) {
		put(KVM_EXIT "filter", "0");
		put(TRACING "events/kvm/kvm_page_fault/enable", "1");
		usleep(200000);
	}
	put(TRACING "events/kvm/kvm_page_fault/enable", "0");
	put(KVM_EXIT "enable", "0");
}

/* Since emulator_watch(); prints the exits, and is the proof. */
bool emulator_lost(void)
{
	FILE *f = fopen(TRACING "trace", "r");
	char line[512], *rip;
	unsigned long addr;
	bool proof = false;
	int lines = 0;

	while (f && fgets(line, sizeof(line), f)) {
		rip = strstr(line, " kvm_exit: ");
		rip = rip ? strstr(rip, " rip 0x") : NULL;
		addr = 0;
		if (rip && sscanf(rip, " rip 0x%lx", &addr) == 1 &&
		    addr >= vmrun_start && addr < vmrun_end && vmrun_end) {
			if (!proof)
				printf("    > %s", line);
			proof = true;
		} else if (line[0] != '#' && lines++ < 12) {
			printf("    | %s", line);
		}
	}
	if (f)
		fclose(f);
	return proof;
}
