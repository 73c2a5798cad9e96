// SPDX-License-Identifier: GPL-2.0-only
/*
 * Questions to QEMU's monitor.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "account.h"

/* Lines that are events are not the answer. */
static const char *answer(FILE *f)
{
	static char line[8192];

	do {
		if (!fgets(line, sizeof(line), f))
			return NULL;
	} while (strstr(line, "\"event\":"));
	return line;
}

const char *qmp(const struct vm *vm, const char *command)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = 20 };
	const char *reply = NULL;
	FILE *f;
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strncpy(addr.sun_path, vm->qmp_path, sizeof(addr.sun_path) - 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		return NULL;
	}
	f = fdopen(fd, "r+");
	setvbuf(f, NULL, _IOLBF, 0);
	if (answer(f)) {
		dprintf(fd, "{\"execute\":\"qmp_capabilities\"}\n");
		if (answer(f)) {
			dprintf(fd, "%s\n", command);
			reply = answer(f);
		}
	}
	fclose(f);
	return reply;
}

/* A command for people. */
const char *monitor(const struct vm *vm, const char *command)
{
	char text[256];

	snprintf(text, sizeof(text), "{\"execute\":\"human-monitor-command\","
		 "\"arguments\":{\"command-line\":\"%s\"}}", command);
	return qmp(vm, text);
}

/* A property of the confidential guest object, in KiB; -1 if there is none. */
long long qmp_size(const struct vm *vm, const char *property)
{
	char command[256];
	const char *reply;

	snprintf(command, sizeof(command),
		 "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/objects/s0\",\"property\":\"%s\"}}",
		 property);
	reply = qmp(vm, command);
	reply = reply ? strstr(reply, "\"return\": ") : NULL;
	return reply ? atoll(reply + 10) / 1024 : -1;
}
