/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events of guest_memfd files.
 *
 * Each has the inode number, which is that of fstat() and fdinfo.  Ranges are
 * page indices in the file, of which the last is printed inclusively.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM guest_memfd

#if !defined(_TRACE_GUEST_MEMFD_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_GUEST_MEMFD_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/tracepoint.h>

TRACE_EVENT(guest_memfd_create,
	    TP_PROTO(struct inode *inode, unsigned long flags),
	    TP_ARGS(inode, flags),
	    TP_STRUCT__entry(__field(unsigned long, ino)
			     __field(loff_t, size)
			     __field(unsigned long, flags)),
	    TP_fast_assign(__entry->ino = inode->i_ino;
			   __entry->size = i_size_read(inode);
			   __entry->flags = flags;),
	    TP_printk("ino=%lu size=0x%llx flags=0x%lx",
		      __entry->ino, __entry->size, __entry->flags)
);

DECLARE_EVENT_CLASS(guest_memfd_pages,
		    TP_PROTO(struct inode *inode, unsigned long nr_pages),
		    TP_ARGS(inode, nr_pages),
		    TP_STRUCT__entry(__field(unsigned long, ino)
				     __field(unsigned long, nr_pages)),
		    TP_fast_assign(__entry->ino = inode->i_ino;
				   __entry->nr_pages = nr_pages;),
		    TP_printk("ino=%lu nr_pages=%lu",
			      __entry->ino, __entry->nr_pages)
);

/* The last reference to the file is gone; so many pages are in it. */
DEFINE_EVENT(guest_memfd_pages, guest_memfd_release,
	     TP_PROTO(struct inode *inode, unsigned long nr_pages),
	     TP_ARGS(inode, nr_pages)
);

/* The inode goes and with it what memory there still was: so many pages. */
DEFINE_EVENT(guest_memfd_pages, guest_memfd_evict,
	     TP_PROTO(struct inode *inode, unsigned long nr_pages),
	     TP_ARGS(inode, nr_pages)
);

DECLARE_EVENT_CLASS(guest_memfd_range,
		    TP_PROTO(struct inode *inode, pgoff_t start, pgoff_t end),
		    TP_ARGS(inode, start, end),
		    TP_STRUCT__entry(__field(unsigned long, ino)
				     __field(pgoff_t, start)
				     __field(pgoff_t, last)),
		    TP_fast_assign(__entry->ino = inode->i_ino;
				   __entry->start = start;
				   __entry->last = end - 1;),
		    TP_printk("ino=%lu index=0x%lx-0x%lx",
			      __entry->ino, __entry->start, __entry->last)
);

DEFINE_EVENT(guest_memfd_range, guest_memfd_bind,
	     TP_PROTO(struct inode *inode, pgoff_t start, pgoff_t end),
	     TP_ARGS(inode, start, end)
);

DEFINE_EVENT(guest_memfd_range, guest_memfd_unbind,
	     TP_PROTO(struct inode *inode, pgoff_t start, pgoff_t end),
	     TP_ARGS(inode, start, end)
);

DEFINE_EVENT(guest_memfd_range, guest_memfd_invalidate_start,
	     TP_PROTO(struct inode *inode, pgoff_t start, pgoff_t end),
	     TP_ARGS(inode, start, end)
);

DEFINE_EVENT(guest_memfd_range, guest_memfd_invalidate_end,
	     TP_PROTO(struct inode *inode, pgoff_t start, pgoff_t end),
	     TP_ARGS(inode, start, end)
);

/* A hole has been punched, which freed so many pages. */
TRACE_EVENT(guest_memfd_punch_hole,
	    TP_PROTO(struct inode *inode, pgoff_t start, pgoff_t end,
		     unsigned long nr_pages),
	    TP_ARGS(inode, start, end, nr_pages),
	    TP_STRUCT__entry(__field(unsigned long, ino)
			     __field(pgoff_t, start)
			     __field(pgoff_t, last)
			     __field(unsigned long, nr_pages)),
	    TP_fast_assign(__entry->ino = inode->i_ino;
			   __entry->start = start;
			   __entry->last = end - 1;
			   __entry->nr_pages = nr_pages;),
	    TP_printk("ino=%lu index=0x%lx-0x%lx nr_pages=%lu",
		      __entry->ino, __entry->start, __entry->last,
		      __entry->nr_pages)
);

