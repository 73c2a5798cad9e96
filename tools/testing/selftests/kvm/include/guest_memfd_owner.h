/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's checker of the owners of private pages, CONFIG_KVM_GMEM_OWNER_CHECK,
 * as tests see it in debugfs.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_OWNER_H
#define SELFTEST_KVM_GUEST_MEMFD_OWNER_H

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "guest_memfd_util.h"

#define OWNER_DIR	"/sys/kernel/debug/kvm/gmem_owner"

struct owner_counters {
	u64 made;	/* pages made private */
	u64 ended;	/* pages that ceased to be */
	u64 reclaimed;	/* pages given back to the host */
	u64 failed;	/* attempts to make private */
	u64 owned;	/* private now */
	u64 known;	/* not reclaimed yet */
	u64 relocated;	/* moved by what stands for hardware */
	u64 reports;
	u64 canaries;
};

/* To be called first in main(): skip the binary without the checker. */
static inline void owner_require(void)
{
	__TEST_REQUIRE(!access(OWNER_DIR "/counters", R_OK),
		       "no " OWNER_DIR ": not the kernel for this test");
}

static inline void owner_read(struct owner_counters *c)
{
	FILE *f = fopen(OWNER_DIR "/counters", "r");
	int n;

	TEST_ASSERT(f, "cannot open the counters, errno %d", errno);
	n = fscanf(f, "made %lu ended %lu reclaimed %lu failed %lu ", &c->made,
		   &c->ended, &c->reclaimed, &c->failed);
	n += fscanf(f, "owned %lu known %lu relocated %lu ", &c->owned,
		    &c->known, &c->relocated);
	n += fscanf(f, "reports %lu canaries %lu", &c->reports, &c->canaries);
	fclose(f);
	TEST_ASSERT(n == 9, "%d counters", n);
}

/* Return: 0 or -errno. */
static inline int owner_write(const char *file, unsigned int value)
{
	char path[128], buf[16];
	int fd, len, ret = 0;

	snprintf(path, sizeof(path), OWNER_DIR "/%s", file);
	fd = open(path, O_WRONLY);
	TEST_ASSERT(fd >= 0, "cannot open %s, errno %d", path, errno);
	len = snprintf(buf, sizeof(buf), "%u", value);
	if (write(fd, buf, len) != len)
		ret = -errno;
	close(fd);
	return ret;
}

#endif /* SELFTEST_KVM_GUEST_MEMFD_OWNER_H */
