/* SPDX-License-Identifier: GPL-2.0 */
/* For range_map_test.c: what tools/include lacks of red-black trees. */
#ifndef SELFTEST_KVM_LINUX_RBTREE_TYPES_H
#define SELFTEST_KVM_LINUX_RBTREE_TYPES_H

#include <linux/rbtree.h>

static inline void rb_link_node_rcu(struct rb_node *node,
				    struct rb_node *parent,
				    struct rb_node **link)
{
	node->__rb_parent_color = (unsigned long)parent;
	node->rb_left = NULL;
	node->rb_right = NULL;
	__atomic_store_n(link, node, __ATOMIC_RELEASE);
}

#endif /* SELFTEST_KVM_LINUX_RBTREE_TYPES_H */
