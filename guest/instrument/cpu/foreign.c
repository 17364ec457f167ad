// SPDX-License-Identifier: GPL-2.0
// Vcpus of VMRUNs in code of others: known by their VMCB, looked at when hooked.c reads their notes.
#include <linux/errno.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/workqueue.h>

#include "cpu/binding.h"
#include "ledger/ledger.h"

#define FOREIGN_ROOM 2048 /* operands, at first */
#define RESERVE 8         /* bindings, where none can be made */

static struct binding *foreign_of(u64 vmcb)
{
	struct binding *binding = binding_first();

	for (; binding; binding = binding->next)
		if (binding->number && binding->foreign && binding->reached.vmcb == vmcb)
			return binding;
	return NULL;
}

static void make_room(struct work_struct *unused)
{
	struct binding *binding;

	for (binding = binding_first(); binding; binding = binding->next)
		if (READ_ONCE(binding->foreign) && READ_ONCE(binding->grow))
			binding_grow(binding);
	binding_reserve();
}

static DECLARE_WORK(room_work, make_room);

/* Unbound ones for VMRUNs of others. May sleep. -ENOMEM. */
int binding_reserve(void)
{
	struct binding *binding;
	unsigned int unbound = 0;

	for (binding = binding_first(); binding; binding = binding->next)
		unbound += !READ_ONCE(binding->number) && binding->told.room >= FOREIGN_ROOM;
	for (; unbound < RESERVE; unbound++)
		if (binding_add(FOREIGN_ROOM, NULL))
			return -ENOMEM;
	return 0;
}

/* By a VMCB that none is bound to. NULL: there is no unbound one. */
static struct binding *bind_foreign(const struct reached *reached)
{
	struct vcpu vcpu = { 0 };
	struct binding *binding = binding_take(&vcpu);

	schedule_work(&room_work);
	if (!binding)
		return NULL;
	binding->reached.vmcb = reached->vmcb;
	binding->foreign = true;
	return binding;
}

static void add_leaves(const struct operands *operands)
{
	unsigned int i;

	for (i = 0; i < operands->count; i++) {
		const struct operand *one = &operands->list[i];

		leaves_add(one->gpa, one->size, i >= operands->pages);
		if (i >= operands->pages)
			leaves_tell_freed(one->gpa, one->size);
	}
}

/* Told is all that there is room for; there is more of it the next time. */
static void look_foreign(struct binding *binding, const struct reached *reached,
			 const struct entry *entry)
{
	if (!look_is_due(binding, reached)) {
		if (entry)
			ledger_append_on(entry->cpu, entry->record);
		return;
	}
	look(binding, reached, true, entry);
	add_leaves(&binding->told);
	if (binding->told.count > binding->told.room / 2 && binding->told.room < MOST_OPERANDS) {
		binding->grow = true;
		schedule_work(&room_work);
	}
}

/*
 * A VMRUN of a subject's, as it was noted: tells it, and before it what it reaches. `looked`: the
 * vcpu whose tables this CPU looked at just before it.
 */
void binding_entered(const struct reached *reached, u32 cpu, u32 looked,
		     struct ledger_record *record)
{
	struct binding *binding = foreign_of(reached->vmcb) ?: bind_foreign(reached);
	struct entry entry = { .cpu = cpu, .record = record };
	unsigned long flags;

	record->serial = binding ? binding->number : 0;
	local_irq_save(flags);
	if (binding && look_begin(binding)) {
		entry.looked = looked == binding->number;
		look_foreign(binding, reached, &entry);
		binding->running = true;
		look_end(binding);
	} else {
		ledger_append_on(cpu, record);
	}
	local_irq_restore(flags);
}

/* Its #VMEXIT. */
u32 binding_exited(u64 vmcb)
{
	struct binding *binding = foreign_of(vmcb);

	if (!binding)
		return 0;
	WRITE_ONCE(binding->running, false);
	return binding->number;
}

/*
 * What was added to the tables of one that is likely to be entered next. Where it goes by other
 * tables than the last time, its VMRUN will say so. Whether it was looked at.
 */
bool binding_look_again(u32 number)
{
	const struct vcpu vcpu = { .number = number };
	struct binding *binding = binding_of(&vcpu);
	struct reached reached;
	unsigned long flags;
	bool looked = false;

	if (!binding || !binding->foreign)
		return false;
	local_irq_save(flags);
	if (look_begin(binding)) {
		reached = operand_reached_by_others(binding->reached.vmcb);
		if (!binding->running && !binding->again &&
		    operand_same_reached(&reached, &binding->reached)) {
			look_foreign(binding, &reached, NULL);
			looked = true;
		}
		look_end(binding);
	}
	local_irq_restore(flags);
	return looked;
}

/* Those that share these bytes are gone. The others stay in order. */
static void take_out(struct binding *binding, u64 gpa, size_t size)
{
	struct operands *told = &binding->told;
	unsigned int i, kept = 0, tables = told->tables, pages = told->pages;

	claims_assert_locked();
	for (i = 0; i < told->count; i++) {
		const struct operand one = told->list[i];

		if (one.identity || !operand_overlap(gpa, size, one.gpa, one.size)) {
			told->list[kept++] = one;
			continue;
		}
		operand_tell(binding->number, &one, true);
		tables -= i < told->tables;
		pages -= i < told->pages;
		binding->again = true;
	}
	told->count = kept;
	told->tables = tables;
	told->pages = pages;
}

/*
 * These bytes are about to be released. A vcpu of others holds nothing but in guest mode: what it
 * reaches still at its next VMRUN is told then, anew. With its VMCB it is unbound.
 */
static void let_go(struct binding *binding, u64 gpa, size_t size)
{
	struct ledger_record unbind = { .type = LEDGER_UNBIND, .serial = binding->number };
	unsigned long flags = claims_lock();

	if (binding->number && !binding->running) {
		take_out(binding, gpa, size);
		if (operand_overlap(gpa, size, binding->reached.vmcb, PAGE_SIZE)) {
			ledger_append(&unbind);
			WRITE_ONCE(binding->number, 0);
		}
	}
	claims_unlock(flags);
}

void binding_let_go(u64 gpa, size_t size)
{
	struct binding *binding;
	unsigned long flags;

	for (binding = binding_first(); binding; binding = binding->next) {
		if (!READ_ONCE(binding->foreign) || !READ_ONCE(binding->number))
			continue;
		local_irq_save(flags);
		if (look_begin(binding)) {
			let_go(binding, gpa, size);
			look_end(binding);
		}
		local_irq_restore(flags);
	}
}

/* When no VMRUN comes any more. */
void foreign_close(void)
{
	cancel_work_sync(&room_work);
}