/* A page was looked up: for a client, by fallocate(), or by a fault in the host. */
TRACE_EVENT(guest_memfd_get_folio,
	    TP_PROTO(struct inode *inode, pgoff_t index,
		     struct folio *folio, bool allocated),
	    TP_ARGS(inode, index, folio, allocated),
	    TP_STRUCT__entry(__field(unsigned long, ino)
			     __field(pgoff_t, index)
			     __field(unsigned long, pfn)
			     __field(unsigned int, order)
			     __field(bool, allocated)),
	    TP_fast_assign(__entry->ino = inode->i_ino;
			   __entry->index = index;
			   __entry->pfn = folio_pfn(folio) + index - folio->index;
			   __entry->order = folio_order(folio);
			   __entry->allocated = allocated;),
	    TP_printk("ino=%lu index=0x%lx pfn=0x%lx order=%u %s",
		      __entry->ino, __entry->index, __entry->pfn,
		      __entry->order, __entry->allocated ? "allocated" : "found")
);

/* A range has been converted, or has not. */
TRACE_EVENT(guest_memfd_convert,
	    TP_PROTO(struct inode *inode, pgoff_t start, pgoff_t end,
		     bool shared, int ret),
	    TP_ARGS(inode, start, end, shared, ret),
	    TP_STRUCT__entry(__field(unsigned long, ino)
			     __field(pgoff_t, start)
			     __field(pgoff_t, last)
			     __field(bool, shared)
			     __field(int, ret)),
	    TP_fast_assign(__entry->ino = inode->i_ino;
			   __entry->start = start;
			   __entry->last = end - 1;
			   __entry->shared = shared;
			   __entry->ret = ret;),
	    TP_printk("ino=%lu index=0x%lx-0x%lx to=%s ret=%d",
		      __entry->ino, __entry->start, __entry->last,
		      __entry->shared ? "shared" : "private", __entry->ret)
);

/* A large folio has been split, or could not be. */
TRACE_EVENT(guest_memfd_split,
	    TP_PROTO(struct inode *inode, pgoff_t index, unsigned int order,
		     int ret),
	    TP_ARGS(inode, index, order, ret),
	    TP_STRUCT__entry(__field(unsigned long, ino)
			     __field(pgoff_t, index)
			     __field(unsigned int, order)
			     __field(int, ret)),
	    TP_fast_assign(__entry->ino = inode->i_ino;
			   __entry->index = index;
			   __entry->order = order;
			   __entry->ret = ret;),
	    TP_printk("ino=%lu index=0x%lx order=%u ret=%d",
		      __entry->ino, __entry->index, __entry->order,
		      __entry->ret)
);

/* A folio has been moved, or has not. */
TRACE_EVENT(guest_memfd_migrate,
	    TP_PROTO(struct inode *inode, struct folio *src, struct folio *dst,
		     int ret),
	    TP_ARGS(inode, src, dst, ret),
	    TP_STRUCT__entry(__field(unsigned long, ino)
			     __field(pgoff_t, index)
			     __field(unsigned long, src)
			     __field(unsigned long, dst)
			     __field(unsigned int, order)
			     __field(int, ret)),
	    TP_fast_assign(__entry->ino = inode->i_ino;
			   __entry->index = src->index;
			   __entry->src = folio_pfn(src);
			   __entry->dst = folio_pfn(dst);
			   __entry->order = folio_order(src);
			   __entry->ret = ret;),
	    TP_printk("ino=%lu index=0x%lx pfn=0x%lx to=0x%lx order=%u ret=%d",
		      __entry->ino, __entry->index, __entry->src,
		      __entry->dst, __entry->order, __entry->ret)
);

/* A large folio has taken the place of small ones, or has not. */
TRACE_EVENT(guest_memfd_collapse,
	    TP_PROTO(struct inode *inode, pgoff_t index, unsigned long pfn,
		     int ret),
	    TP_ARGS(inode, index, pfn, ret),
	    TP_STRUCT__entry(__field(unsigned long, ino)
			     __field(pgoff_t, index)
			     __field(unsigned long, pfn)
			     __field(int, ret)),
	    TP_fast_assign(__entry->ino = inode->i_ino;
			   __entry->index = index;
			   __entry->pfn = pfn;
			   __entry->ret = ret;),
	    TP_printk("ino=%lu index=0x%lx pfn=0x%lx ret=%d", __entry->ino,
		      __entry->index, __entry->pfn, __entry->ret)
);

/* The hardware has lost a page of the file. */
TRACE_EVENT(guest_memfd_error,
	    TP_PROTO(struct inode *inode, pgoff_t index, unsigned long pfn),
	    TP_ARGS(inode, index, pfn),
	    TP_STRUCT__entry(__field(unsigned long, ino)
			     __field(pgoff_t, index)
			     __field(unsigned long, pfn)),
	    TP_fast_assign(__entry->ino = inode->i_ino;
			   __entry->index = index;
			   __entry->pfn = pfn;),
	    TP_printk("ino=%lu index=0x%lx pfn=0x%lx",
		      __entry->ino, __entry->index, __entry->pfn)
);

#endif /* _TRACE_GUEST_MEMFD_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
