// SPDX-License-Identifier: GPL-2.0
// Cache types of pages in the kernel's direct map, set and read back.
#include <linux/mm.h>
#include <asm/pgtable.h>
#include <asm/set_memory.h>

#include "families/families.h"
#include "kernel/kernel.h"

bool cache_type_known(u32 cache)
{
	return cache == CACHE_WB || cache == CACHE_WC || cache == CACHE_UC;
}

/* May sleep. Linux gives UC- (PAT 7) for uncached: only an MTRR could weaken it to WC. */
int cache_type_set(void *address, u32 pages, enum cache_type cache)
{
	switch (cache) {
	case CACHE_UC:
		return set_memory_uc((unsigned long)address, pages);
	case CACHE_WC:
		return set_memory_wc((unsigned long)address, pages);
	default:
		return set_memory_wb((unsigned long)address, pages);
	}
}

static enum cache_type cache_type_of_page(unsigned long address)
{
	unsigned int level, entry = 0;
	pte_t *pte = lookup_address(address, &level);
	u64 pat, flags, pat_bit;

	if (!pte)
		return CACHE_UNKNOWN;
	flags = pte_flags(*pte);
	pat_bit = level == PG_LEVEL_4K ? _PAGE_PAT : _PAGE_PAT_LARGE;
	rdmsrq(MSR_IA32_CR_PAT, pat);
	if (flags & _PAGE_PWT)
		entry |= 1;
	if (flags & _PAGE_PCD)
		entry |= 2;
	if (flags & pat_bit)
		entry |= 4;
	return (pat >> (8 * entry)) & 7;
}

/* What the page tables say, not what was asked for. CACHE_UNKNOWN when pages differ. */
enum cache_type cache_type_of(const void *address, u32 pages)
{
	enum cache_type first = cache_type_of_page((unsigned long)address);
	u32 i;

	for (i = 1; i < pages; i++)
		if (cache_type_of_page((unsigned long)address + i * PAGE_SIZE) != first)
			return CACHE_UNKNOWN;
	return first;
}
