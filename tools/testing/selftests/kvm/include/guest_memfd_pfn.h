/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The page frames behind a guest_memfd: find them, and poison them.
 *
 * A page that host userspace has mapped is found through /proc/self/pagemap.
 * For private memory there is no such interface, on purpose.  A test that needs
 * the page frames allocates the file's memory within a memory cgroup of its own,
 * where nothing else is charged, and looks for the pages of that cgroup in
 * /proc/kpagecgroup.  Which is which shows their contents, read as root from
 * /proc/kcore.
 *
 * Poisoned page frames are remembered; poison_undo_all() gives them back.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_PFN_H
#define SELFTEST_KVM_GUEST_MEMFD_PFN_H

#include <linux/kernel-page-flags.h>

#include "guest_memfd_util.h"

/*
 * A memory cgroup, removed when the test ends; one per test.  Skips the test if
 * there are none.
 */
struct gmem_cgroup {
	char path[96];
	u64 ino;
};

void gmem_cgroup_create(struct gmem_cgroup *cg);
void gmem_cgroup_enter(const struct gmem_cgroup *cg);
void gmem_cgroup_leave(const struct gmem_cgroup *cg);
/* Write to a file of the cgroup; 0 or -errno. */
int gmem_cgroup_write(const struct gmem_cgroup *cg, const char *file,
		      const char *text);

/* Return: how many page cache pages are charged to it; the first @max. */
u64 gmem_cgroup_find_pfns(const struct gmem_cgroup *cg, u64 *pfns, u64 max);

/*
 * Page frames.  Bits of pfn_flags() are KPF_*; pfn_mapcount() counts user page
 * tables; pfn_read_word() reads zero for a poisoned page.
 */
u64 pfn_flags(u64 pfn);
u64 pfn_mapcount(u64 pfn);
u64 pfn_cgroup(u64 pfn);
u64 pfn_read_word(u64 pfn);

static inline bool pfn_is_poisoned(u64 pfn)
{
	return pfn_flags(pfn) & BIT_ULL(KPF_HWPOISON);
}

/* Part of no larger page: what is around it has gone its own way. */
static inline bool pfn_is_alone(u64 pfn)
{
	return !(pfn_flags(pfn) & (BIT_ULL(KPF_COMPOUND_HEAD) |
				   BIT_ULL(KPF_COMPOUND_TAIL)));
}

/* The page frame mapped at an address of this process, 0 if none is. */
u64 pfn_at(const void *hva);
/* The same for @nr pages. */
void pfns_at(const void *hva, u64 nr, u64 *pfns);

/*
 * The page frames of private memory, charged to @cg, whose first words the guest
 * has filled with guest_pattern(gpa, tag).  All must be found, or 0 means that
 * one has not been.
 */
void pfns_find(const struct gmem_cgroup *cg, u64 gpa, u64 nr, u64 tag,
	       u64 *pfns);
void pfns_find_some(const struct gmem_cgroup *cg, u64 gpa, u64 nr, u64 tag,
		    u64 *pfns);

/* Ways to have memory_failure() called for a page frame. */
enum poison_how {
	POISON_CORRUPT,		/* debugfs hwpoison/corrupt-pfn */
	POISON_REQUIRED,	/* the same, action required in this thread */
	POISON_OFFLINE,		/* hard_offline_page of memory in sysfs */
	NR_POISON_HOW,
};

/* To be called first: skip the test unless errors can be injected. */
void poison_require(void);

/* Return: 0 or -errno, from memory_failure(). */
int __poison_pfn(u64 pfn, enum poison_how how);
void poison_pfn(u64 pfn, enum poison_how how);	/* must be handled */

/* Return: 0 or -errno, from unpoison_memory(). */
int __unpoison_pfn(u64 pfn);
/* It is refused, and changes nothing, as the page is in use. */
void assert_unpoison_busy(u64 pfn, const char *when);

/* To be undone, poisoned by other means. */
void poison_remember(u64 pfn);

/*
 * Once their files are gone, unpoison everything that was poisoned, and assert
 * that HardwareCorrupted is what it was when poison_require() was called.
 */
void poison_undo_all(void);

/* Number of poisoned pages, from HardwareCorrupted. */
u64 nr_poisoned(void);

/* Move a page's contents away without loss; 0 or -errno. */
int soft_offline_pfn(u64 pfn);

#endif /* SELFTEST_KVM_GUEST_MEMFD_PFN_H */
