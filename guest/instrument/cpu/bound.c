// SPDX-License-Identifier: GPL-2.0
// Vcpus of our own interface, from their first VMRUN to their unbinding: looked at before each.
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/irqflags.h>

#include "cpu/binding.h"
#include "ledger/ledger.h"

#define ROOM 64 /* operands, at first */

static int bind(struct vcpu *vcpu)
{
	return binding_take(vcpu) ? 0 : binding_add(ROOM, vcpu);
}

/* Before operand_check(): binds what is not bound, and makes room. May sleep. */
int operand_prepare(struct vcpu *vcpu)
{
	struct binding *binding = binding_of(vcpu);

	if (!binding)
		return bind(vcpu);
	return binding->grow ? binding_grow(binding) : 0;
}

/*
 * On the CPU that enters this next, which was prepared: tells what has changed. -EFAULT: it must
 * not be entered. -ENOBUFS, unless `final`: it is to be prepared again.
 */
int operand_check(struct vcpu *vcpu, bool final)
{
	struct reached reached = operand_reached(vcpu->vmcb_gpa, vcpu->host_vmcb_gpa);
	struct binding *binding = binding_of(vcpu);
	unsigned long flags;
	int error = 0;

	if (!binding)
		return -EFAULT;
	local_irq_save(flags);
	if (look_begin(binding)) {
		if (look_is_due(binding, &reached))
			error = look(binding, &reached, final, NULL);
		if (!error && binding->refused)
			error = -EFAULT;
		WRITE_ONCE(binding->running, !error);
		look_end(binding);
	} else if (!operand_same_reached(&binding->reached, &reached) || binding->refused) {
		error = -EFAULT;
	}
	local_irq_restore(flags);
	return error;
}

/* The L2 was entered, and has exited. */
void binding_left(const struct vcpu *vcpu)
{
	struct binding *binding = binding_of(vcpu);

	if (binding)
		WRITE_ONCE(binding->running, false);
}

/*
 * Somebody is about to release what a VMCB led to when it was looked at last: it may lead
 * elsewhere now. While the CPU is in guest mode it goes by what it was given.
 */
void binding_look(u64 gpa, size_t size)
{
	struct binding *binding;
	struct reached reached;
	unsigned long flags;
	bool stale;

	for (binding = binding_first(); binding; binding = binding->next) {
		/*
		 * Of Linux as the guest: its CPU looks by itself at each exit, perhaps while Linux is
		 * stopped with a lock that this here waits for.
		 */
		if (READ_ONCE(binding->identity) || READ_ONCE(binding->foreign))
			continue;
		flags = claims_lock();
		stale = binding_reaches(binding, gpa, size) && !READ_ONCE(binding->running);
		claims_unlock(flags);
		if (!stale)
			continue;
		local_irq_save(flags);
		if (look_begin(binding)) {
			/* It may have been unbound meanwhile, and serve another vcpu of which nothing is told. */
			stale = binding->number && binding->told.count && !binding->running;
			reached = operand_reached(binding->reached.vmcb, binding->reached.host_vmcb);
			if (stale && look_is_due(binding, &reached))
				look(binding, &reached, true, NULL);
			look_end(binding);
		}
		local_irq_restore(flags);
	}
}

/* Before the first VMRUN. May sleep. -ENOMEM. */
int freeonce_vcpu_bind(struct vcpu *vcpu)
{
	struct reached reached = operand_reached(vcpu->vmcb_gpa, vcpu->host_vmcb_gpa);
	struct binding *binding;
	unsigned long flags;
	int error;

	do {
		error = operand_prepare(vcpu);
		if (error)
			return error;
		binding = binding_of(vcpu);
		local_irq_save(flags);
		if (look_begin(binding)) {
			error = look(binding, &reached, false, NULL);
			look_end(binding);
		}
		local_irq_restore(flags);
	} while (error == -ENOBUFS);
	return error;
}
EXPORT_SYMBOL_GPL(freeonce_vcpu_bind);

static void append_unbind(struct binding *binding)
{
	struct ledger_record record = { .type = LEDGER_UNBIND, .serial = binding->number };
	unsigned long flags = claims_lock();

	ledger_append(&record);
	WRITE_ONCE(binding->number, 0);
	claims_unlock(flags);
}

/* The L2 cannot be entered any more. What it reached since the last look is told first. */
void freeonce_vcpu_unbind(struct vcpu *vcpu)
{
	struct reached reached = operand_reached(vcpu->vmcb_gpa, vcpu->host_vmcb_gpa);
	struct binding *binding = binding_of(vcpu);
	unsigned long flags;

	if (!binding)
		return;
	local_irq_save(flags);
	if (look_begin(binding)) {
		if (look_is_due(binding, &reached))
			look(binding, &reached, true, NULL);
		append_unbind(binding);
		look_end(binding);
	}
	local_irq_restore(flags);
	vcpu->number = 0;
}
EXPORT_SYMBOL_GPL(freeonce_vcpu_unbind);
