// SPDX-License-Identifier: GPL-2.0
// Every allocation that we know, and what became of it.
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/io.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "books/books.h"

/* Taken at load, so that keeping books allocates nothing while a scenario runs. */
#define ALLOCATION_COUNT 32768
#define BUCKET_BITS 12

static struct allocation *table;
static struct hlist_head buckets[1 << BUCKET_BITS];
static LIST_HEAD(unused);
static LIST_HEAD(known);
/* Raw: it is taken where interrupts are off, which a sleeping lock of PREEMPT_RT must not be. */
static DEFINE_RAW_SPINLOCK(allocation_lock);
static const struct claims *claims;

/* Before the first release. */
void allocation_heed(const struct claims *from)
{
	claims = from;
}

const struct claims *allocation_claims(void)
{
	return claims;
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

	lockdep_assert_held(&allocation_lock);
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

	raw_spin_lock_irqsave(&allocation_lock, flags);
	allocation = list_first_entry_or_null(&unused, struct allocation, in_order);
	if (allocation)
		list_del(&allocation->in_order);
	raw_spin_unlock_irqrestore(&allocation_lock, flags);
	if (allocation)
		memset(allocation, 0, sizeof(*allocation));
	return allocation;
}

void allocation_discard(struct allocation *allocation)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&allocation_lock, flags);
	allocation->state = ALLOCATION_UNUSED;
	list_add(&allocation->in_order, &unused);
	raw_spin_unlock_irqrestore(&allocation_lock, flags);
}

/* Unaligned: it follows the last byte of the owner's memory. */
static void write_guard(const struct allocation *allocation, u8 pattern)
{
	struct ledger_guard guard = { .tag = allocation->tag, .serial = allocation->serial };

	memset(guard.pattern, pattern, sizeof(guard.pattern));
	memcpy(allocation->pointer + allocation->size, &guard, sizeof(guard));
	memset(allocation->pointer + allocation->size + sizeof(guard), pattern, allocation->rest);
}

/* The first byte behind the guard that somebody wrote, counted from the memory's end; 0: none. */
static u32 written_behind(const struct allocation *allocation)
{
	const void *rest = allocation->pointer + allocation->size + GUARD_SIZE;
	const void *wrong = memchr_inv(rest, GUARD_LIVE, allocation->rest);

	return wrong ? GUARD_SIZE + (wrong - rest) : 0;
}

/* The guard as the owner left it: the host judges whether it is whole. */
static void append_guard(const struct allocation *allocation)
{
	struct ledger_record record = {
		.type = LEDGER_GUARD,
		.serial = allocation->serial,
		.detail = written_behind(allocation),
	};

	memcpy(record.text, allocation->pointer + allocation->size, GUARD_SIZE);
	ledger_append(&record);
}

/* Under the lock together with its record: the ledger's order is the order of events. */
void allocation_publish(struct allocation *allocation, struct ledger_record *record)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&allocation_lock, flags);
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
	raw_spin_unlock_irqrestore(&allocation_lock, flags);
}

/* The CPU may have been kept from it meanwhile; to see that takes our own lock. */
static void look_at(const void *pointer)
{
	struct allocation *allocation;
	unsigned long flags;
	size_t size = 0;

	raw_spin_lock_irqsave(&allocation_lock, flags);
	allocation = pointer ? find(pointer) : NULL;
	if (allocation && allocation->state == ALLOCATION_LIVE)
		size = allocation->size;
	raw_spin_unlock_irqrestore(&allocation_lock, flags);
	if (size)
		claims->look(virt_to_phys((void *)pointer), size);
}

/* Whether the call is right for it, by all that the release names. */
static bool is_right(const struct allocation *allocation, enum ledger_kind kind,
		     const struct believed *believed)
{
	return allocation->kind == kind &&
	       (!believed->named || believed->named == allocation->named) &&
	       !(believed->raised && allocation->paged);
}

/*
 * Records the release as the owner made it. Returns the allocation when it is
 * live, rightly released and not in use by the CPU, so that the caller may act; NULL when
 * the release is withheld. Any release of a live allocation, right or wrong, is its release:
 * the next one is one too many.
 */
struct allocation *allocation_release(enum ledger_kind kind, const void *pointer,
				      const struct believed *believed, void *frame)
{
	struct ledger_record record = {
		.type = LEDGER_RELEASE,
		.kind = kind,
		.pointer = (unsigned long)pointer,
		.size = believed->size,
		.align_log2 = believed->sized ? ledger_align(believed->align) : 0,
		.detail = believed->named,
		.flags = believed->raised ? FLAG_RAISED : 0,
		.site = stack_of(frame),
	};
	struct allocation *allocation;
	unsigned long flags;
	bool fits;

	look_at(pointer);
	raw_spin_lock_irqsave(&allocation_lock, flags);
	allocation = pointer ? find(pointer) : NULL;
	fits = allocation && allocation->state == ALLOCATION_LIVE &&
	       is_right(allocation, kind, believed);
	/* The ledger's order is the order of events here too: nothing is bound meanwhile. */
	claims->lock();
	if (fits && claims->hold(virt_to_phys(allocation->pointer), allocation->size))
		fits = false;
	if (allocation) {
		record.serial = allocation->serial;
		record.physical = virt_to_phys(allocation->pointer);
		if (!believed->sized) {
			record.size = allocation->size;
			record.align_log2 = ledger_align(allocation->align);
		}
		allocation->state = ALLOCATION_RELEASED;
	} else if (pointer) {
		record.serial = books_serial((unsigned long)pointer);
	}
	if (!fits)
		record.flags |= FLAG_WITHHELD;
	ledger_append(&record);
	claims->unlock();
	if (fits)
		append_guard(allocation);
	raw_spin_unlock_irqrestore(&allocation_lock, flags);
	if (!fits)
		return NULL;
	/* Nobody else touches it now: it is RELEASED, and only settling ends that. */
	memset(allocation->pointer, POISON_RELEASED, allocation->size);
	write_guard(allocation, GUARD_RELEASED);
	return allocation;
}

