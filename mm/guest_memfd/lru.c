// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: folios of movable files, and the LRU list that they are on.
 *
 * That list, of unevictable folios, is where mm looks for what it can move.  A
 * folio gets there when it is new.  One that is lost must not be moved any more,
 * and one that has left the file is put on a list of our own.
 */

#include <linux/mm.h>
#include <linux/swap.h>

#include "../internal.h"
#include "backoff.h"
#include "internal.h"
#include "lost.h"

/* How often an isolated folio is looked at, after one more jiffy each time. */
#define GMEM_LRU_TRIES	10

/**
 * gmem_put_on_lru - let mm move a folio
 * @folio:	A new folio of a movable file, with the reference that pins others,
 *		which is dropped.
 *
 * Context: Any; the caller has a reference of its own.
 */
void gmem_put_on_lru(struct folio *folio)
{
	folio_add_lru(folio);
	folio_put(folio);
}

/**
 * gmem_take_off_lru - have a folio be on no LRU list, for good
 * @folio:	The folio of a movable file, or one that has just left it.
 *
 * Context: Any; the caller has a reference.
 * Return: false if it is on none just now: somebody else has taken it, or is about
 *	   to add it, or it has been taken off before.
 */
bool gmem_take_off_lru(struct folio *folio)
{
	if (folio_isolate_lru(folio))
		return false;

	/* As it is freed without having been on the list again. */
	folio_clear_unevictable(folio);
	folio_put(folio);
	return true;
}

/**
 * gmem_take_lost_off_lru - take a lost folio off its LRU list
 * @folio:	The folio, of one page that is lost.
 *
 * Memory hot-unplug expects none that is poisoned there.  Whoever has isolated it
 * meanwhile finds that it cannot be moved, and puts it back.
 *
 * Context: Process context, sleeps; no lock but memory_failure()'s.
 */
void gmem_take_lost_off_lru(struct folio *folio)
{
	unsigned int i;

	for (i = 0; i < GMEM_LRU_TRIES; i++) {
		if (gmem_take_off_lru(folio))
			return;
		/* It is on its way, or somebody has it. */
		gmem_drain_lists();
		if (!folio_test_lru(folio))
			schedule_timeout_uninterruptible(i);
	}
}
