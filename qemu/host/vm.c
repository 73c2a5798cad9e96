// SPDX-License-Identifier: GPL-2.0-only
/*
 * Start QEMU, follow the guest's console, end it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "account.h"

#define STRING_(x) #x
#define STRING(x) STRING_(x)

static char *text(const char *format, ...)
{
	va_list args;
	char *s;

	va_start(args, format);
	if (vasprintf(&s, format, args) < 0)
		die("out of memory");
	va_end(args);
	return s;
}

static int append(char **argv, int n, char *const *more)
{
	while (*more)
		argv[n++] = *more++;
	argv[n] = NULL;
	return n;
}

/* QEMU's arguments; the caller lets them leak into exec. */
void vm_command(const struct options *opt, enum kind kind, char **argv)
{
	static const char *const machine[KINDS] = {
		[ORDINARY] = "",
		[GMEM]	   = ",memory-backend=ram",
		[PRIVATE]  = ",confidential-guest-support=s0",
		[IN_PLACE] = ",confidential-guest-support=s0,memory-backend=ram",
	};
	char *debian = text("%s/../debian", opt->dir);
	char *program[] = {
		text("%s/qemu-system-x86_64", opt->dir), "-L", (char *)opt->dir,
		"-machine", text("microvm,acpi=off,rtc=on,x-option-roms=off%s", machine[kind]),
		"-bios", text("%s/boot.rom", opt->dir), NULL,
	};
	/* As Debian ships it; its machine and its firmware, too. */
	char *program_debian[] = {
		text("%s/ld.so", debian), "--library-path", text("%s/lib", debian),
		text("%s/qemu-system-x86_64", debian), "-L", text("%s/share", debian),
		"-machine", "pc", NULL,
	};
	char *common[] = {
		"-nodefaults", "-no-user-config", "-display", "none",
		"-no-reboot", "-accel", "kvm",
		"-chardev", "stdio,id=con,signal=off", "-serial", "chardev:con",
		"-cpu", (char *)opt->cpu,
		"-smp", text("%d,sockets=%d", opt->cpus, opt->cpus),
		"-m", text("%dM", opt->memory),
		"-kernel", text("%s/bzImage", opt->dir),
		"-initrd", text("%s/guest.cpio", opt->dir),
		"-append", text("console=ttyS0 quiet panic=-1 reboot=t mitigations=off "
				"rdinit=/proof%s%s %s",
				kind == DEBIAN ? " memmap=4K$" STRING(SHARED_GPA) :
				" acpi=off pci=off",
				opt->shell ? " shell" : "", opt->append),
		NULL,
	};
	const char *movable = opt->movable ? ",movable=on" : "";
	/* Of the memory of a private guest decides the object of that. */
	char *ram[] = {
		"-object", text("memory-backend-guest-memfd,id=ram,size=%dM%s", opt->memory,
				kind == GMEM ? movable : ""), NULL,
	};
	char *guest[] = { "-object", text("sw-protected-guest,id=s0%s", movable), NULL };
	int n;

	n = append(argv, 0, kind == DEBIAN ? program_debian : program);
	n = append(argv, n, common);
	if (kind == GMEM || kind == IN_PLACE)
		n = append(argv, n, ram);
	if (is_private(kind))
		append(argv, n, guest);
}