/* Of the newest allocation that began there; 0: none. */
u32 allocation_serial(const void *pointer)
{
	struct allocation *allocation;
	unsigned long flags;
	u32 serial;

	raw_spin_lock_irqsave(&allocation_lock, flags);
	allocation = find(pointer);
	serial = allocation ? allocation->serial : 0;
	raw_spin_unlock_irqrestore(&allocation_lock, flags);
	return serial;
}

/* Likewise, of whatever family. */
u32 freeonce_serial(const void *pointer)
{
	return allocation_serial(pointer) ?: books_serial((unsigned long)pointer);
}
EXPORT_SYMBOL_GPL(freeonce_serial);

/* The allocation that holds these bytes of guest-physical memory. */
static const struct allocation *holding(u64 gpa, size_t size)
{
	const struct allocation *allocation;

	lockdep_assert_held(&allocation_lock);
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

	raw_spin_lock_irqsave(&allocation_lock, flags);
	found = holding(gpa, size);
	live = found && found->state == ALLOCATION_LIVE;
	raw_spin_unlock_irqrestore(&allocation_lock, flags);
	return live;
}

/* Live or released: either way it stays where it is until the run is settled. */
bool allocation_known_at(u64 gpa, size_t size)
{
	const struct allocation *found;
	unsigned long flags;

	raw_spin_lock_irqsave(&allocation_lock, flags);
	found = holding(gpa, size);
	raw_spin_unlock_irqrestore(&allocation_lock, flags);
	return found && !found->gone;
}

/* Widens these bytes to the allocation, live or released, in which they lie. False: in none. */
bool allocation_around(u64 *gpa, size_t *size)
{
	const struct allocation *found;
	unsigned long flags;

	raw_spin_lock_irqsave(&allocation_lock, flags);
	found = holding(*gpa, *size);
	if (found) {
		*gpa = virt_to_phys(found->pointer);
		*size = found->size;
	}
	raw_spin_unlock_irqrestore(&allocation_lock, flags);
	return found;
}

/* Whether one, live or released, has that address in it. */
bool allocation_inside(unsigned long address)
{
	size_t size = 1;
	u64 gpa;

	if (!virt_addr_valid((void *)address))
		return false;
	gpa = virt_to_phys((void *)address);
	return allocation_around(&gpa, &size);
}

void allocation_failed(const struct failure *failure)
{
	struct ledger_record record = {
		.type = LEDGER_ALLOCATE_FAILED,
		.kind = failure->kind,
		.size = failure->size,
		.physical = failure->error == -E2BIG ? failure->most : 0,
		.align_log2 = ledger_align(failure->align),
		.detail = failure->error,
		.flags = failure->injected ? FLAG_INJECTED : 0,
		.site = stack_of(failure->frame),
	};

	ledger_append(&record);
}

static struct allocation *unlink_oldest(void)
{
	struct allocation *allocation;
	unsigned long flags;

	raw_spin_lock_irqsave(&allocation_lock, flags);
	allocation = list_first_entry_or_null(&known, struct allocation, in_order);
	if (allocation) {
		list_del(&allocation->in_order);
		hlist_del(&allocation->by_pointer);
	}
	raw_spin_unlock_irqrestore(&allocation_lock, flags);
	return allocation;
}

static void append_reclaim(const struct allocation *allocation)
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
 * With act=real the kernel is about to have what begins there, whether that is right or
 * not. It has it once: settling gives it nothing more of this.
 */
void allocation_hand_over(const void *pointer)
{
	struct allocation *allocation;
	unsigned long flags;

	raw_spin_lock_irqsave(&allocation_lock, flags);
	allocation = find(pointer);
	if (allocation && !allocation->gone) {
		allocation->gone = true;
		append_reclaim(allocation);
	}
	raw_spin_unlock_irqrestore(&allocation_lock, flags);
}

/*
 * The kernel has it, by a call that is none of ours: kfree() of pool memory. It is not given back
 * again. From any context; whether it was one that we know is returned.
 */
bool allocation_taken(enum ledger_kind kind, const void *pointer)
{
	struct allocation *allocation;
	unsigned long flags;
	bool taken;

	if (hlist_empty(bucket(pointer)))
		return false;
	raw_spin_lock_irqsave(&allocation_lock, flags);
	allocation = find(pointer);
	taken = allocation && allocation->kind == kind && allocation->base == pointer &&
		!allocation->gone;
	if (taken)
		allocation->gone = true;
	raw_spin_unlock_irqrestore(&allocation_lock, flags);
	return taken;
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
			append_reclaim(allocation);
			allocation->give_back(allocation);
			count++;
		}
		allocation_discard(allocation);
	}
	return count;
}
