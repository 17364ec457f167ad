// SPDX-License-Identifier: GPL-2.0
// Every physical address that the CPU is given, and for how long. AMD manual volume 2, 15.5, 15.10, 15.11, 15.25.
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "books/books.h"
#include "cpu/host_state.h"
#include "cpu/operand.h"
#include "cpu/vmcb.h"
#include "families/families.h"
#include "ledger/ledger.h"
#include "subjects/subjects.h"

#define MAX_BOUND 32

/* The fields of a VMCB that say where else the CPU goes. Changed: told anew. */
struct reached {
	u64 vmcb;
	u64 host_vmcb;
	u64 iopm;
	u64 msrpm;
	u64 asid;
	struct paging paging;
};

/* Where the CPUs may still have entries of an L2, by its VMRUNs so far. */
struct entered {
	bool any;
	bool elsewhere; /* on another CPU too: no VMRUN flushes that one */
	bool retagged;  /* with another ASID too, since all was flushed */
	u32 cpu;        /* of the last */
	u32 asid;
};

struct binding {
	u32 number; /* 0: free; else its place is number % MAX_BOUND */
	bool refused; /* the CPU must not be given this VMCB */
	struct reached reached;
	struct operands operands;
	struct entered entered;
	void *fpu;
};

/* By the lock; `entered` and `fpu` belong to the CPU that enters the L2. */
static struct binding *bindings;
static struct binding *scratch; /* one a CPU, with interrupts off: too large for a stack */
static u32 last_number;
static DEFINE_PER_CPU(u64, host_save_area);

/* What a CPU's handler runs on while Linux is the guest: its stack, its data, its world. */
#define HANDLER_PARTS 3

struct part {
	u64 gpa;
	u64 size;
};

static DEFINE_PER_CPU(struct part [HANDLER_PARTS], handler);
static DEFINE_RAW_SPINLOCK(lock);

/* Taken with interrupts off: by the books inside of their own lock, or below. */
static void take_lock(void)
{
	raw_spin_lock(&lock);
}

static void drop_lock(void)
{
	raw_spin_unlock(&lock);
}

static struct binding *binding_of(const struct vcpu *vcpu)
{
	struct binding *binding = &bindings[vcpu->number % MAX_BOUND];

	return vcpu->number && binding->number == vcpu->number ? binding : NULL;
}

/* NULL: all are taken. */
static struct binding *new_binding(void)
{
	struct binding *binding;
	int i;

