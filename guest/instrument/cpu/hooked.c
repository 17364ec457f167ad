// SPDX-License-Identifier: GPL-2.0
// What foreign hypervisors give the CPU, as hooks.S noted it: read in order, and told.
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/vmalloc.h>
#include <asm/desc.h>
#include <asm/msr-trace.h>

#include "cpu/hooks.h"
#include "cpu/operand.h"
#include "cpu/vmcb.h"
#include "families/families.h"
#include "kernel/kernel.h"
#include "ledger/ledger.h"

#define PATIENCE (1U << 20)

/* As hooks.S fills it. */
struct hooked {
	u64 ready;
	u64 kind;
	u64 gdt;
	u64 rax;
	u64 words[(1 << HOOKED_SHIFT) / sizeof(u64) - 4];
};

static_assert(sizeof(struct hooked) == 1 << HOOKED_SHIFT);
static_assert(offsetof(struct hooked, words) == HOOKED_WORDS);

struct hooked_cpu {
	u64 gdt;
	u64 gs_base;
};

/* For hooks.S. */
struct hooked *hooked_ring;
u64 hooked_next;
u64 hooked_pages;   /* below which the kernel's map has memory */
u64 hooked_offset;  /* of that map */
u64 hooked_nothing; /* a page of zeros */
u32 hooked_cpu_count;
bool hooked_svm;
struct hooked_cpu hooked_cpus[HOOKED_CPUS];

void hooked_before_clgi(void);

/* Raw: from where interrupts are off. */
static DEFINE_RAW_SPINLOCK(lock);
static u64 done; /* slots that were read */
static bool watched; /* a life is on: hypervisors are others' */
static u32 entered[HOOKED_CPUS]; /* the vcpu that each CPU entered last; a guess for the next */

static void learn_cpu(void *unused)
{
	u32 cpu = raw_smp_processor_id();
	struct desc_ptr gdt;

	native_store_gdt(&gdt);
	if (cpu >= HOOKED_CPUS)
		return;
	rdmsrq(MSR_GS_BASE, hooked_cpus[cpu].gs_base);
	hooked_cpus[cpu].gdt = gdt.address;
}

/* msr:write_msr: the kernel's functions write these for whoever calls them. */
static void on_write_msr(void *unused, unsigned int msr, u64 value, int failed)
{
	u64 efer, host_save_area;

	if ((msr != MSR_EFER && msr != MSR_VM_HSAVE_PA) || !READ_ONCE(watched) || !hooked_svm)
		return;
	hooked_read();
	efer = __rdmsr(MSR_EFER);
	host_save_area = __rdmsr(MSR_VM_HSAVE_PA);
	given_registers(raw_smp_processor_id(), efer, host_save_area);
}

int hooked_open(void)
{
	int error;

	hooked_ring = vzalloc(array_size(HOOKED_SLOTS, sizeof(*hooked_ring)));
	if (!hooked_ring || leaves_open()) {
		vfree(hooked_ring);
		return -ENOMEM;
	}
	hooked_pages = PHYS_PFN(freeonce_memory_end());
	hooked_offset = PAGE_OFFSET;
	hooked_nothing = (unsigned long)page_address(ZERO_PAGE(0));
	hooked_svm = !svm_missing();
	hooked_cpu_count = min_t(u32, nr_cpu_ids, HOOKED_CPUS);
	on_each_cpu(learn_cpu, NULL, 1);
	error = register_trace_write_msr(on_write_msr, NULL);
	if (error) {
		leaves_close();
		vfree(hooked_ring);
	}
	return error;
}

void hooked_close(void)
{
	unregister_trace_write_msr(on_write_msr, NULL);
	tracepoint_synchronize_unregister();
	vfree(hooked_ring);
}

/* At the begin of a run. May sleep. */
void hooked_watch(bool life)
{
	WRITE_ONCE(watched, life && hooked_svm && !binding_reserve());
}

/* At its end: what is noted from now on belongs to none. */
void hooked_end(void)
{
	hooked_read();
	WRITE_ONCE(watched, false);
}

/* Whether hypervisors of others may be at work. */
bool hooked_any(void)
{
	return READ_ONCE(watched);
}

/* By its GDT; the last one that there may be when it is none that we know. */
static u32 cpu_of(const struct hooked *slot)
{
	u32 cpu;

	for (cpu = 0; cpu < hooked_cpu_count; cpu++)
		if (hooked_cpus[cpu].gdt == slot->gdt)
			return cpu;
	return U16_MAX;
}

