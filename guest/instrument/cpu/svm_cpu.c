// SPDX-License-Identifier: GPL-2.0
// A CPU into SVM operation and out of it. AMD manual volume 2, 15.4.
#include <linux/export.h>
#include <linux/irqflags.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>
#include <asm/special_insns.h>

#include "cpu/operand.h"
#include "kernel/kernel.h"
#include "ledger/ledger.h"

#define VM_CR_SVMDIS BIT(4) /* 15.30.1 */

struct svm_cpu {
	u64 found_efer;
	u64 found_host_save_area;
	bool on;
};

/* Each is its CPU's own. */
static DEFINE_PER_CPU(struct svm_cpu, svm_cpus);

/* What is missing for SVM, or NULL. 15.4: the CPUID bit and VM_CR.SVMDIS. */
const char *svm_missing(void)
{
	u64 vm_cr;

	if (!boot_cpu_has(X86_FEATURE_SVM))
		return "CPUID Fn8000_0001_ECX[2]";
	if (rdmsrq_safe(MSR_VM_CR, &vm_cr))
		return "MSR VM_CR";
	if (vm_cr & VM_CR_SVMDIS)
		return "VM_CR.SVMDIS is set";
	return NULL;
}

static void append_state(enum ledger_type type, u64 efer, u64 host_save_area, u64 now)
{
	struct ledger_record record = {
		.type = type, .pointer = efer, .physical = host_save_area, .size = now,
	};

	ledger_append(&record);
}

/* For code that is not bound to its CPU already; what pins must unpin, in the same task. */
void freeonce_pin(void)
{
	migrate_disable();
}
EXPORT_SYMBOL_GPL(freeonce_pin);

void freeonce_unpin(void)
{
	migrate_enable();
}
EXPORT_SYMBOL_GPL(freeonce_unpin);

/*
 * On this CPU, to which the caller is bound until freeonce_svm_off(). -EBUSY when
 * SVM is on already: another hypervisor runs here and its state is not ours.
 */
int freeonce_svm_on(u64 host_save_area)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);
	u64 efer;

	if (svm_missing())
		return -EOPNOTSUPP;
	rdmsrq(MSR_EFER, efer);
	if (cpu->on || efer & EFER_SVME)
		return -EBUSY;
	cpu->found_efer = efer;
	rdmsrq(MSR_VM_HSAVE_PA, cpu->found_host_save_area);
	append_state(LEDGER_SVM_ON, cpu->found_efer, cpu->found_host_save_area, host_save_area);
	given_host_save_area(host_save_area, true);
	wrmsrq(MSR_EFER, cpu->found_efer | EFER_SVME);
	wrmsrq(MSR_VM_HSAVE_PA, host_save_area);
	cpu->on = true;
	return 0;
}
EXPORT_SYMBOL_GPL(freeonce_svm_on);

/* Leaves the CPU as freeonce_svm_on() found it. */
void freeonce_svm_off(void)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);
	u64 efer, host_save_area;

	if (!cpu->on)
		return;
	wrmsrq(MSR_VM_HSAVE_PA, cpu->found_host_save_area);
	wrmsrq(MSR_EFER, cpu->found_efer);
	rdmsrq(MSR_EFER, efer);
	rdmsrq(MSR_VM_HSAVE_PA, host_save_area);
	cpu->on = false;
	given_host_save_area(0, false);
	append_state(LEDGER_SVM_OFF, efer, host_save_area, host_save_area);
}
EXPORT_SYMBOL_GPL(freeonce_svm_off);

/*
 * INVLPGA (15.16.2) on this CPU, to which the caller is bound: it forgets that page of an L2.
 * -EINVAL: SVM is off here.
 */
int freeonce_invlpga(u64 address, u32 asid)
{
	struct ledger_record record = {
		.type = LEDGER_INVLPGA, .pointer = address, .detail = asid,
	};

	if (!svm_is_on())
		return -EINVAL;
	asm volatile("invlpga" : : "a"(address), "c"(asid) : "memory");
	ledger_append(&record);
	return 0;
}
EXPORT_SYMBOL_GPL(freeonce_invlpga);

bool svm_is_on(void)
{
	return this_cpu_read(svm_cpus.on);
}

/* A nested page table has as many levels as the host's own paging (15.25.3). */
u32 freeonce_paging_levels(void)
{
	return __read_cr4() & X86_CR4_LA57 ? 5 : 4;
}
EXPORT_SYMBOL_GPL(freeonce_paging_levels);

u8 svm_physical_bits(void)
{
	return boot_cpu_data.x86_phys_bits;
}
