// SPDX-License-Identifier: GPL-2.0-only
/*
 * NUMA policy of a guest_memfd, also of one that cannot be mapped.
 *
 * mbind(2) needs an address.  Private memory has none in the host, and a VMM need
 * not map a file in order to say where its memory shall be.
 * For the same reason there is an ioctl for what MADV_COLLAPSE does elsewhere.
 */

#include <linux/guest_memfd.h>
#include <linux/kvm_host.h>
#include <linux/uaccess.h>

#include "gmem_policy.h"

static_assert(sizeof(struct kvm_gmem_policy) == 120);
static_assert(sizeof(struct kvm_gmem_collapse) == 64);

/* KVM_GMEM_SET_POLICY */
int kvm_gmem_set_policy(struct file *file, struct kvm_gmem_policy __user *upolicy)
{
	struct guest_memfd_policy args;
	struct kvm_gmem_policy policy;

	if (copy_from_user(&policy, upolicy, sizeof(policy)))
		return -EFAULT;
	if (memchr_inv(policy.reserved, 0, sizeof(policy.reserved)))
		return -EINVAL;
	/* A bitmap is as many bits as a long can say. */
	if (policy.maxnode != (unsigned long)policy.maxnode)
		return -EINVAL;

	args = (struct guest_memfd_policy) {
		.offset		= policy.offset,
		.size		= policy.size,
		.mode		= policy.mode,
		.flags		= policy.flags,
		.nodes		= u64_to_user_ptr(policy.nodemask),
		.maxnode	= policy.maxnode,
	};
	return guest_memfd_set_policy(file, &args);
}

/* KVM_GMEM_COLLAPSE */
int kvm_gmem_collapse(struct file *file, struct kvm_gmem_collapse __user *ucollapse)
{
	struct kvm_gmem_collapse collapse;
	u64 done = 0;
	int r;

	if (copy_from_user(&collapse, ucollapse, sizeof(collapse)))
		return -EFAULT;
	if (collapse.flags ||
	    memchr_inv(collapse.reserved, 0, sizeof(collapse.reserved)))
		return -EINVAL;

	r = guest_memfd_collapse(file, collapse.offset, collapse.size, &done);
	if (r)
		return r;
	return put_user(done, &ucollapse->done);
}
