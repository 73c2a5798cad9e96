// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion of guest memory between private and shared, in place.
 *
 * In a VM with private memory, a file that can be mapped is convertible: the
 * file, and not an attribute of the VM, says which page is private.  Its slots
 * have no other memory, so that KVM's own accesses go to the file either way.
 *
 * These are the ioctls on such a file.  They say what userspace may ask for and
 * translate that; mm/guest_memfd/convert.c does the work, and has mappings of the
 * guest removed through the callbacks of the slots' bindings.
 */

#include <linux/guest_memfd.h>
#include <linux/kvm_host.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "gmem_convert.h"
#include "gmem_policy.h"
#include "guest_memfd.h"
#include "mem_attributes.h"

#define KVM_GMEM_CONVERT_FLAGS	(KVM_MEMORY_ATTRIBUTES2_ZERO |		\
				 KVM_MEMORY_ATTRIBUTES2_PRESERVE |	\
				 KVM_MEMORY_ATTRIBUTES2_WAIT)

/* Ranges of a batch that are read from userspace at a time. */
#define KVM_GMEM_VEC_CHUNK	16

static_assert(sizeof(struct kvm_memory_attributes2) == 128);
static_assert(sizeof(struct kvm_gmem_attributes_vec) == 128);
static_assert(sizeof(struct kvm_gmem_get_attributes) == 128);

/* The values of the interface are those of mm. */
static_assert((int)KVM_GMEM_BUSY_MAPPED == GUEST_MEMFD_BUSY_MAPPED);
static_assert((int)KVM_GMEM_BUSY_PINNED == GUEST_MEMFD_BUSY_PINNED);
static_assert((int)KVM_GMEM_BUSY_OTHER == GUEST_MEMFD_BUSY_OTHER);
static_assert((int)KVM_GMEM_BUSY_PENDING == GUEST_MEMFD_BUSY_PENDING);

/* What both forms of conversion have in common, but for the range. */
static int kvm_gmem_init_conversion(struct guest_memfd_conversion *conversion,
				    struct kvm *kvm, u64 attributes, u64 flags,
				    u64 timeout_ns)
{
	bool shared = !(attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE);
	ktime_t timeout = min_t(u64, timeout_ns, KTIME_MAX);

	if (!kvm_arch_has_private_mem(kvm))
		return -EINVAL;
	if (attributes & ~kvm_supported_memory_attributes(kvm))
		return -EINVAL;
	if (flags & ~KVM_GMEM_CONVERT_FLAGS)
		return -EINVAL;
	if (timeout_ns && !(flags & KVM_MEMORY_ATTRIBUTES2_WAIT))
		return -EINVAL;
	/* What the host has put there is what the guest shall find. */
	if (flags & KVM_MEMORY_ATTRIBUTES2_ZERO &&
	    (!shared || flags & KVM_MEMORY_ATTRIBUTES2_PRESERVE))
		return -EINVAL;
	if (flags & KVM_MEMORY_ATTRIBUTES2_PRESERVE && shared &&
	    !kvm_arch_gmem_may_preserve(kvm))
		return -EOPNOTSUPP;

	*conversion = (struct guest_memfd_conversion) {
		.shared		= shared,
		.preserve	= flags & KVM_MEMORY_ATTRIBUTES2_PRESERVE,
		.wait		= flags & KVM_MEMORY_ATTRIBUTES2_WAIT,
		.deadline	= ktime_add_safe(ktime_get(), timeout),
	};
	return 0;
}

static int kvm_gmem_put_attributes2(struct kvm_memory_attributes2 __user *uattrs,
				    const struct guest_memfd_conversion *c)
{
	if (put_user(c->error_offset, &uattrs->error_offset))
		return -EFAULT;
	if (c->wait && put_user((u64)c->reason, &uattrs->reason))
		return -EFAULT;
	return 0;
}

/* KVM_SET_MEMORY_ATTRIBUTES2 */
static int kvm_gmem_set_attributes(struct file *file, struct kvm *kvm,
				   struct kvm_memory_attributes2 __user *uattrs)
{
	struct guest_memfd_conversion conversion;
	struct kvm_memory_attributes2 attrs;
	int r;

	if (copy_from_user(&attrs, uattrs, sizeof(attrs)))
		return -EFAULT;
	/* Where waiting is in use, it is what the call before has answered. */
	if (attrs.reason && !(attrs.flags & KVM_MEMORY_ATTRIBUTES2_WAIT))
		return -EINVAL;
	if (memchr_inv(attrs.padding, 0, sizeof(attrs.padding)))
		return -EINVAL;

	r = kvm_gmem_init_conversion(&conversion, kvm, attrs.attributes,
				     attrs.flags, attrs.timeout_ns);
	if (r)
		return r;

