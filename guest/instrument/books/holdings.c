// SPDX-License-Identifier: GPL-2.0
// The table of holdings, found by address. Trees in order of address find what an address lies in.
#include <linux/hash.h>
#include <linux/lockdep.h>
#include <linux/moduleparam.h>
#include <linux/vmalloc.h>

#include "books/holding.h"

/* Allocated at load, so that the books allocate nothing during a run. */
static unsigned int holdings = 65536;
module_param(holdings, uint, 0400);
MODULE_PARM_DESC(holdings, "how many allocations of subjects can be known at a time");

#define BUCKET_BITS 17 /* mostly empty, so that most of the kernel's releases find nothing at once */

DEFINE_RAW_SPINLOCK(books_lock);
static struct holding *table;
static struct hlist_head *buckets;
/*
 * Most holdings come and go before anybody asks what lies around an address. So new ones stand in
 * `unsorted`, and enter the trees when somebody asks.
 */
static struct rb_root trees[SPACES];
static HLIST_HEAD(unsorted);
static unsigned int fresh;  /* from this one on none was used since the last reset */
static LIST_HEAD(unused);   /* below `fresh` */
static LIST_HEAD(gone);     /* below `fresh`; first the one that has been gone for longest */

int books_open(void)
{
	table = vzalloc(array_size(holdings, sizeof(*table)));
	buckets = vzalloc(sizeof(*buckets) << BUCKET_BITS);
	if (!table || !buckets || stacks_open()) {
		books_close();
		return -ENOMEM;
	}
	return 0;
}

/* Also called when books_open() fails half-way. */
void books_close(void)
{
	stacks_close();
	vfree(buckets);
	vfree(table);
}

static struct hlist_head *bucket(unsigned long address)
{
	return &buckets[hash_long(address, BUCKET_BITS)];
}

/* Forgets everything. Entries that were not used since the last reset are not touched. */
void holdings_reset(void)
{
	unsigned int i;

	for (i = 0; i < fresh; i++) {
		if (table[i].state != HOLDING_UNUSED)
			INIT_HLIST_HEAD(bucket(table[i].address));
		table[i].state = HOLDING_UNUSED;
	}
	for (i = 0; i < SPACES; i++)
		trees[i] = RB_ROOT;
	INIT_HLIST_HEAD(&unsorted);
	INIT_LIST_HEAD(&unused);
	INIT_LIST_HEAD(&gone);
	fresh = 0;
}

/* Takes no lock. False: nothing that was entered before this call is there. */
bool holding_possible(unsigned long address)
{
	return !hlist_empty(bucket(address));
}

static void tree_insert(struct holding *holding)
{
	struct rb_node **link = &trees[holding->space].rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		if (holding->address < rb_entry(parent, struct holding, in_order)->address)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&holding->in_order, parent, link);
	rb_insert_color(&holding->in_order, &trees[holding->space]);
}

static void sort(void)
{
	struct hlist_node *next;
	struct holding *holding;

	hlist_for_each_entry_safe(holding, next, &unsorted, unsorted) {
		tree_insert(holding);
		holding->sorted = true;
	}
	INIT_HLIST_HEAD(&unsorted);
}

static void leave_order(struct holding *holding)
{
	if (holding->sorted)
		rb_erase(&holding->in_order, &trees[holding->space]);
	else
		hlist_del(&holding->unsorted);
}

/* An unused entry, else the one that has been gone for longest, out of all lists; NULL: none. */
static struct holding *spare(void)
{
	struct holding *holding;

	if (list_empty(&unused) && fresh < holdings)
		return &table[fresh++];
	holding = list_first_entry_or_null(&unused, struct holding, queue);
	if (!holding) {
		holding = list_first_entry_or_null(&gone, struct holding, queue);
		if (!holding)
			return NULL;
		hlist_del(&holding->by_address);
	}
	list_del(&holding->queue);
	return holding;
}

/* Enters a live holding. NULL: the table is full, and none of its entries is gone. */
struct holding *holding_new(unsigned long address, enum space space)
{
	struct holding *holding;

	lockdep_assert_held(&books_lock);
	holding = spare();
	if (!holding)
		return NULL;
	*holding = (struct holding){
		.address = address, .space = space, .state = HOLDING_LIVE,
		.queue = LIST_HEAD_INIT(holding->queue),
	};
	hlist_add_head(&holding->by_address, bucket(address));
	hlist_add_head(&holding->unsorted, &unsorted);
	return holding;
}

