/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the guest and the one who looks for its secret agree on.
 *
 * A token is 32 random bytes that only the guest has seen.  It tells the host
 * the first four of them and a digest of all: enough to recognise the token
 * wherever it is, not enough to know it.
 */
#ifndef QEMU_COMMON_H
#define QEMU_COMMON_H

#include <stdint.h>

#define TOKEN_WORDS	8
#define TOKEN_COPIES	128	/* of the secret: 4 KiB */

/* Where boot.rom has a page that the guest shares with the VMM. */
#define SHARED_GPA	0x9f000
/* In that page: how many pages each CPU has counted in, 64 bits each. */
#define COUNTED_OFFSET	1024
#define COUNTED_CPUS	32

#ifndef KVM_FEATURE_SW_PROTECTED
#define KVM_FEATURE_SW_PROTECTED	30	/* in CPUID 0x40000001, EAX */
#endif

static inline uint64_t token_digest(const uint32_t *words)
{
	uint64_t h = 0xcbf29ce484222325;
	int i;

	for (i = 0; i < TOKEN_WORDS; i++)
		h = (h ^ words[i]) * 0x100000001b3 + (h >> 29);
	return h;
}

#endif
