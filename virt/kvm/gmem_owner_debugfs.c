// SPDX-License-Identifier: GPL-2.0-only
/*
 * The checker of the owners of private pages: what tests see of it.
 *
 * In debugfs, kvm/gmem_owner/:
 *
 *   counters	struct kvm_gmem_owner_counters, a line with name and number each
 *   canary	write a number of enum canary, and that violation is committed
 *		with a page that has no user.  It must be reported once, as it
 *		would be if KVM had done it, and counts as a canary.
 *   relocate	write Y, and private pages of the files that are created then have to
 *		be relocated.  It must remain so until they are gone.
 */

#include <linux/debugfs.h>
#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/seq_file.h>

#include "gmem_owner_check.h"

static int counters_show(struct seq_file *m, void *unused)
{
	struct kvm_gmem_owner_counters c;

	kvm_gmem_owner_get_counters(&c);
	seq_printf(m, "made %llu\n", c.made);
	seq_printf(m, "ended %llu\n", c.ended);
	seq_printf(m, "reclaimed %llu\n", c.reclaimed);
	seq_printf(m, "failed %llu\n", c.failed);
	seq_printf(m, "owned %llu\n", c.owned);
	seq_printf(m, "known %llu\n", c.known);
	seq_printf(m, "relocated %llu\n", c.relocated);
	seq_printf(m, "reports %llu\n", c.reports);
	seq_printf(m, "canaries %llu\n", c.canaries);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

enum canary {
	CANARY_MADE_TWICE,
	CANARY_MADE_UNLOCKED,
	CANARY_MADE_UNRECLAIMED,
	CANARY_ENDED_NOT_PRIVATE,
	CANARY_ENDED_OTHER_GFN,
	CANARY_ENDED_MAPPED,
	CANARY_RECLAIMED_PRIVATE,
	CANARY_RECLAIMED_TWICE,
	CANARY_MAPPED_NOT_PRIVATE,
	CANARY_MAPPED_OTHER_VM,
	CANARY_MAPPED_SHARED,
	CANARY_MAPPED_UNRECLAIMED,
	CANARY_RELOCATED_OTHER_GFN,
	CANARY_RELOCATED_MAPPED,
	CANARY_COPIED,
	CANARY_VM_GONE,
	NR_CANARIES,
};

/* VMs are addresses. */
static const char vm, other_vm;

static void canary_made(enum canary canary, struct page *page)
{
	kvm_pfn_t pfn = page_to_pfn(page);

	if (canary == CANARY_MADE_UNLOCKED) {
		unlock_page(page);
		kvm_gmem_owner_make(&vm, 1, pfn, 1);
		lock_page(page);
		return;
	}

	kvm_gmem_owner_make(&vm, 1, pfn, 1);
	if (canary == CANARY_MADE_UNRECLAIMED) {
		kvm_gmem_owner_end(&vm, 1, pfn, 1, false);
		page->index++;
	}
	kvm_gmem_owner_make(&vm, 1, pfn, 1);
}

static void canary_ended(enum canary canary, kvm_pfn_t pfn)
{
	if (canary != CANARY_ENDED_NOT_PRIVATE)
		kvm_gmem_owner_make(&vm, 1, pfn, 1);
	kvm_gmem_owner_end(&vm, canary == CANARY_ENDED_OTHER_GFN ? 2 : 1, pfn,
			   1, canary == CANARY_ENDED_MAPPED);
}

static void canary_reclaimed(enum canary canary, kvm_pfn_t pfn)
{
	kvm_gmem_owner_make(&vm, 1, pfn, 1);
	if (canary == CANARY_RECLAIMED_TWICE) {
		kvm_gmem_owner_end(&vm, 1, pfn, 1, false);
		kvm_gmem_owner_reclaim(pfn, 1);
	}
	kvm_gmem_owner_reclaim(pfn, 1);
}

static void canary_mapped(enum canary canary, struct page *page)
{
	kvm_pfn_t pfn = page_to_pfn(page);
	bool shared = canary == CANARY_MAPPED_SHARED ||
		      canary == CANARY_MAPPED_UNRECLAIMED;

	if (canary != CANARY_MAPPED_NOT_PRIVATE)
		kvm_gmem_owner_make(&vm, 1, pfn, 1);
	if (canary == CANARY_MAPPED_UNRECLAIMED) {
		kvm_gmem_owner_end(&vm, 1, pfn, 1, false);
		page->index++;
	}
	kvm_gmem_owner_check_page(canary == CANARY_MAPPED_NOT_PRIVATE ? &vm :
				  &other_vm, 1, pfn, !shared);
}

static void canary_copied(kvm_pfn_t pfn, kvm_pfn_t to)
{
	bool was = kvm_gmem_owner_relocates();

	WRITE_ONCE(kvm_gmem_owner_relocating, true);
	kvm_gmem_owner_move(pfn, to, 1);
	WRITE_ONCE(kvm_gmem_owner_relocating, was);
	kvm_gmem_owner_forget(to);
}

static void canary_moved(enum canary canary, kvm_pfn_t pfn)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_NOFAIL);
	gfn_t gfn = canary == CANARY_RELOCATED_OTHER_GFN ? 2 : 1;

	kvm_gmem_owner_make(&vm, 1, pfn, 1);
	if (canary == CANARY_COPIED)
		canary_copied(pfn, page_to_pfn(page));
	else
		kvm_gmem_owner_relocate(&vm, gfn, pfn, page_to_pfn(page),
					canary == CANARY_RELOCATED_MAPPED);
	__free_page(page);
}

