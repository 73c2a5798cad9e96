// SPDX-License-Identifier: GPL-2.0
/*
 * Guests that make KVM access their memory, see guest_memfd_emul.h.
 */
#define _GNU_SOURCE /* for sched_setaffinity(2) */
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "apic.h"
#include "guest_memfd_emul.h"
#include "guest_memfd_undo.h"

#define KVM_PARAMS	"/sys/module/kvm/parameters/"
#define FORCED_EMULATION "force_emulation_prefix"

void kvm_param_write(const char *name, const char *val)
{
	char path[128];

	snprintf(path, sizeof(path), KVM_PARAMS "%s", name);
	gmem_setting_write(path, val);
}

void emul_force(void)
{
	kvm_param_write(FORCED_EMULATION, "1");
}

void emul_restore(void)
{
	gmem_setting_restore(KVM_PARAMS FORCED_EMULATION);
}

void emul_map(struct kvm_vm *vm)
{
	virt_map(vm, MMIO_GPA, MMIO_GPA, 1);
	virt_map(vm, ALIAS_GVA, GMEM_DATA_GPA, 1);
}

u64 guest_call(struct kvm_vcpu *vcpu, u64 (*fn)(void))
{
	guest_do(vcpu, GUEST_OP_CALL, (u64)fn, 0, 0);
	return guest_cmd_of(vcpu)->value;
}

/* Devices. */

u64 guest_string_io(void)
{
	u64 si, di, cx;

	si = MMIO_GPA;
	di = STRING_GPA;
	cx = STRING_LEN;
	asm volatile("rep movsb" : "+S"(si), "+D"(di), "+c"(cx) : : "memory");

	si = STRING_GPA;
	di = MMIO_GPA;
	cx = STRING_LEN / 4;
	asm volatile("rep movsl" : "+S"(si), "+D"(di), "+c"(cx) : : "memory");

	si = STRING_GPA;
	cx = STRING_LEN;
	asm volatile("rep outsb" : "+S"(si), "+c"(cx) : "d"(PIO_PORT) : "memory");

	di = STRING_GPA;
	cx = STRING_LEN;
	asm volatile("rep insb" : "+D"(di), "+c"(cx) : "d"(PIO_PORT) : "memory");
	return guest_string_is_right((u8 *)STRING_GPA);
}

bool guest_string_is_right(const u8 *mem)
{
	u32 i;

	for (i = 0; i < STRING_LEN; i++) {
		if (mem[i] != STRING_LEN + i + 1)
			return false;
	}
	return true;
}

struct device {
	u8 next;	/* what is read from it: counts up */
	u8 seen[2 * STRING_LEN];
	u32 nr_seen;
};

static void device_access(struct device *d, bool write, u8 *data, u32 len)
{
	u32 i;

	for (i = 0; i < len; i++) {
		if (!write) {
			data[i] = d->next++;
			continue;
		}
		TEST_ASSERT(d->nr_seen < sizeof(d->seen), "written too much");
		d->seen[d->nr_seen++] = data[i];
	}
}

/* Returns false when the exit is not the device's. */
static bool device_exit(struct device *d, struct kvm_run *run)
{
	if (run->exit_reason == KVM_EXIT_MMIO) {
		TEST_ASSERT(run->mmio.phys_addr - MMIO_GPA < GMEM_PAGE_SIZE,
			    "MMIO at 0x%llx", run->mmio.phys_addr);
		device_access(d, run->mmio.is_write, run->mmio.data,
			      run->mmio.len);
		return true;
	}
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == PIO_PORT) {
		device_access(d, run->io.direction == KVM_EXIT_IO_OUT,
			      (u8 *)run + run->io.data_offset,
			      run->io.size * run->io.count);
		return true;
	}
	return false;
}

void emul_run_string_io(struct kvm_vcpu *vcpu)
{
	struct device d = { .next = 1 };
	int ret;
	u32 i;

	guest_cmd_set(vcpu, GUEST_OP_CALL, (u64)guest_string_io, 0, 0);
	do {
		ret = guest_cmd_run(vcpu);
		TEST_ASSERT(!ret, "KVM_RUN = %d", ret);
	} while (device_exit(&d, vcpu->run));
	guest_cmd_complete(vcpu);

	TEST_ASSERT(d.nr_seen == 2 * STRING_LEN, "%u bytes written", d.nr_seen);
	for (i = 0; i < STRING_LEN; i++) {
		TEST_ASSERT(d.seen[i] == i + 1, "movs: byte %u is %u", i,
			    d.seen[i]);
		TEST_ASSERT(d.seen[STRING_LEN + i] == i + 1,
			    "outs: byte %u is %u", i, d.seen[STRING_LEN + i]);
	}
	TEST_ASSERT(guest_cmd_of(vcpu)->value, "the guest reads something else");
}

/* Forced emulation. */

#define FEP_CMPXCHG(size, reg, p, old, new) ({				\
	u64 __old = (old);						\
	u8 __done;							\
									\
	asm volatile(KVM_FEP "lock; cmpxchg" size " %" reg "3, %1\n\t"	\
		     "setz %0"						\
		     : "=q"(__done), "+m"(*(p)), "+a"(__old)		\
		     : "r"((u64)(new)) : "memory", "cc");		\
	__done;								\
})

