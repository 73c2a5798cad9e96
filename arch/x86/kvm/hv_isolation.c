// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest of a Hyper-V isolated VM says of its memory.
 *
 * An ordinary Linux that finds Hyper-V's isolation in CPUID takes all its memory
 * for private, and names what it shares with the host by hypercall 0xDB.  Here
 * that becomes the exit that KVM's own paravirtual call makes,
 * KVM_HC_MAP_GPA_RANGE: what the VMM does then is the same.
 *
 * The call has a list of gfns.  Each run of consecutive ones is an exit.  Between
 * two of them nothing is kept: KVM advances the index in RCX, as the interface
 * has it for calls that are not done at once, and the guest makes the call
 * again.  So the list is read again, too.  It counts as the guest's word only as
 * long as it is in private memory, which is asked for under the lock that keeps
 * the answer true for the time of the read:
 *
 *	CPU 0: vCPU				CPU 1: VMM
 *
 *	invalidate_lock, shared
 *	private: read header and gfns
 *	unlock
 *						convert the list's page: shared
 *						write into it
 *	exit for the run that was read
 *	call again: shared, status 5
 *
 * A kernel that hands over to the next one (kexec) writes 0 to GUEST_OS_ID; the
 * next one takes all memory for private again.  Before that write completes,
 * there is an exit for each run that is shared, until none is left.
 */

#include <linux/guest_memfd.h>
#include <linux/kvm_host.h>
#include <asm/hyperv-tlfs.h>

#include "cpuid.h"
#include "hyperv.h"
#include "hv_isolation.h"
#include "x86.h"

/* Gfns that are read at a time. */
#define HV_LIST_PIECE	32

bool kvm_hv_isolation_available(struct kvm *kvm)
{
	return kvm && kvm_arch_has_private_mem(kvm);
}

/* Whether this vCPU's guest has been told, and the VMM wants to hear of it. */
static bool kvm_hv_is_isolated(struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu_hv *hv_vcpu = to_hv_vcpu(vcpu);
	struct kvm_cpuid_entry2 *config;

	if (!kvm_hv_isolation_available(vcpu->kvm) || !hv_vcpu)
		return false;
	if (!(vcpu->kvm->arch.hypercall_exit_enabled &
	      BIT(KVM_HC_MAP_GPA_RANGE)))
		return false;
	if (!(hv_vcpu->cpuid_cache.features_ebx & HV_ISOLATION))
		return false;

	config = kvm_find_cpuid_entry(vcpu, HYPERV_CPUID_ISOLATION_CONFIG);
	return config && (config->ebx & HV_ISOLATION_TYPE) == HV_ISOLATION_TYPE_VBS;
}

static int kvm_hv_exit_map_gpa_range(struct kvm_vcpu *vcpu, gfn_t gfn, u64 nr,
				     bool private,
				     int (*complete)(struct kvm_vcpu *))
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_HYPERCALL;
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.ret = 0;
	run->hypercall.args[0] = gfn_to_gpa(gfn);
	run->hypercall.args[1] = nr;
	run->hypercall.args[2] = KVM_MAP_GPA_RANGE_PAGE_SZ_4K |
		(private ? KVM_MAP_GPA_RANGE_ENCRYPTED :
			   KVM_MAP_GPA_RANGE_DECRYPTED);
	run->hypercall.longmode = 1;
	vcpu->arch.complete_userspace_io = complete;
	return 0;
}

static unsigned int kvm_hv_rep_cnt(u64 param)
{
	return param >> HV_HYPERCALL_REP_COMP_OFFSET & 0xfff;
}

static unsigned int kvm_hv_rep_idx(u64 param)
{
	return param >> HV_HYPERCALL_REP_START_OFFSET & 0xfff;
}

static int kvm_hv_complete_reps(struct kvm_vcpu *vcpu, u64 status,
				unsigned int done)
{
	return kvm_hv_hypercall_complete(vcpu, status | (u64)done <<
					 HV_HYPERCALL_REP_COMP_OFFSET);
}

