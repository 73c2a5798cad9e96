// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem-run [OPTION...] KIND...: boot a Linux guest in QEMU for each KIND, look
 * for what it keeps secret, and give an account of it.
 *
 * KIND	ordinary  the VMM's memory
 *	gmem	  a guest_memfd that the VMM has mapped
 *	private	  a software-protected VM, all RAM private in a guest_memfd
 *	in-place  the same, but the VMM has mapped what is not private of that file
 *	debian	  ordinary, in Debian's newest QEMU as it is
 *	reset=KIND  a private guest that resets itself, and is reset
 *	leak=N	  N private guests in a row: is there as much memory afterwards?
 *	shell	  the console of a private guest, with a shell
 *
 * A guest_memfd is movable, and goes to another node and back while the guest counts.
 * In guests that are reset, in a row, or a shell, it is not.
 *
 * -c CPUS -m MIB -t SECONDS -a APPEND -p CPU-MODEL -v (the guests' consoles, and a summary)
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "account.h"

static void shell(struct options *opt)
{
	char *argv[64];

	opt->shell = true;
	vm_command(opt, PRIVATE, argv);
	printf("A private guest; \"exit\" and Enter end it.\n");
	fflush(stdout);
	execv(argv[0], argv);
	die("%s: %m", argv[0]);
}

static enum kind kind_of(const char *name)
{
	int k;

	for (k = 0; k < KINDS; k++)
		if (!strcmp(name, kind_name[k]))
			return k;
	die("%s?", name);
}

int main(int argc, char **argv)
{
	static char dir[PATH_MAX];
	struct options opt = {
		.cpus = 1, .memory = 256, .seconds = 240,
		.append = "", .cpu = "host", .dir = dir,
	};
	double begin = seconds();
	int c, i;

	if (readlink("/proc/self/exe", dir, sizeof(dir) - 1) < 0)
		die("/proc/self/exe: %m");
	*strrchr(dir, '/') = 0;
	while ((c = getopt(argc, argv, "c:m:t:a:p:v")) != -1) {
		switch (c) {
		case 'c':
			opt.cpus = atoi(optarg);
			break;
		case 'm':
			opt.memory = atoi(optarg);
			break;
		case 't':
			opt.seconds = atoi(optarg);
			break;
		case 'a':
			opt.append = optarg;
			break;
		case 'p':
			opt.cpu = optarg;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			die("options: -c CPUS -m MIB -t SECONDS -a APPEND -p CPU -v");
		}
	}
	for (i = optind; i < argc; i++) {
		if (!strcmp(argv[i], "shell"))
			shell(&opt);
		if (!strncmp(argv[i], "leak=", 5))
			leak(atoi(argv[i] + 5), &opt);
		else if (!strncmp(argv[i], "reset=", 6))
			reset(kind_of(argv[i] + 6), &opt);
		else
			run(kind_of(argv[i]), &opt);
	}
	if (verbose)
		summary();
	printf("account: %u checks, %u failed, %.1f s", checks, failures,
	       seconds() - begin);
	printf(lost ? "; %u guests lost by the emulator\n" : "\n", lost);
	return failures || !checks;
}
