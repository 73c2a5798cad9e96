// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: what mm asks a file about its folios.
 */

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "internal.h"

static bool gmem_release_folio(struct folio *folio, gfp_t gfp)
{
	if (gmem_is_splitting(folio))
		return true;
	return false;
}

static void gmem_free_folio(struct folio *folio)
{
	if (gmem_let_go(folio))
		folio_put(folio);
}

static int gmem_migrate_folio(struct address_space *mapping, struct folio *dst,
			      struct folio *src, enum migrate_mode mode)
{
	if (gmem_is_movable(mapping->host))
		return gmem_migrate_movable(mapping->host, dst, src, mode);
	return -EBUSY;
}

const struct address_space_operations gmem_aops = {
	.dirty_folio		= noop_dirty_folio,
	.release_folio		= gmem_release_folio,
	.free_folio		= gmem_free_folio,
	.migrate_folio		= gmem_migrate_folio,
};
