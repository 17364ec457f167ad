// SPDX-License-Identifier: GPL-2.0
// Every physical address that the CPU is given, and for how long. AMD manual volume 2, 15.5, 15.10, 15.11, 15.25.
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "freeonce.h"
#include "vmcb.h"

#define MAX_BOUND 32
#define MAX_OPERANDS 96
#define ENTRIES 512

/* Nested page-table entries have the bits of ordinary ones (15.25.5, 5.4). */
#define ENTRY_PRESENT BIT_ULL(0)
#define ENTRY_LARGE BIT_ULL(7)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL

struct operand {
	u64 gpa;
	u64 size;
	u64 nested; /* the L2's gpa that a nested table or page is for */
	u8 structure;
	u8 level;
	u8 cache;
	bool identity;
	u32 zero; /* compared as bytes */
};

/* The fields of a VMCB that say where else the CPU goes. Changed: told anew. */
struct reached {
	u64 vmcb;
	u64 host_vmcb;
	u64 iopm;
	u64 msrpm;
	u64 nested_control;
	u64 nested_cr3;
	u64 asid;
};

struct binding {
	u32 number; /* 0: free; else its place is number % MAX_BOUND */
	bool more;
	bool refused; /* the CPU must not be given this VMCB */
	struct reached reached;
	unsigned int count;
	struct operand operands[MAX_OPERANDS];
	void *fpu;
};

/* Protected by the lock: all but `fpu`, which belongs to the CPU that enters the L2. */
static struct binding *bindings;
static struct binding *scratch; /* one a CPU, with interrupts off: too large for a stack */
static u32 last_number;
static DEFINE_PER_CPU(u64, host_save_area);
static DEFINE_SPINLOCK(lock);

int operand_open(void)
{
	int i;

	scratch = kvcalloc(nr_cpu_ids, sizeof(*scratch), GFP_KERNEL);
	bindings = kvcalloc(MAX_BOUND, sizeof(*bindings), GFP_KERNEL);
	for (i = 0; scratch && bindings && i < MAX_BOUND; i++) {
		bindings[i].fpu = kvzalloc(host_fpu_bytes(), GFP_KERNEL);
		if (!bindings[i].fpu)
			break;
	}
	if (i == MAX_BOUND)
		return 0;
	operand_close();
	return -ENOMEM;
}

/* Also after an operand_open() that failed half-way. */
void operand_close(void)
{
	int i;

	for (i = 0; bindings && i < MAX_BOUND; i++)
		kvfree(bindings[i].fpu);
	kvfree(bindings);
	kvfree(scratch);
}

/* Taken with interrupts off: by allocation.c inside of its own lock, or below. */
void operand_lock(void)
{
	spin_lock(&lock);
}

void operand_unlock(void)
{
	spin_unlock(&lock);
}

static struct binding *binding_of(const struct vcpu *vcpu)
{
	struct binding *binding = &bindings[vcpu->number % MAX_BOUND];

	return vcpu->number && binding->number == vcpu->number ? binding : NULL;
}

/* With the lock. NULL: all are taken. */
static struct binding *new_binding(void)
{
	struct binding *binding;
	int i;

	for (i = 0; i < MAX_BOUND; i++) {
		binding = &bindings[++last_number % MAX_BOUND];
		if (!binding->number) {
			binding->number = last_number;
			memset(binding->fpu, 0, host_fpu_bytes());
			return binding;
		}
	}
	return NULL;
}

static bool overlap(u64 gpa, u64 size, u64 other, u64 other_size)
{
	return gpa < other + other_size && other < gpa + size;
}

/* Whether the CPU may use any of these bytes. With the lock. */
bool operand_holds(u64 gpa, size_t size)
{
	unsigned int i, j;
	int cpu;

	for_each_possible_cpu(cpu) {
		u64 area = per_cpu(host_save_area, cpu);

		if (area && overlap(gpa, size, area, HOST_SAVE_AREA_BYTES))
			return true;
	}
	for (i = 0; i < MAX_BOUND; i++)
		for (j = 0; bindings[i].number && j < bindings[i].count; j++) {
			const struct operand *operand = &bindings[i].operands[j];

			if (!operand->identity && overlap(gpa, size, operand->gpa, operand->size))
				return true;
		}
	return false;
}

