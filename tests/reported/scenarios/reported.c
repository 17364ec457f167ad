// SPDX-License-Identifier: GPL-2.0
// After public reports of others, in C. An early freeonce said something wrong or unhelpful of each;
// tests/guest/test_reported.py has what is right.
#include <linux/bottom_half.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>

#include "l2.h"
#include "scenarios.h"

static void *pages(size_t size)
{
	struct contiguous_request request = { .size = size, .align = SZ_4K, ANYWHERE };

	return freeonce_contiguous_alloc(&request);
}

static void give_pages(void *pointer, size_t size)
{
	freeonce_contiguous_free(pointer, size, SZ_4K);
}

static void *take(size_t size)
{
	return freeonce_pool_alloc_zeroed(size, 8, TAG);
}

static void give(void *pointer, size_t size)
{
	freeonce_pool_free(pointer, size, 8);
}

/* CVE-2019-7221, varied: an armed timer lies in what was freed. */
static void fire(struct timer_list *unused)
{
}

struct with_timer {
	u64 before;
	struct timer_list timer;
};

static int timer_inside_of_the_freed(void)
{
	struct with_timer *state = take(sizeof(*state));

	if (!state)
		return -ENOMEM;
	LABEL(state, "state with timer");
	timer_setup(&state->timer, fire, 0);
	/* However slow this machine is, it does not run in between. */
	local_bh_disable();
	mod_timer(&state->timer, jiffies + 2);
	STEP("freed, timer armed");
	give(state, sizeof(*state));
	local_bh_enable();
	freeonce_sleep(60);
	return 0;
}

/* Brouer's rcu_barrier() series of 2009: callbacks still to come when all is over. */
struct node {
	struct list_head list;
	struct rcu_head rcu;
	u64 value;
};

static void free_node(struct rcu_head *rcu)
{
	give(container_of(rcu, struct node, rcu), sizeof(struct node));
}

static int rcu_callback_still_to_come(void)
{
	struct node *node = take(sizeof(*node));

	if (!node)
		return -ENOMEM;
	LABEL(node, "rcu node");
	call_rcu(&node->rcu, free_node);
	return 0; /* rcu_barrier() is missing */
}

static int rcu_callback_awaited(void)
{
	struct node *node = take(sizeof(*node));

	if (!node)
		return -ENOMEM;
	LABEL(node, "rcu node");
	call_rcu(&node->rcu, free_node);
	rcu_barrier();
	return 0;
}

/* HyperDbg 629: the way to the next one leads through the one just freed. */
static int walks_over_the_freed(void)
{
	LIST_HEAD(pools);
	struct node *node;
	int i;

	for (i = 0; i < 3; i++) {
		node = take(sizeof(*node));
		if (!node)
			break;
		LABEL(node, "pool record");
		list_add_tail(&node->list, &pools);
	}
	STEP("uninitialize");
	list_for_each_entry(node, &pools, list)
		give(node, sizeof(*node));
	return 0;
}

/* __free(x) with an allocator that answers ERR_PTR. */
static void *allocate_or_error(size_t size)
{
	void *pointer = take(size);

	return pointer ?: ERR_PTR(-ENOMEM);
}

static int error_pointer_freed(void)
{
	void *pointer;

	freeonce_inject_fail(1);
	pointer = allocate_or_error(64);
	STEP("cleanup");
	if (pointer) /* IS_ERR_OR_NULL() */
		give(pointer, 64);
	return 0;
}

/* amd_hypervisor 87016d0 and many more: what the CPU is given lies in static memory. */
static u8 static_host_vmcb[PAGE_SIZE] __aligned(PAGE_SIZE);

static int host_vmcb_in_static_memory(void)
{
	struct l2 l2;
	int error = l2_open(&l2);

	if (error)
		return error;
	l2.vcpu.host_vmcb_gpa = page_to_phys(vmalloc_to_page(static_host_vmcb));
	error = l2_enter(&l2.vcpu, 100);
	l2_close(&l2);
	return error;
}

/* Past the ledger: each leaks one thing. CVE-2026-31429 and a4818a8beb are of these kinds. */
static int past_kmem_cache(void)
{
	static struct kmem_cache *cache;
	void *object;

	cache = kmem_cache_create("mine_objects", 80, 8, SLAB_HWCACHE_ALIGN, NULL);
	object = cache ? kmem_cache_alloc(cache, GFP_KERNEL) : NULL;
	return object ? 0 : -ENOMEM;
}