static void read_vmrun(const struct hooked *slot, u32 cpu)
{
	struct ledger_record record = {
		.type = LEDGER_VMRUN,
		.physical = slot->rax,
		.detail = (u32)slot->words[2],
		.size = (u8)(slot->words[2] >> 32),
	};
	struct reached reached = operand_reached_by_others(slot->rax);

	reached.iopm = slot->words[0];
	reached.msrpm = slot->words[1];
	if (reached.paging.kind == PAGING_NESTED)
		reached.paging.root = slot->words[4] & CR3_ADDRESS;
	record.serial = binding_entered(&reached);
	if (cpu < HOOKED_CPUS)
		entered[cpu] = record.serial;
	ledger_append_on(cpu, &record);
}

static void read_vmexit(const struct hooked *slot, u32 cpu)
{
	struct ledger_record record = {
		.type = LEDGER_VMEXIT,
		.serial = binding_exited(slot->rax),
		.detail = slot->words[0],
		.pointer = slot->words[1],
		.physical = slot->words[2],
		.size = slot->words[3],
	};

	ledger_append_on(cpu, &record);
}

static void read_invlpga(const struct hooked *slot, u32 cpu)
{
	struct ledger_record record = {
		.type = LEDGER_INVLPGA, .pointer = slot->rax, .detail = slot->words[0],
	};

	ledger_append_on(cpu, &record);
}

static void read_slot(const struct hooked *slot)
{
	u32 cpu = cpu_of(slot);

	switch (slot->kind) {
	case HOOKED_VMRUN:
		read_vmrun(slot, cpu);
		break;
	case HOOKED_VMEXIT:
		read_vmexit(slot, cpu);
		break;
	case HOOKED_SAVE_AREA:
		given_by_others(cpu, slot->rax);
		break;
	case HOOKED_INVLPGA:
		read_invlpga(slot, cpu);
		break;
	case HOOKED_WRMSR:
		given_registers(cpu, slot->words[0], slot->rax);
		break;
	}
}

/* False: it was written over, or whoever fills it does not come to an end. */
static bool full(const struct hooked *slot, u64 number)
{
	unsigned int patience = PATIENCE;

	while (smp_load_acquire(&slot->ready) != number + 1 && --patience)
		cpu_relax();
	return patience;
}

/* All that was noted up to now is told, before what comes next is. From any context but NMI. */
void hooked_read(void)
{
	unsigned long flags;

	if (!hooked_any() || READ_ONCE(hooked_next) == READ_ONCE(done))
		return;
	raw_spin_lock_irqsave(&lock, flags);
	for (; done != READ_ONCE(hooked_next); done++) {
		const struct hooked *slot = &hooked_ring[done % HOOKED_SLOTS];
		struct ledger_record lost = { .type = LEDGER_BLIND, .detail = BLIND_HOOKS };

		if (full(slot, done))
			read_slot(slot);
		else
			ledger_append(&lost);
	}
	raw_spin_unlock_irqrestore(&lock, flags);
}

/* What the L2 reaches now that is about to be entered, if it is the one of the last time. */
void hooked_before_clgi(void)
{
	u32 cpu = raw_smp_processor_id();

	hooked_read();
	if (cpu < HOOKED_CPUS && entered[cpu])
		binding_look_again(entered[cpu]);
}

/* After a run. */
void hooked_forget(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	done = READ_ONCE(hooked_next);
	memset(entered, 0, sizeof(entered));
	raw_spin_unlock_irqrestore(&lock, flags);
}

/* Defined in hooks.S, called by trampolines in subjects' code. */
void freeonce_hook_vmrun(void);
void freeonce_hook_vmexit(void);
void freeonce_hook_save_area(void);
void freeonce_hook_invlpga(void);
void freeonce_hook_wrmsr(void);
void freeonce_hook_clgi(void);
void freeonce_hook_stgi(void);
EXPORT_SYMBOL_GPL(freeonce_hook_vmrun);
EXPORT_SYMBOL_GPL(freeonce_hook_vmexit);
EXPORT_SYMBOL_GPL(freeonce_hook_save_area);
EXPORT_SYMBOL_GPL(freeonce_hook_invlpga);
EXPORT_SYMBOL_GPL(freeonce_hook_wrmsr);
EXPORT_SYMBOL_GPL(freeonce_hook_clgi);
EXPORT_SYMBOL_GPL(freeonce_hook_stgi);