u64 guest_forced_emulation(void)
{
	u64 *p = (u64 *)FORCED_GPA;
	u64 *edge = (u64 *)(DATA_PAGE(12) - 4);
	u64 val;

	*p = 0x1122334455667788;
	GUEST_ASSERT(!FEP_CMPXCHG("q", "q", p, 1, 2));
	GUEST_ASSERT_1(*p == 0x1122334455667788, *p);
	GUEST_ASSERT(FEP_CMPXCHG("q", "q", p, 0x1122334455667788, 0x8877665544332211));
	GUEST_ASSERT_1(*p == 0x8877665544332211, *p);
	GUEST_ASSERT(FEP_CMPXCHG("l", "k", p, 0x44332211, 0x12345678));
	GUEST_ASSERT_1(*p == 0x8877665512345678, *p);
	GUEST_ASSERT(FEP_CMPXCHG("w", "w", p, 0x5678, 0xabcd));
	GUEST_ASSERT_1(*p == 0x887766551234abcd, *p);
	GUEST_ASSERT(FEP_CMPXCHG("b", "b", p, 0xcd, 0xef));
	GUEST_ASSERT_1(*p == FORCED_RESULT, *p);

	/* Plain loads and stores, inside a page and across two. */
	val = guest_fep_read(p);
	GUEST_ASSERT_1(val == FORCED_RESULT, val);
	guest_fep_write(edge, val);
	GUEST_ASSERT_1(*edge == val, *edge);
	asm volatile(KVM_FEP "xchgq %0, %1" : "+r"(val), "+m"(*p) : : "memory");
	GUEST_ASSERT_1(val == FORCED_RESULT, val);
	return 0;
}

/* Paravirtual pages. */

u64 guest_clock_on(void)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, CLOCK_GPA | KVM_MSR_ENABLED);
	wrmsr(MSR_KVM_WALL_CLOCK_NEW, WALL_GPA);
	return 0;
}

u64 guest_steal_on(void)
{
	wrmsr(MSR_KVM_STEAL_TIME, STEAL_GPA | KVM_MSR_ENABLED);
	return 0;
}

static u64 guest_stop;

u64 guest_count(void)
{
	u64 n = 0;

	while (!READ_ONCE(guest_stop))
		WRITE_ONCE(*(u64 *)COUNTER_GPA, ++n);
	return n;
}

void guest_count_stop(struct kvm_vm *vm)
{
	guest_stop = 1;
	sync_global_to_guest(vm, guest_stop);
}

static u64 guest_irqs, guest_pv_eois;

/*
 * One instruction tests and clears the flag: KVM takes it back at each exit,
 * of which there can be one between two instructions.
 */
static bool guest_eoi_is_not_needed(void)
{
	u8 flag;

	asm volatile("btrl $0, %0; setc %1"
		     : "+m"(*(u32 *)EOI_GPA), "=q"(flag) : : "memory", "cc");
	return flag;
}

void guest_irq(struct ex_regs *regs)
{
	guest_irqs++;
	if (guest_eoi_is_not_needed())
		guest_pv_eois++;
	else
		x2apic_write_reg(APIC_EOI, 0);
}

static void guest_wait_for_irq(u64 nr)
{
	u64 i;

	asm volatile("sti" : : : "memory");
	for (i = 0; i < 10000000 && READ_ONCE(guest_irqs) < nr; i++)
		cpu_relax();
	asm volatile("cli" : : : "memory");
}

u64 guest_pv_eoi(void)
{
	u64 i;

	x2apic_enable();
	wrmsr(MSR_KVM_PV_EOI_EN, EOI_GPA | KVM_MSR_ENABLED);
	for (i = 1; i <= NR_IRQS; i++) {
		x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT |
				 APIC_DM_FIXED | IRQ_VECTOR);
		guest_wait_for_irq(i);
	}
	return guest_irqs << 32 | guest_pv_eois;
}

void emul_run_pv_eoi(struct kvm_vcpu *vcpu)
{
	u64 nr;

	vm_install_exception_handler(vcpu->vm, IRQ_VECTOR, guest_irq);
	nr = guest_call(vcpu, guest_pv_eoi);
	TEST_ASSERT(nr >> 32 == NR_IRQS, "%lu interrupts", nr >> 32);
	TEST_ASSERT((u32)nr, "KVM never set the flag");
}

/* Threads. */

u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(set), &set),
		    "sched_setaffinity(), errno %d", errno);
}

void *compete_thread(void *arg)
{
	u32 *compete = arg;

	pin_to_cpu(0);
	while (READ_ONCE(*compete))
		;
	return NULL;
}

void *finish_on_cpu0_thread(void *vcpu)
{
	pin_to_cpu(0);
	guest_cmd_finish(vcpu);
	return NULL;
}

void *finish_thread(void *vcpu)
{
	guest_cmd_finish(vcpu);
	return NULL;
}
