// SPDX-License-Identifier: GPL-2.0
// Pool and contiguous memory by the names of Windows.
#include <linux/bitops.h>
#include <linux/cache.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/pgtable.h>

#include "books/books.h"
#include "families/families.h"
#include "families/windows.h"

#define PAGED 1
#define CACHE_ALIGNED 4
#define SMALL_ALIGN 16 /* of what is smaller than a page, on 64-bit Windows */

/* A block of a page and more begins a page; a smaller one crosses none. */
static void *ex_allocate(struct pool_request *request, bool cache_aligned, void *frame)
{
	size_t small = cache_aligned ? SMP_CACHE_BYTES : SMALL_ALIGN;

	request->align = request->size < PAGE_SIZE ? small : PAGE_SIZE;
	/* No allocation is without a tag: Windows stops, or returns NULL. */
	request->invalid |= !request->tag;
	return pool_take(request, frame);
}

PVOID ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
	struct pool_request request = {
		.size = NumberOfBytes, .tag = Tag, .paged = PoolType & PAGED,
	};

	return ex_allocate(&request, PoolType & CACHE_ALIGNED, __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(ExAllocatePoolWithTag);

#define POOL_KINDS (POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_PAGED)
#define POOL_KNOWN                                                                         \
	(POOL_KINDS | POOL_FLAG_USE_QUOTA | POOL_FLAG_UNINITIALIZED | POOL_FLAG_SESSION |   \
	 POOL_FLAG_CACHE_ALIGNED | POOL_FLAG_RAISE_ON_FAILURE)
#define POOL_REQUIRED 0xffffffffULL /* flags above may be unknown, and are then ignored */

PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
	bool valid = !(Flags & POOL_REQUIRED & ~POOL_KNOWN) && hweight64(Flags & POOL_KINDS) == 1;
	struct pool_request request = {
		.size = NumberOfBytes,
		.tag = Tag,
		.invalid = !valid,
		.paged = Flags & POOL_FLAG_PAGED,
		.zeroed = !(Flags & POOL_FLAG_UNINITIALIZED),
	};

	return ex_allocate(&request, Flags & POOL_FLAG_CACHE_ALIGNED, __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(ExAllocatePool2);

static void ex_free(void *pointer, u32 tag, void *frame)
{
	struct believed believed = { .named = tag, .raised = !may_sleep() };

	pool_give(pointer, &believed, frame);
}

void ExFreePool(PVOID P)
{
	ex_free(P, 0, __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(ExFreePool);

void ExFreePoolWithTag(PVOID P, ULONG Tag)
{
	ex_free(P, Tag, __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(ExFreePoolWithTag);

static u32 cache_of(MEMORY_CACHING_TYPE type)
{
	switch (type) {
	case MmNonCached:
		return CACHE_UC;
	case MmCached:
		return CACHE_WB;
	case MmWriteCombined:
		return CACHE_WC;
	}
	/* Refused: MmHardwareCoherentCached and later ones are of other machines. */
	return CACHE_UNKNOWN;
}

/* On a machine with one node any that is preferred is that one. */
static s32 node_of(NODE_REQUIREMENT preferred)
{
	if (preferred == MM_ANY_NODE_OK || num_online_nodes() == 1)
		return -1;
	return min_t(u32, preferred, S32_MAX);
}

/* As MmAllocateContiguousMemory...() asks for it. A boundary of 0 is none. */
struct where {
	PHYSICAL_ADDRESS lowest;
	PHYSICAL_ADDRESS highest;
	PHYSICAL_ADDRESS boundary;
};

static void *mm_allocate(size_t size, struct where where, MEMORY_CACHING_TYPE cache,
			 NODE_REQUIREMENT node, void *frame)
{
	struct contiguous_request request = {
		.size = size,
		.align = PAGE_SIZE,
		.lowest = where.lowest.QuadPart,
		.highest = where.highest.QuadPart,
		.boundary = where.boundary.QuadPart,
		.cache = cache_of(cache),
		.node = node_of(node),
	};

	return contiguous_take(&request, frame);
}

PVOID MmAllocateContiguousMemory(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS HighestAcceptableAddress)
{
	struct where where = { .highest = HighestAcceptableAddress };

	return mm_allocate(NumberOfBytes, where, MmCached, MM_ANY_NODE_OK,
			   __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(MmAllocateContiguousMemory);

PVOID MmAllocateContiguousMemorySpecifyCache(SIZE_T NumberOfBytes,
					     PHYSICAL_ADDRESS LowestAcceptableAddress,
					     PHYSICAL_ADDRESS HighestAcceptableAddress,
					     PHYSICAL_ADDRESS BoundaryAddressMultiple,
					     MEMORY_CACHING_TYPE CacheType)
{
	struct where where = {
		LowestAcceptableAddress, HighestAcceptableAddress, BoundaryAddressMultiple,
	};

	return mm_allocate(NumberOfBytes, where, CacheType, MM_ANY_NODE_OK,
			   __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(MmAllocateContiguousMemorySpecifyCache);

PVOID MmAllocateContiguousMemorySpecifyCacheNode(SIZE_T NumberOfBytes,
						 PHYSICAL_ADDRESS LowestAcceptableAddress,
						 PHYSICAL_ADDRESS HighestAcceptableAddress,
						 PHYSICAL_ADDRESS BoundaryAddressMultiple,
						 MEMORY_CACHING_TYPE CacheType,
						 NODE_REQUIREMENT PreferredNode)
{
	struct where where = {
		LowestAcceptableAddress, HighestAcceptableAddress, BoundaryAddressMultiple,
	};

	return mm_allocate(NumberOfBytes, where, CacheType, PreferredNode,
			   __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(MmAllocateContiguousMemorySpecifyCacheNode);

void MmFreeContiguousMemory(PVOID BaseAddress)
{
	struct believed believed = {};

	contiguous_give(BaseAddress, &believed, __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(MmFreeContiguousMemory);

void MmFreeContiguousMemorySpecifyCache(PVOID BaseAddress, SIZE_T NumberOfBytes,
					MEMORY_CACHING_TYPE CacheType)
{
	struct believed believed = {
		.sized = true,
		.size = NumberOfBytes,
		.align = PAGE_SIZE,
		.named = cache_of(CacheType) + 1,
	};

	contiguous_give(BaseAddress, &believed, __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(MmFreeContiguousMemorySpecifyCache);

static bool by_own_tables(const void *pointer)
{
	unsigned long address = (unsigned long)pointer;

	return is_vmalloc_addr(pointer) || (address >= MODULES_VADDR && address < MODULES_END);
}

PHYSICAL_ADDRESS MmGetPhysicalAddress(PVOID BaseAddress)
{
	PHYSICAL_ADDRESS address = {};

	if (virt_addr_valid(BaseAddress))
		address.QuadPart = virt_to_phys(BaseAddress);
	else if (by_own_tables(BaseAddress) && vmalloc_to_page(BaseAddress))
		address.QuadPart = PFN_PHYS(vmalloc_to_pfn(BaseAddress)) + offset_in_page(BaseAddress);
	return address;
}
EXPORT_SYMBOL_GPL(MmGetPhysicalAddress);

/* In the kernel's direct map; other mappings are not told. */
PVOID MmGetVirtualForPhysical(PHYSICAL_ADDRESS PhysicalAddress)
{
	return page_is_ram(PHYS_PFN(PhysicalAddress.QuadPart)) ? __va(PhysicalAddress.QuadPart)
							       : NULL;
}
EXPORT_SYMBOL_GPL(MmGetVirtualForPhysical);