/* The newest holding of that space that begins there. */
struct holding *holding_at(unsigned long address, enum space space)
{
	struct holding *holding;

	lockdep_assert_held(&books_lock);
	hlist_for_each_entry(holding, bucket(address), by_address)
		if (holding->address == address && holding->space == space)
			return holding;
	return NULL;
}

/* Whether handles of this space tell nothing of the memory at their address. */
static bool apart(enum space space)
{
	return space >= SPACE_PERCPU && space < SPACES;
}

/* A subject's own memory cannot lie where one of these does. */
static const enum space exclusive[] = { SPACE_PERCPU, SPACE_MEMPOOL, SPACE_IOMAP, SPACE_CIPHER };

bool space_is_exclusive(enum space space)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(exclusive); i++)
		if (exclusive[i] == space)
			return true;
	return false;
}

/*
 * What a release of that address means: the holding that is there now, of any space but those
 * apart; else the last one that was there in the space of the call.
 */
struct holding *holding_meant(unsigned long address, enum space space)
{
	struct holding *holding, *was = NULL;
	int i;

	lockdep_assert_held(&books_lock);
	hlist_for_each_entry(holding, bucket(address), by_address) {
		if (holding->address != address ||
		    (holding->space != space && (apart(holding->space) || apart(space))))
			continue;
		if (holding->state != HOLDING_GONE)
			return holding;
		if (!was && holding->space == space)
			was = holding;
	}
	if (was || apart(space))
		return was;
	/* The caller may have taken a cookie for an address, or a resource for its memory. */
	for (i = 0; i < ARRAY_SIZE(exclusive); i++) {
		holding = holding_at(address, exclusive[i]);
		if (holding && holding->state != HOLDING_GONE)
			return holding;
	}
	return NULL;
}

static struct holding *around(unsigned long address, struct rb_node *node)
{
	struct holding *below = NULL, *holding;

	while (node) {
		holding = rb_entry(node, struct holding, in_order);
		if (holding->address <= address) {
			below = holding;
			node = node->rb_right;
		} else {
			node = node->rb_left;
		}
	}
	/* One that was acquired past the wrappers may be released unseen, and lie in another by now. */
	while (below && below->state == HOLDING_PAST) {
		node = rb_prev(&below->in_order);
		below = node ? rb_entry(node, struct holding, in_order) : NULL;
	}
	return below && address - below->address < below->size ? below : NULL;
}

/* The holding that the address lies in, if it is not gone. */
struct holding *holding_around(unsigned long address, enum space space)
{
	struct holding *holding = NULL;
	int i;

	lockdep_assert_held(&books_lock);
	sort();
	if (apart(space))
		return around(address, trees[space].rb_node);
	for (i = 0; !holding && i < SPACE_PERCPU; i++)
		/* Only the begin of a kmem_cache is known. */
		if (i != SPACE_CACHE)
			holding = around(address, trees[i].rb_node);
	return holding;
}

/* The kernel has it back, or gets it next. */
void holding_is_gone(struct holding *holding)
{
	lockdep_assert_held(&books_lock);
	holding->state = HOLDING_GONE;
	leave_order(holding);
	list_add_tail(&holding->queue, &gone);
}

/* From now on somebody else has its address. */
void holding_forget(struct holding *holding)
{
	lockdep_assert_held(&books_lock);
	if (holding->state != HOLDING_GONE)
		leave_order(holding);
	hlist_del(&holding->by_address);
	list_move(&holding->queue, &unused);
	holding->state = HOLDING_UNUSED;
}

u32 holdings_in(enum holding_state state)
{
	u32 count = 0;
	unsigned int i;

	lockdep_assert_held(&books_lock);
	for (i = 0; i < fresh; i++)
		count += table[i].state == state;
	return count;
}

/* Whether the instrument is writing or reading the memory of a released holding. */
bool holdings_busy(void)
{
	unsigned int i;

	lockdep_assert_held(&books_lock);
	for (i = 0; i < fresh; i++)
		if (table[i].state == HOLDING_HELD && table[i].busy)
			return true;
	return false;
}

bool holdings_deferred_in(unsigned long cache)
{
	unsigned int i;

	lockdep_assert_held(&books_lock);
	for (i = 0; i < fresh; i++)
		if (table[i].state == HOLDING_DEFERRED && table[i].cache == cache)
			return true;
	return false;
}

/* The entry of that number, in whatever state; NULL: there are fewer. */
struct holding *holding_number(unsigned int number)
{
	lockdep_assert_held(&books_lock);
	return number < fresh ? &table[number] : NULL;
}
