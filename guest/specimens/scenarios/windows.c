// SPDX-License-Identifier: GPL-2.0
// The names of Windows, used as Microsoft documents them and otherwise. See docs/from-windows.md.
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "families/windows.h"
#include "scenarios.h"

#define SECTION "The names of Windows, from C"
#define OURS FREEONCE_TAG('o', 'u', 'r', 's')
#define OTHER FREEONCE_TAG('o', 't', 'h', 'e')
#define SIZE 192

static const PHYSICAL_ADDRESS zero, anywhere = { .QuadPart = -1 };

static PVOID nonpaged(void)
{
	return ExAllocatePoolWithTag(NonPagedPoolNx, SIZE, OURS);
}

static PVOID contiguous(MEMORY_CACHING_TYPE type)
{
	return MmAllocateContiguousMemorySpecifyCacheNode(SZ_8K, zero, anywhere, zero, type,
							  MM_ANY_NODE_OK);
}

static bool crosses_a_page(const void *pointer, size_t size)
{
	return offset_in_page(pointer) + size > PAGE_SIZE;
}

static int pool(void)
{
	char *small = ExAllocatePoolWithTag(NonPagedPool, SIZE, OURS);
	char *page = ExAllocatePool2(POOL_FLAG_NON_PAGED, SZ_4K, OURS);
	char *paged = ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_UNINITIALIZED, 1000, OURS);
	int error = 0;

	if (!small || !page || !paged)
		error = -ENOMEM;
	else if (crosses_a_page(small, SIZE) || crosses_a_page(paged, 1000) ||
		 offset_in_page(page) || memchr_inv(page, 0, SZ_4K))
		error = -EPROTO;
	if (small)
		ExFreePool(small);
	if (page)
		ExFreePoolWithTag(page, OURS);
	if (paged)
		ExFreePoolWithTag(paged, 0);
	return error;
}

static int at_dispatch_level(void)
{
	PVOID pointer;

	preempt_disable();
	pointer = nonpaged();
	if (pointer)
		ExFreePoolWithTag(pointer, OURS);
	preempt_enable();
	return pointer ? 0 : -ENOMEM;
}

static int contiguous_memory(void)
{
	PHYSICAL_ADDRESS highest = { .QuadPart = SZ_128M - 1 }, boundary = { .QuadPart = SZ_64K };
	PVOID below = MmAllocateContiguousMemory(100, highest);
	PVOID within = MmAllocateContiguousMemorySpecifyCache(SZ_16K, zero, anywhere, boundary,
							      MmWriteCombined);
	PVOID uncached = contiguous(MmNonCached);
	int error = 0;

	if (!below || !within || !uncached)
		error = -ENOMEM;
	else if (MmGetVirtualForPhysical(MmGetPhysicalAddress(below)) != below ||
		 MmGetPhysicalAddress(below).QuadPart > highest.QuadPart ||
		 MmGetPhysicalAddress(NULL).QuadPart)
		error = -EPROTO;
	if (below)
		MmFreeContiguousMemory(below);
	if (within)
		MmFreeContiguousMemorySpecifyCache(within, SZ_16K, MmWriteCombined);
	if (uncached)
		MmFreeContiguousMemory(uncached);
	return error;
}

/* What Windows refuses, or stops at, and what Linux cannot give where nothing may sleep. */
static int refused(void)
{
	PVOID given[7];
	int i = 0;

	given[i++] = ExAllocatePoolWithTag(NonPagedPool, SIZE, 0);
	given[i++] = ExAllocatePoolWithTag(NonPagedPool, 0, OURS);
	given[i++] = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_PAGED, SIZE, OURS);
	given[i++] = ExAllocatePool2(POOL_FLAG_NON_PAGED | 0x80000000ULL, SIZE, OURS);
	given[i++] = contiguous(3);
	STEP("at DISPATCH_LEVEL");
	preempt_disable();
	given[i++] = ExAllocatePoolWithTag(PagedPool, SIZE, OURS);
	given[i++] = contiguous(MmCached);
	preempt_enable();
	return memchr_inv(given, 0, sizeof(given)) ? -EPROTO : 0;
}

