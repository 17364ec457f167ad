// SPDX-License-Identifier: GPL-2.0
// The vcpus that can be entered: a binding for each, with room for what the CPU may use of it.
#include <linux/errno.h>
#include <linux/irqflags.h>
#include <linux/minmax.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "cpu/binding.h"
#include "cpu/host_state.h"

static struct binding *first; /* none is taken out */
static u32 last_number;

struct binding *binding_first(void)
{
	return smp_load_acquire(&first);
}

struct binding *binding_of(const struct vcpu *vcpu)
{
	struct binding *binding = binding_first();

	for (; vcpu->number && binding; binding = binding->next)
		if (READ_ONCE(binding->number) == vcpu->number)
			return binding;
	return NULL;
}

static bool operands_hold(const struct operands *operands, u64 gpa, size_t size)
{
	unsigned int i;

	for (i = 0; i < operands->count; i++) {
		const struct operand *one = &operands->list[i];

		if (!one->identity && operand_overlap(gpa, size, one->gpa, one->size))
			return true;
	}
	return false;
}

/* Whether the CPU may use any of these bytes with it. With the lock of claims.c. */
bool binding_reaches(const struct binding *binding, u64 gpa, size_t size)
{
	return binding->number && operands_hold(&binding->told, gpa, size);
}

/* Whether the CPU may use any of these bytes. */
bool binding_holds(u64 gpa, size_t size)
{
	const struct binding *binding;

	claims_assert_locked();
	for (binding = first; binding; binding = binding->next)
		if (binding_reaches(binding, gpa, size))
			return true;
	return false;
}

/*
 * With interrupts off. False: this very CPU is looking, and was stopped: we are below it. It
 * goes on when we let it.
 */
bool look_begin(struct binding *binding)
{
	int own = raw_smp_processor_id() + 1, other;

	while ((other = atomic_cmpxchg(&binding->busy, 0, own)) && other != own)
		cpu_relax();
	return !other;
}

void look_end(struct binding *binding)
{
	atomic_set_release(&binding->busy, 0);
}

static void free_binding(struct binding *binding)
{
	if (!binding)
		return;
	vfree(binding->told.list);
	vfree(binding->found.list);
	vfree(binding->fpu);
	vfree(binding);
}

/* Not by kmalloc(), of which the kernel witness would tell. */
static struct operand *list_of(unsigned int room)
{
	return vmalloc(array_size(room, sizeof(struct operand)));
}

static struct binding *new_binding(unsigned int room)
{
	struct binding *binding = vzalloc(sizeof(*binding));

	if (!binding)
		return NULL;
	binding->fpu = vzalloc(host_fpu_bytes());
	binding->told = (struct operands){ .list = list_of(room), .room = room };
	binding->found = (struct operands){ .list = list_of(room), .room = room };
	if (binding->fpu && binding->told.list && binding->found.list)
		return binding;
	free_binding(binding);
	return NULL;
}

static void take(struct binding *binding, struct vcpu *vcpu)
{
	claims_assert_locked();
	binding->identity = vcpu->flags & VCPU_IDENTITY;
	binding->refused = binding->running = binding->grow = false;
	binding->foreign = binding->again = false;
	binding->reached = (struct reached){ 0 };
	binding->told.count = 0;
	binding->told.more = false;
	host_fpu_reset(binding->fpu);
	vcpu->number = ++last_number;
	WRITE_ONCE(binding->number, vcpu->number);
}

/* For a vcpu. NULL: none is unbound. */
struct binding *binding_take(struct vcpu *vcpu)
{
	unsigned long flags = claims_lock();
	struct binding *binding = first;

	while (binding && binding->number)
		binding = binding->next;
	if (binding)
		take(binding, vcpu);
	claims_unlock(flags);
	return binding;
}

/* One more, which is the vcpu's, or nobody's where that is NULL. May sleep. -ENOMEM. */
int binding_add(unsigned int room, struct vcpu *vcpu)
{
	struct binding *binding = new_binding(room);
	unsigned long flags;

	if (!binding)
		return -ENOMEM;
	flags = claims_lock();
	if (vcpu)
		take(binding, vcpu);
	binding->next = first;
	smp_store_release(&first, binding);
	claims_unlock(flags);
	return 0;
}

/* Twice the room in both lists. May sleep. -ENOMEM. */
int binding_grow(struct binding *binding)
{
	unsigned int room = 2 * binding->told.room;
	struct operand *told = list_of(room), *found = list_of(room);
	unsigned long flags;

	if (!told || !found) {
		vfree(told);
		vfree(found);
		return -ENOMEM;
	}
	local_irq_save(flags);
	if (look_begin(binding)) {
		unsigned long locked = claims_lock();

		memcpy(told, binding->told.list, binding->told.count * sizeof(*told));
		swap(binding->told.list, told);
		swap(binding->found.list, found);
		binding->told.room = binding->found.room = room;
		binding->grow = false;
		claims_unlock(locked);
		look_end(binding);
	}
	local_irq_restore(flags);
	vfree(told);
	vfree(found);
	return 0;
}

/* The L2's own FPU registers, as they stood at its last exit. Of a vcpu that is bound. */
void *binding_fpu(const struct vcpu *vcpu)
{
	return binding_of(vcpu)->fpu;
}

/* After a run: nothing of it can be entered any more. */
void binding_forget(void)
{
	unsigned long flags = claims_lock();
	struct binding *binding;

	for (binding = first; binding; binding = binding->next)
		WRITE_ONCE(binding->number, 0);
	last_number = 0;
	claims_unlock(flags);
}

/* When nobody can ask any more. */
void binding_close(void)
{
	struct binding *binding, *next;

	foreign_close();
	binding = first;
	for (first = NULL; binding; binding = next) {
		next = binding->next;
		free_binding(binding);
	}
}
