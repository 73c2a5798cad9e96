// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_X86_SW_PROTECTED_VM: private memory without hardware that protects it.
 *
 * What such a VM's memory attributes make private comes from guest_memfd and
 * is out of reach for the VMM and everything else in host userspace.  The host
 * kernel is trusted, and so is whoever can read its direct map.
 *
 * The guest has no bit of its own to say that an access is private: the
 * attribute of the gfn decides.  KVM's own accesses to guest memory, those of
 * the emulator included, go to the shared side.
 *
 * The type needs the TDP MMU, whose page faults are all direct, and nested
 * virtualization is off: nothing shadows a guest page table, which could be
 * private.  One address space, hence no SMM.
 */

#include <linux/kvm_host.h>

#include "cpuid.h"
#include "mmu.h"
#include "sw_protected.h"

/* Bitmap of the values that KVM_CREATE_VM takes, for KVM_CAP_VM_TYPES. */
u32 kvm_sw_protected_vm_types(void)
{
	return kvm_tdp_mmu_available() ? BIT(KVM_X86_SW_PROTECTED_VM) : 0;
}

/* The TDP MMU can have been turned off since the type was found supported. */
int kvm_sw_protected_init_vm(struct kvm *kvm)
{
	if (kvm->arch.has_private_mem && !is_tdp_mmu_enabled(kvm))
		return -EINVAL;
	return 0;
}

/**
 * kvm_sw_protected_update_cpuid - take nested virtualization from the guest
 * @vcpu:	the vCPU
 * @entries:	its CPUID, as userspace wants it
 * @nent:	number of entries
 *
 * Without the feature bits the guest can set neither EFER.SVME nor CR4.VMXE;
 * userspace is refused where it sets them for the guest.
 */
void kvm_sw_protected_update_cpuid(struct kvm_vcpu *vcpu,
				   struct kvm_cpuid_entry2 *entries, int nent)
{
	struct kvm_cpuid_entry2 *entry;

	if (!kvm_arch_has_private_mem(vcpu->kvm))
		return;

	for (entry = entries; entry < entries + nent; entry++) {
		if (entry->function == 1)
			cpuid_entry_clear(entry, X86_FEATURE_VMX);
		if (entry->function == 0x80000001)
			cpuid_entry_clear(entry, X86_FEATURE_SVM);
	}
}