static bool readable(u64 gpa, u64 size)
{
	return pfn_valid(PHYS_PFN(gpa)) && pfn_valid(PHYS_PFN(gpa + size - 1));
}

static u8 cache_type_at(u64 gpa, u64 size)
{
	if (!readable(gpa, size))
		return CACHE_UNKNOWN;
	return cache_type_of(phys_to_virt(gpa & PAGE_MASK), DIV_ROUND_UP(size, PAGE_SIZE));
}

static void add(struct binding *binding, struct operand operand)
{
	if (binding->count == MAX_OPERANDS) {
		binding->more = true;
		return;
	}
	binding->operands[binding->count++] = operand;
}

static void add_structure(struct binding *binding, enum ledger_structure structure, u64 gpa,
			  u64 size)
{
	add(binding, (struct operand){
		.gpa = gpa, .size = size, .structure = structure,
		.cache = cache_type_at(gpa, size),
	});
}

/* Pages that lie side by side on both sides are told as one. */
static void add_page(struct binding *binding, u64 nested, u64 gpa, u64 size, bool identity)
{
	struct operand *last = binding->count ? &binding->operands[binding->count - 1] : NULL;

	if (last && last->structure == STRUCTURE_NESTED_PAGE && last->identity == identity &&
	    last->nested + last->size == nested && last->gpa + last->size == gpa) {
		last->size += size;
		return;
	}
	add(binding, (struct operand){
		.gpa = gpa, .size = size, .nested = nested, .structure = STRUCTURE_NESTED_PAGE,
		.identity = identity, .cache = CACHE_UNKNOWN,
	});
}

/*
 * The tables that stand in an array before their pages, so that the pages behind
 * each other stay side by side. A table outside of live memory is told and not
 * read: what stands there is nobody's.
 */
static void gather_tables(struct binding *binding, u64 table, u32 level, u64 nested)
{
	const u64 *entries;
	int i;

	add(binding, (struct operand){
		.gpa = table, .size = PAGE_SIZE, .nested = nested, .level = level,
		.structure = STRUCTURE_NESTED_TABLE, .cache = cache_type_at(table, PAGE_SIZE),
	});
	if (level == 1 || !readable(table, PAGE_SIZE) || !allocation_live_at(table, PAGE_SIZE))
		return;
	entries = phys_to_virt(table);
	for (i = 0; i < ENTRIES; i++) {
		u64 entry = READ_ONCE(entries[i]);

		if (entry & ENTRY_PRESENT && !(entry & ENTRY_LARGE && level <= 3) &&
		    !((entry & ENTRY_ADDRESS) >> svm_physical_bits()))
			gather_tables(binding, entry & ENTRY_ADDRESS, level - 1,
				   nested + ((u64)i << (12 + 9 * (level - 1))));
	}
}

static void gather_pages(struct binding *binding, u64 table, u32 level, u64 nested, bool own)
{
	u64 size = 1ULL << (12 + 9 * (level - 1));
	const u64 *entries;
	int i;

	if (!readable(table, PAGE_SIZE) || !allocation_live_at(table, PAGE_SIZE))
		return;
	entries = phys_to_virt(table);
	for (i = 0; i < ENTRIES; i++) {
		u64 entry = READ_ONCE(entries[i]), gpa = entry & ENTRY_ADDRESS & ~(size - 1);
		u64 at = nested + i * size;

		/* With a bit beyond its addresses the CPU takes the entry for a fault (5.3.3). */
		if (!(entry & ENTRY_PRESENT) || gpa >> svm_physical_bits())
			continue;
		if (level == 1 || (entry & ENTRY_LARGE && level <= 3))
			add_page(binding, at, gpa, size, own && gpa == at);
		else
			gather_pages(binding, entry & ENTRY_ADDRESS, level - 1, at, own);
	}
}

