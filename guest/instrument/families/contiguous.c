// SPDX-License-Identifier: GPL-2.0
// Physically contiguous pages with constraints on where they lie.
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/sizes.h>

#include "books/books.h"
#include "families/families.h"

#define BUDDY_MAX_ORDER 10  /* the kernel renamed its own limit twice since 6.1 */
#define SCAN_ATTEMPTS 256   /* bounds the search for a place, not the range searched */

#define MOST SZ_1G
#define TAG FREEONCE_TAG('p', 'a', 'g', 'e') /* callers name no tag for pages */

/* Where the allocation must lie: `size` bytes of it, at the start of `pages` pages. */
struct place {
	u64 size;
	u64 pages;
	u64 align;
	u64 lowest;
	u64 highest;
	u64 boundary;
	int node;
};

/* The first gpa behind all memory. */
u64 freeonce_memory_end(void)
{
	u64 end = 0;
	int node;

	for_each_online_node(node)
		end = max_t(u64, end, PFN_PHYS(node_end_pfn(node)));
	return end;
}
EXPORT_SYMBOL_GPL(freeonce_memory_end);

static bool fits(const struct place *place, u64 gpa)
{
	u64 last = gpa + place->size - 1;

	if (gpa < place->lowest || last > place->highest || gpa & (place->align - 1))
		return false;
	if (place->boundary && (gpa ^ last) & ~(place->boundary - 1))
		return false;
	return place->node < 0 || pfn_to_nid(PHYS_PFN(gpa)) == place->node;
}

/*
 * -EINVAL: the request contradicts itself. -ENODEV: no such node. -EWOULDBLOCK: not from here: the
 * kernel moves pages out of the way, and changes page attributes on each CPU.
 */
static int check(const struct contiguous_request *request)
{
	if (!request->size || !is_power_of_2(request->align) ||
	    request->lowest > request->highest ||
	    request->size - 1 > request->highest - request->lowest)
		return -EINVAL;
	if (request->boundary &&
	    (!is_power_of_2(request->boundary) || request->boundary < request->size ||
	     request->boundary < PAGE_SIZE))
		return -EINVAL;
	if (!cache_type_known(request->cache))
		return -EINVAL;
	if (request->size > MOST || request->align > MOST)
		return -E2BIG;
	if (request->node >= 0 && (request->node >= MAX_NUMNODES || !node_online(request->node)))
		return -ENODEV;
	return may_sleep() ? 0 : -EWOULDBLOCK;
}

/*
 * The zone that lies wholly at or below `highest`. False when none does, or when
 * there is a `lowest`: then the buddy allocator might give what does not fit. No
 * trial and error: pages taken and given back would be pages that the ledger does
 * not know.
 */
static bool zone_that_fits(const struct place *place, gfp_t *zone)
{
	if (place->lowest)
		return false;
	if (place->highest >= freeonce_memory_end() - 1)
		*zone = 0;
	else if (place->highest >= SZ_4G - 1)
		*zone = GFP_DMA32;
	else if (place->highest >= SZ_16M - 1)
		*zone = GFP_DMA;
	else
		return false;
	return true;
}

/* A block is aligned to its own size, so it keeps any boundary that is not smaller. */
static struct page *buddy_pages(const struct place *place, unsigned int order)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY, zone;

	if (order > BUDDY_MAX_ORDER || !zone_that_fits(place, &zone))
		return NULL;
	if (place->node >= 0)
		gfp |= __GFP_THISNODE;
	return alloc_pages_node(place->node < 0 ? NUMA_NO_NODE : place->node, gfp | zone, order);
}

static bool ordinary_memory(u64 first, u64 pages)
{
	u64 pfn;

	for (pfn = first; pfn < first + pages; pfn++)
		if (!pfn_valid(pfn) || PageReserved(pfn_to_page(pfn)))
			return false;
	return page_zone(pfn_to_page(first)) == page_zone(pfn_to_page(first + pages - 1));
}

/*
 * The buddy allocator cannot be told a range; this asks for pages by number.
 * -ERANGE: no place in the range is ordinary memory all through. -ENOMEM: some
 * are, but none is free.
 */