static u64 kvm_hv_status_of(s64 ret)
{
	switch (ret) {
	case -KVM_EINVAL:
		return HV_STATUS_INVALID_PARAMETER;
	case -KVM_EPERM:
		return HV_STATUS_ACCESS_DENIED;
	default:
		return HV_STATUS_OPERATION_DENIED;
	}
}

/*
 * The VMM has answered.  What it may have done to the vCPU meanwhile is not undone:
 * one that is elsewhere now does not make this call any more.
 */
static int kvm_hv_complete_visibility(struct kvm_vcpu *vcpu)
{
	struct kvm_hv_visibility *call = &to_hv_vcpu(vcpu)->visibility;
	unsigned int cnt, idx;
	s64 ret = vcpu->run->hypercall.ret;

	if (!kvm_is_linear_rip(vcpu, call->rip))
		return 1;

	cnt = kvm_hv_rep_cnt(call->param);
	idx = kvm_hv_rep_idx(call->param);
	if (ret)
		return kvm_hv_complete_reps(vcpu, kvm_hv_status_of(ret), idx);

	idx += call->nr;
	if (idx >= cnt)
		return kvm_hv_complete_reps(vcpu, HV_STATUS_SUCCESS, cnt);

	kvm_rcx_write(vcpu, (call->param & ~HV_HYPERCALL_REP_START_MASK) |
			    (u64)idx << HV_HYPERCALL_REP_START_OFFSET);
	return 1;
}

/* Bytes of the list, if they are in private memory: 0 or -EFAULT. */
static int kvm_hv_read_list(struct kvm_vcpu *vcpu, gpa_t gpa, void *data,
			    unsigned int len)
{
	struct kvm_memory_slot *slot;
	gfn_t gfn = gpa_to_gfn(gpa);

	slot = kvm_vcpu_gfn_to_memslot(vcpu, gfn);
	if (!kvm_slot_has_gmem(slot))
		return -EFAULT;
	return kvm_gmem_read_private(slot, gfn, data, offset_in_page(gpa), len);
}

static bool kvm_hv_is_gfn(struct kvm_vcpu *vcpu, u64 gfn)
{
	return gfn < BIT_ULL(cpuid_maxphyaddr(vcpu) - PAGE_SHIFT);
}

/*
 * How many gfns, from the one at @list + @idx on, follow one another; at most up to
 * @cnt.  0 if there is not even one, or it cannot be read.
 */
static unsigned int kvm_hv_list_run(struct kvm_vcpu *vcpu, gpa_t list,
				    unsigned int idx, unsigned int cnt,
				    gfn_t *first)
{
	u64 gfns[HV_LIST_PIECE];
	unsigned int i, n, nr = 0;

	for ( ; idx < cnt; idx += n) {
		n = min_t(unsigned int, cnt - idx, HV_LIST_PIECE);
		if (kvm_hv_read_list(vcpu, list + idx * sizeof(u64), gfns,
				     n * sizeof(u64)))
			return nr;
		if (!nr)
			*first = gfns[0];
		for (i = 0; i < n; i++, nr++) {
			if (gfns[i] != *first + nr || !kvm_hv_is_gfn(vcpu, gfns[i]))
				return nr;
		}
	}
	return nr;
}

/**
 * kvm_hv_modify_visibility - hypercall 0xDB, a guest makes memory shared or private
 * @vcpu:	the vCPU
 * @param:	what it has in RCX: the control word of the call
 * @list:	where the header and the gfns are
 * @longmode:	whether it is a 64-bit call; otherwise @param and @list are of no
 *		interest
 *
 * Context: vCPU thread, within kvm->srcu; may sleep.
 * Return: as an exit handler: 0 with an exit to userspace prepared, or 1 with the
 *	   call completed.  Its status is 2 if the vCPU is not isolated; 3 if
 *	   the form of the call is wrong; 4 if the list is not aligned to 8 bytes, or
 *	   crosses its page; 5 if it says something wrong or is not private; or
 *	   what the VMM's answer becomes.  With it goes how many gfns are done.
 */
