// SPDX-License-Identifier: GPL-2.0-only
/*
 * What root can find in the memory of a process: all of /proc/PID/mem.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "account.h"

#define CHUNK	(1 << 20)
#define STEP	(CHUNK - 4 * (TOKEN_WORDS - 1))

static uint32_t chunk[CHUNK / 4];

static unsigned int count(const struct token *token, size_t words)
{
	unsigned int found = 0;
	size_t i;

	if (!token->known)
		return 0;
	for (i = 0; i + TOKEN_WORDS <= words; i++)
		if (chunk[i] == token->first &&
		    token_digest(chunk + i) == token->digest)
			found++;
	return found;
}

static void scan_mapping(int mem, unsigned long start, unsigned long end,
			 const struct token *secret,
			 const struct token *marker, struct scan *scan)
{
	unsigned long pos = start, size;
	ssize_t n;

	while (pos < end) {
		size = end - pos < CHUNK ? end - pos : CHUNK;
		n = pread(mem, chunk, size, pos);
		if (n < 4 * TOKEN_WORDS) {
			scan->unreadable_kib += 4;
			pos = (pos | 4095) + 1;
			continue;
		}
		scan->secret += count(secret, n / 4);
		scan->marker += count(marker, n / 4);
		/* Tokens may straddle two chunks; only whole ones count. */
		if (n == CHUNK && pos + n < end)
			n = STEP;
		scan->kib += n / 1024;
		pos += n;
	}
}

void scan_process(pid_t pid, const struct token *secret,
		  const struct token *marker, struct scan *scan)
{
	unsigned long start, end;
	char path[64], line[512];
	FILE *maps;
	int mem;

	*scan = (struct scan){};
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY);
	if (!maps || mem < 0)
		die("%s: %m", path);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx", &start, &end) != 2 ||
		    start >= 1ul << 63)
			continue;
		scan->mappings++;
		scan_mapping(mem, start, end, secret, marker, scan);
	}
	fclose(maps);
	close(mem);
}
