// SPDX-License-Identifier: GPL-2.0
// Every allocation that we know, and what became of it.
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/io.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "books/books.h"
#include "subjects/subjects.h"

/* Taken at load, so that keeping books allocates nothing while a scenario runs. */
#define ALLOCATION_COUNT 32768
#define BUCKET_BITS 12

static struct allocation *table;
static struct hlist_head buckets[1 << BUCKET_BITS];
static LIST_HEAD(unused);
static LIST_HEAD(known);
static DEFINE_SPINLOCK(allocation_lock);
static const struct claims *claims;

/* Before the first release. */
void allocation_heed(const struct claims *from)
{
	claims = from;
}

int allocation_open(void)
{
	int i;

	table = vzalloc(array_size(ALLOCATION_COUNT, sizeof(*table)));
	if (!table)
		return -ENOMEM;
	for (i = 0; i < ALLOCATION_COUNT; i++)
		list_add_tail(&table[i].in_order, &unused);
	return 0;
}

void allocation_close(void)
{
	vfree(table);
}

static struct hlist_head *bucket(const void *pointer)
{
	return &buckets[hash_ptr(pointer, BUCKET_BITS)];
}

/* Newest first, so the first match is the one that holds the address now. */
static struct allocation *find(const void *pointer)
{
	struct allocation *allocation;

	hlist_for_each_entry(allocation, bucket(pointer), by_pointer)
		if (allocation->pointer == pointer)
			return allocation;
	return NULL;
}

/* A blank entry, or NULL when the table is full. Ends in publish or discard. */
struct allocation *allocation_take(void)
{
	struct allocation *allocation;
	unsigned long flags;

	spin_lock_irqsave(&allocation_lock, flags);
	allocation = list_first_entry_or_null(&unused, struct allocation, in_order);
	if (allocation)
		list_del(&allocation->in_order);
	spin_unlock_irqrestore(&allocation_lock, flags);
	if (allocation)
		memset(allocation, 0, sizeof(*allocation));
	return allocation;
}

void allocation_discard(struct allocation *allocation)
{
	unsigned long flags;

	spin_lock_irqsave(&allocation_lock, flags);
	allocation->state = ALLOCATION_UNUSED;
	list_add(&allocation->in_order, &unused);
	spin_unlock_irqrestore(&allocation_lock, flags);
}

/* Unaligned: it follows the last byte of the owner's memory. */
static void write_guard(const struct allocation *allocation, u8 pattern)
{
	struct ledger_guard guard = { .tag = allocation->tag, .serial = allocation->serial };

	memset(guard.pattern, pattern, sizeof(guard.pattern));
	memcpy(allocation->pointer + allocation->size, &guard, sizeof(guard));
}

/* The guard as the owner left it: the host judges whether it is whole. */
static void append_guard(const struct allocation *allocation)
{
	ledger_append_text(LEDGER_GUARD, allocation->serial,
			   allocation->pointer + allocation->size, GUARD_SIZE);
}

/* Under the lock together with its record: the ledger's order is the order of events. */
void allocation_publish(struct allocation *allocation, struct ledger_record *record)
{
	unsigned long flags;

	spin_lock_irqsave(&allocation_lock, flags);
	allocation->state = ALLOCATION_LIVE;
	allocation->serial = books_next_serial();
	allocation->run = ledger_run();
	hlist_add_head(&allocation->by_pointer, bucket(allocation->pointer));
	list_add_tail(&allocation->in_order, &known);
	record->type = LEDGER_ALLOCATE;
	record->kind = allocation->kind;
	record->serial = allocation->serial;
	record->pointer = (unsigned long)allocation->pointer;
	record->size = allocation->size;
	write_guard(allocation, GUARD_LIVE);
	ledger_append(record);
	spin_unlock_irqrestore(&allocation_lock, flags);
}

/*
 * Records the release as the owner made it. Returns the allocation when it is
 * live, of this kind and not in use by the CPU, so that the caller may act; NULL when
 * the release is withheld. Any release of a live allocation, right or wrong, is its release:
 * the next one is one too many.
 */