static void canary_commit(enum canary canary, struct page *page)
{
	kvm_pfn_t pfn = page_to_pfn(page);

	switch (canary) {
	case CANARY_MADE_TWICE ... CANARY_MADE_UNRECLAIMED:
		canary_made(canary, page);
		break;
	case CANARY_ENDED_NOT_PRIVATE ... CANARY_ENDED_MAPPED:
		canary_ended(canary, pfn);
		break;
	case CANARY_RECLAIMED_PRIVATE ... CANARY_RECLAIMED_TWICE:
		canary_reclaimed(canary, pfn);
		break;
	case CANARY_MAPPED_NOT_PRIVATE ... CANARY_MAPPED_UNRECLAIMED:
		canary_mapped(canary, page);
		break;
	case CANARY_RELOCATED_OTHER_GFN ... CANARY_COPIED:
		canary_moved(canary, pfn);
		break;
	default:
		kvm_gmem_owner_make(&vm, 1, pfn, 1);
		kvm_gmem_owner_vm_gone(&vm);
	}
}

static int canary_set(void *unused, u64 canary)
{
	static DEFINE_MUTEX(lock);
	struct page *page;
	int r;

	if (canary >= NR_CANARIES)
		return -EINVAL;

	page = alloc_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	r = kvm_gmem_owner_reserve(page_to_pfn(page), 1);
	if (r)
		goto out_free;

	mutex_lock(&lock);
	WRITE_ONCE(kvm_gmem_owner_canary, current);
	lock_page(page);
	canary_commit(canary, page);
	unlock_page(page);
	WRITE_ONCE(kvm_gmem_owner_canary, NULL);
	mutex_unlock(&lock);

	kvm_gmem_owner_forget(page_to_pfn(page));
out_free:
	__free_page(page);
	return r;
}
DEFINE_DEBUGFS_ATTRIBUTE(canary_fops, NULL, canary_set, "%llu\n");

void kvm_gmem_owner_init(struct dentry *kvm_dir)
{
	struct dentry *dir = debugfs_create_dir("gmem_owner", kvm_dir);

	kvm_gmem_owner_init_fault(dir);
	debugfs_create_file("counters", 0444, dir, NULL, &counters_fops);
	debugfs_create_file_unsafe("canary", 0200, dir, NULL, &canary_fops);
	debugfs_create_bool("relocate", 0600, dir, &kvm_gmem_owner_relocating);
}
