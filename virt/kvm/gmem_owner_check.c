// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check which VM and gfn own the pages of private memory.  For tests only.
 *
 * A table in software stands for what confidential hardware knows: for each
 * page that has been private, the VM and gfn that it belongs to, if it still
 * does.  KVM's calls change the table; what the hardware would punish with a
 * machine check, or not at all, is reported here, as a warning:
 *
 *   - a page is made private that is private already, without the folio lock
 *     that makes this impossible, or that has left a file without reclaim;
 *   - private memory ends that is not private to that gfn, or still mapped;
 *   - a page is reclaimed that is private, or that never was;
 *   - a private gfn is mapped to a page that is not its own;
 *   - a shared gfn, of whatever VM, is mapped to a private page, or to one that
 *     has left a file without reclaim;
 *   - a page is relocated that is not private to that gfn, or still mapped;
 *   - a page is copied that had to be relocated;
 *   - a VM goes and a page still belongs to it.
 *
 * A page goes through RESERVED (its entry exists, the hardware does not know it
 * yet), OWNED, ENDED (still in the file), perhaps OWNED again, and loses its
 * entry by reclaim.  If it is migrated, the entry goes along.
 *
 * Tests can ask for files whose private pages have to be relocated.  The checker does
 * it, in place of hardware: it copies the page, and overwrites the old one, so that a
 * copy that anybody else makes is found to be wrong.
 *
 * The table's lock is innermost: mappings are checked under mmu_lock.  A VM is
 * an address in the table and not dereferenced, as entries outlive it.
 *
 * The directory kvm/gmem_owner in debugfs shows counters and has what tests need;
 * see gmem_owner_debugfs.c.  fail_make_private/ in it is the usual fault
 * injection: attempts to make pages private fail with -ENOMEM.
 * fail_relocate/ does so for attempts to relocate a page, with -EIO.
 */

#include <linux/debugfs.h>
#include <linux/fault-inject.h>
#include <linux/kvm_host.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "gmem_owner_check.h"

/* Reports that are printed; all are counted. */
#define MAX_PRINTED	32

enum owner_state { RESERVED, OWNED, ENDED };

struct gmem_owner {
	enum owner_state state;
	const void *vm;
	gfn_t gfn;
	/* Where in which file; compared, not used. */
	const struct address_space *mapping;
	pgoff_t index;
	/* Has been relocated, and is not in its place yet. */
	bool relocated;
};

static DEFINE_XARRAY(owners);

/* Whether private pages of new files have to be relocated; see gmem_owner_debugfs.c. */
bool kvm_gmem_owner_relocating;

/* Under the table's lock. */
static struct kvm_gmem_owner_counters counters;

/* The task that commits a violation on purpose; see gmem_owner_debugfs.c. */
struct task_struct *kvm_gmem_owner_canary;

static __printf(1, 2) void owner_report(const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	lockdep_assert_held(&owners.xa_lock);

	if (READ_ONCE(kvm_gmem_owner_canary) == current)
		counters.canaries++;
	else
		counters.reports++;
	if (counters.reports > MAX_PRINTED)
		return;

	va_start(args, fmt);
	vaf.va = &args;
	WARN(1, "gmem_owner: %pV\n", &vaf);
	va_end(args);
}

/* Its index in its file; the folio's, for a page of a large one. */
static pgoff_t pfn_index(struct folio *folio, kvm_pfn_t pfn)
{
	return folio->index + (pfn - folio_pfn(folio));
}

static bool owner_left_file(const struct gmem_owner *o, kvm_pfn_t pfn)
{
	struct folio *folio = page_folio(pfn_to_page(pfn));

	return o->state == ENDED && (o->mapping != folio->mapping ||
				     o->index != pfn_index(folio, pfn));
}

/*
 * What the hooks say
 */

static void owner_cancel_one(kvm_pfn_t pfn)
{
	struct gmem_owner *o;

	lockdep_assert_held(&owners.xa_lock);

	o = xa_load(&owners, pfn);
	if (!o || o->state != RESERVED)
		return;
	__xa_erase(&owners, pfn);
	counters.known--;
	kfree(o);
}

void kvm_gmem_owner_cancel(kvm_pfn_t pfn, unsigned long nr)
{
	unsigned long i;

	xa_lock(&owners);
	counters.failed++;
	for (i = 0; i < nr; i++)
		owner_cancel_one(pfn + i);
	xa_unlock(&owners);
}

static int owner_reserve_one(kvm_pfn_t pfn)
{
	struct gmem_owner *o;
	int r;

	if (xa_load(&owners, pfn))
		return 0;

	o = kzalloc(sizeof(*o), GFP_KERNEL_ACCOUNT);
	if (!o)
		return -ENOMEM;

	xa_lock(&owners);
	r = __xa_insert(&owners, pfn, o, GFP_KERNEL);
	counters.known += !r;
	xa_unlock(&owners);
	if (r)
		kfree(o);
	/* -EBUSY: twice at the same time; kvm_gmem_owner_make() complains. */
	return r == -EBUSY ? 0 : r;
}