static int past_vmalloc(void)
{
	return vmalloc(SZ_64K) ? 0 : -ENOMEM;
}

static int past_percpu(void)
{
	return alloc_percpu(u64) ? 0 : -ENOMEM;
}

static int past_kvmalloc(void)
{
	return kvmalloc(64, GFP_KERNEL) ? 0 : -ENOMEM;
}

static int past_kasprintf(void)
{
	return kasprintf(GFP_KERNEL, "vcpu%d", 1) ? 0 : -ENOMEM;
}

static int past_kmemdup(void)
{
	return kmemdup("abcdefg", 8, GFP_KERNEL) ? 0 : -ENOMEM;
}

static int past_pages_exact(void)
{
	return alloc_pages_exact(3 * PAGE_SIZE, GFP_KERNEL) ? 0 : -ENOMEM;
}

/* A kmem_cache object given to kfree(), and a pool allocation given to kfree(). */
static int cache_object_to_kfree(void)
{
	struct kmem_cache *cache = kmem_cache_create("mine_kfree", 80, 8, 0, NULL);
	void *object = cache ? kmem_cache_alloc(cache, GFP_KERNEL) : NULL;

	kfree(object);
	kmem_cache_destroy(cache);
	return object ? 0 : -ENOMEM;
}

/* Allocation where nothing may sleep: an exit handler that splits a page, as in matrix-rs eced704. */
static int with_interrupts_off(enum cache_type cache)
{
	static DEFINE_SPINLOCK(lock);
	struct contiguous_request request = { .size = SZ_8K, .align = SZ_4K, ANYWHERE };
	void *area;

	request.cache = cache;
	spin_lock_irq(&lock);
	STEP("interrupts off");
	area = freeonce_contiguous_alloc(&request);
	if (area)
		give_pages(area, SZ_8K);
	spin_unlock_irq(&lock);
	return area ? 0 : -ENOMEM;
}

static int contiguous_with_interrupts_off(void)
{
	return with_interrupts_off(CACHE_WB);
}

static int uncached_with_interrupts_off(void)
{
	return with_interrupts_off(CACHE_UC);
}

/* One of the releases was not converted: plain kfree() of pool memory. */
static int plain_kfree_of_pool(void)
{
	void *state = take(64);

	if (!state)
		return -ENOMEM;
	LABEL(state, "state");
	STEP("kfree");
	kfree(state);
	return 0;
}

/* The same by kfree_rcu(), which comes later and from elsewhere. */
static int kfree_rcu_of_pool(void)
{
	struct node *node = take(sizeof(*node));

	if (!node)
		return -ENOMEM;
	LABEL(node, "rcu node");
	STEP("kfree_rcu");
	kfree_rcu(node, rcu);
	rcu_barrier();
	freeonce_sleep(200);
	return 0;
}

/* Pages that were not converted, the other way round: free_pages() of contiguous memory. */
static int free_pages_of_contiguous(void)
{
	void *area = pages(SZ_4K);

	if (!area)
		return -ENOMEM;
	LABEL(area, "area");
	STEP("free_pages");
	free_pages((unsigned long)area, 0);
	return 0;
}

/* The allocation was not converted: freeonce_pool_free() of plain kmalloc() memory. */
static int pool_free_of_kmalloc(void)
{
	void *state = kmalloc(64, GFP_KERNEL);

	if (!state)
		return -ENOMEM;
	STEP("release");
	give(state, 64);
	return 0;
}

/* A name longer than the ledger has room for, and the same in the expectation. */
static int long_name(void)
{
	void *state = take(64);

	if (!state)
		return -ENOMEM;
	LABEL(state, "state of the second nested vcpu");
	return 0;
}

/* An entry behind the end, in the rest of the same page: hedron c9f4b1c's overflow is such. */
static int entry_behind_the_end(void)
{
	u64 *table = pages(8 * sizeof(u64));

	if (!table)
		return -ENOMEM;
	LABEL(table, "small table");
	WRITE_ONCE(table[20], 1);
	give_pages(table, 8 * sizeof(u64));
	return 0;
}

/* 4 MiB at once, as a table of nested page tables wants it. */
static int large_from_pool(void)
{
	void *tables = take(SZ_4M);

	if (!tables)
		return -ENOMEM;
	give(tables, SZ_4M);
	return 0;
}

#define REPORTED(NAME, LESSON, RUN, ...) \
	SCENARIO("reported/" NAME, "After public reports, in C", LESSON, RUN, __VA_ARGS__)

