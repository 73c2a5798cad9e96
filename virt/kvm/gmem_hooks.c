// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd and confidential hardware: which page is private to which gfn.
 *
 * guest_memfd calls for the private memory of VMs that have any, once per page
 * and change, see mm/guest_memfd/prepare.c; here the calls are passed on to
 *
 *   the architecture,	which tells the hardware, by kvm_arch_gmem_*(): each is
 *			there if the HAVE_KVM_ARCH_GMEM_* symbol is selected;
 *   the checker,	gmem_owner_check.c, if it is configured: it learns of a
 *			page before and of its return after the hardware does.
 */

#include <linux/kvm_host.h>

#include "gmem_hooks.h"
#include "gmem_owner_check.h"

/*
 * Pages [pfn, pfn + nr) are to become the private memory of [gfn, gfn + nr).
 * Their folio is locked, and the file's invalidate_lock is held for read.
 * Return: 0, -ENOMEM or -EIO: all or nothing.
 */
int kvm_gmem_hook_prepare(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
			  unsigned long nr)
{
	int r;

	r = kvm_gmem_owner_reserve(pfn, nr);
	if (r)
		return r;

	r = kvm_arch_gmem_make_private(kvm, gfn, pfn, nr);
	if (r)
		kvm_gmem_owner_cancel(pfn, nr);
	else
		kvm_gmem_owner_make(kvm, gfn, pfn, nr);
	return r;
}

/*
 * They no longer are.  Nothing maps them, and they are not used before this
 * returns.  The file's invalidate_lock is held for write.
 */
void kvm_gmem_hook_unprepare(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
			     unsigned long nr)
{
	kvm_gmem_owner_end(kvm, gfn, pfn, nr,
			   kvm_arch_gmem_is_mapped(kvm, gfn, pfn, nr));
	kvm_arch_gmem_invalidate_range(kvm, gfn, pfn, nr);
}

/*
 * At least one of the pages has been private, they have left the file, and the
 * host is going to use them.  The VM can be gone already.  Must not sleep.
 */
void kvm_gmem_hook_restore(unsigned long pfn, unsigned long nr)
{
	kvm_arch_gmem_reclaim(pfn, nr);
	kvm_gmem_owner_reclaim(pfn, nr);
}

/* Whether pages that are private in a new file have to be relocated, not copied. */
bool kvm_gmem_hook_relocates(void)
{
	return kvm_gmem_has_hardware_hooks() || kvm_gmem_owner_relocates();
}

/*
 * The private memory of @gfn moves from one page to another, both locked.  Nothing
 * maps it.  The file's invalidate_lock is held for read.
 * Return: 0; or -errno, and nothing has changed.
 */
int kvm_gmem_hook_relocate(struct kvm *kvm, gfn_t gfn, kvm_pfn_t from,
			   kvm_pfn_t to)
{
	int r;

	r = kvm_gmem_owner_allow_relocation();
	if (r)
		return r;
	r = kvm_arch_gmem_relocate(kvm, gfn, from, to);
	if (r)
		return r;
	kvm_gmem_owner_relocate(kvm, gfn, from, to,
				kvm_arch_gmem_is_mapped(kvm, gfn, from, 1));
	return 0;
}

/*
 * At least one of the pages has been private, and all have been moved to others, which
 * are in the same place of the same file.
 */
void kvm_gmem_hook_moved(unsigned long from, unsigned long to, unsigned long nr)
{
	kvm_gmem_owner_move(from, to, nr);
}