	lockdep_assert_held(&lock);
	for (i = 0; i < MAX_BOUND; i++) {
		binding = &bindings[++last_number % MAX_BOUND];
		if (!binding->number) {
			binding->number = last_number;
			binding->entered = (struct entered){ 0 };
			host_fpu_reset(binding->fpu);
			return binding;
		}
	}
	return NULL;
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

static bool overlap(u64 gpa, u64 size, u64 other, u64 other_size)
{
	return gpa < other + other_size && other < gpa + size;
}

/* Whether the CPU may use any of these bytes. */
static bool holds(u64 gpa, size_t size)
{
	unsigned int i, j;
	int cpu;

	lockdep_assert_held(&lock);
	for_each_possible_cpu(cpu) {
		u64 area = per_cpu(host_save_area, cpu);

		if (area && overlap(gpa, size, area, HOST_SAVE_AREA_BYTES))
			return true;
		for (i = 0; i < HANDLER_PARTS; i++) {
			const struct part *part = &per_cpu(handler, cpu)[i];

			if (overlap(gpa, size, part->gpa, part->size))
				return true;
		}
	}
	for (i = 0; i < MAX_BOUND; i++)
		for (j = 0; bindings[i].number && j < bindings[i].operands.count; j++) {
			const struct operand *operand = &bindings[i].operands.list[j];

			if (!operand->identity && overlap(gpa, size, operand->gpa, operand->size))
				return true;
		}
	return false;
}

static const struct claims claims = { .lock = take_lock, .unlock = drop_lock, .hold = holds };

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
	if (i < MAX_BOUND) {
		operand_close();
		return -ENOMEM;
	}
	allocation_heed(&claims);
	return 0;
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

/* Whether these bytes are somebody's now: of a live allocation, or the subject's own. */
bool operand_lives(u64 gpa, u64 size)
{
	return allocation_live_at(gpa, size) || own_memory_holds(gpa, size);
}

bool operand_readable(u64 gpa, u64 size)
{
	return pfn_valid(PHYS_PFN(gpa)) && pfn_valid(PHYS_PFN(gpa + size - 1));
}

u8 operand_cache_type(u64 gpa, u64 size)
{
	if (!operand_readable(gpa, size))
		return CACHE_UNKNOWN;
	return cache_type_of(phys_to_virt(gpa & PAGE_MASK), DIV_ROUND_UP(size, PAGE_SIZE));
}

void operand_add(struct operands *operands, struct operand operand)
{
	if (operands->count == MAX_OPERANDS)
		operands->more = true;
	else
		operands->list[operands->count++] = operand;
}

static void add_structure(struct operands *operands, enum ledger_structure structure, u64 gpa,
			  u64 size)
{
	operand_add(operands, (struct operand){
		.gpa = gpa, .size = size, .structure = structure,
		.cache = operand_cache_type(gpa, size),
	});
}

/* The CPU would answer these with #GP (15.5.1), and what was never ours it must not write. */
static bool may_be_given(u64 vmcb)
{
	return !(vmcb & ~PAGE_MASK) && vmcb < 1ULL << svm_physical_bits() &&
	       (allocation_known_at(vmcb, VMCB_BYTES) || own_memory_holds(vmcb, VMCB_BYTES));
}

/* What the CPU would read, at the address that it gets. NULL: it must not be given this one. */
static const void *vmcb_of(const struct vcpu *vcpu)
{
	return may_be_given(vcpu->vmcb_gpa) ? phys_to_virt(vcpu->vmcb_gpa) : NULL;
}

/*
 * Without nested paging the L2's own tables hold L1's addresses (5.3). Those of 32-bit
 * modes we do not walk, and without paging all memory is the L2's.
 */
static struct paging own_paging(const void *vmcb)
{
	u64 cr4 = vmcb_read(vmcb, VMCB_CR4);
	bool long_mode = vmcb_read(vmcb, VMCB_CR0) & X86_CR0_PG && cr4 & X86_CR4_PAE &&
			 vmcb_read(vmcb, VMCB_EFER) & EFER_LME;

	if (!long_mode)
		return (struct paging){ .kind = PAGING_UNKNOWN };
	return (struct paging){
		.kind = PAGING_OWN,
		.root = vmcb_read(vmcb, VMCB_CR3) & CR3_ADDRESS,
		.levels = cr4 & X86_CR4_LA57 ? 5 : 4,
	};
}

static struct paging paging_of(const void *vmcb)
{
	if (!(vmcb_read(vmcb, VMCB_NESTED_CONTROL) & NESTED_PAGING))
		return own_paging(vmcb);
	return (struct paging){
		.kind = PAGING_NESTED,
		.root = vmcb_read(vmcb, VMCB_NESTED_CR3) & CR3_ADDRESS,
		.levels = freeonce_paging_levels(),
	};
}

static struct reached reached_by(const struct vcpu *vcpu)
{
	const void *vmcb = vmcb_of(vcpu);

