// SPDX-License-Identifier: GPL-2.0-only
/*
 * The account: one line per check.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "account.h"

unsigned int checks, failures;
bool verbose;

double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

void die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	fprintf(stderr, "gmem-run: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	exit(2);
}

static void line(const char *verdict, const char *label, const char *format,
		 va_list args)
{
	printf("  %-5s %-17s ", verdict, label);
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
}

void check(bool ok, const char *label, const char *format, ...)
{
	va_list args;

	checks++;
	failures += !ok;
	va_start(args, format);
	line(ok ? "ok" : "FAIL", label, format, args);
	va_end(args);
}

void note(const char *label, const char *format, ...)
{
	va_list args;

	if (!strcmp(label, "console") && !verbose)
		return;
	va_start(args, format);
	line("", label, format, args);
	va_end(args);
}

void print_file(const char *path)
{
	char text[256];
	FILE *f = fopen(path, "r");

	while (f && fgets(text, sizeof(text), f))
		printf("    | %s", text);
	if (f)
		fclose(f);
}

/* A line of the form "NAME:  N kB". */
long kib_of(const char *path, const char *name)
{
	FILE *f = fopen(path, "r");
	char text[256];
	long kib = -1;

	while (f && fgets(text, sizeof(text), f))
		if (!strncmp(text, name, strlen(name)))
			sscanf(text + strlen(name), ": %ld", &kib);
	if (f)
		fclose(f);
	return kib;
}