static const struct scenario reported[] = {
	REPORTED("timer_inside_of_the_freed", "The timer itself is in the freed memory.", timer_inside_of_the_freed,
		 EXPECT(FINDING("use-after-free", "pool", .what = "state with timer"))),
	REPORTED("rcu_callback_still_to_come", "rcu_barrier() before the end.", rcu_callback_still_to_come,
		 EXPECT(FINDING("leak", "pool", .what = "rcu node"))),
	REPORTED("rcu_callback_awaited", "With rcu_barrier() it is clean.", rcu_callback_awaited),
	REPORTED("walks_over_the_freed", "Take the next one before this one goes.", walks_over_the_freed,
		 EXPECT(FINDING("use-after-free", "pool", .what = "pool record"))),
	REPORTED("error_pointer_freed", "An error is not null.", error_pointer_freed,
		 EXPECT(FINDING("invalid-free", "pool", .at = "cleanup"))),
	REPORTED("host_vmcb_in_static_memory", "Static memory lives as long as the module: that should be right.", host_vmcb_in_static_memory,
		 .needs = "svm"),
	REPORTED("contiguous_with_interrupts_off", "Contiguous memory may sleep.", contiguous_with_interrupts_off),
	REPORTED("uncached_with_interrupts_off", "So may its cache type.", uncached_with_interrupts_off),
	REPORTED("plain_kfree_of_pool", "One kfree() was forgotten.", plain_kfree_of_pool,
		 EXPECT(FINDING("unledgered", "pool", .what = "state"))),
	REPORTED("kfree_rcu_of_pool", "One kfree_rcu() was forgotten.", kfree_rcu_of_pool,
		 EXPECT(FINDING("unledgered", "pool", .what = "rcu node"))),
	REPORTED("free_pages_of_contiguous", "One free_pages() was forgotten.", free_pages_of_contiguous,
		 EXPECT(FINDING("unledgered", "contiguous", .what = "area"))),
	REPORTED("pool_free_of_kmalloc", "One kmalloc() was forgotten.", pool_free_of_kmalloc,
		 EXPECT(FINDING("invalid-free", "pool", .at = "release"))),
	REPORTED("long_name", "A long name.", long_name,
		 EXPECT(FINDING("leak", "pool", .what = "state of the second nested vcpu"))),
	REPORTED("entry_behind_the_end", "In the same page, behind the guard.", entry_behind_the_end,
		 EXPECT(FINDING("out-of-bounds", "contiguous", .what = "small table"))),
	REPORTED("large_from_pool", "4 MiB from the pool.", large_from_pool),
	REPORTED("name_differs", "Another name than expected.", long_name,
		 EXPECT(FINDING("leak", "pool", .what = "vcpu"))),
	REPORTED("timer_that_must_panic", "Declared to lose its guest.", timer_inside_of_the_freed,
		 ENDS("panic"),
		 EXPECT(FINDING("use-after-free", "pool", .what = "state with timer"))),
	REPORTED("timer_that_must_oops", "Declared to lose its guest otherwise.", timer_inside_of_the_freed,
		 ENDS("hang"),
		 EXPECT(FINDING("use-after-free", "pool", .what = "state with timer"))),
	REPORTED("kmem_cache_leak", "Past the ledger.", past_kmem_cache,
		 EXPECT(FINDING("leak", "object"), FINDING("leak", "cache"))),
	REPORTED("vmalloc_leak", "Past the ledger.", past_vmalloc,
		 EXPECT(FINDING("leak", "vmalloc"))),
	REPORTED("percpu_leak", "Past the ledger.", past_percpu,
		 EXPECT(FINDING("leak", "percpu"))),
	REPORTED("kvmalloc_leak", "Past the ledger.", past_kvmalloc,
		 EXPECT(FINDING("leak", "kvmalloc"))),
	REPORTED("kasprintf_leak", "Past the ledger.", past_kasprintf,
		 EXPECT(FINDING("leak", "slab"))),
	REPORTED("kmemdup_leak", "Past the ledger.", past_kmemdup,
		 EXPECT(FINDING("leak", "slab"))),
	REPORTED("pages_exact_leak", "Past the ledger.", past_pages_exact,
		 EXPECT(FINDING("leak", "pages"))),
	REPORTED("cache_object_to_kfree", "Past the ledger.", cache_object_to_kfree),
};
SCENARIOS(reported);
