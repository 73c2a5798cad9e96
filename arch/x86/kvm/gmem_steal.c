// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steal time in guest memory that is in a guest_memfd.
 *
 * Elsewhere in KVM steal time is updated through the user address of the
 * guest's page, which memory in a file has none of.  The page is looked up
 * for each access instead; see virt/kvm/gmem_access.c.
 *
 * Where attributes say on which side the page is, that can change from one
 * update to the next.
 */

#include <linux/kvm_host.h>

#include "cpuid.h"
#include "gmem_steal.h"
#include "trace.h"
#include "x86.h"

/* The page of the guest's struct kvm_steal_time, which does not cross pages. */
struct gmem_steal {
	const struct kvm_memory_slot *slot;
	gfn_t gfn;
	int offset;
};

static void gmem_steal_find(struct kvm_vcpu *vcpu, struct gmem_steal *steal)
{
	gpa_t gpa = vcpu->arch.st.msr_val & KVM_STEAL_VALID_BITS;

	steal->gfn = gpa_to_gfn(gpa);
	steal->offset = offset_in_page(gpa);
	steal->slot = gfn_to_memslot(vcpu->kvm, steal->gfn);
}

/* Where the fields are that KVM accesses. */
enum {
	STEAL_TIME	= offsetof(struct kvm_steal_time, steal),
	STEAL_VERSION	= offsetof(struct kvm_steal_time, version),
	STEAL_PREEMPTED	= offsetof(struct kvm_steal_time, preempted),
};

static int gmem_steal_read(const struct gmem_steal *steal, int field,
			   void *val, int len)
{
	return kvm_gmem_read(steal->slot, steal->gfn, val,
			     steal->offset + field, len);
}

static int gmem_steal_write(const struct gmem_steal *steal, int field,
			    const void *val, int len)
{
	return kvm_gmem_write(steal->slot, steal->gfn, val,
			      steal->offset + field, len);
}

/* Take note of what the guest has asked for while the vCPU did not run. */
static bool gmem_steal_clear_preempted(struct kvm_vcpu *vcpu,
				       struct gmem_steal *steal)
{
	u8 preempted = 0;

	if (!guest_pv_has(vcpu, KVM_FEATURE_PV_TLB_FLUSH))
		return !gmem_steal_write(steal, STEAL_PREEMPTED, &preempted,
					 sizeof(preempted));

	if (kvm_gmem_xchg8(steal->slot, steal->gfn, &preempted,
			   steal->offset + STEAL_PREEMPTED))
		return false;

	trace_kvm_pv_tlb_flush(vcpu->vcpu_id, preempted & KVM_VCPU_FLUSH_TLB);
	if (preempted & KVM_VCPU_FLUSH_TLB)
		kvm_make_request(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
	return true;
}

/**
 * kvm_gmem_record_steal_time - tell the guest how long the vCPU had to wait
 * @vcpu:	the vCPU, whose guest has enabled steal time
 *
 * Context: vCPU thread, within kvm->srcu, before the guest is entered.
 * Return: false if the guest's page is not in a guest_memfd
 */
bool kvm_gmem_record_steal_time(struct kvm_vcpu *vcpu)
{
	struct gmem_steal steal;
	u32 version;
	u64 time;

	gmem_steal_find(vcpu, &steal);
	if (!kvm_gfn_in_gmem(steal.slot, steal.gfn))
		return false;
	if (!gmem_steal_clear_preempted(vcpu, &steal))
		return true;
	vcpu->arch.st.preempted = 0;

	if (gmem_steal_read(&steal, STEAL_VERSION, &version, sizeof(version)) ||
	    gmem_steal_read(&steal, STEAL_TIME, &time, sizeof(time)))
		return true;

	/* Odd while it is being changed; what was there first may be odd. */
	version = (version + 1) | 1;
	if (gmem_steal_write(&steal, STEAL_VERSION, &version, sizeof(version)))
		return true;

	/* The guest reads the version before and after what is between. */
	smp_wmb();

	time += current->sched_info.run_delay - vcpu->arch.st.last_steal;
	vcpu->arch.st.last_steal = current->sched_info.run_delay;
	gmem_steal_write(&steal, STEAL_TIME, &time, sizeof(time));

	/* As above: the even version comes last. */
	smp_wmb();

	version++;
	gmem_steal_write(&steal, STEAL_VERSION, &version, sizeof(version));
	return true;
}

/**
 * kvm_gmem_steal_time_set_preempted - tell the guest that the vCPU was stopped
 * @vcpu:	the vCPU, whose guest has enabled steal time
 *
 * A hint: if the page is not at hand, the guest goes without.
 *
 * Context: The scheduler, while it switches away from the vCPU; within
 *	    kvm->srcu.
 * Return: false if the guest's page is not in a guest_memfd
 */
bool kvm_gmem_steal_time_set_preempted(struct kvm_vcpu *vcpu)
{
	static const u8 preempted = KVM_VCPU_PREEMPTED;
	struct gmem_steal steal;
	int r;

	gmem_steal_find(vcpu, &steal);
	if (!kvm_slot_may_use_gmem(steal.slot))
		return false;

	r = kvm_gmem_write_nowait(steal.slot, steal.gfn, &preempted,
				  steal.offset + STEAL_PREEMPTED,
				  sizeof(preempted));
	if (!r)
		vcpu->arch.st.preempted = KVM_VCPU_PREEMPTED;
	return r != -ENXIO;
}