#ifdef CONFIG_FAULT_INJECTION
static DECLARE_FAULT_ATTR(fail_make_private);
static DECLARE_FAULT_ATTR(fail_relocate);

void kvm_gmem_owner_init_fault(struct dentry *dir)
{
	/* A report of its own would fail the test that asked for it. */
	fail_make_private.verbose = 0;
	fault_create_debugfs_attr("fail_make_private", dir, &fail_make_private);
	fail_relocate.verbose = 0;
	fault_create_debugfs_attr("fail_relocate", dir, &fail_relocate);
}

/* Asked before the hardware: 0, or -EIO if it is to refuse. */
int kvm_gmem_owner_allow_relocation(void)
{
	return should_fail(&fail_relocate, 1) ? -EIO : 0;
}

static bool owner_should_fail(void)
{
	return should_fail(&fail_make_private, 1);
}
#else
void kvm_gmem_owner_init_fault(struct dentry *dir)
{
}

int kvm_gmem_owner_allow_relocation(void)
{
	return 0;
}

static bool owner_should_fail(void)
{
	return false;
}
#endif

/* All that can fail, or is made to fail as if the hardware had refused. */
int kvm_gmem_owner_reserve(kvm_pfn_t pfn, unsigned long nr)
{
	unsigned long i;
	int r = 0;

	for (i = 0; i < nr && !r; i++)
		r = owner_reserve_one(pfn + i);
	if (!r && owner_should_fail())
		r = -ENOMEM;
	if (r)
		kvm_gmem_owner_cancel(pfn, nr);
	return r;
}

static void owner_make_one(const void *vm, gfn_t gfn, kvm_pfn_t pfn)
{
	struct folio *folio = page_folio(pfn_to_page(pfn));
	struct gmem_owner *o = xa_load(&owners, pfn);

	lockdep_assert_held(&owners.xa_lock);

	if (!folio_test_locked(folio))
		owner_report("pfn %llx made private, not locked", pfn);
	if (!o) {
		owner_report("pfn %llx made private, not reserved", pfn);
		return;
	}
	if (o->state == OWNED)
		owner_report("pfn %llx made private for gfn %llx, has gfn %llx",
			     pfn, gfn, o->gfn);
	else
		counters.owned++;
	if (owner_left_file(o, pfn))
		owner_report("pfn %llx made private, left a file unreclaimed",
			     pfn);

	o->state = OWNED;
	o->vm = vm;
	o->gfn = gfn;
	o->mapping = folio->mapping;
	o->index = pfn_index(folio, pfn);
	counters.made++;
}

void kvm_gmem_owner_make(const void *vm, gfn_t gfn, kvm_pfn_t pfn,
			 unsigned long nr)
{
	unsigned long i;

	xa_lock(&owners);
	for (i = 0; i < nr; i++)
		owner_make_one(vm, gfn + i, pfn + i);
	xa_unlock(&owners);
}

static void owner_end_one(const void *vm, gfn_t gfn, kvm_pfn_t pfn)
{
	struct gmem_owner *o = xa_load(&owners, pfn);

	lockdep_assert_held(&owners.xa_lock);

	if (!o || o->state != OWNED) {
		owner_report("pfn %llx ends for gfn %llx, is not private", pfn,
			     gfn);
		return;
	}
	if (o->vm != vm || o->gfn != gfn)
		owner_report("pfn %llx ends for gfn %llx, has gfn %llx%s", pfn,
			     gfn, o->gfn, o->vm == vm ? "" : " of another VM");

	o->state = ENDED;
	counters.owned--;
	counters.ended++;
}

/* @mapped: at least one of the gfns is. */
void kvm_gmem_owner_end(const void *vm, gfn_t gfn, kvm_pfn_t pfn,
			unsigned long nr, bool mapped)
{
	unsigned long i;

	xa_lock(&owners);
	if (mapped)
		owner_report("pfn %llx ends, gfn %llx is mapped", pfn, gfn);
	for (i = 0; i < nr; i++)
		owner_end_one(vm, gfn + i, pfn + i);
	xa_unlock(&owners);
}

/* Of a large folio, some pages may never have been private. */
void kvm_gmem_owner_reclaim(unsigned long pfn, unsigned long nr)
{
	struct gmem_owner *o;
	unsigned long i;
	bool any = false;

	xa_lock(&owners);
	for (i = 0; i < nr; i++) {
		o = __xa_erase(&owners, pfn + i);
		if (!o)
			continue;
		any = true;
		if (o->state == OWNED) {
			owner_report("pfn %lx reclaimed, gfn %llx has it",
				     pfn + i, o->gfn);
			counters.owned--;
		}
		counters.known--;
		counters.reclaimed++;
		kfree(o);
	}
	if (!any)
		owner_report("pfn %lx reclaimed, never was private", pfn);
	xa_unlock(&owners);
}

/* Where there is no hardware that does it. */
static void owner_relocate_contents(kvm_pfn_t from, kvm_pfn_t to)
{
	void *old = kmap_local_page(pfn_to_page(from));

	copy_highpage(pfn_to_page(to), pfn_to_page(from));
	memset(old, 0xaa, PAGE_SIZE);
	kunmap_local(old);
}