	if (!vmcb)
		return (struct reached){ .vmcb = vcpu->vmcb_gpa, .host_vmcb = vcpu->host_vmcb_gpa };
	return (struct reached){
		.vmcb = vcpu->vmcb_gpa,
		.host_vmcb = vcpu->host_vmcb_gpa,
		.iopm = vmcb_read(vmcb, VMCB_IOPM_BASE),
		.msrpm = vmcb_read(vmcb, VMCB_MSRPM_BASE),
		.asid = (u32)vmcb_read(vmcb, VMCB_ASID),
		.paging = paging_of(vmcb),
	};
}

static void append_operand(u32 number, const struct operand *operand)
{
	struct ledger_record record = {
		.type = LEDGER_OPERAND,
		.serial = number,
		.pointer = operand->mapped_at,
		.physical = operand->gpa,
		.size = operand->size,
		.detail = operand->structure | operand->cache << 8 | operand->level << 16,
		.flags = operand->identity ? FLAG_IDENTITY : 0,
	};

	if (!operand->identity)
		own_memory_append(operand->gpa, operand->size);
	ledger_append(&record);
}

static void append_binding(const struct binding *binding)
{
	struct ledger_record record = {
		.type = LEDGER_BIND,
		.serial = binding->number,
		.pointer = binding->reached.paging.root,
		.physical = binding->reached.vmcb,
		.detail = binding->reached.asid,
	};
	unsigned int i;

	ledger_append(&record);
	for (i = 0; i < binding->operands.count; i++)
		append_operand(binding->number, &binding->operands.list[i]);
	if (binding->operands.more)
		append_operand(binding->number, &(struct operand){ .structure = STRUCTURE_MORE });
}

/* What the VMCB reaches now: gathered aside, since reading tables takes another lock. */
static void gather(struct binding *found, const struct vcpu *vcpu, const struct reached *reached)
{
	struct operands *operands = &found->operands;

	found->reached = *reached;
	operands->count = 0;
	operands->more = false;
	operands->digest = (struct digest){ 0 };
	add_structure(operands, STRUCTURE_VMCB, reached->vmcb, VMCB_BYTES);
	add_structure(operands, STRUCTURE_HOST_VMCB, reached->host_vmcb, VMCB_BYTES);
	/* What stands in a VMCB that is not live is nobody's, as with page tables. */
	if (!operand_lives(reached->vmcb, VMCB_BYTES) || !may_be_given(reached->vmcb))
		return;
	add_structure(operands, STRUCTURE_IOPM, reached->iopm, IOPM_BYTES);
	add_structure(operands, STRUCTURE_MSRPM, reached->msrpm, MSRPM_BYTES);
	page_walk(operands, &reached->paging, vcpu->flags & VCPU_IDENTITY);
}

static bool is_mapped(const struct operand *operand)
{
	return operand->structure == STRUCTURE_NESTED_PAGE ||
	       operand->structure == STRUCTURE_PAGE;
}

static bool is_table(const struct operand *operand)
{
	return operand->structure == STRUCTURE_NESTED_TABLE ||
	       operand->structure == STRUCTURE_PAGE_TABLE;
}

static bool covered(const struct operands *operands, const struct operand *old)
{
	unsigned int i;

	for (i = 0; i < operands->count; i++) {
		const struct operand *one = &operands->list[i];

		if (one->structure == old->structure && one->identity == old->identity &&
		    one->gpa <= old->gpa && old->gpa + old->size <= one->gpa + one->size)
			return true;
	}
	return false;
}

/* What the CPU was told of tables and pages it may keep until its TLB is flushed (15.16). */
static void keep(struct operands *operands, const struct operands *old)
{
	unsigned int i;

	for (i = 0; i < old->count; i++) {
		struct operand operand = old->list[i];

		if (!(is_table(&operand) || is_mapped(&operand)) || covered(operands, &operand))
			continue;
		operand.followed = false;
		operand_add(operands, operand);
	}
}

static bool same(const struct binding *one, const struct binding *other)
{
	const struct operands *found = &one->operands, *told = &other->operands;

	return !memcmp(&one->reached, &other->reached, sizeof(one->reached)) &&
	       found->more == told->more && found->count == told->count &&
	       !memcmp(found->list, told->list, found->count * sizeof(*found->list));
}

static void replace(struct binding *binding, const struct binding *found)
{
	binding->reached = found->reached;
	binding->operands.more = found->operands.more;
	binding->operands.count = found->operands.count;
	memcpy(binding->operands.list, found->operands.list,
	       found->operands.count * sizeof(*found->operands.list));
}

/*
 * Whether TLB_CONTROL empties at this VMRUN all TLBs of what the L2 was given before (15.16).
 * It empties that of this CPU alone, and by 3 what is tagged with this ASID; another ASID
 * empties nothing, since the L2 may come back to the first; 7 leaves global entries.
 */
static bool flushes(const struct vcpu *vcpu, const struct entered *entered)
{
	const void *vmcb = vmcb_of(vcpu);

	if (!vmcb || entered->elsewhere)
		return false;
	switch ((u8)(vmcb_read(vmcb, VMCB_ASID) >> 32)) {
	case VMCB_FLUSH_ALL:
		return true;
	case VMCB_FLUSH_ASID:
		return boot_cpu_has(X86_FEATURE_FLUSHBYASID) && !entered->retagged;
	default:
		return false;
	}
}

/* On the CPU that is about to enter. */
static void note_entry(struct entered *entered, u32 asid)
{
	u32 cpu = raw_smp_processor_id();

	if (entered->any && entered->cpu != cpu)
		entered->elsewhere = true;
	if (entered->any && entered->asid != asid)
		entered->retagged = true;
	entered->any = true;
	entered->cpu = cpu;
	entered->asid = asid;
}

/* NULL: more L2s than MAX_BOUND. */
static struct binding *told(struct vcpu *vcpu, struct binding *found, bool flushed)
{
	struct binding *binding = binding_of(vcpu);
	bool first = !binding;