static long range_pages(const struct place *place)
{
	u64 end = min(place->highest, freeonce_memory_end() - 1);
	u64 gpa = ALIGN(place->lowest, place->align);
	long error = -ERANGE;
	u64 step;

	if (gpa > end)
		return error;
	step = max(place->align, ALIGN((end - gpa) / SCAN_ATTEMPTS, place->align));
	for (; gpa <= end; gpa += step) {
		u64 pfn = PHYS_PFN(gpa);

		if (!fits(place, gpa) || !ordinary_memory(pfn, place->pages))
			continue;
		error = -ENOMEM;
		if (!alloc_contig_range(pfn, pfn + place->pages, MIGRATE_MOVABLE,
					GFP_KERNEL | __GFP_NOWARN))
			return pfn;
	}
	return error;
}

static void give_pages(void *base, u64 pages, bool from_range)
{
	if (from_range)
		free_contig_range(PHYS_PFN(virt_to_phys(base)), pages);
	else
		__free_pages(virt_to_page(base), get_order(pages * PAGE_SIZE));
}

static int take_range(struct allocation *allocation, const struct place *place)
{
	long pfn = range_pages(place);

	if (pfn < 0)
		return pfn;
	allocation->base = pfn_to_kaddr(pfn);
	allocation->pages = place->pages;
	allocation->from_range = true;
	return 0;
}

static int take(struct allocation *allocation, const struct place *place)
{
	unsigned int order = max(get_order(place->pages * PAGE_SIZE), get_order(place->align));
	struct page *page = buddy_pages(place, order);

	if (!page)
		return take_range(allocation, place);
	allocation->base = page_address(page);
	allocation->pages = 1 << order;
	return 0;
}

/* A planted fault: pages above the range. */
static int take_outside(struct allocation *allocation, struct place place)
{
	place.lowest = place.highest + 1;
	place.highest = U64_MAX;
	return take_range(allocation, &place);
}

static int restore_cache(struct allocation *allocation)
{
	int error;

	if (!allocation->cache_changed)
		return 0;
	error = cache_type_set(allocation->base, allocation->pages, CACHE_WB);
	allocation->cache_changed = error;
	return error;
}

/* Pages whose attributes cannot be restored are better lost than handed to somebody else. */
static void give_back(struct allocation *allocation)
{
	if (restore_cache(allocation))
		pr_err("freeonce: cannot restore page attributes; %u pages are lost\n",
		       allocation->pages);
	else
		give_pages(allocation->base, allocation->pages, allocation->from_range);
}

/* Linux may grant another type than asked for (nopat, MTRRs); that is no success. */
static int change_cache(struct allocation *allocation, enum cache_type cache)
{
	enum cache_type now;
	int error;

	/* Set before the attempt, which may fail with some pages changed. */
	allocation->cache_changed = true;
	error = cache_type_set(allocation->base, allocation->pages, cache);
	if (error)
		return error;
	now = cache_type_of(allocation->base, allocation->pages);
	if (now == cache || (cache == CACHE_UC && now == CACHE_UC_MINUS))
		return 0;
	return -EOPNOTSUPP;
}

static int obtain(struct allocation *allocation, const struct contiguous_request *request)
{
	u32 misplaced = inject_misplacement();
	u64 shift = misplaced & MISPLACE_SHIFT ? PAGE_SIZE : 0;
	struct place place = {
		.size = request->size,
		.pages = DIV_ROUND_UP(request->size + GUARD_SIZE, PAGE_SIZE),
		.align = max_t(u64, request->align, PAGE_SIZE),
		.lowest = request->lowest,
		.highest = request->highest,
		.boundary = request->boundary,
		.node = request->node,
	};
	int error;

	if (shift) {
		/*
		 * Twice the room, aligned to all of it: one page further neither alignment nor
		 * boundary hold.
		 */
		place.align = roundup_pow_of_two(2 * max(place.pages * PAGE_SIZE, place.align));
		place.pages = PHYS_PFN(place.align) + 1;
		place.boundary = 0;
	}
	error = misplaced & MISPLACE_RANGE ? take_outside(allocation, place)
					   : take(allocation, &place);
	if (error)
		return error;
	allocation->pointer = allocation->base + shift;
	/* A write there stays in the last page, so that nothing else would stop it. */
	allocation->rest = PAGE_ALIGN(request->size + GUARD_SIZE) - request->size - GUARD_SIZE;
	if (request->cache == CACHE_WB || misplaced & MISPLACE_CACHE)
		return 0;
	error = change_cache(allocation, request->cache);
	if (error)
		give_back(allocation);
	allocation->leave_cache = misplaced & MISPLACE_LEAVE;
	return error;
}

