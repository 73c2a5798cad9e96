// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_PRE_FAULT_MEMORY: map guest memory before a vCPU accesses it.
 *
 * The range is worked off from its start, one mapping at a time, and what is
 * left of it goes back to userspace in any case.  A call that has mapped
 * anything succeeds, whatever stopped it; if the reason persists, the next call
 * reports it.  Userspace thus calls again until nothing is left.
 *
 * A range can be as large as a guest.  kvm->srcu is therefore held for one
 * mapping only, also if the architecture asks to try again: a change of memory
 * slots waits for readers of kvm->srcu, and may be just what has to be waited for.
 *
 *	CPU 0: delete a slot			CPU 1: KVM_PRE_FAULT_MEMORY
 *
 *						srcu_read_lock()
 *	slot becomes KVM_MEMSLOT_INVALID
 *	synchronize_srcu() (waits)
 *						slot is invalid: -EAGAIN, or the
 *						root is obsolete: try again
 *						srcu_read_unlock()
 *	slot is gone
 */

#include <linux/guest_memfd.h>
#include <linux/kvm_host.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "pre_fault.h"

static int kvm_check_pre_fault(const struct kvm_pre_fault_memory *range)
{
	if (range->flags)
		return -EINVAL;
	if (memchr_inv(range->padding, 0, sizeof(range->padding)))
		return -EINVAL;
	if (!PAGE_ALIGNED(range->gpa) || !PAGE_ALIGNED(range->size))
		return -EINVAL;
	/* Empty, or beyond the end of the address space. */
	if (range->gpa + range->size <= range->gpa)
		return -EINVAL;
	return 0;
}

/* Map what comes first.  Returns its size in bytes, 0 to try again, -errno. */
static long kvm_pre_fault_next(struct kvm_vcpu *vcpu,
			       const struct kvm_pre_fault_memory *range)
{
	long r;
	int idx;

	/* Neither goes away by trying again. */
	if (READ_ONCE(vcpu->kvm->vm_dead))
		return -EIO;
	if (signal_pending(current))
		return -EINTR;

	guest_memfd_throttle();
	idx = srcu_read_lock(&vcpu->kvm->srcu);
	r = kvm_arch_vcpu_pre_fault_memory(vcpu, range->gpa, range->size);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);

	cond_resched();
	return r;
}

/* Returns 0 if anything was mapped, else -errno; @range becomes what is left. */
static int kvm_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu,
				     struct kvm_pre_fault_memory *range)
{
	u64 size = range->size;
	long r;

	r = kvm_check_pre_fault(range);
	if (r)
		return r;

	vcpu_load(vcpu);
	do {
		r = kvm_pre_fault_next(vcpu, range);
		if (r < 0)
			break;

		range->gpa += r;
		range->size -= r;
	} while (range->size);
	vcpu_put(vcpu);

	return range->size < size ? 0 : r;
}

/**
 * kvm_vcpu_ioctl_pre_fault_memory - KVM_PRE_FAULT_MEMORY
 * @vcpu:	the vCPU whose view of memory is meant
 * @argp:	in: what to map; out: what is left, shorter if and only if 0 is
 *		returned
 *
 * Context: Process context, vcpu->mutex held.
 * Return: 0 if anything was mapped, else -errno.
 */
int kvm_vcpu_ioctl_pre_fault_memory(struct kvm_vcpu *vcpu,
				    struct kvm_pre_fault_memory __user *argp)
{
	struct kvm_pre_fault_memory range;
	int r;

	lockdep_assert_held(&vcpu->mutex);

	if (copy_from_user(&range, argp, sizeof(range)))
		return -EFAULT;
	r = kvm_vcpu_pre_fault_memory(vcpu, &range);
	/* What is left, also after an error. */
	if (copy_to_user(argp, &range, sizeof(range)))
		return -EFAULT;
	return r;
}
