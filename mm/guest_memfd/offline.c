// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: memory that is taken offline.
 *
 * No page of a file can be moved, so a block of memory that has one stays
 * online: has_unmovable_pages() finds it.  But it does not look at pages with
 * PG_hwpoison, and neither do test_pages_isolated() and
 * __offline_isolated_pages(): they take such a page for one that has no user.
 * One that is in a file has: the page cache points to it, and goes on doing so
 * when the block comes online again and its pages are free.  So a block is
 * refused here while a poisoned page of it is in a file.  With the page out of
 * the file nothing refers to it, and the block can go.
 *
 * The block has been isolated before this is asked.  A page of a file that was in
 * it without PG_hwpoison then has had that refused, and one with the flag is
 * found here, whether memory_failure() is through with it or still at work.  New
 * pages do not come out of an isolated block.  What is left is a page that was on
 * the way from the free list to the file when has_unmovable_pages() saw it, without
 * a user, and that the hardware loses while the attempt lasts.
 * Or one that is to be moved, and is lost before.
 * So test_pages_isolated() asks, too, for each page with the flag.  Then the
 * attempt goes on until a signal ends it, or the page has left the file.
 */

#include <linux/init.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>

#include "internal.h"
#include "lost.h"
#include "poison.h"

/**
 * guest_memfd_pins_offline - whether a page must not go offline
 * @page:	Any page, with PG_hwpoison or not.
 *
 * Context: Any.
 * Return: true if it is poisoned, and in a file.
 */
bool guest_memfd_pins_offline(struct page *page)
{
	bool ret;

	if (likely(!gmem_is_bad(page)))
		return false;

	rcu_read_lock();
	ret = gmem_owns_folio(page_folio(page));
	rcu_read_unlock();
	return ret;
}

/* All pages of a memory block exist: offline_pages() has no holes. */
static int gmem_going_offline(unsigned long pfn, unsigned long nr_pages)
{
	unsigned long end = pfn + nr_pages;

	for (; pfn < end; pfn++) {
		if (guest_memfd_pins_offline(pfn_to_page(pfn))) {
			pr_info_ratelimited("guest_memfd: poisoned page %#lx is in a file, its memory block stays online\n",
					    pfn);
			return -EBUSY;
		}
		if (!(pfn % PAGES_PER_SECTION))
			cond_resched();
	}
	return 0;
}

static int gmem_memory_notify(struct notifier_block *nb, unsigned long action,
			      void *data)
{
	struct memory_notify *arg = data;

	if (action != MEM_GOING_OFFLINE)
		return NOTIFY_OK;
	return notifier_from_errno(gmem_going_offline(arg->start_pfn,
						      arg->nr_pages));
}

static int __init gmem_offline_init(void)
{
	return hotplug_memory_notifier(gmem_memory_notify, 0);
}
fs_initcall(gmem_offline_init);
