/* SPDX-License-Identifier: GPL-2.0 */
/* For range_map_test.c: tools/include has all of it in one header. */
#ifndef SELFTEST_KVM_LINUX_RBTREE_TYPES_H
#define SELFTEST_KVM_LINUX_RBTREE_TYPES_H

#include <linux/rbtree.h>

#endif /* SELFTEST_KVM_LINUX_RBTREE_TYPES_H */