bool vm_start(struct vm *vm, enum kind kind, const struct options *opt)
{
	char *argv[64];
	int in[2], out[2], err, n = 0;

	*vm = (struct vm){ .kind = kind, .opt = opt };
	snprintf(vm->stderr_path, sizeof(vm->stderr_path), "/tmp/qemu.err");
	snprintf(vm->qmp_path, sizeof(vm->qmp_path), "/tmp/qemu.qmp");
	unlink(vm->qmp_path);
	vm_command(opt, kind, argv);
	while (argv[n])
		n++;
	argv[n++] = "-qmp";
	argv[n++] = text("unix:%s,server=on,wait=off", vm->qmp_path);
	argv[n] = NULL;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe: %m");
	vm->up = seconds();
	vm->pid = fork();
	if (vm->pid < 0)
		die("fork: %m");
	if (!vm->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		err = open(vm->stderr_path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err, 2);
		execv(argv[0], argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	vm->in = in[1];
	vm->out = out[0];
	return true;
}

static void token(struct token *t, const char *line)
{
	unsigned long long digest;
	unsigned int first;

	if (sscanf(line, "%x %llx", &first, &digest) != 2)
		return;
	*t = (struct token){ first, digest, true };
}

static void console_line(struct vm *vm, char *line)
{
	line[strcspn(line, "\r\n")] = 0;
	if (!*line)
		return;
	note("console", "%s", line);
	snprintf(vm->last[vm->lines++ % 8], sizeof(vm->last[0]), "%.120s", line);
	if (strncmp(line, "guest: ", 7))
		return;
	line += 7;
	if (!strncmp(line, "secret ", 7))
		token(&vm->secret, line + 7);
	else if (!strncmp(line, "marker ", 7))
		token(&vm->marker, line + 7);
	else if (!strncmp(line, "linux ", 6))
		snprintf(vm->release, sizeof(vm->release), "%.60s", line + 6);
	else if (!strcmp(line, "ready"))
		vm->ready = true;
	else if (!strcmp(line, "intact"))
		vm->intact = true;
	else if (sscanf(line, "counting %lu", &vm->counting_kib) == 1)
		vm->counting = true;
	else if (sscanf(line, "counted %llu", &vm->passes) == 1)
		vm->counted = true;
	else if (!strncmp(line, "FAILED", 6))
		vm->failed = true;
	else if (!strncmp(line, "rom answers ", 12))
		sscanf(line, "rom answers %d %d nonsense %d left %x", &vm->share[0],
		       &vm->share[1], &vm->nonsense, (unsigned int *)&vm->left);
	else
		sscanf(line, "cpus %d protected %d clock %31s", &vm->cpus,
		       &vm->protected, vm->clock);
}

/* Read the console until *@until, the guest's end, or the time is over. */
static bool follow(struct vm *vm, const bool *until, int limit)
{
	struct pollfd p = { .fd = vm->out, .events = POLLIN };
	double end = seconds() + limit;
	ssize_t n;

	while (!(until && *until) && seconds() < end) {
		if (poll(&p, 1, 200) <= 0)
			continue;
		n = read(vm->out, vm->line + vm->len, 1);
		if (n <= 0)
			return false;
		if (vm->line[vm->len] == '\n' || vm->len == sizeof(vm->line) - 2) {
			vm->line[vm->len + 1] = 0;
			vm->len = 0;
			console_line(vm, vm->line);
		} else {
			vm->len++;
		}
	}
	return true;
}

bool vm_wait_ready(struct vm *vm)
{
	follow(vm, &vm->ready, vm->opt->seconds);
	vm->up = seconds() - vm->up;
	return vm->ready;
}

void vm_kill(struct vm *vm)
{
	if (vm->pid <= 0)
		return;
	kill(vm->pid, SIGKILL);
	waitpid(vm->pid, NULL, 0);
	vm->pid = 0;
	close(vm->in);
	close(vm->out);
}

/* The guest is about to start anew: forget what it has said. */
void vm_again(struct vm *vm)
{
	vm->secret = vm->marker = (struct token){};
	vm->ready = vm->intact = vm->failed = false;
	vm->share[0] = vm->share[1] = vm->left = -1;
	vm->cpus = vm->protected = vm->nonsense = 0;
	vm->up = seconds();
}

bool vm_say(struct vm *vm, const char *text)
{
	return write(vm->in, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Say something to which the guest has an answer. */
bool vm_ask(struct vm *vm, const char *text, const bool *answered)
{
	return vm_say(vm, text) && follow(vm, answered, 60) && *answered;
}

/* Let the guest end by itself.  True if it does, and QEMU too, without error. */
bool vm_stop(struct vm *vm)
{
	double end;
	int status;
	pid_t pid = 0;

	if (!vm_say(vm, "\n") || follow(vm, NULL, 60)) {
		vm_kill(vm);
		return false;
	}
	for (end = seconds() + 20; !pid && seconds() < end; usleep(20000))
		pid = waitpid(vm->pid, &status, WNOHANG);
	if (pid != vm->pid) {
		vm_kill(vm);
		return false;
	}
	vm->pid = 0;
	close(vm->in);
	close(vm->out);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}
