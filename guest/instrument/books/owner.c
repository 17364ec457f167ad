// SPDX-License-Identifier: GPL-2.0
// The owner's account: what wrappers got of the kernel, and what they were given to release.
#include <linux/export.h>
#include <linux/io.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "books/holding.h"

/* What becomes of a release. */
enum outcome {
	PASS,     /* the kernel's function is called */
	KEEP,     /* poisoned, and in quarantine */
	POISON,   /* as KEEP, but the caller has to poison it, and puts it into quarantine */
	WITHHOLD, /* recorded only */
};

static enum space space_of(const struct family *family, unsigned long address)
{
	if (family->space != SPACE_EITHER)
		return family->space;
	return is_vmalloc_addr((void *)address) ? SPACE_VMALLOC : SPACE_SLAB;
}

static u64 physical(const struct holding *holding)
{
	void *pointer = (void *)holding->address;

	switch (holding->space) {
	case SPACE_SLAB:
	case SPACE_PAGES:
		return holding->cache ?: virt_to_phys(pointer);
	case SPACE_VMALLOC:
		return PFN_PHYS(vmalloc_to_pfn(pointer));
	default:
		return 0;
	}
}

/* The object's cache, if a wrapper made it; else NULL. */
static const struct holding *cache_of(const struct acquisition *take)
{
	const struct holding *cache = take->cache ? holding_at(take->cache, SPACE_CACHE) : NULL;

	return cache && cache->state == HOLDING_LIVE ? cache : NULL;
}

/* The kernel gave this address out, so whatever the books have there is out of date. */
static void make_way(unsigned long address, enum space space)
{
	struct holding *there;

	while ((there = holding_meant(address, space))) {
		if (there->state != HOLDING_GONE && there->state != HOLDING_PAST)
			books_blind(BLIND_RELEASE, there->serial);
		if (there->busy)
			break;
		if (there->state == HOLDING_HELD)
			quarantine_remove(there);
		holding_forget(there);
	}
}

static void append_allocate(const struct holding *holding, u64 gpa, u32 stack, size_t align)
{
	struct ledger_record record = {
		.type = LEDGER_ALLOCATE,
		.kind = holding->family->number,
		.serial = holding->serial,
		.pointer = holding->address,
		.physical = gpa,
		.size = holding->size,
		.site = stack,
		.detail = holding->function | (u32)holding->guard << 16,
		.align_log2 = align ? ledger_align(align) : 0,
		.flags = holding->exact ? FLAG_EXACT : 0,
	};

	books_append(WITNESS_LEDGER, &record);
}

static void enter(const struct acquisition *take, const struct holding *like, size_t room, u64 gpa,
		  u32 stack)
{
	const struct holding *cache;
	struct holding *holding;

	lockdep_assert_held(&books_lock);
	make_way(like->address, like->space);
	holding = holding_new(like->address, like->space);
	if (!holding) {
		books_blind(BLIND_BOOKS, 0);
		return;
	}
	holding->family = take->family;
	holding->function = take->function;
	holding->cache = take->cache;
	holding->size = take->size;
	holding->exact = take->exact;
	holding->outlived = false;
	holding->serial = books_next_serial();
	cache = cache_of(take);
	/* What an unknown cache expects of its free objects is unknown. */
	holding->whole = take->cache ? !cache || cache->whole : take->whole;
	if (cache)
		memory_red_zones(holding);
	else
		memory_guard(holding, room, take->zoned);
	append_allocate(holding, gpa, stack, take->align);
}

/* Called when the kernel has allocated, before the owner gets it. */
void books_acquired(struct acquisition *take)
{
	struct holding like = {
		.family = take->family,
		.address = take->address,
		.cache = take->cache,
		.size = take->size,
		.space = space_of(take->family, take->address),
	};
	unsigned long flags;
	size_t room;
	u32 stack;
	u64 gpa;

	if (!books_listening() || ZERO_OR_NULL_PTR((void *)take->address))
		return;
	stack = stack_of(take->frame);
	room = take->zoned ? take->zoned - take->size : memory_room(&like);
	gpa = physical(&like);
	raw_spin_lock_irqsave(&books_lock, flags);
	if (books_listening())
		enter(take, &like, room, gpa, stack);
	raw_spin_unlock_irqrestore(&books_lock, flags);
}

/* Called when the kernel refused, or when it was not asked because the call is to fail. */
void books_refused(const struct acquisition *take, int error)
{
	struct ledger_record record = {
		.type = LEDGER_ALLOCATE_FAILED,
		.kind = take->family->number,
		.size = take->size,
		.detail = error,
		.flags = take->failed ? FLAG_INJECTED : 0,
		.align_log2 = take->align ? ledger_align(take->align) : 0,
	};

	if (!books_listening())
		return;
	record.site = stack_of(take->frame);
	books_append(WITNESS_LEDGER, &record);
}

static bool right(const struct release *give, const struct holding *holding)
{
	if (!(holding->family->released_by & BIT(give->family->number)))
		return false;
	if (give->family->number == FAMILY_OBJECT && give->cache != holding->cache)
		return false;
	if (give->family->sized && holding->size > PAGE_SIZE && give->exact != holding->exact)
		return false;
	return !give->family->sized || PAGE_ALIGN(give->size) == PAGE_ALIGN(holding->size);
}