	lockdep_assert_held(&lock);
	if (first)
		binding = new_binding();
	if (!binding)
		return NULL;
	if (!first && !flushed)
		keep(&found->operands, &binding->operands);
	if (first || !same(found, binding)) {
		vcpu->number = binding->number;
		replace(binding, found);
		append_binding(binding);
	}
	binding->operands.digest = found->operands.digest;
	return binding;
}

/* Looks where the VMCB leads, and tells it when that is new. -EMFILE: more L2s than MAX_BOUND. */
static int tell(struct vcpu *vcpu, const struct reached *reached, bool flushed)
{
	struct binding *found, *binding;
	unsigned long flags;

	local_irq_save(flags);
	found = &scratch[raw_smp_processor_id()];
	gather(found, vcpu, reached);
	take_lock();
	binding = told(vcpu, found, flushed);
	drop_lock();
	local_irq_restore(flags);
	return binding ? 0 : -EMFILE;
}

static void append_unbind(u32 number)
{
	struct ledger_record record = { .type = LEDGER_UNBIND, .serial = number };

	ledger_append(&record);
}

static bool enterable(const struct vcpu *vcpu)
{
	return may_be_given(vcpu->vmcb_gpa) && may_be_given(vcpu->host_vmcb_gpa);
}

/*
 * Whether another walk is due. The tables are read each time: an entry that was not
 * present takes effect without a flush and without a fault.
 */
static bool may_reach_else(const struct binding *binding, const struct reached *reached)
{
	return memcmp(&binding->reached, reached, sizeof(*reached)) ||
	       !page_walk_is_current(&binding->operands);
}

static int bind_or_tell(struct vcpu *vcpu, const struct reached *reached, bool flushed)
{
	int error = tell(vcpu, reached, flushed);

	if (!error)
		binding_of(vcpu)->refused = !enterable(vcpu);
	return error;
}

/*
 * On the CPU that enters this next. Binds what is not bound, tells what has changed.
 * -EFAULT: it must not be entered, and nothing is flushed.
 */
int operand_check(struct vcpu *vcpu)
{
	struct reached reached = reached_by(vcpu);
	struct binding *binding = binding_of(vcpu);
	struct entered entered = { 0 };
	bool flushed;
	int error;

	if (binding)
		entered = binding->entered;
	note_entry(&entered, reached.asid);
	flushed = flushes(vcpu, &entered) && enterable(vcpu);
	if (!binding || flushed || may_reach_else(binding, &reached)) {
		error = bind_or_tell(vcpu, &reached, flushed);
		if (error)
			return error;
		binding = binding_of(vcpu);
	}
	if (binding->refused)
		return -EFAULT;
	if (flushed)
		entered.retagged = false;
	binding->entered = entered;
	return 0;
}

/* Nothing is flushed by this. */
int freeonce_vcpu_bind(struct vcpu *vcpu)
{
	struct reached reached = reached_by(vcpu);

	return bind_or_tell(vcpu, &reached, false);
}
EXPORT_SYMBOL_GPL(freeonce_vcpu_bind);

/* The L2 cannot be entered any more. What it reached since the last look is told first. */
void freeonce_vcpu_unbind(struct vcpu *vcpu)
{
	struct reached reached;
	unsigned long flags;

	if (!binding_of(vcpu))
		return;
	reached = reached_by(vcpu);
	tell(vcpu, &reached, false);
	raw_spin_lock_irqsave(&lock, flags);
	append_unbind(vcpu->number);
	binding_of(vcpu)->number = 0;
	vcpu->number = 0;
	raw_spin_unlock_irqrestore(&lock, flags);
}
EXPORT_SYMBOL_GPL(freeonce_vcpu_unbind);

/* The L2's own FPU registers, as they stood at its last exit. Of a vcpu that is bound. */
void *operand_fpu(const struct vcpu *vcpu)
{
	return binding_of(vcpu)->fpu;
}

/* What no vcpu is given, but this CPU. */
static void append_to_cpu(enum ledger_structure structure, u64 gpa, u64 size)
{
	struct operand operand = {
		.gpa = gpa, .size = size, .structure = structure,
		.cache = operand_cache_type(gpa, size),
	};

	lockdep_assert_held(&lock);
	append_operand(0, &operand);
}

/* A VMCB for this CPU's next instruction alone. -EFAULT: it must not be given this one. */
int operand_vmsave(u64 gpa)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	append_to_cpu(STRUCTURE_VMSAVE, gpa, VMCB_BYTES);
	raw_spin_unlock_irqrestore(&lock, flags);
	return may_be_given(gpa) ? 0 : -EFAULT;
}

