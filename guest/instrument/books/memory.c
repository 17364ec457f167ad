// SPDX-License-Identifier: GPL-2.0
// Guards around memory while it is held, poison in it after its release.
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "books/holding.h"

#define MOST_GUARD 64
#define GUARD_TAG FREEONCE_TAG('f', 'r', 'e', 'e')

/* Bytes that the allocator gave beyond those asked for. */
size_t memory_room(const struct holding *holding)
{
	size_t given;

	if (!holding->family->slack)
		return 0;
	given = holding->space == SPACE_SLAB ? ksize((void *)holding->address)
					     : PAGE_ALIGN(holding->size);
	return given > holding->size ? given - holding->size : 0;
}

static void expected_guard(const struct holding *holding, u8 *guard)
{
	const u32 tag = GUARD_TAG;

	memset(guard, GUARD_LIVE, holding->guard);
	if (holding->guard < GUARD_SIZE)
		return;
	memcpy(guard, &tag, sizeof(tag));
	memcpy(guard + sizeof(tag), &holding->serial, sizeof(holding->serial));
}

/*
 * An object of a cache with SLAB_RED_ZONE: the kernel has written guards in front of it and behind
 * it when it gave it out (mm/slub.c, init_object()), each full of what ours are. It does not look
 * at them again by itself. `zoned`: the size of an object of such a cache of ours, else 0; in front
 * of it lies as much as it is aligned to.
 */
void memory_guard(struct holding *holding, size_t room, size_t zoned)
{
	u8 guard[MOST_GUARD];

	lockdep_assert_held(&books_lock);
	holding->slack = min_t(size_t, room, MOST_GUARD);
	holding->guard = holding->slack;
	if (zoned) {
		holding->guard = min_t(size_t, room + sizeof(long), MOST_GUARD);
		holding->front = min_t(size_t, zoned & -zoned, MOST_GUARD);
	}
	expected_guard(holding, guard);
	memcpy((void *)(holding->address + holding->size), guard, holding->slack);
}

/* An object of a subject's own cache, of which we do not know more than that it has red zones. */
void memory_red_zones(struct holding *holding)
{
	lockdep_assert_held(&books_lock);
	holding->guard = ALIGN(holding->size, sizeof(long)) - holding->size ?: sizeof(long);
	holding->front = sizeof(long);
}

/* What is behind it is its owner's from now on, but for the kernel's red zone. */
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

/* Once for each holding. */
void memory_check_guard(struct holding *holding)
{
	u8 *start = (u8 *)holding->address, *end = start + holding->size;
	u8 expected[MOST_GUARD];

	lockdep_assert_held(&books_lock);
	if (holding->told)
		return;
	expected_guard(holding, expected);
	holding->told |= !compare(holding, BROKEN_BEHIND, end, expected, holding->guard);
	memset(expected, GUARD_LIVE, sizeof(expected));
	holding->told |= !compare(holding, BROKEN_FRONT, start - holding->front, expected,
				  holding->front);
}

/* Of percpu memory each CPU's own. */
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

static void poison(void *part, size_t size, void *unused)
{
	memset(part, POISON_RELEASED, size);
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

/* Nobody else gives this memory away meanwhile; who still uses it is what is looked for. Told once. */
void memory_check_poison(struct holding *holding)
{
	if (holding->poisoned)
		each_part(holding, check_poison, holding);
}
