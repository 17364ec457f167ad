// SPDX-License-Identifier: GPL-2.0
// Guards around memory while it is live, poison in it after its release.
#include <linux/atomic.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#include "books/holding.h"

#define QUICK 512 /* bytes */
#define GUARD_TAG FREEONCE_TAG('f', 'r', 'e', 'e')

static atomic_t broken; /* records in this run; atomic, as poison is looked at without the lock */

/* How many bytes the allocator gave beyond those asked for. */
size_t memory_room(const struct holding *holding)
{
	size_t given;

	if (!holding->family->slack)
		return 0;
	given = holding->space == SPACE_SLAB ? ksize((void *)holding->address)
					     : PAGE_ALIGN(holding->size);
	return given > holding->size ? given - holding->size : 0;
}

/* The word that says whose guard it is. */
static u64 tag_of(const struct holding *holding)
{
	return (u64)holding->serial << 32 | GUARD_TAG;
}

static void write_tag(const struct holding *holding, u8 *guard)
{
	put_unaligned(tag_of(holding), (u64 *)guard);
}

static void expected_guard(const struct holding *holding, u8 *guard)
{
	memset(guard, GUARD_LIVE, holding->guard);
	if (holding->guard >= GUARD_SIZE)
		write_tag(holding, guard);
}

/*
 * An object of a cache with SLAB_RED_ZONE: the kernel has written guards in front of it and behind
 * it when it gave it out (mm/slub.c, init_object()), full of the same byte as ours. It does not
 * look at them again by itself. `zoned`: the size of an object of such a cache of ours, else 0; in front
 * of it lies as much as it is aligned to.
 */
void memory_guard(struct holding *holding, size_t room, size_t zoned)
{
	u8 *end = (u8 *)holding->address + holding->size;

	lockdep_assert_held(&books_lock);
	holding->zoned = zoned;
	holding->slack = min_t(size_t, room, MOST_GUARD);
	holding->guard = holding->slack;
	if (zoned) {
		holding->guard = min_t(size_t, room + sizeof(long), MOST_GUARD);
		holding->front = min_t(size_t, zoned & -zoned, MOST_GUARD);
	}
	/* The tag overwrites slack only: in a guard of GUARD_SIZE the red zone is at most half. */
	memset(end, GUARD_LIVE, holding->slack);
	if (holding->guard >= GUARD_SIZE)
		write_tag(holding, end);
}

/* For an object of a subject's own cache: all that is known of it is that it has red zones. */
void memory_red_zones(struct holding *holding)
{
	lockdep_assert_held(&books_lock);
	holding->guard = ALIGN(holding->size, sizeof(long)) - holding->size ?: sizeof(long);
	holding->front = sizeof(long);
}

/* From now on its owner may use the slack behind it, but not the kernel's red zone. */
void memory_unguard(struct holding *holding)
{
	lockdep_assert_held(&books_lock);
	memset((void *)(holding->address + holding->size), 0, holding->slack);
	holding->guard = 0;
}

static void append_broken(const struct holding *holding, enum ledger_broken where, const u8 *first,
			  size_t wrong, size_t left)
{
	struct ledger_record record = {
		.type = LEDGER_BROKEN,
		.kind = holding->family->number,
		.serial = holding->serial,
		.detail = where,
		.pointer = (unsigned long)first,
		.physical = wrong,
	};

	memcpy(&record.size, first, min(left, sizeof(record.size)));
	ledger_append(&record);
	atomic_inc(&broken);
}

void memory_reset(void)
{
	atomic_set(&broken, 0);
}

u32 memory_broken(void)
{
	return atomic_read(&broken);
}

/* Whether they are equal. */
static bool compare(const struct holding *holding, enum ledger_broken where, const u8 *stands,
		    const u8 *expected, size_t size)
{
	size_t first = size, wrong = 0, i;

	if (!memcmp(stands, expected, size))
		return true;
	for (i = size; i-- > 0;)
		if (stands[i] != expected[i]) {
			first = i;
			wrong++;
		}
	append_broken(holding, where, stands + first, wrong, size - first);
	return false;
}

static bool all_live(const u8 *at, size_t size)
{
	for (; size >= sizeof(u64); at += sizeof(u64), size -= sizeof(u64))
		if (get_unaligned((const u64 *)at) != GUARD_LIVE * (~0ULL / 0xff))
			return false;
	for (; size; at++, size--)
		if (*at != GUARD_LIVE)
			return false;
	return true;
}

/* Quick, as nearly all guards are intact: no expected guard is made to compare with. */
static bool intact(const struct holding *holding)
{
	const u8 *start = (const u8 *)holding->address, *end = start + holding->size;
	size_t tag = holding->guard < GUARD_SIZE ? 0 : sizeof(u64);

	return (!tag || get_unaligned((const u64 *)end) == tag_of(holding)) &&
	       all_live(end + tag, holding->guard - tag) &&
	       all_live(start - holding->front, holding->front);
}

/* A function of its own, since few guards are broken and the compiler clears the whole array. */
static noinline void tell_broken(struct holding *holding)
{
	u8 *start = (u8 *)holding->address, *end = start + holding->size;
	u8 expected[MOST_GUARD];

	expected_guard(holding, expected);
	holding->told |= !compare(holding, BROKEN_BEHIND, end, expected, holding->guard);
	memset(expected, GUARD_LIVE, sizeof(expected));
	holding->told |= !compare(holding, BROKEN_FRONT, start - holding->front, expected,
				  holding->front);
}

/* Tells of a broken guard, once for each holding. */
void memory_check_guard(struct holding *holding)
{
	lockdep_assert_held(&books_lock);
	if (!holding->told && !intact(holding))
		tell_broken(holding);
}

/* Each CPU has its own part of percpu memory. */
static void each_part(const struct holding *holding, void (*act)(void *part, size_t size, void *to),
		      void *to)
{
	int cpu;

	if (holding->space != SPACE_PERCPU) {
		act((void *)holding->address, holding->size, to);
		return;
	}
	for_each_possible_cpu(cpu)
		act(per_cpu_ptr((void __percpu *)holding->address, cpu), holding->size, to);
}

/* Whether poisoning and checking it costs less than dropping the lock and taking it again. */
bool memory_is_quick(const struct holding *holding)
{
	return holding->space == SPACE_SLAB && holding->size <= QUICK;
}

static void poison(void *part, size_t size, void *unused)
{
	size_t words = size / sizeof(u64);

	memset64(part, POISON_RELEASED * (~0ULL / 0xff), words);
	memset(part + words * sizeof(u64), POISON_RELEASED, size % sizeof(u64));
}

void memory_poison(const struct holding *holding)
{
	each_part(holding, poison, NULL);
}

static void check_poison(void *part, size_t size, void *to)
{
	const u8 *first = memchr_inv(part, POISON_RELEASED, size);
	struct holding *holding = to;
	size_t left, wrong = 0, i;

	if (!first)
		return;
	left = part + size - (void *)first;
	for (i = 0; i < left; i++)
		wrong += first[i] != POISON_RELEASED;
	append_broken(holding, BROKEN_POISON, first, wrong, left);
	holding->poisoned = false;
}

/* The caller owns this memory; who still writes to it is what is looked for. Tells of it once. */
void memory_check_poison(struct holding *holding)
{
	if (holding->poisoned)
		each_part(holding, check_poison, holding);
}
