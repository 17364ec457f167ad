// SPDX-License-Identifier: GPL-2.0
// What the books cost: one allocate/release pair bare, with the ledger, with the kernel witness.
#include <linux/ktime.h>
#include <linux/slab.h>

#include "bench/bench.h"
#include "books/books.h"
#include "witness/witness.h"

#define PAIRS 1000
#define SIZE 64
#define ALIGN_OF 8
#define TAG FREEONCE_TAG('b', 'n', 'c', 'h')

static void bare_pair(void)
{
	kfree(kmalloc(SIZE, GFP_ATOMIC));
}

static void ledgered_pair(void)
{
	freeonce_pool_free(freeonce_pool_alloc(SIZE, ALIGN_OF, TAG), SIZE, ALIGN_OF);
}

static u64 nanoseconds(void (*pair)(void))
{
	ktime_t start = ktime_get();
	int i;

	for (i = 0; i < PAIRS; i++)
		pair();
	return ktime_to_ns(ktime_sub(ktime_get(), start)) / PAIRS;
}

/* With the run mutex held, outside of any run. Each ledgered pair includes its way back. */
int bench_measure_pair(const struct scenario_table *table, void *into)
{
	struct bench_pair *pair = into;
	ktime_t start;

	nanoseconds(bare_pair); /* warm */
	pair->bare = nanoseconds(bare_pair);

	start = ktime_get();
	nanoseconds(ledgered_pair);
	allocation_reclaim_all();
	pair->ledger = ktime_to_ns(ktime_sub(ktime_get(), start)) / PAIRS;

	witness_watch(false);
	start = ktime_get();
	nanoseconds(ledgered_pair);
	allocation_reclaim_all();
	pair->witness = ktime_to_ns(ktime_sub(ktime_get(), start)) / PAIRS;
	witness_look_away();
	return 0;
}