/* A release of an address where nothing in the books begins. */
static enum outcome judge_unknown(const struct release *give, enum space space)
{
	if (holding_around(give->address, space) ||
	    (space_is_exclusive(space) && holding_around(give->address, SPACE_EITHER)))
		return WITHHOLD;
	return give->family->plausible(give->address) ? PASS : WITHHOLD;
}

/* Whether somebody else has a reference to a page of it, say a process that it is mapped into. */
static bool outlived(const struct holding *holding)
{
	unsigned long at = holding->address;
	struct page *page;

	if (holding->space != SPACE_VMALLOC && !holding->exact)
		return false;
	for (; at < holding->address + holding->size; at += PAGE_SIZE) {
		page = holding->exact ? virt_to_page((void *)at) : vmalloc_to_page((void *)at);
		if (page && page_ref_count(page) > 1)
			return true;
	}
	return false;
}

/* A right release of a live holding. */
static enum outcome judge_right(const struct release *give, const struct holding *holding)
{
	if (give->renewed || give->deferred || !holding->family->held)
		return PASS;
	if (give->claimed)
		return KEEP;
	/* The host looks at it now, or soon. */
	if (books_phase() == BOOKS_ENDED)
		return KEEP;
	if (holding->whole || !quarantine_takes(holding) || outlived(holding))
		return PASS;
	return KEEP;
}

static void append_release(const struct release *give, u32 serial, enum outcome outcome, u32 stack)
{
	struct ledger_record record = {
		.type = LEDGER_RELEASE,
		.kind = give->family->number,
		.serial = serial,
		.pointer = give->address,
		.physical = give->cache,
		.size = give->size,
		.site = stack,
		.detail = give->function,
	};

	if (outcome == WITHHOLD)
		record.flags = FLAG_WITHHELD;
	else if (give->deferred)
		record.flags = FLAG_DEFERRED;
	else if (outcome == KEEP)
		record.flags = FLAG_KEPT;
	if (give->exact)
		record.flags |= FLAG_EXACT;
	books_append(WITNESS_LEDGER, &record);
}

static enum outcome hold(struct holding *holding, bool claimed)
{
	holding->state = HOLDING_HELD;
	holding->poisoned = books_listening() && !claimed;
	holding->busy = holding->poisoned && !memory_is_quick(holding);
	if (holding->busy)
		return POISON;
	if (holding->poisoned)
		memory_poison(holding);
	quarantine_add(holding);
	return KEEP;
}

/* A release of a live holding. A wrong one leaves it live, as a right one may follow. */
static enum outcome release_live(const struct release *give, struct holding *holding, u32 stack)
{
	enum outcome outcome = right(give, holding) ? judge_right(give, holding) : WITHHOLD;

	append_release(give, holding->serial, outcome, stack);
	if (outcome == WITHHOLD)
		return WITHHOLD;
	if (books_listening())
		memory_check_guard(holding);
	if (give->renewed)
		memory_unguard(holding);
	if (outcome == KEEP)
		return hold(holding, give->claimed);
	if (give->deferred) {
		holding->state = HOLDING_DEFERRED;
		return outcome;
	}
	holding->outlived = holding->exact && outlived(holding);
	holding_is_gone(holding);
	return outcome;
}

/* Single pages, released together: one reference to each is dropped, whoever else has one. */
static bool all_pages(const struct release *give)
{
	return give->exact && give->size > PAGE_SIZE;
}

/*
 * Whether the kernel has given the address out since, in a way that no tracepoint shows: a page
 * by number, or a mapping by pci_iomap().
 */
static bool given_out_again(const struct release *give, const struct holding *gone)
{
	if (gone->outlived && all_pages(give))
		return false;
	return gone->state == HOLDING_GONE && gone->family->in_use &&
	       gone->family->in_use(gone->address) && give->family->plausible(give->address);
}

static enum outcome release(const struct release *give, struct holding **found, u32 stack)
{
	enum space space = space_of(give->family, give->address);
	struct holding *holding = holding_meant(give->address, space);
	enum outcome outcome = WITHHOLD;

	lockdep_assert_held(&books_lock);
	*found = NULL;
	/*
	 * A holding past the wrappers has no serial: it is forgotten, and the release recorded
	 * with 0.
	 */
	if (holding && (holding->state == HOLDING_PAST || given_out_again(give, holding))) {
		holding_forget(holding);
		holding = NULL;
	}
	if (holding && holding->state == HOLDING_LIVE) {
		*found = holding;
		return release_live(give, holding, stack);
	}
	if (!holding)
		outcome = judge_unknown(give, space);
	append_release(give, holding ? holding->serial : 0, outcome, stack);
	return outcome;
}

