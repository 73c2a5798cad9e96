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

/* All that is freed here has its head as @rcu. */
#define kfree_rcu(p, head)				\
do {							\
	typeof(p) _p = (p);				\
							\
	test_free_rcu(_p, &_p->rcu);			\
} while (0)

#endif /* SELFTEST_KVM_LINUX_RCUPDATE_H */