	conversion.offset = attrs.offset;
	conversion.size = attrs.size;
	r = guest_memfd_convert(file, &conversion);
	if (r == -EAGAIN && kvm_gmem_put_attributes2(uattrs, &conversion))
		return -EFAULT;
	return r;
}

/* Convert ranges until one fails; count those that did not. */
static int kvm_gmem_convert_chunk(struct file *file,
				  struct guest_memfd_conversion *conversion,
				  const struct kvm_gmem_range *ranges, u64 nr,
				  u64 *done)
{
	u64 i;
	int r;

	for (i = 0; i < nr; i++) {
		if (signal_pending(current))
			return -EINTR;

		conversion->offset = ranges[i].offset;
		conversion->size = ranges[i].size;
		r = guest_memfd_convert(file, conversion);
		if (r)
			return r;
		(*done)++;
	}
	return 0;
}

static int kvm_gmem_convert_vec(struct file *file,
				struct guest_memfd_conversion *conversion,
				const struct kvm_gmem_range __user *uranges,
				u64 nr, u64 *done)
{
	struct kvm_gmem_range ranges[KVM_GMEM_VEC_CHUNK];
	int r = 0;

	while (!r && *done < nr) {
		u64 n = min_t(u64, nr - *done, ARRAY_SIZE(ranges));

		if (copy_from_user(ranges, uranges + *done,
				   n * sizeof(*ranges)))
			return -EFAULT;
		r = kvm_gmem_convert_chunk(file, conversion, ranges, n, done);
		cond_resched();
	}
	return r;
}

static int kvm_gmem_put_vec(struct kvm_gmem_attributes_vec __user *uvec,
			    const struct guest_memfd_conversion *c, int r,
			    u64 done)
{
	if (put_user(done, &uvec->done))
		return -EFAULT;
	if (r != -EAGAIN)
		return 0;
	if (put_user(c->error_offset, &uvec->error_offset))
		return -EFAULT;
	if (c->wait && put_user((u64)c->reason, &uvec->reason))
		return -EFAULT;
	return 0;
}

/* KVM_GMEM_SET_ATTRIBUTES_VEC */
static int kvm_gmem_set_attributes_vec(struct file *file, struct kvm *kvm,
				       struct kvm_gmem_attributes_vec __user *uvec)
{
	struct guest_memfd_conversion conversion;
	struct kvm_gmem_attributes_vec vec;
	u64 done = 0;
	int r;

	if (copy_from_user(&vec, uvec, sizeof(vec)))
		return -EFAULT;
	if (!vec.nr || vec.nr > U64_MAX / sizeof(struct kvm_gmem_range) ||
	    memchr_inv(vec.reserved, 0, sizeof(vec.reserved)))
		return -EINVAL;

	r = kvm_gmem_init_conversion(&conversion, kvm, vec.attributes,
				     vec.flags, vec.timeout_ns);
	if (r)
		return r;

	r = kvm_gmem_convert_vec(file, &conversion, u64_to_user_ptr(vec.ranges),
				 vec.nr, &done);
	if (kvm_gmem_put_vec(uvec, &conversion, r, done))
		return -EFAULT;
	return r;
}

/* KVM_GMEM_GET_ATTRIBUTES */
static int kvm_gmem_get_attributes(struct file *file,
				   struct kvm_gmem_get_attributes __user *uget)
{
	struct kvm_gmem_get_attributes get;
	bool shared;
	int r;

	if (copy_from_user(&get, uget, sizeof(get)))
		return -EFAULT;
	if (get.flags || memchr_inv(get.reserved, 0, sizeof(get.reserved)))
		return -EINVAL;

	r = guest_memfd_get_run(file, get.offset, &get.size, &shared,
				&get.resident);
	if (r)
		return r;

	get.attributes = shared ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE;
	return copy_to_user(uget, &get, sizeof(get)) ? -EFAULT : 0;
}

/* ioctl() on a file */
long kvm_gmem_ioctl(struct file *file, void *priv, unsigned int cmd,
		    unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	case KVM_SET_MEMORY_ATTRIBUTES2:
		return kvm_gmem_set_attributes(file, priv, argp);
	case KVM_GMEM_SET_ATTRIBUTES_VEC:
		return kvm_gmem_set_attributes_vec(file, priv, argp);
	case KVM_GMEM_GET_ATTRIBUTES:
		return kvm_gmem_get_attributes(file, argp);
	case KVM_GMEM_SET_POLICY:
		return kvm_gmem_set_policy(file, argp);
	case KVM_GMEM_COLLAPSE:
		return kvm_gmem_collapse(file, argp);
	default:
		return -ENOTTY;
	}
}