int kvm_hv_modify_visibility(struct kvm_vcpu *vcpu, u64 param, gpa_t list,
			     bool longmode)
{
	unsigned int cnt = kvm_hv_rep_cnt(param), idx = kvm_hv_rep_idx(param);
	struct kvm_hv_visibility *call;
	struct {
		u64 partition;
		u32 visibility;
		u32 reserved;
	} header;
	unsigned int nr;
	gfn_t first;
	u64 status;

	status = HV_STATUS_INVALID_HYPERCALL_CODE;
	if (!kvm_hv_is_isolated(vcpu))
		goto fail;

	status = HV_STATUS_INVALID_HYPERCALL_INPUT;
	if (!longmode || !cnt || idx >= cnt ||
	    param & (HV_HYPERCALL_FAST_BIT | HV_HYPERCALL_VARHEAD_MASK |
		     HV_HYPERCALL_RSVD_MASK))
		goto fail;

	status = HV_STATUS_INVALID_ALIGNMENT;
	if (!IS_ALIGNED(list, sizeof(u64)) ||
	    offset_in_page(list) + sizeof(header) + cnt * sizeof(u64) > PAGE_SIZE)
		goto fail;

	status = HV_STATUS_INVALID_PARAMETER;
	if (kvm_hv_read_list(vcpu, list, &header, sizeof(header)))
		goto fail;
	if (header.partition != HV_PARTITION_ID_SELF || header.reserved)
		goto fail;
	if (header.visibility != VMBUS_PAGE_NOT_VISIBLE &&
	    header.visibility != VMBUS_PAGE_VISIBLE_READ_WRITE)
		goto fail;

	nr = kvm_hv_list_run(vcpu, list + sizeof(header), idx, cnt, &first);
	if (!nr)
		goto fail;

	call = &to_hv_vcpu(vcpu)->visibility;
	call->param = param;
	call->rip = kvm_get_linear_rip(vcpu);
	call->nr = nr;
	return kvm_hv_exit_map_gpa_range(vcpu, first, nr,
					 header.visibility == VMBUS_PAGE_NOT_VISIBLE,
					 kvm_hv_complete_visibility);
fail:
	/* None of this call's; those before are done. */
	return kvm_hv_complete_reps(vcpu, status, longmode ? min(idx, cnt) : 0);
}

static int kvm_hv_complete_reset(struct kvm_vcpu *vcpu)
{
	/* The guest writes again. */
	return 1;
}

/**
 * kvm_hv_exit_for_os_id - a guest's kernel has ended: make its memory private
 * @vcpu:	the vCPU
 * @msr:	the MSR that it writes
 * @data:	what it writes there
 *
 * Context: vCPU thread, within kvm->srcu; takes locks of files.
 * Return: true if there is an exit to userspace first, after which the write is
 *	   made again
 */
bool kvm_hv_exit_for_os_id(struct kvm_vcpu *vcpu, u32 msr, u64 data)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_memory_slot *slot;
	gfn_t first, end;
	int i, bkt;

	if (msr != HV_X64_MSR_GUEST_OS_ID || data ||
	    !READ_ONCE(to_kvm_hv(kvm)->hv_guest_os_id) ||
	    !kvm_hv_is_isolated(vcpu))
		return false;

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_for_each_memslot(slot, bkt, __kvm_memslots(kvm, i)) {
			first = slot->base_gfn;
			end = first + slot->npages;
			if (!kvm_slot_has_gmem(slot) ||
			    !kvm_gmem_next_shared(slot, &first, &end))
				continue;
			kvm_hv_exit_map_gpa_range(vcpu, first, end - first, true,
						  kvm_hv_complete_reset);
			return true;
		}
	}
	return false;
}