/* This CPU's, while SVM is on. */
void operand_host_save_area(u64 gpa, bool bound)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	this_cpu_write(host_save_area, bound ? gpa : 0);
	if (bound)
		append_to_cpu(STRUCTURE_HOST_SAVE_AREA, gpa, HOST_SAVE_AREA_BYTES);
	raw_spin_unlock_irqrestore(&lock, flags);
}

/* On the CPU of which Linux is about to be the guest. */
void operand_handler(const struct world *world)
{
	const struct part parts[HANDLER_PARTS] = {
		around(world->stack_top - 1), around(world->owner), around(world),
	};
	struct part *mine = *this_cpu_ptr(&handler);
	unsigned long flags;
	int i;

	raw_spin_lock_irqsave(&lock, flags);
	for (i = 0; i < HANDLER_PARTS; i++) {
		mine[i] = parts[i];
		if (parts[i].size)
			append_to_cpu(i ? STRUCTURE_HANDLER_DATA : STRUCTURE_HANDLER_STACK,
				      parts[i].gpa, parts[i].size);
	}
	raw_spin_unlock_irqrestore(&lock, flags);
}

/*
 * Nothing runs below this CPU any more, with interrupts off. Linux may have been stopped with
 * the lock taken, and goes on to give it back: then this does without.
 */
void operand_handler_left(void)
{
	struct ledger_record record = { .type = LEDGER_LEFT };
	bool locked = raw_spin_trylock(&lock);

	ledger_append(&record);
	memset(*this_cpu_ptr(&handler), 0, sizeof(handler));
	if (locked)
		raw_spin_unlock(&lock);
}

/* After a run: nothing of it can be entered any more. */
void operand_unbind_all(void)
{
	unsigned long flags;
	int i, cpu;

	raw_spin_lock_irqsave(&lock, flags);
	for (i = 0; i < MAX_BOUND; i++)
		bindings[i].number = 0;
	last_number = 0;
	for_each_possible_cpu(cpu) {
		per_cpu(host_save_area, cpu) = 0;
		memset(per_cpu(handler, cpu), 0, sizeof(per_cpu(handler, cpu)));
	}
	raw_spin_unlock_irqrestore(&lock, flags);
}