static struct reached reached_by(const struct vcpu *vcpu)
{
	struct reached reached = { .vmcb = vcpu->vmcb_gpa, .host_vmcb = vcpu->host_vmcb_gpa };
	const void *vmcb = vcpu->vmcb;

	reached.iopm = vmcb_read(vmcb, VMCB_IOPM_BASE);
	reached.msrpm = vmcb_read(vmcb, VMCB_MSRPM_BASE);
	reached.asid = (u32)vmcb_read(vmcb, VMCB_ASID);
	reached.nested_control = vmcb_read(vmcb, VMCB_NESTED_CONTROL) & NESTED_PAGING;
	if (reached.nested_control)
		reached.nested_cr3 = vmcb_read(vmcb, VMCB_NESTED_CR3);
	return reached;
}

static void append_operand(const struct binding *binding, const struct operand *operand)
{
	struct ledger_record record = {
		.type = LEDGER_OPERAND,
		.serial = binding->number,
		.pointer = operand->nested,
		.physical = operand->gpa,
		.size = operand->size,
		.detail = operand->structure | operand->cache << 8 | operand->level << 16,
		.flags = operand->identity ? FLAG_IDENTITY : 0,
	};

	ledger_append(&record);
}

static void append_binding(const struct binding *binding)
{
	struct ledger_record record = {
		.type = LEDGER_BIND,
		.serial = binding->number,
		.pointer = binding->reached.nested_cr3,
		.physical = binding->reached.vmcb,
		.detail = binding->reached.asid,
	};
	unsigned int i;

	ledger_append(&record);
	for (i = 0; i < binding->count; i++)
		append_operand(binding, &binding->operands[i]);
	if (binding->more)
		append_operand(binding, &(struct operand){ .structure = STRUCTURE_MORE });
}

/* What the VMCB reaches now: gathered aside, since reading tables takes another lock. */
static void gather(struct binding *found, const struct vcpu *vcpu, const struct reached *reached)
{
	u32 levels = freeonce_paging_levels();

	found->reached = *reached;
	found->count = 0;
	found->more = false;
	add_structure(found, STRUCTURE_VMCB, reached->vmcb, VMCB_BYTES);
	add_structure(found, STRUCTURE_HOST_VMCB, reached->host_vmcb, VMCB_BYTES);
	/* What stands in a VMCB that is not live is nobody's, as with tables below. */
	if (!allocation_live_at(reached->vmcb, VMCB_BYTES))
		return;
	add_structure(found, STRUCTURE_IOPM, reached->iopm, IOPM_BYTES);
	add_structure(found, STRUCTURE_MSRPM, reached->msrpm, MSRPM_BYTES);
	if (!reached->nested_control)
		return;
	gather_tables(found, reached->nested_cr3 & ENTRY_ADDRESS, levels, 0);
	gather_pages(found, reached->nested_cr3 & ENTRY_ADDRESS, levels, 0,
		  vcpu->flags & VCPU_IDENTITY);
}

static bool same(const struct binding *one, const struct binding *other)
{
	return !memcmp(&one->reached, &other->reached, sizeof(one->reached)) &&
	       one->more == other->more && one->count == other->count &&
	       !memcmp(one->operands, other->operands, one->count * sizeof(*one->operands));
}

/* Looks where the VMCB leads, and tells it when that is new. -EMFILE: more L2s than MAX_BOUND. */
static int tell(struct vcpu *vcpu, const struct reached *reached)
{
	struct binding *found, *binding;
	unsigned long flags;
	int error = 0;

	local_irq_save(flags);
	found = &scratch[raw_smp_processor_id()];
	gather(found, vcpu, reached);
	operand_lock();
	binding = binding_of(vcpu) ?: new_binding();
	if (!binding) {
		error = -EMFILE;
	} else if (!vcpu->number || !same(found, binding)) {
		vcpu->number = binding->number;
		binding->reached = found->reached;
		binding->more = found->more;
		binding->count = found->count;
		memcpy(binding->operands, found->operands,
		       found->count * sizeof(*found->operands));
		append_binding(binding);
	}
	operand_unlock();
	local_irq_restore(flags);
	return error;
}