bool kvm_gmem_owner_relocates(void)
{
	return READ_ONCE(kvm_gmem_owner_relocating);
}

/* The entry of @from is moved later, by kvm_gmem_owner_move(). */
void kvm_gmem_owner_relocate(const void *vm, gfn_t gfn, kvm_pfn_t from,
			     kvm_pfn_t to, bool mapped)
{
	struct gmem_owner *o;

	xa_lock(&owners);
	o = xa_load(&owners, from);
	if (mapped)
		owner_report("pfn %llx relocated, gfn %llx is mapped", from, gfn);
	if (!o || o->state != OWNED || o->vm != vm || o->gfn != gfn)
		owner_report("pfn %llx relocated, is not of gfn %llx", from, gfn);
	else
		o->relocated = true;
	counters.relocated++;
	xa_unlock(&owners);

	if (!IS_ENABLED(CONFIG_HAVE_KVM_ARCH_GMEM_RELOCATE))
		owner_relocate_contents(from, to);
}

static void owner_move_one(kvm_pfn_t from, kvm_pfn_t to)
{
	struct gmem_owner *o, *old;

	xa_lock(&owners);
	o = __xa_erase(&owners, from);
	if (o) {
		/* A checker that forgets is of no use, and needs no mercy. */
		old = __xa_store(&owners, to, o, GFP_KERNEL | __GFP_NOFAIL);
		if (old) {
			owner_report("pfn %llx is a copy of %llx, was known",
				     to, from);
			kfree(old);
			counters.known--;
		}
		if (owner_left_file(o, to))
			owner_report("pfn %llx is a copy of %llx, elsewhere",
				     to, from);
		if (kvm_gmem_owner_relocates() && !o->relocated)
			owner_report("pfn %llx is a copy of %llx, not relocated",
				     to, from);
		o->relocated = false;
	}
	xa_unlock(&owners);
}

/* Pages have been moved, and what is known of them holds for where they are now. */
void kvm_gmem_owner_move(unsigned long from, unsigned long to, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		owner_move_one(from + i, to + i);
}

/*
 * What else happens
 */

void kvm_gmem_owner_check_page(const void *vm, gfn_t gfn, kvm_pfn_t pfn,
			       bool is_private)
{
	struct gmem_owner *o;
	bool owned;

	xa_lock(&owners);
	o = xa_load(&owners, pfn);
	owned = o && o->state == OWNED;

	if (is_private && (!owned || o->vm != vm || o->gfn != gfn))
		owner_report("gfn %llx mapped, pfn %llx is not its own", gfn,
			     pfn);
	if (!is_private && owned)
		owner_report("shared gfn %llx mapped, pfn %llx is private", gfn,
			     pfn);
	if (!is_private && o && owner_left_file(o, pfn))
		owner_report("gfn %llx mapped, pfn %llx left a file unreclaimed",
			     gfn, pfn);
	xa_unlock(&owners);
}

/*
 * A mapping is about to be installed.  With mmu_lock held, and after the check
 * that the gfn is not being invalidated: what it is cannot change.
 */
void kvm_gmem_owner_check_mapping(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
				  unsigned long nr)
{
	struct kvm_memory_slot *slot;
	unsigned long i;

	lockdep_assert_held(&kvm->mmu_lock);

	for (i = 0; i < nr; i++) {
		slot = gfn_to_memslot(kvm, gfn + i);
		kvm_gmem_owner_check_page(kvm, gfn + i, pfn + i,
					  kvm_gmem_is_private(kvm, slot,
							      gfn + i));
	}
}

void kvm_gmem_owner_vm_gone(const void *vm)
{
	struct gmem_owner *o;
	unsigned long pfn;

	xa_lock(&owners);
	xa_for_each(&owners, pfn, o) {
		if (o->state == OWNED && o->vm == vm)
			owner_report("pfn %lx belongs to a VM that is gone",
				     pfn);
	}
	xa_unlock(&owners);
}

/* Whatever is known of a page: only for what canaries leave behind. */
void kvm_gmem_owner_forget(kvm_pfn_t pfn)
{
	struct gmem_owner *o;

	xa_lock(&owners);
	o = __xa_erase(&owners, pfn);
	if (o) {
		counters.known--;
		counters.owned -= o->state == OWNED;
	}
	xa_unlock(&owners);
	kfree(o);
}

void kvm_gmem_owner_get_counters(struct kvm_gmem_owner_counters *c)
{
	xa_lock(&owners);
	*c = counters;
	xa_unlock(&owners);
}

/* KVM goes: what is left was not reclaimed. */
void kvm_gmem_owner_exit(void)
{
	struct gmem_owner *o;
	unsigned long pfn;

	xa_lock(&owners);
	xa_for_each(&owners, pfn, o) {
		owner_report("pfn %lx was not reclaimed", pfn);
		__xa_erase(&owners, pfn);
		kfree(o);
	}
	memset(&counters, 0, sizeof(counters));
	xa_unlock(&owners);
}