static u32 placement(u32 cache, int node)
{
	return cache | (u32)(node + 1) << 8;
}

static void publish(struct allocation *allocation, const struct contiguous_request *request,
		    u32 stack)
{
	u32 pages = DIV_ROUND_UP(allocation->size, PAGE_SIZE);
	struct ledger_record record = {
		.flags = allocation->from_range ? FLAG_RANGE : 0,
		.physical = virt_to_phys(allocation->pointer),
		.align_log2 = ledger_align(request->align),
		.detail = placement(cache_type_of(allocation->pointer, pages),
				    page_to_nid(virt_to_page(allocation->pointer))),
		.site = stack,
	};
	struct ledger_record constraint = {
		.type = LEDGER_CONSTRAINT,
		.kind = KIND_CONTIGUOUS,
		.pointer = request->lowest,
		.physical = request->highest,
		.size = request->boundary,
		.detail = placement(request->cache, request->node),
	};

	allocation_publish(allocation, &record);
	constraint.serial = allocation->serial;
	ledger_append(&constraint);
}

/* NULL when refused or out of memory; the ledger has the reason. Never relaxes the request. */
void *contiguous_take(const struct contiguous_request *request, void *frame)
{
	struct allocation *allocation;
	struct failure failure = {
		.kind = KIND_CONTIGUOUS, .size = request->size, .align = request->align,
		.most = MOST, .frame = frame, .error = check(request),
	};

	if (!failure.error && inject_allocation_fails(KIND_CONTIGUOUS, failure.frame)) {
		failure.error = -ENOMEM;
		failure.injected = true;
	}
	allocation = failure.error ? NULL : allocation_take();
	if (!allocation) {
		failure.error = failure.error ?: -ENOSPC;
		allocation_failed(&failure);
		return NULL;
	}
	allocation->kind = KIND_CONTIGUOUS;
	allocation->give_back = give_back;
	allocation->tag = TAG;
	allocation->size = request->size;
	allocation->align = request->align;
	allocation->named = request->cache + 1;
	failure.error = obtain(allocation, request);
	if (failure.error) {
		allocation_discard(allocation);
		allocation_failed(&failure);
		return NULL;
	}
	publish(allocation, request, stack_of(failure.frame));
	return allocation->pointer;
}

/* Page attributes are restored here. */
void contiguous_give(const void *pointer, const struct believed *believed, void *frame)
{
	struct allocation *allocation =
		allocation_release(KIND_CONTIGUOUS, pointer, believed, frame);
	struct ledger_record record = { .type = LEDGER_RESTORED, .kind = KIND_CONTIGUOUS };

	if (!allocation || !allocation->cache_changed)
		return;
	/*
	 * Where it may not sleep, the attributes stay until the run is settled, and the record
	 * says so.
	 */
	if (!allocation->leave_cache && may_sleep())
		restore_cache(allocation);
	record.serial = allocation->serial;
	record.pointer = (unsigned long)allocation->pointer;
	record.detail = cache_type_of(allocation->base, allocation->pages);
	ledger_append(&record);
}

void *freeonce_contiguous_alloc(const struct contiguous_request *request)
{
	return contiguous_take(request, __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(freeonce_contiguous_alloc);

/* Matches freeonce_contiguous_alloc() and nothing else. */
void freeonce_contiguous_free(void *pointer, size_t size, size_t align)
{
	struct believed believed = { .sized = true, .size = size, .align = align };

	contiguous_give(pointer, &believed, __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(freeonce_contiguous_free);