static int leak(void)
{
	PVOID pointer = nonpaged();

	LABEL(pointer, "forgotten");
	return pointer ? 0 : -ENOMEM;
}

static int null_free(void)
{
	ExFreePool(NULL);
	return 0;
}

static int double_free(void)
{
	PVOID pointer = contiguous(MmCached);

	MmFreeContiguousMemory(pointer);
	STEP("second release");
	MmFreeContiguousMemory(pointer);
	return pointer ? 0 : -ENOMEM;
}

static int another_tag(void)
{
	PVOID pointer = nonpaged();

	ExFreePoolWithTag(pointer, OTHER);
	return pointer ? 0 : -ENOMEM;
}

static int another_cache(void)
{
	PVOID pointer = contiguous(MmNonCached);

	MmFreeContiguousMemorySpecifyCache(pointer, SZ_8K, MmCached);
	return pointer ? 0 : -ENOMEM;
}

static int another_size(void)
{
	PVOID pointer = contiguous(MmCached);

	MmFreeContiguousMemorySpecifyCache(pointer, SZ_4K, MmCached);
	return pointer ? 0 : -ENOMEM;
}

static int another_call(void)
{
	PVOID pointer = contiguous(MmCached);

	ExFreePool(pointer);
	return pointer ? 0 : -ENOMEM;
}

static int paged_at_dispatch_level(void)
{
	PVOID pointer = ExAllocatePool2(POOL_FLAG_PAGED, SIZE, OURS);

	preempt_disable();
	ExFreePool(pointer);
	preempt_enable();
	return pointer ? 0 : -ENOMEM;
}

static const struct scenario windows_scenarios[] = {
	SCENARIO("windows/c/pool", SECTION,
		 "Pool of any type is released with its tag, or without naming one.", pool,
		 SHARES),
	SCENARIO("windows/c/at_dispatch_level", SECTION,
		 "Non-paged pool can be had and released where nothing may sleep.",
		 at_dispatch_level, SHARES),
	SCENARIO("windows/c/contiguous", SECTION,
		 "Contiguous memory lies where it was asked for, and its addresses lead to each other.",
		 contiguous_memory, SHARES),
	SCENARIO("windows/c/refused", SECTION,
		 "What breaks a contract is refused: a tag of 0, no bytes, flags that contradict, paged pool at DISPATCH_LEVEL.",
		 refused, SHARES),
	FAULT("leak/pool/c/windows", "leak", "pool", leak,
	      "ExAllocatePoolWithTag and no ExFreePool."),
	FAULT("null-free/pool/c/windows", "null-free", "pool", null_free, "ExFreePool(NULL)."),
	FAULT("double-free/contiguous/c/windows", "double-free", "contiguous", double_free,
	      "MmFreeContiguousMemory twice."),
	FAULT("mismatched-free/pool/c/windows-tag", "mismatched-free", "pool", another_tag,
	      "ExFreePoolWithTag with another tag: Windows stops with BAD_POOL_CALLER."),
	FAULT("mismatched-free/contiguous/c/windows-cache", "mismatched-free", "contiguous",
	      another_cache, "Uncached memory is released as cached."),
	FAULT("wrong-size-free/contiguous/c/windows", "wrong-size-free", "contiguous", another_size,
	      "Two pages are released as one."),
	FAULT("mismatched-free/contiguous/c/windows-call", "mismatched-free", "contiguous",
	      another_call, "ExFreePool of contiguous memory."),
	FAULT("mismatched-free/pool/c/windows-irql", "mismatched-free", "pool",
	      paged_at_dispatch_level, "Paged pool is released at DISPATCH_LEVEL."),
};
SCENARIOS(windows_scenarios);
