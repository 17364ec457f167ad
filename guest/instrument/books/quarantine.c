// SPDX-License-Identifier: GPL-2.0
// Released memory is kept for a while, full of poison, to find out who still writes to it.
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/sizes.h>

#include "books/holding.h"

/*
 * There is a queue for each space, since a release may give older memory of its queue back to the
 * kernel, and the caller's context allows that only for its own space. (vfree() may sleep, kfree()
 * may not.)
 */
struct queue {
	struct list_head held; /* the oldest first */
	size_t bytes;
	size_t most_bytes;
	u32 count;
	u32 most;
};

static struct queue queues[SPACES] = {
	[SPACE_SLAB] = { .most_bytes = SZ_4M, .most = 8192 },
	[SPACE_PAGES] = { .most_bytes = SZ_4M, .most = 1024 },
	[SPACE_VMALLOC] = { .most_bytes = SZ_8M, .most = 256 },
	[SPACE_PERCPU] = { .most_bytes = SZ_64K, .most = 64 },
};

void quarantine_reset(void)
{
	int i;

	for (i = 0; i < SPACES; i++) {
		INIT_LIST_HEAD(&queues[i].held);
		queues[i].bytes = 0;
		queues[i].count = 0;
	}
}

/* A large holding would drive out all others. */
bool quarantine_takes(const struct holding *holding)
{
	return holding->size <= queues[holding->space].most_bytes / 4;
}

void quarantine_add(struct holding *holding)
{
	struct queue *queue = &queues[holding->space];

	lockdep_assert_held(&books_lock);
	list_add_tail(&holding->queue, &queue->held);
	queue->bytes += holding->size;
	queue->count++;
}

void quarantine_remove(struct holding *holding)
{
	struct queue *queue = &queues[holding->space];

	lockdep_assert_held(&books_lock);
	list_del_init(&holding->queue);
	queue->bytes -= holding->size;
	queue->count--;
}

static bool full(const struct queue *queue)
{
	return READ_ONCE(queue->count) > queue->most || READ_ONCE(queue->bytes) > queue->most_bytes;
}

/* Takes one out of the queue, for the caller alone; NULL: there is none to give back. */
static struct holding *take(const struct queue *queue, bool all, unsigned long cache)
{
	struct holding *holding;

	lockdep_assert_held(&books_lock);
	if (!all && !cache && !full(queue))
		return NULL;
	list_for_each_entry(holding, &queue->held, queue)
		if (!cache || holding->cache == cache) {
			quarantine_remove(holding);
			holding->busy = true;
			return holding;
		}
	return NULL;
}

static void append_reclaim(const struct holding *holding)
{
	struct ledger_record record = {
		.type = LEDGER_RECLAIM,
		.kind = holding->family->number,
		.serial = holding->serial,
		.pointer = holding->address,
		.size = holding->size,
	};

	ledger_append(&record);
}

/* The books have it as gone before the kernel gets it, which may give the address out at once. */
static void let_go(struct holding *holding, struct holding *copy)
{
	lockdep_assert_held(&books_lock);
	if (!holding->taken) {
		memory_check_guard(holding);
		append_reclaim(holding);
	}
	*copy = *holding;
	holding->busy = false;
	holding_is_gone(holding);
}

/* Checks the memory of one, and gives it back. False: there is none to give back. */
static bool evict(struct queue *queue, bool all, unsigned long cache)
{
	struct holding copy, *holding;
	unsigned long flags;
	bool quick;

	raw_spin_lock_irqsave(&books_lock, flags);
	holding = take(queue, all, cache);
	quick = holding && memory_is_quick(holding);
	if (quick) {
		memory_check_poison(holding);
		let_go(holding, &copy);
	}
	raw_spin_unlock_irqrestore(&books_lock, flags);
	if (!holding)
		return false;
	if (!quick) {
		memory_check_poison(holding);
		raw_spin_lock_irqsave(&books_lock, flags);
		let_go(holding, &copy);
		raw_spin_unlock_irqrestore(&books_lock, flags);
	}
	if (!copy.taken)
		copy.family->give_back(&copy);
	return true;
}

/* Gives back what is beyond the bounds. In a context where memory of that space may be released. */
void quarantine_trim(enum space space)
{
	while (full(&queues[space]) && evict(&queues[space], false, 0))
		;
}

/* Gives back the objects in quarantine of a cache that is about to be destroyed. */
void quarantine_flush_cache(unsigned long cache)
{
	while (evict(&queues[SPACE_SLAB], false, cache))
		;
}

/* Gives everything back, and returns how many holdings that were. May sleep. */
u32 quarantine_flush(void)
{
	u32 count = 0;
	int i;

	for (i = 0; i < SPACES; i++)
		while (evict(&queues[i], true, 0))
			count++;
	return count;
}
