/* SPDX-License-Identifier: GPL-2.0 */
/* For range_map_test.c, which says when a grace period is over. */
#ifndef SELFTEST_KVM_LINUX_RCUPDATE_H
#define SELFTEST_KVM_LINUX_RCUPDATE_H

#include <linux/types.h>

struct rcu_head {
	void *next;
	void *func;
};

void rcu_read_lock(void);
void rcu_read_unlock(void);
void test_free_rcu(void *p, struct rcu_head *head);

#define kfree_rcu(p, field)	test_free_rcu(p, &(p)->field)

#endif /* SELFTEST_KVM_LINUX_RCUPDATE_H */
