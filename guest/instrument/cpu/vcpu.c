// SPDX-License-Identifier: GPL-2.0
// One VMRUN of one L2, with all that must stand around it. AMD manual volume 2, 15.5 and 15.6.
#include <linux/export.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/special_insns.h>

#include "cpu/host_state.h"
#include "cpu/operand.h"
#include "cpu/vmcb.h"
#include "ledger/ledger.h"

/* Known to vmrun.S. */
static_assert(offsetof(struct vcpu, vmcb_gpa) == 0);
static_assert(offsetof(struct vcpu, host_vmcb_gpa) == 8);
static_assert(offsetof(struct vcpu, gpr) == 16);

void vcpu_append_entry(const struct vcpu *vcpu, bool withheld)
{
	const void *vmcb = phys_to_virt(vcpu->vmcb_gpa);
	u64 asid_and_control = withheld ? 0 : vmcb_read(vmcb, VMCB_ASID);
	struct ledger_record record = {
		.type = LEDGER_VMRUN,
		.physical = vcpu->vmcb_gpa,
		.size = (u8)(asid_and_control >> 32),
		.detail = (u32)asid_and_control,
		.serial = vcpu->number,
		.flags = withheld ? FLAG_WITHHELD : 0,
	};

	ledger_append(&record);
}

void vcpu_append_exit(const struct vcpu *vcpu)
{
	const void *vmcb = phys_to_virt(vcpu->vmcb_gpa);
	struct ledger_record record = {
		.type = LEDGER_VMEXIT,
		.serial = vcpu->number,
		.detail = vmcb_read(vmcb, VMCB_EXIT_CODE),
		.pointer = vmcb_read(vmcb, VMCB_EXIT_INFO_1),
		.physical = vmcb_read(vmcb, VMCB_EXIT_INFO_2),
		.size = vmcb_read(vmcb, VMCB_RIP),
	};

	binding_left(vcpu);
	ledger_append(&record);
}

/*
 * Interrupts are held by GIF, not by RFLAGS.IF: with V_INTR_MASKING the host's IF
 * decides whether a pending one ends the L2's run, so an L2 that loops cannot keep
 * the CPU. VMRUN loads DR6 and DR7 from the VMCB; #VMEXIT only resets DR7 (15.6). CR2
 * nobody restores.
 */
static void switch_world(struct vcpu *vcpu)
{
	unsigned long dr6, dr7, cr2 = native_read_cr2();
	u64 xcr0 = boot_cpu_has(X86_FEATURE_OSXSAVE) ? xgetbv(XCR_XFEATURE_ENABLED_MASK) : 0;

	asm volatile("mov %%db6, %0" : "=r"(dr6));
	asm volatile("mov %%db7, %0" : "=r"(dr7));
	vmrun_world_switch(vcpu);
	asm volatile("mov %0, %%db6" : : "r"(dr6));
	asm volatile("mov %0, %%db7" : : "r"(dr7));
	native_write_cr2(cr2);
	/* Some emulators let XSETBV through, and XCR0 is no register of the L2's own. */
	if (xcr0 && xgetbv(XCR_XFEATURE_ENABLED_MASK) != xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, xcr0);
}

static void run_checked(struct vcpu *vcpu)
{
	void *fpu = binding_fpu(vcpu);
	struct host_state before;
	unsigned long flags;

	kernel_fpu_begin();
	local_irq_save(flags);
	host_fpu_enter(fpu);
	host_state_take(&before);
	switch_world(vcpu);
	host_fpu_leave(fpu);
	host_state_compare(&before);
	local_irq_restore(flags);
	kernel_fpu_end();
}

static void run_unchecked(struct vcpu *vcpu)
{
	unsigned long flags;

	local_irq_save(flags);
	switch_world(vcpu);
	local_irq_restore(flags);
}

/* As freeonce_svm_run(), in any context. -ENOBUFS, unless `final`: as operand_check() says. */
int vcpu_run_prepared(struct vcpu *vcpu, bool final)
{
	int error;

	/* No other task comes between what is checked and what is entered. */
	preempt_disable();
	error = operand_check(vcpu, final);
	if (error != -ENOBUFS)
		vcpu_append_entry(vcpu, error);
	if (!error && vcpu->flags & VCPU_UNCHECKED)
		run_unchecked(vcpu);
	else if (!error)
		run_checked(vcpu);
	preempt_enable();
	if (!error)
		vcpu_append_exit(vcpu);
	return error;
}

/*
 * One VMRUN on this CPU, to which the caller is bound. May sleep. -EINVAL: SVM is off here.
 * -EFAULT: the VMCB is not at an address that the CPU may be given; withheld.
 */
int freeonce_svm_run(struct vcpu *vcpu)
{
	int error;

	if (!svm_is_on())
		return -EINVAL;
	do
		error = operand_prepare(vcpu) ?: vcpu_run_prepared(vcpu, false);
	while (error == -ENOBUFS);
	return error;
}
EXPORT_SYMBOL_GPL(freeonce_svm_run);
