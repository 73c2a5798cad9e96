// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_X86_SW_PROTECTED_VM: private memory without hardware that protects it.
 *
 * What such a VM's memory attributes make private comes from guest_memfd and
 * is out of reach for the VMM and everything else in host userspace.  The host
 * kernel is trusted, and so is what can read its direct map.
 *
 * The guest has no bit of its own to say that an access is private: the
 * attribute of the gfn decides.
 * It does so for KVM's own accesses, too, those of the emulator, walks of guest
 * page tables and paravirtual pages: see virt/kvm/gmem_access.c.
 *
 * The type needs the TDP MMU, whose page faults are all direct, and nested
 * virtualization is off: nothing shadows a guest page table, which could be
 * private.  One address space, hence no SMM.
 *
 * A guest learns from CPUID whether its VM is of this type.
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

static struct kvm_cpuid_entry2 *
sw_protected_find_cpuid(struct kvm_cpuid_entry2 *entries, int nent, u32 function)
{
	struct kvm_cpuid_entry2 *entry;

	for (entry = entries; entry < entries + nent; entry++) {
		if (entry->function == function)
			return entry;
	}
	return NULL;
}

static bool sw_protected_is_kvm_base(const struct kvm_cpuid_entry2 *entry)
{
	u32 signature[3] = { entry->ebx, entry->ecx, entry->edx };

	return !memcmp(signature, KVM_SIGNATURE, sizeof(signature));
}

/* The entry with KVM_FEATURE_* bits, if userspace shows KVM to the guest. */
static struct kvm_cpuid_entry2 *
sw_protected_find_features(struct kvm_cpuid_entry2 *entries, int nent)
{
	struct kvm_cpuid_entry2 *entry;
	u32 base;

	for_each_possible_hypervisor_cpuid_base(base) {
		entry = sw_protected_find_cpuid(entries, nent, base);
		if (entry && sw_protected_is_kvm_base(entry))
			return sw_protected_find_cpuid(entries, nent,
						       base | KVM_CPUID_FEATURES);
	}
	return NULL;
}

/*
 * Tell the guest what its VM is.  KVM_GET_SUPPORTED_CPUID knows of no VM and so
 * does not have the bit; KVM sets and clears it, whatever userspace wants.
 */
static void sw_protected_update_features(struct kvm_vcpu *vcpu,
					 struct kvm_cpuid_entry2 *entries,
					 int nent)
{
	struct kvm_cpuid_entry2 *features;

	features = sw_protected_find_features(entries, nent);
	if (!features)
		return;

	features->eax &= ~BIT(KVM_FEATURE_SW_PROTECTED);
	if (kvm_arch_accesses_private_mem(vcpu->kvm))
		features->eax |= BIT(KVM_FEATURE_SW_PROTECTED);
}

/**
 * kvm_sw_protected_update_cpuid - adapt what a guest sees to the type of its VM
 * @vcpu:	the vCPU
 * @entries:	its CPUID, as userspace wants it
 * @nent:	number of entries
 *
 * With private memory there is no nested virtualization.  Without the feature
 * bits the guest can set neither EFER.SVME nor CR4.VMXE; userspace is refused
 * where it sets them for the guest.
 */
void kvm_sw_protected_update_cpuid(struct kvm_vcpu *vcpu,
				   struct kvm_cpuid_entry2 *entries, int nent)
{
	struct kvm_cpuid_entry2 *entry;

	sw_protected_update_features(vcpu, entries, nent);

	if (!kvm_arch_has_private_mem(vcpu->kvm))
		return;

	for (entry = entries; entry < entries + nent; entry++) {
		if (entry->function == 1)
			cpuid_entry_clear(entry, X86_FEATURE_VMX);
		if (entry->function == 0x80000001)
			cpuid_entry_clear(entry, X86_FEATURE_SVM);
	}
}
