// SPDX-License-Identifier: GPL-2.0
// What a CPU is given by itself: its host save area, VMSAVE's page, its handler's memory.
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/string.h>
#include <asm/msr-index.h>

#include "books/books.h"
#include "cpu/operand.h"
#include "cpu/vmcb.h"
#include "ledger/ledger.h"

/* What a handler runs on while Linux is the guest: its stack, its data, its world. */
#define HANDLER_PARTS 3

struct part {
	u64 gpa;
	u64 size;
};

#define SAVE_AREAS 8

/* By the lock of claims.c. */
struct given {
	u64 host_save_area;
	u64 save_area[SAVE_AREAS]; /* told since nothing of them was released; 0: none */
	unsigned int next;
	struct part handler[HANDLER_PARTS];
};

static DEFINE_PER_CPU(struct given, given);

bool given_hold(u64 gpa, size_t size)
{
	int cpu, i;

	claims_assert_locked();
	for_each_possible_cpu(cpu) {
		const struct given *its = per_cpu_ptr(&given, cpu);

		if (its->host_save_area &&
		    operand_overlap(gpa, size, its->host_save_area, HOST_SAVE_AREA_BYTES))
			return true;
		for (i = 0; i < HANDLER_PARTS; i++)
			if (operand_overlap(gpa, size, its->handler[i].gpa, its->handler[i].size))
				return true;
	}
	return false;
}

static void tell(enum ledger_structure structure, u64 gpa, u64 size)
{
	struct operand operand = {
		.gpa = gpa, .size = size, .structure = structure,
		.cache = operand_cache_type(gpa, size),
	};

	claims_assert_locked();
	operand_tell(0, &operand, false);
}

/* A VMCB for this CPU's next instruction alone. -EFAULT: it must not be given this one. */
int given_vmsave(u64 gpa)
{
	unsigned long flags = claims_lock();

	tell(STRUCTURE_VMSAVE, gpa, VMCB_BYTES);
	claims_unlock(flags);
	return operand_may_be_given(gpa) ? 0 : -EFAULT;
}

/* This CPU's, while SVM is on. */
void given_host_save_area(u64 gpa, bool bound)
{
	unsigned long flags = claims_lock();

	this_cpu_write(given.host_save_area, bound ? gpa : 0);
	if (bound)
		tell(STRUCTURE_HOST_SAVE_AREA, gpa, HOST_SAVE_AREA_BYTES);
	claims_unlock(flags);
}

/* By VMLOAD or VMSAVE of a subject's, on a CPU: told once, until it is released. */
void given_by_others(u32 cpu, u64 gpa)
{
	struct operand operand = { .gpa = gpa, .size = VMCB_BYTES, .structure = STRUCTURE_VMSAVE };
	unsigned long flags;
	struct given *its;
	int i;

	if (cpu >= nr_cpu_ids)
		return;
	flags = claims_lock();
	its = per_cpu_ptr(&given, cpu);
	for (i = 0; i < SAVE_AREAS && its->save_area[i] != gpa; i++)
		;
	if (i == SAVE_AREAS) {
		its->save_area[its->next++ % SAVE_AREAS] = gpa;
		leaves_add(gpa, VMCB_BYTES, false);
		operand.cache = operand_cache_type(gpa, VMCB_BYTES);
		operand_tell_on(cpu, 0, &operand, false);
	}
	claims_unlock(flags);
}

/* These bytes are about to be released. With the lock of claims.c. */
void given_let_go(u64 gpa, size_t size)
{
	int cpu, i;

	claims_assert_locked();
	for_each_possible_cpu(cpu) {
		u64 *areas = per_cpu_ptr(&given, cpu)->save_area;

		for (i = 0; i < SAVE_AREAS; i++)
			if (areas[i] && operand_overlap(gpa, size, areas[i], VMCB_BYTES))
				areas[i] = 0;
	}
}

/* EFER and VM_HSAVE_PA as a subject has written them: the CPU uses the area while SVM is on. */
void given_registers(u32 cpu, u64 efer, u64 host_save_area)
{
	struct ledger_record off = {
		.type = LEDGER_SVM_OFF, .pointer = efer, .physical = host_save_area,
	};
	const struct operand operand = {
		.gpa = host_save_area, .size = HOST_SAVE_AREA_BYTES,
		.structure = STRUCTURE_HOST_SAVE_AREA,
		.cache = operand_cache_type(host_save_area, HOST_SAVE_AREA_BYTES),
	};
	u64 area = efer & EFER_SVME ? host_save_area : 0;
	unsigned long flags;
	struct given *its;

	if (cpu >= nr_cpu_ids)
		return;
	flags = claims_lock();
	its = per_cpu_ptr(&given, cpu);
	if (area != its->host_save_area) {
		its->host_save_area = area;
		if (area)
			operand_tell_on(cpu, 0, &operand, false);
		else
			ledger_append_on(cpu, &off);
	}
	claims_unlock(flags);
}

/* Of a handler's parts by pointer: the allocation that one lies in, or nothing. */
static struct part around(const void *pointer)
{
	u64 gpa = virt_addr_valid(pointer) ? virt_to_phys((void *)pointer) : 0;
	size_t size = 1;

	if (!gpa || !allocation_around(&gpa, &size))
		return (struct part){ 0 };
	return (struct part){ gpa, size };
}

/* On the CPU of which Linux is about to be the guest. */
void given_handler(const struct world *world)
{
	const struct part parts[HANDLER_PARTS] = {
		around(world->stack_top - 1), around(world->owner), around(world),
	};
	unsigned long flags = claims_lock();
	struct part *mine = this_cpu_ptr(&given)->handler;
	int i;

	for (i = 0; i < HANDLER_PARTS; i++) {
		mine[i] = parts[i];
		if (parts[i].size)
			tell(i ? STRUCTURE_HANDLER_DATA : STRUCTURE_HANDLER_STACK, parts[i].gpa,
			     parts[i].size);
	}
	claims_unlock(flags);
}

/*
 * Nothing runs below this CPU any more, with interrupts off. Linux may have been stopped with
 * the lock taken, and goes on to give it back: then this does without.
 */
void given_handler_left(void)
{
	struct ledger_record record = { .type = LEDGER_LEFT };
	struct given *mine = this_cpu_ptr(&given);
	unsigned long flags;
	bool locked = claims_trylock(&flags);

	ledger_append(&record);
	memset(mine->handler, 0, sizeof(mine->handler));
	if (locked)
		claims_unlock(flags);
}

/* After a run. */
void given_forget(void)
{
	unsigned long flags = claims_lock();
	int cpu;

	for_each_possible_cpu(cpu)
		*per_cpu_ptr(&given, cpu) = (struct given){ 0 };
	claims_unlock(flags);
}