/* Without the lock: the caller owns the memory, and who else uses it does so after its release. */
static void poison(struct holding *holding)
{
	unsigned long flags;

	memory_poison(holding);
	raw_spin_lock_irqsave(&books_lock, flags);
	holding->busy = false;
	if (holding->taken)
		holding_is_gone(holding);
	else
		quarantine_add(holding);
	raw_spin_unlock_irqrestore(&books_lock, flags);
}

/*
 * Whether it is pool or contiguous memory, which the kernel must not release. Records that.
 */
static bool past_its_release(const struct release *give, u32 stack)
{
	u32 serial;

	/* An address is in one of the two tables only. */
	if (holding_possible(give->address) && books_serial(give->address))
		return false;
	serial = allocation_serial((void *)give->address);
	if (!serial && !allocation_inside(give->address))
		return false;
	append_release(give, serial, WITHHOLD, stack);
	return true;
}

/* A release of what was not a live holding when it was looked up. */
static enum outcome release_other(const struct release *give, struct holding **found, u32 stack)
{
	enum outcome outcome;
	unsigned long flags;

	if (past_its_release(give, stack))
		return WITHHOLD;
	raw_spin_lock_irqsave(&books_lock, flags);
	outcome = release(give, found, stack);
	raw_spin_unlock_irqrestore(&books_lock, flags);
	return outcome;
}

/* Returns whether the kernel is to be called. A wrong release is recorded, and not executed. */
bool books_released(struct release *give)
{
	enum space space = space_of(give->family, give->address);
	struct holding *holding;
	enum outcome outcome;
	unsigned long flags;
	bool live;
	u32 stack;

	if (books_phase() == BOOKS_CLOSED)
		return true;
	if (ZERO_OR_NULL_PTR((void *)give->address) && give->null_is_right)
		return true;
	if (give->family->shared && !all_pages(give) && give->family->shared(give))
		return true;
	stack = stack_of(give->frame);
	give->claimed = books_claimed(give->address);
	raw_spin_lock_irqsave(&books_lock, flags);
	holding = holding_meant(give->address, space);
	live = holding && holding->state == HOLDING_LIVE;
	if (live)
		outcome = release_live(give, holding, stack);
	raw_spin_unlock_irqrestore(&books_lock, flags);
	if (!live)
		outcome = release_other(give, &holding, stack);
	if (outcome == POISON)
		poison(holding);
	if ((outcome == KEEP || outcome == POISON) && books_listening())
		quarantine_trim(space);
	return outcome == PASS;
}

/* The serial of what begins there, unless the kernel has it back; 0: nothing, or no run to tell of. */
u32 books_serial(unsigned long address)
{
	struct holding *holding;
	unsigned long flags;
	u32 serial = 0;

	if (books_phase() == BOOKS_CLOSED)
		return 0;
	raw_spin_lock_irqsave(&books_lock, flags);
	holding = holding_meant(address, SPACE_EITHER);
	if (holding && holding->state != HOLDING_GONE)
		serial = holding->serial;
	raw_spin_unlock_irqrestore(&books_lock, flags);
	return serial;
}

/* Whether what began there was released, and nothing was acquired there since. */
bool books_released_at(unsigned long address)
{
	struct holding *holding;
	unsigned long flags;
	bool released;

	raw_spin_lock_irqsave(&books_lock, flags);
	holding = holding_meant(address, SPACE_EITHER);
	released = holding && holding->state != HOLDING_LIVE && holding->state != HOLDING_PAST;
	raw_spin_unlock_irqrestore(&books_lock, flags);
	return released;
}

/* Copies the live holding that begins there. False: there is none. */
bool books_known(unsigned long address, struct holding *copy)
{
	struct holding *holding;
	unsigned long flags;
	bool live;

	raw_spin_lock_irqsave(&books_lock, flags);
	holding = holding_meant(address, SPACE_EITHER);
	live = holding && holding->state == HOLDING_LIVE;
	if (live)
		*copy = *holding;
	raw_spin_unlock_irqrestore(&books_lock, flags);
	return live;
}

/* Called before kmem_cache_destroy(), which looks for objects that are left. */
void books_flush_cache(struct kmem_cache *cache)
{
	quarantine_flush_cache((unsigned long)cache);
}

/* Whether an object of this cache is released, and waits for RCU readers. */
bool books_deferred_in(struct kmem_cache *cache)
{
	unsigned long flags;
	bool any;

	raw_spin_lock_irqsave(&books_lock, flags);
	any = holdings_deferred_in((unsigned long)cache);
	raw_spin_unlock_irqrestore(&books_lock, flags);
	return any;
}

/* The begin of the holding around this address; the address itself if there is none. */
unsigned long books_around(unsigned long address)
{
	struct holding *holding;
	unsigned long flags;

	raw_spin_lock_irqsave(&books_lock, flags);
	holding = holding_around(address, SPACE_EITHER);
	if (holding)
		address = holding->address;
	raw_spin_unlock_irqrestore(&books_lock, flags);
	return address;
}

/* The RCU readers are done, and the kernel gets it back. */
void books_deferred_is_over(unsigned long address, void *frame)
{
	books_kernel_took(address, is_vmalloc_addr((void *)address) ? SPACE_VMALLOC : SPACE_SLAB,
			  frame);
}