struct allocation *allocation_release(enum ledger_kind kind, const void *pointer, size_t size,
				      size_t align, unsigned long site)
{
	struct ledger_record record = {
		.type = LEDGER_RELEASE,
		.kind = kind,
		.pointer = (unsigned long)pointer,
		.size = size,
		.align_log2 = ledger_align(align),
		.site = subject_site(site),
	};
	struct allocation *allocation;
	unsigned long flags;
	bool fits;

	spin_lock_irqsave(&allocation_lock, flags);
	allocation = pointer ? find(pointer) : NULL;
	fits = allocation && allocation->state == ALLOCATION_LIVE && allocation->kind == kind;
	/* The ledger's order is the order of events here too: nothing is bound meanwhile. */
	claims->lock();
	if (fits && claims->hold(virt_to_phys(allocation->pointer), allocation->size))
		fits = false;
	if (allocation) {
		record.serial = allocation->serial;
		record.physical = virt_to_phys(allocation->pointer);
		allocation->state = ALLOCATION_RELEASED;
	}
	if (!fits)
		record.flags = FLAG_WITHHELD;
	ledger_append(&record);
	claims->unlock();
	if (fits)
		append_guard(allocation);
	spin_unlock_irqrestore(&allocation_lock, flags);
	if (!fits)
		return NULL;
	/* Nobody else touches it now: it is RELEASED, and only settling ends that. */
	memset(allocation->pointer, POISON_RELEASED, allocation->size);
	write_guard(allocation, GUARD_RELEASED);
	return allocation;
}

/* Of the newest allocation that began there; 0: none. */
u32 freeonce_serial(const void *pointer)
{
	struct allocation *allocation;
	unsigned long flags;
	u32 serial;

	spin_lock_irqsave(&allocation_lock, flags);
	allocation = find(pointer);
	serial = allocation ? allocation->serial : 0;
	spin_unlock_irqrestore(&allocation_lock, flags);
	return serial;
}
EXPORT_SYMBOL_GPL(freeonce_serial);

/* The allocation that holds these bytes of guest-physical memory; the lock is held. */
static const struct allocation *holding(u64 gpa, size_t size)
{
	const struct allocation *allocation;

	list_for_each_entry(allocation, &known, in_order) {
		u64 start = virt_to_phys(allocation->pointer);

		if (gpa >= start && gpa - start < allocation->size &&
		    size <= allocation->size - (gpa - start))
			return allocation;
	}
	return NULL;
}

bool allocation_live_at(u64 gpa, size_t size)
{
	const struct allocation *found;
	unsigned long flags;
	bool live;

	spin_lock_irqsave(&allocation_lock, flags);
	found = holding(gpa, size);
	live = found && found->state == ALLOCATION_LIVE;
	spin_unlock_irqrestore(&allocation_lock, flags);
	return live;
}

/* Live or released: either way it stays where it is until the run is settled. */
bool allocation_known_at(u64 gpa, size_t size)
{
	const struct allocation *found;
	unsigned long flags;

	spin_lock_irqsave(&allocation_lock, flags);
	found = holding(gpa, size);
	spin_unlock_irqrestore(&allocation_lock, flags);
	return found && !found->gone;
}

void allocation_failed(enum ledger_kind kind, size_t size, size_t align, int error,
		       bool injected, unsigned long site)
{
	struct ledger_record record = {
		.type = LEDGER_ALLOCATE_FAILED,
		.kind = kind,
		.size = size,
		.align_log2 = ledger_align(align),
		.detail = error,
		.flags = injected ? FLAG_INJECTED : 0,
		.site = subject_site(site),
	};

	ledger_append(&record);
}

static struct allocation *unlink_oldest(void)
{
	struct allocation *allocation;
	unsigned long flags;

	spin_lock_irqsave(&allocation_lock, flags);
	allocation = list_first_entry_or_null(&known, struct allocation, in_order);
	if (allocation) {
		list_del(&allocation->in_order);
		hlist_del(&allocation->by_pointer);
	}
	spin_unlock_irqrestore(&allocation_lock, flags);
	return allocation;
}

void allocation_append_reclaim(const struct allocation *allocation)
{
	struct ledger_record record = {
		.type = LEDGER_RECLAIM,
		.kind = allocation->kind,
		.serial = allocation->serial,
		.pointer = (unsigned long)allocation->pointer,
		.size = allocation->size,
	};

	ledger_append(&record);
}

/*
 * Gives everything back to the kernel, leaked memory too, so that a faulty
 * scenario leaves the guest fit for the next. After a run's end; may sleep.
 * Returns how many allocations that were.
 */
u32 allocation_reclaim_all(void)
{
	struct allocation *allocation;
	u32 count = 0;

	while ((allocation = unlink_oldest())) {
		if (!allocation->gone) {
			allocation_append_reclaim(allocation);
			allocation->give_back(allocation);
			count++;
		}
		allocation_discard(allocation);
	}
	return count;
}
