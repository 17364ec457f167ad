// SPDX-License-Identifier: GPL-2.0
// Memory that a subject's code gave to a CPU, whoever owns it.
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "books/holding.h"

/* Whether all these bytes are in one live holding. vmalloc's memory is never asked for by gpa. */
bool books_live_at(u64 gpa, size_t size)
{
	unsigned long address = (unsigned long)phys_to_virt(gpa), flags;
	struct holding *holding;
	bool live;

	if (books_phase() == BOOKS_CLOSED)
		return false;
	raw_spin_lock_irqsave(&books_lock, flags);
	holding = holding_around(address, SPACE_EITHER);
	live = holding && holding->state == HOLDING_LIVE &&
	       address + size <= holding->address + holding->size;
	raw_spin_unlock_irqrestore(&books_lock, flags);
	return live;
}

static bool pages_claimed(const struct holding *holding, const struct claims *claims)
{
	unsigned long at, end = holding->address + holding->size;
	bool claimed = false;

	for (at = holding->address; at < end; at += PAGE_SIZE)
		claimed |= claims->let_go(PFN_PHYS(vmalloc_to_pfn((void *)at)), PAGE_SIZE);
	return claimed;
}

static noinline bool claimed(unsigned long address, const struct claims *claims)
{
	struct holding holding;

	if (!books_known(address, &holding))
		return false;
	switch (holding.space) {
	case SPACE_SLAB:
	case SPACE_PAGES:
		return claims->let_go(virt_to_phys((void *)address), holding.size);
	case SPACE_VMALLOC:
		return pages_claimed(&holding, claims);
	default:
		return false;
	}
}

/*
 * Called before the release of what begins there, to tell first what CPUs were given of it. True: a
 * CPU may use it now.
 */
bool books_claimed(unsigned long address)
{
	const struct claims *claims = allocation_claims();

	return claims->given() && claimed(address, claims);
}

/* Pages of anybody. */
void books_pages_freed(u64 gpa, size_t size, void *frame)
{
	const struct claims *claims = allocation_claims();

	if (claims->any())
		claims->freed(gpa, size, frame);
}

void books_pages_taken(u64 gpa, size_t size)
{
	const struct claims *claims = allocation_claims();

	if (claims->any())
		claims->taken(gpa, size);
}
