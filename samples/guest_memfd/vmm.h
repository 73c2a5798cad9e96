/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SAMPLES_GUEST_MEMFD_VMM_H
#define SAMPLES_GUEST_MEMFD_VMM_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

#define KIB		1024ULL
#define MIB		(1024 * KIB)
#define PAGE		(4 * KIB)

/* guest.S: the loader is first, the payload is up to the end. */
extern const __u8 guest_image[], guest_payload[], guest_image_end[];

/* One line of the account: @ok, a label, and what was seen. */
void report(bool ok, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The run cannot go on: say what failed, with errno, and exit. */
void die(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

/*
 * host.c: what a process can find out about the memory of its guest.
 */
__u64 digest(const __u32 *words);
void scan_process(const char *label, __u64 wanted, unsigned int expected);
void try_file(int gmem);
void try_maps(int gmem);
void try_address(const __u8 *addr, __u8 expected);
__u64 mem_free(void);
__u64 file_bytes(int gmem);

#endif
