// SPDX-License-Identifier: GPL-2.0
// The table of holdings: by address, and in order of address for what points into one.
#include <linux/hash.h>
#include <linux/lockdep.h>
#include <linux/moduleparam.h>
#include <linux/vmalloc.h>

#include "books/holding.h"

/* Taken at load: keeping books allocates nothing while anybody is watched. */
static unsigned int holdings = 65536;
module_param(holdings, uint, 0400);
MODULE_PARM_DESC(holdings, "how many allocations of subjects can be known at a time");

#define BUCKET_BITS 17 /* mostly empty, so that most of the kernel's releases find nothing at once */

DEFINE_RAW_SPINLOCK(books_lock);
static struct holding *table;
static struct hlist_head *buckets;
/* Most come and go without a question for what lies around: they are sorted when there is one. */
static struct rb_root trees[SPACES];
static HLIST_HEAD(unsorted);
static unsigned int fresh;  /* the first that nobody used since the last reset */
static LIST_HEAD(unused);   /* of those below it */
static LIST_HEAD(gone);     /* likewise; the one that is gone for longest first */

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

/* Also after a books_open() that failed half-way. */
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

/* Nothing is known any more. What nobody used since is not touched. */
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

/* Without the lock: false is certain of what was there before the question. */
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

/* An unused one, else the one that is gone for longest. In no list. */
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

/* LIVE, and findable. NULL: the table is full of what is not gone. */
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

/* The newest that began there in that space. */
struct holding *holding_at(unsigned long address, enum space space)
{
	struct holding *holding;

	lockdep_assert_held(&books_lock);
	hlist_for_each_entry(holding, bucket(address), by_address)
		if (holding->address == address && holding->space == space)
			return holding;
	return NULL;
}

/* Its handles say nothing of what else lies at an address. */
static bool apart(enum space space)
{
	return space >= SPACE_PERCPU && space < SPACES;
}

/* No memory of a subject's own can be where one of these is. */
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
 * What a release of that address can mean: whatever is there, of any space but those that are
 * apart; if nothing is, what was there last in the space of the call.
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
	/* A cookie that was taken for an address, or a resource for the memory that it stands for. */
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
	/* One that was taken past the wrappers may have come back unseen, and lie in another now. */
	while (below && below->state == HOLDING_PAST) {
		node = rb_prev(&below->in_order);
		below = node ? rb_entry(node, struct holding, in_order) : NULL;
	}
	return below && address - below->address < below->size ? below : NULL;
}

/* What is not gone and has that address in it. */
struct holding *holding_around(unsigned long address, enum space space)
{
	struct holding *holding = NULL;
	int i;

	lockdep_assert_held(&books_lock);
	sort();
	if (apart(space))
		return around(address, trees[space].rb_node);
	for (i = 0; !holding && i < SPACE_PERCPU; i++)
		/* Of a cache only its begin is known. */
		if (i != SPACE_CACHE)
			holding = around(address, trees[i].rb_node);
	return holding;
}

/* The kernel has it, or is about to. */
void holding_is_gone(struct holding *holding)
{
	lockdep_assert_held(&books_lock);
	holding->state = HOLDING_GONE;
	leave_order(holding);
	list_add_tail(&holding->queue, &gone);
}

/* Its address is somebody else's from now on. */
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

/* Whether somebody is at the memory of one that was released. */
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

/* Whatever it is now; NULL: there are not that many. */
struct holding *holding_number(unsigned int number)
{
	lockdep_assert_held(&books_lock);
	return number < fresh ? &table[number] : NULL;
}
