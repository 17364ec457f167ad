// SPDX-License-Identifier: GPL-2.0
// An NMI of L1's own that ends an L2's run. AMD manual volume 2, 15.13.2 and 15.17.
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/irqflags.h>
#include <linux/smp.h>
#include <asm/apic.h>
#include <asm/irq_vectors.h>
#include <asm/nmi.h>

#include "cpu/cpu.h"

static atomic_t awaited_on; /* 1 + the CPU whose next NMI is ours; 0: none is */

static int swallow(unsigned int type, struct pt_regs *registers)
{
	int own = raw_smp_processor_id() + 1;

	return atomic_cmpxchg(&awaited_on, own, 0) == own ? NMI_HANDLED : NMI_DONE;
}

/* GIF holds the NMI until VMRUN sets it; what the exit leaves pending L1 takes at its STGI. */
static int send_and_run(struct vcpu *vcpu)
{
	unsigned long flags;
	int error;

	local_irq_save(flags);
	atomic_set(&awaited_on, smp_processor_id() + 1);
	asm volatile("clgi" : : : "memory");
	apic->send_IPI(smp_processor_id(), NMI_VECTOR);
	error = vcpu_run_prepared(vcpu, true);
	asm volatile("stgi" : : : "memory");
	local_irq_restore(flags);
	return error;
}

/*
 * As freeonce_svm_run(), with an NMI pending at the VMRUN, under the run mutex. May sleep.
 * -EPROTO: L1 did not get it afterwards.
 */
int freeonce_svm_run_into_nmi(struct vcpu *vcpu)
{
	int error;

	if (!svm_is_on())
		return -EINVAL;
	error = operand_prepare(vcpu) ?:
		register_nmi_handler(NMI_LOCAL, swallow, 0, "freeonce");
	if (error)
		return error;
	error = send_and_run(vcpu);
	if (atomic_xchg(&awaited_on, 0) && !error)
		error = -EPROTO;
	unregister_nmi_handler(NMI_LOCAL, "freeonce");
	return error;
}
EXPORT_SYMBOL_GPL(freeonce_svm_run_into_nmi);