static void append_unbind(u32 number)
{
	struct ledger_record record = { .type = LEDGER_UNBIND, .serial = number };

	ledger_append(&record);
}

/* The CPU would answer these with #GP (15.5.1), and what was never ours it must not write. */
static bool enterable(const struct vcpu *vcpu)
{
	u64 limit = 1ULL << svm_physical_bits();

	return !((vcpu->vmcb_gpa | vcpu->host_vmcb_gpa) & ~PAGE_MASK) &&
	       vcpu->vmcb_gpa < limit && vcpu->host_vmcb_gpa < limit &&
	       allocation_known_at(vcpu->vmcb_gpa, VMCB_BYTES) &&
	       allocation_known_at(vcpu->host_vmcb_gpa, VMCB_BYTES);
}

/*
 * Whether another walk is due. The CPU may keep what it was given until it is told
 * otherwise: by another nCR3 or ASID, or by TLB_CONTROL (15.16). Only an entry
 * that was not present takes effect without; where no fault asks for it first, it is
 * told at the next walk, at the latest by unbinding.
 */
static bool may_reach_else(const struct vcpu *vcpu, const struct binding *binding,
			   const struct reached *reached)
{
	return memcmp(&binding->reached, reached, sizeof(*reached)) ||
	       (u8)(vmcb_read(vcpu->vmcb, VMCB_ASID) >> 32) ||
	       vmcb_read(vcpu->vmcb, VMCB_EXIT_CODE) == EXIT_NESTED_PAGE_FAULT;
}

/* Binds what is not bound, tells what has changed. -EFAULT: the CPU must not enter this. */
int operand_check(struct vcpu *vcpu)
{
	struct reached reached = reached_by(vcpu);
	struct binding *binding = binding_of(vcpu);
	int error;

	if (!binding || may_reach_else(vcpu, binding, &reached)) {
		error = tell(vcpu, &reached);
		if (error)
			return error;
		binding = binding_of(vcpu);
		binding->refused = !enterable(vcpu);
	}
	return binding->refused ? -EFAULT : 0;
}

int freeonce_vcpu_bind(struct vcpu *vcpu)
{
	int error = operand_check(vcpu);

	return error == -EFAULT ? 0 : error;
}

/* The L2 cannot be entered any more. What it reached since the last look is told first. */
void freeonce_vcpu_unbind(struct vcpu *vcpu)
{
	struct reached reached;
	unsigned long flags;

	if (!binding_of(vcpu))
		return;
	reached = reached_by(vcpu);
	tell(vcpu, &reached);
	spin_lock_irqsave(&lock, flags);
	append_unbind(vcpu->number);
	binding_of(vcpu)->number = 0;
	vcpu->number = 0;
	spin_unlock_irqrestore(&lock, flags);
}

/* The L2's own FPU registers, as they stood at its last exit. Of a vcpu that is bound. */
void *operand_fpu(const struct vcpu *vcpu)
{
	return binding_of(vcpu)->fpu;
}

static void append_host_save_area(u64 gpa)
{
	struct operand operand = {
		.gpa = gpa, .size = HOST_SAVE_AREA_BYTES, .structure = STRUCTURE_HOST_SAVE_AREA,
		.cache = cache_type_at(gpa, HOST_SAVE_AREA_BYTES),
	};

	append_operand(&(struct binding){}, &operand);
}

/* This CPU's, while SVM is on. */
void operand_host_save_area(u64 gpa, bool bound)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	this_cpu_write(host_save_area, bound ? gpa : 0);
	if (bound)
		append_host_save_area(gpa);
	spin_unlock_irqrestore(&lock, flags);
}

/* After a run: nothing of it can be entered any more. */
void operand_unbind_all(void)
{
	unsigned long flags;
	int i, cpu;

	spin_lock_irqsave(&lock, flags);
	for (i = 0; i < MAX_BOUND; i++)
		bindings[i].number = 0;
	last_number = 0;
	for_each_possible_cpu(cpu)
		per_cpu(host_save_area, cpu) = 0;
	spin_unlock_irqrestore(&lock, flags);
}
