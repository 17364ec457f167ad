// SPDX-License-Identifier: GPL-2.0
// One CPU into SVM operation and out of it, and one VMRUN. AMD manual volume 2, 15.4 and 15.5.
#include <linux/build_bug.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/special_insns.h>

#include "freeonce.h"

#define VM_CR_SVMDIS BIT(4) /* 15.30.1 */

/* VMCB fields this file reads: volume 2, appendix B. */
#define VMCB_EXIT_CODE 0x70
#define VMCB_EXIT_INFO_1 0x78
#define VMCB_EXIT_INFO_2 0x80
#define VMCB_RIP 0x578

/* Known to vmrun.S. */
static_assert(offsetof(struct vcpu, vmcb_gpa) == 0);
static_assert(offsetof(struct vcpu, host_vmcb_gpa) == 8);
static_assert(offsetof(struct vcpu, gpr) == 16);

/* One CPU at a time; the run mutex guards these. */
static u64 found_efer;
static u64 found_host_save_area;
static int svm_cpu = -1;

/* What is missing for SVM, or NULL. 15.4: the CPUID bit and VM_CR.SVMDIS. */
const char *svm_missing(void)
{
	u64 vm_cr;

	if (!boot_cpu_has(X86_FEATURE_SVM))
		return "CPUID Fn8000_0001_ECX[2]";
	if (rdmsrl_safe(MSR_VM_CR, &vm_cr))
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

/*
 * Pins the caller to its CPU until freeonce_svm_off(). -EBUSY when SVM is on
 * already: somebody else's hypervisor runs here and its state is not ours.
 */
int freeonce_svm_on(u64 host_save_area)
{
	if (svm_missing())
		return -EOPNOTSUPP;
	if (svm_cpu >= 0)
		return -EBUSY;
	migrate_disable();
	rdmsrl(MSR_EFER, found_efer);
	rdmsrl(MSR_VM_HSAVE_PA, found_host_save_area);
	if (found_efer & EFER_SVME) {
		migrate_enable();
		return -EBUSY;
	}
	wrmsrl(MSR_EFER, found_efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, host_save_area);
	svm_cpu = raw_smp_processor_id();
	append_state(LEDGER_SVM_ON, found_efer, found_host_save_area, host_save_area);
	return 0;
}

/* Leaves the CPU as freeonce_svm_on() found it. */
void freeonce_svm_off(void)
{
	u64 efer, host_save_area;

	wrmsrl(MSR_VM_HSAVE_PA, found_host_save_area);
	wrmsrl(MSR_EFER, found_efer);
	rdmsrl(MSR_EFER, efer);
	rdmsrl(MSR_VM_HSAVE_PA, host_save_area);
	append_state(LEDGER_SVM_OFF, efer, host_save_area, host_save_area);
	svm_cpu = -1;
	migrate_enable();
}

/* A nested page table has as many levels as the host's own paging (15.25.3). */
u32 freeonce_paging_levels(void)
{
	return __read_cr4() & X86_CR4_LA57 ? 5 : 4;
}

static u64 field(const struct vcpu *vcpu, unsigned int offset)
{
	return *(const u64 *)(vcpu->vmcb + offset);
}

/*
 * One VMRUN. Interrupts are held by GIF, not by RFLAGS.IF: with V_INTR_MASKING
 * the host's IF decides whether a pending one ends the L2's run, so an L2 that
 * loops cannot keep the CPU.
 */
int freeonce_svm_run(struct vcpu *vcpu)
{
	struct ledger_record enter = { .type = LEDGER_VMRUN, .physical = vcpu->vmcb_gpa };
	struct ledger_record leave = { .type = LEDGER_VMEXIT };
	unsigned long flags, dr6, dr7;

	if (svm_cpu != raw_smp_processor_id())
		return -EINVAL;
	ledger_append(&enter);
	local_irq_save(flags);
	/* VMRUN loads both from the VMCB; #VMEXIT only resets DR7 (15.6). */
	asm volatile("mov %%db6, %0" : "=r"(dr6));
	asm volatile("mov %%db7, %0" : "=r"(dr7));
	vmrun_world_switch(vcpu);
	asm volatile("mov %0, %%db6" : : "r"(dr6));
	asm volatile("mov %0, %%db7" : : "r"(dr7));
	local_irq_restore(flags);
	leave.detail = field(vcpu, VMCB_EXIT_CODE);
	leave.pointer = field(vcpu, VMCB_EXIT_INFO_1);
	leave.physical = field(vcpu, VMCB_EXIT_INFO_2);
	leave.size = field(vcpu, VMCB_RIP);
	ledger_append(&leave);
	return 0;
}
