// SPDX-License-Identifier: GPL-2.0
// The kernel's account of the books' addresses: it takes one back, or gives it out again.
#include <linux/io.h>
#include <linux/mm.h>

#include "books/holding.h"

/*
 * With the lock. It may be live, past the wrappers, or held or deferred, which the instrument has
 * to release.
 */
static void took(struct holding *holding, u32 stack)
{
	struct ledger_record record = {
		.type = LEDGER_RELEASE,
		.kind = holding->family->number,
		.serial = holding->serial,
		.pointer = holding->address,
		.site = stack,
	};

	if (holding->state == HOLDING_LIVE && books_listening())
		memory_check_guard(holding);
	books_append(WITNESS_KERNEL, &record);
	if (holding->busy) {
		holding->taken = true;
		return;
	}
	if (holding->state == HOLDING_HELD)
		quarantine_remove(holding);
	holding_is_gone(holding);
}

static struct holding *not_gone_at(unsigned long address, enum space space)
{
	struct holding *holding = holding_at(address, space);

	return holding && holding->state != HOLDING_GONE && !holding->taken ? holding : NULL;
}

static bool known(unsigned long address, enum space space)
{
	unsigned long flags;
	bool found;

	if (!holding_possible(address))
		return false;
	raw_spin_lock_irqsave(&books_lock, flags);
	found = not_gone_at(address, space);
	raw_spin_unlock_irqrestore(&books_lock, flags);
	return found;
}

/* The kernel is about to take it. A wrapper that releases has entered it as gone before. */
void books_kernel_took(unsigned long address, enum space space, void *frame)
{
	struct holding *holding;
	unsigned long flags;
	u32 stack;

	if (books_phase() == BOOKS_CLOSED || !known(address, space))
		return;
	stack = stack_of(frame);
	raw_spin_lock_irqsave(&books_lock, flags);
	holding = not_gone_at(address, space);
	if (holding)
		took(holding, stack);
	raw_spin_unlock_irqrestore(&books_lock, flags);
}

static void gave(unsigned long address, enum space space)
{
	struct holding *holding;
	unsigned long flags;

	if (!holding_possible(address))
		return;
	raw_spin_lock_irqsave(&books_lock, flags);
	holding = holding_at(address, space);
	/* Its release went by unseen. */
	if (holding && holding->state == HOLDING_PAST)
		took(holding, 0);
	if (holding && holding->state == HOLDING_GONE)
		holding_forget(holding);
	raw_spin_unlock_irqrestore(&books_lock, flags);
}

/* To anybody: from now on a release of that address does not mean what was there before. */
void books_kernel_gave(unsigned long address, size_t size, enum space space)
{
	unsigned long page;

	if (books_phase() == BOOKS_CLOSED)
		return;
	if (space == SPACE_SLAB) {
		/* The structs of mempools and ciphers lie in slab memory: there is none here now. */
		gave(address, SPACE_MEMPOOL);
		gave(address, SPACE_CIPHER);
	}
	if (space != SPACE_PAGES) {
		gave(address, space);
		return;
	}
	for (page = address; page < address + size; page += PAGE_SIZE)
		gave(page, space);
}

/* A subject acquired it by a function that has no wrapper. */
void books_past_wrappers(const struct family *family, unsigned long address, size_t size,
			 enum space space, void *frame)
{
	struct ledger_record record = {
		.type = LEDGER_ALLOCATE,
		.kind = family->number,
		.pointer = address,
		.size = size,
	};
	struct holding *holding;
	unsigned long flags;

	if (!books_listening())
		return;
	if (family->number == FAMILY_SLAB)
		record.physical = virt_to_phys((void *)address);
	record.site = stack_of(frame);
	raw_spin_lock_irqsave(&books_lock, flags);
	holding = holding_new(address, space);
	if (holding) {
		holding->family = family;
		holding->size = size;
		holding->state = HOLDING_PAST;
	} else {
		books_blind(BLIND_BOOKS, 0);
	}
	books_append(WITNESS_KERNEL, &record);
	raw_spin_unlock_irqrestore(&books_lock, flags);
}
