/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A page of host memory that is missing until the test provides it: a thread
 * that touches it waits, in the middle of whatever it does.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_UFFD_H
#define SELFTEST_KVM_GUEST_MEMFD_UFFD_H

#include <linux/types.h>

struct missing_page {
	int uffd;
	void *page;
};

/* Drop the page at @page (anonymous memory), and have it missing. */
void missing_page_init(struct missing_page *m, void *page);

/* Wait until a thread waits for it; asserts that it does not take for ever. */
void missing_page_wait(struct missing_page *m);

/* Provide it, with @value in its first word and zeros behind. */
void missing_page_provide(struct missing_page *m, __u64 value);

#endif /* SELFTEST_KVM_GUEST_MEMFD_UFFD_H */
