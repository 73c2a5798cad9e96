// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: /sys/kernel/debug/guest_memfd/
 *
 *   total	the sum over all files
 *   files	one line for each, also for those that are in no process's table
 *		of file descriptors
 *
 * No file is locked, so neither has to wait for anything.
 */

#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/rculist.h>
#include <linux/seq_file.h>

#include "account.h"
#include "internal.h"

static int total_show(struct seq_file *m, void *unused)
{
	struct gmem_usage total;

	gmem_usage_total(&total);
	seq_printf(m, "files:\t%lu\n", total.nr_files);
	seq_printf(m, "resident:\t%lu\n", total.nr_pages << PAGE_SHIFT);
	seq_printf(m, "huge:\t%lu\n", total.nr_huge << PAGE_SHIFT);
	seq_printf(m, "private:\t%lu\n", total.nr_private << PAGE_SHIFT);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(total);

static void *files_start(struct seq_file *m, loff_t *pos)
	__acquires(RCU)
{
	rcu_read_lock();
	return seq_list_start_rcu(&gmem_files, *pos);
}

static void *files_next(struct seq_file *m, void *v, loff_t *pos)
{
	return seq_list_next_rcu(v, &gmem_files, pos);
}

static void files_stop(struct seq_file *m, void *v)
	__releases(RCU)
{
	rcu_read_unlock();
}

static int files_show(struct seq_file *m, void *v)
{
	struct gmem_inode *gi = list_entry_rcu(v, struct gmem_inode, files);
	struct gmem_usage usage;

	gmem_usage_of(&gi->vfs_inode, &usage);
	seq_printf(m, "ino=%lu size=%lld resident=%lu", gi->vfs_inode.i_ino,
		   i_size_read(&gi->vfs_inode), usage.nr_pages << PAGE_SHIFT);
	seq_printf(m, " huge=%lu", usage.nr_huge << PAGE_SHIFT);
	seq_puts(m, " flags=");
	gmem_show_flags(m, gi->flags, ',');
	seq_putc(m, '\n');
	return 0;
}

static const struct seq_operations files_sops = {
	.start	= files_start,
	.next	= files_next,
	.stop	= files_stop,
	.show	= files_show,
};
DEFINE_SEQ_ATTRIBUTE(files);

static int __init gmem_debugfs_init(void)
{
	struct dentry *dir = debugfs_create_dir("guest_memfd", NULL);

	debugfs_create_file("total", 0400, dir, NULL, &total_fops);
	debugfs_create_file("files", 0400, dir, NULL, &files_fops);
	return 0;
}
late_initcall(gmem_debugfs_init);
