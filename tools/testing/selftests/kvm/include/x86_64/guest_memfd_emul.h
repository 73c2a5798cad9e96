/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guests that make KVM access their memory.
 *
 * The functions named guest_*() run in the guest, usually by guest_call(), and
 * work on the pages of a data slot at GMEM_DATA_GPA, which has DATA_PAGES.
 * Whose memory that is, in which file and on which side, is the test's business.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_EMUL_H
#define SELFTEST_KVM_GUEST_MEMFD_EMUL_H

#include "guest_memfd_guest.h"
#include "processor.h"

#define DATA_PAGES	64
#define DATA_SIZE	GMEM_PAGES(DATA_PAGES)
#define DATA_PAGE(n)	(GMEM_DATA_GPA + GMEM_PAGES(n))

/* Pages of the data slot that some tests use for page tables. */
#define PD_PAGE		40
#define PT_PAGE		41
/* Where these page tables map the data slot's pages, one at a time. */
#define ALIAS_GVA	BIT_ULL(34)
#define guest_pde	((u64 *)DATA_PAGE(PD_PAGE))
#define guest_pte	((u64 *)DATA_PAGE(PT_PAGE))
#define guest_alias	((u64 *)ALIAS_GVA)

/* Identity mapped by emul_map(); no memory. */
#define MMIO_GPA	0xd0000000ULL
#define PIO_PORT	0x1234

/* A prefix that has KVM emulate what follows; see emul_force(). */
#define KVM_FEP		"ud2; .byte 'k', 'v', 'm';"

/* A setting below /sys/module/kvm/parameters, put back when the test ends. */
void kvm_param_write(const char *name, const char *val);

/* Have KVM emulate what is behind KVM_FEP, and no more. */
void emul_force(void);
void emul_restore(void);

/* Map MMIO_GPA, and ALIAS_GVA to the data slot.  Before the first run. */
void emul_map(struct kvm_vm *vm);

/* Have the guest call one of its functions, which exits for nothing else. */
u64 guest_call(struct kvm_vcpu *vcpu, u64 (*fn)(void));

static inline void guest_invlpg(u64 gva)
{
	asm volatile("invlpg (%0)" : : "r"(gva) : "memory");
}

/* Returns an exception vector or 0. */
static inline u8 guest_read_safe(u64 *p, u64 *val)
{
	u8 vector;

	asm volatile(KVM_ASM_SAFE("mov (%[p]), %[v]")
		     : KVM_ASM_SAFE_OUTPUTS(vector), [v] "=&a"(*val)
		     : [p] "c"(p)
		     : KVM_ASM_SAFE_CLOBBERS, "memory");
	return vector;
}

/* Emulated loads and stores of a word. */
static inline u64 guest_fep_read(u64 *p)
{
	u64 val;

	asm volatile(KVM_FEP "mov %1, %0" : "=r"(val) : "m"(*p) : "memory");
	return val;
}

static inline void guest_fep_write(u64 *p, u64 val)
{
	asm volatile(KVM_FEP "mov %1, %0" : "=m"(*p) : "r"(val) : "memory");
}

/*
 * String instructions between a device and memory; the host's side runs the
 * guest and checks what the device has seen.
 */
#define STRING_LEN	48
/* Across a page boundary. */
#define STRING_GPA	(DATA_PAGE(9) - STRING_LEN / 2)

u64 guest_string_io(void);
/* What guest_string_io() has read last, in the guest's memory. */
bool guest_string_is_right(const u8 *mem);
void emul_run_string_io(struct kvm_vcpu *vcpu);

/* Emulated loads, stores and exchanges, two of them across DATA_PAGE(12). */
#define FORCED_GPA	DATA_PAGE(11)
#define FORCED_RESULT	0x887766551234abefULL

u64 guest_forced_emulation(void);

/* Pages that KVM shares with the guest. */
#define CLOCK_GPA	DATA_PAGE(20)
#define WALL_GPA	(DATA_PAGE(21) - 16)
#define STEAL_GPA	DATA_PAGE(22)
#define EOI_GPA		DATA_PAGE(23)

u64 guest_clock_on(void);
u64 guest_steal_on(void);

/* Write to COUNTER_GPA until guest_stop. */
#define COUNTER_GPA	DATA_PAGE(5)

u64 guest_count(void);
void guest_count_stop(struct kvm_vm *vm);

/*
 * NR_IRQS interrupts; returns how many came (upper half) and how many of them
 * needed no EOI (lower half).
 */
#define IRQ_VECTOR	0x50
#define NR_IRQS		16

void guest_irq(struct ex_regs *regs);
u64 guest_pv_eoi(void);
void emul_run_pv_eoi(struct kvm_vcpu *vcpu);

/* Threads. */

u64 now_ms(void);
void pin_to_cpu(int cpu);
/* Keep CPU 0 busy until *@arg (u32) is 0. */
void *compete_thread(void *arg);
/* Finish the command of a vCPU on CPU 0. */
void *finish_on_cpu0_thread(void *vcpu);
/* Finish it anywhere. */
void *finish_thread(void *vcpu);

#endif /* SELFTEST_KVM_GUEST_MEMFD_EMUL_H */
