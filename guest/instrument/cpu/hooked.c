// SPDX-License-Identifier: GPL-2.0
// What foreign hypervisors give the CPU, as hooks.S noted it: read in order, and told.
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched.h>
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
#define HOOKED_TASKS_SHIFT 8
#define HOOKED_TASKS (1 << HOOKED_TASKS_SHIFT)

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
static u32 fields; /* that were told in this run */

/*
 * Which vcpu a task entered last: a guess for its next VMRUN. By a hash, so that a task may find
 * another one's place and not guess.
 */
struct enters {
	const struct task_struct *task;
	u32 number;
};

static struct enters tasks[HOOKED_TASKS];
/* Since each CPU's last CLGI: by which task, and at which vcpu's tables was looked. */
static const struct task_struct *entering[HOOKED_CPUS];
static u32 looked[HOOKED_CPUS];

static struct enters *enters(const struct task_struct *task)
{
	return &tasks[hash_ptr(task, HOOKED_TASKS_SHIFT)];
}

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

static void tell_blind(void)
{
	struct ledger_record record = { .type = LEDGER_BLIND, .detail = BLIND_HOOKS };

	ledger_append(&record);
}

/* At the begin of a run. May sleep. */
void hooked_watch(bool life)
{
	bool wanted = life && hooked_svm, ready = wanted && !binding_reserve();

	if (wanted && !ready)
		tell_blind();
	WRITE_ONCE(watched, ready);
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

/* What an L2 may reach that its operands do not tell of: once in a run. */
static void tell_field(u32 cpu, u32 number, enum ledger_field field)
{
	const struct operand operand = { .structure = STRUCTURE_MORE, .level = field };

	if (!number || fields & BIT(field))
		return;
	fields |= BIT(field);
	operand_tell_on(cpu, number, &operand, false);
}

static void tell_fields(const struct hooked *slot, u32 cpu, u32 number, enum paging_kind paging)
{
	if (slot->words[5] & VMCB_AVIC)
		tell_field(cpu, number, FIELD_AVIC);
	if (slot->words[3] & VMCB_SEV_ES)
		tell_field(cpu, number, FIELD_VMSA);
	/* The L2 may have loaded another since. */
	if (paging == PAGING_OWN)
		tell_field(cpu, number, FIELD_CR3);
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
	binding_entered(&reached, cpu, cpu < HOOKED_CPUS ? looked[cpu] : 0, &record);
	if (cpu < HOOKED_CPUS) {
		*enters(entering[cpu]) = (struct enters){ entering[cpu], record.serial };
		looked[cpu] = 0;
	}
	tell_fields(slot, cpu, record.serial, reached.paging.kind);
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

/* Of what there is, and without memcpy(): for so few words that is slower. */
static void copy(struct hooked *to, const struct hooked *from)
{
	int i;

	to->kind = from->kind;
	to->gdt = from->gdt;
	to->rax = from->rax;
	for (i = 0; i < HOOKED_MOST_WORDS; i++)
		to->words[i] = from->words[i];
}

/* False: it was written over, or whoever fills it does not come to an end. */
static bool copied(struct hooked *to, u64 number)
{
	const struct hooked *slot = &hooked_ring[number % HOOKED_SLOTS];
	unsigned int patience = PATIENCE;
	u64 ready;

	/* While another one fills it that is due only later, it is 0 too. */
	while ((ready = smp_load_acquire(&slot->ready)) < number + 1 &&
	       READ_ONCE(hooked_next) - number <= HOOKED_SLOTS && --patience)
		cpu_relax();
	if (ready != number + 1)
		return false;
	copy(to, slot);
	/* Before what is read next. */
	smp_rmb();
	return READ_ONCE(slot->ready) == number + 1;
}

/* All that was noted up to now is told, before what comes next is. From any context but NMI. */
void hooked_read(void)
{
	static struct hooked slot; /* by the lock */
	unsigned long flags;

	if (!hooked_any() || READ_ONCE(hooked_next) == READ_ONCE(done))
		return;
	raw_spin_lock_irqsave(&lock, flags);
	while (done != READ_ONCE(hooked_next)) {
		if (copied(&slot, done)) {
			read_slot(&slot);
			done++;
		} else {
			done = READ_ONCE(hooked_next);
			tell_blind();
		}
	}
	raw_spin_unlock_irqrestore(&lock, flags);
}

/* What the L2 reaches now that is about to be entered, if it is the one of the last time. */
void hooked_before_clgi(void)
{
	u32 cpu = raw_smp_processor_id(), number;
	unsigned long flags;

	hooked_read();
	if (cpu >= HOOKED_CPUS)
		return;
	raw_spin_lock_irqsave(&lock, flags);
	number = enters(current)->task == current ? enters(current)->number : 0;
	raw_spin_unlock_irqrestore(&lock, flags);
	if (number && !binding_look_again(number))
		number = 0;
	raw_spin_lock_irqsave(&lock, flags);
	entering[cpu] = current;
	looked[cpu] = number;
	raw_spin_unlock_irqrestore(&lock, flags);
}

/* After a run. */
void hooked_forget(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	done = READ_ONCE(hooked_next);
	memset(tasks, 0, sizeof(tasks));
	memset(entering, 0, sizeof(entering));
	memset(looked, 0, sizeof(looked));
	fields = 0;
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
