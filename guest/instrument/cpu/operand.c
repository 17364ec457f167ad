// SPDX-License-Identifier: GPL-2.0
// Where a VMCB leads the CPU. AMD manual volume 2, 15.5, 15.10, 15.11, 15.25.
#include <linux/io.h>
#include <linux/mm.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "books/books.h"
#include "cpu/operand.h"
#include "cpu/vmcb.h"
#include "families/families.h"
#include "ledger/ledger.h"
#include "subjects/subjects.h"

bool operand_overlap(u64 gpa, u64 size, u64 other, u64 other_size)
{
	return gpa < other + other_size && other < gpa + size;
}

/* Whether these bytes are somebody's now: of a live allocation, in a life of whatever family. */
bool operand_lives(u64 gpa, u64 size)
{
	return allocation_live_at(gpa, size) || own_memory_holds(gpa, size) ||
	       (hooked_any() && books_live_at(gpa, size));
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
	if (operands->count == operands->room)
		operands->full = true;
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
bool operand_may_be_given(u64 vmcb)
{
	return !(vmcb & ~PAGE_MASK) && vmcb < 1ULL << svm_physical_bits() &&
	       (allocation_known_at(vmcb, VMCB_BYTES) || own_memory_holds(vmcb, VMCB_BYTES));
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

/* By what the CPU would read, at the address that it gets. */
struct reached operand_reached(u64 gpa, u64 host_vmcb)
{
	const void *vmcb;

	if (!operand_may_be_given(gpa))
		return (struct reached){ .vmcb = gpa, .host_vmcb = host_vmcb };
	vmcb = phys_to_virt(gpa);
	return (struct reached){
		.vmcb = gpa,
		.host_vmcb = host_vmcb,
		.iopm = vmcb_read(vmcb, VMCB_IOPM_BASE),
		.msrpm = vmcb_read(vmcb, VMCB_MSRPM_BASE),
		.paging = paging_of(vmcb),
	};
}

bool operand_same_paging(const struct paging *one, const struct paging *other)
{
	return one->kind == other->kind && one->root == other->root && one->levels == other->levels;
}

/* At each VMRUN: by memcmp() it would cost more than all else but the tables. */
bool operand_same_reached(const struct reached *one, const struct reached *other)
{
	return one->foreign == other->foreign && one->vmcb == other->vmcb &&
	       one->host_vmcb == other->host_vmcb && one->iopm == other->iopm &&
	       one->msrpm == other->msrpm && operand_same_paging(&one->paging, &other->paging);
}

/* Of a VMRUN in a subject's code. */
struct reached operand_reached_by_others(u64 gpa)
{
	struct reached reached = { .vmcb = gpa, .foreign = true };
	const void *vmcb;

	if (gpa & ~PAGE_MASK || !operand_readable(gpa, VMCB_BYTES))
		return reached;
	vmcb = phys_to_virt(gpa);
	reached.iopm = vmcb_read(vmcb, VMCB_IOPM_BASE);
	reached.msrpm = vmcb_read(vmcb, VMCB_MSRPM_BASE);
	reached.paging = paging_of(vmcb);
	return reached;
}

static bool may_be_read(const struct reached *reached)
{
	if (!operand_lives(reached->vmcb, VMCB_BYTES))
		return false;
	return reached->foreign ? operand_readable(reached->vmcb, VMCB_BYTES) :
				  operand_may_be_given(reached->vmcb);
}

/* All that it reaches now. Takes the lock of the books. */
void operand_gather(struct operands *found, const struct reached *reached, bool identity)
{
	found->count = 0;
	found->full = false;
	found->more = false;
	found->digest = (struct digest){ 0 };
	add_structure(found, STRUCTURE_VMCB, reached->vmcb, VMCB_BYTES);
	if (!reached->foreign)
		add_structure(found, STRUCTURE_HOST_VMCB, reached->host_vmcb, VMCB_BYTES);
	found->tables = found->pages = found->count;
	/* What stands in a VMCB that is not live is nobody's, as with page tables. */
	if (!may_be_read(reached))
		return;
	add_structure(found, STRUCTURE_IOPM, reached->iopm, IOPM_BYTES);
	add_structure(found, STRUCTURE_MSRPM, reached->msrpm, MSRPM_BYTES);
	page_walk(found, &reached->paging, identity);
}

static bool any_told;

/* Whether a CPU was given anything in this run. */
bool operand_any_told(void)
{
	return READ_ONCE(any_told);
}

/* After a run. */
void operand_forget(void)
{
	WRITE_ONCE(any_told, false);
}

/* `number`: the vcpu's that is given it, or that it is gone for; 0: that CPU's own. */
void operand_tell_on(u32 cpu, u32 number, const struct operand *operand, bool gone)
{
	struct ledger_record record = {
		.type = LEDGER_OPERAND,
		.serial = number,
		.pointer = operand->mapped_at,
		.physical = operand->gpa,
		.size = operand->size,
		.detail = operand->structure | operand->cache << 8 | operand->level << 16,
		.flags = (operand->identity ? FLAG_IDENTITY : 0) | (gone ? FLAG_GONE : 0),
	};

	WRITE_ONCE(any_told, true);
	if (!operand->identity && !gone)
		own_memory_append(operand->gpa, operand->size);
	ledger_append_on(cpu, &record);
}

/* Likewise, by this CPU. */
void operand_tell(u32 number, const struct operand *operand, bool gone)
{
	operand_tell_on(raw_smp_processor_id(), number, operand, gone);
}
