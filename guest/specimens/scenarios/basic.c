// SPDX-License-Identifier: GPL-2.0
// Both allocators used as they should be, from C.
#include <linux/nodemask.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "scenarios.h"

static int pool(void)
{
	static DEFINE_SPINLOCK(lock);
	size_t size;
	void *pointer;

	for (size = 1; size <= SZ_64K; size *= 4) {
		pointer = freeonce_pool_alloc(size, 1, TAG);
		if (!pointer)
			return -ENOMEM;
		memset(pointer, 0xa5, size);
		freeonce_pool_free(pointer, size, 1);
	}

	STEP("interrupts off");
	spin_lock_irq(&lock);
	pointer = freeonce_pool_alloc(64, 64, TAG);
	if (pointer)
		freeonce_pool_free(pointer, 64, 64);
	spin_unlock_irq(&lock);
	return pointer ? 0 : -ENOMEM;
}

static int contiguous(void)
{
	static const u64 sizes[] = { 64, SZ_4K, 3 * SZ_4K, SZ_64K, SZ_1M };
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct contiguous_request request = { .size = sizes[i], .align = SZ_4K, ANYWHERE };
		void *pointer = freeonce_contiguous_alloc(&request);

		if (!pointer)
			return -ENOMEM;
		memset(pointer, 0xa5, sizes[i]);
		freeonce_contiguous_free(pointer, sizes[i], SZ_4K);
	}
	return 0;
}

/*
 * Every request here can be met on a guest with 256 MiB of memory. Below 64 MiB lie
 * the kernel and pages that cannot be moved out of the way.
 */
static const struct contiguous_request possible[] = {
	{ .size = SZ_4K, .align = SZ_4K, ANYWHERE, .highest = SZ_16M - 1 },
	{ .size = SZ_64K, .align = SZ_4K, ANYWHERE, .lowest = SZ_64M, .highest = SZ_128M - 1 },
	{ .size = SZ_4K, .align = SZ_4K, ANYWHERE, .lowest = SZ_64M },
	{ .size = SZ_8K, .align = SZ_1M, ANYWHERE },
	{ .size = 3 * SZ_4K, .align = SZ_4K, ANYWHERE, .boundary = SZ_16K },
	{ .size = SZ_64K, .align = SZ_4K, ANYWHERE, .boundary = SZ_64K },
	{ .size = SZ_8K, .align = SZ_4K, ANYWHERE, .cache = CACHE_WC },
	{ .size = SZ_8K, .align = SZ_4K, ANYWHERE, .cache = CACHE_UC },
};

static const struct {
	const char *why;
	struct contiguous_request request;
} impossible[] = {
	{ "no bytes", { .align = SZ_4K, ANYWHERE } },
	{ "lowest above highest",
	  { .size = SZ_4K, .align = SZ_4K, ANYWHERE, .lowest = SZ_64M, .highest = SZ_32M } },
	{ "larger than its range",
	  { .size = SZ_64K, .align = SZ_4K, ANYWHERE, .lowest = SZ_32M,
	    .highest = SZ_32M + SZ_4K } },
	{ "above all memory",
	  { .size = SZ_4K, .align = SZ_4K, ANYWHERE, .lowest = 1ULL << 46 } },
	{ "alignment no power of 2", { .size = SZ_4K, .align = 3 * SZ_4K, ANYWHERE } },
	{ "boundary no power of 2",
	  { .size = SZ_4K, .align = SZ_4K, ANYWHERE, .boundary = 3 * SZ_4K } },
	{ "larger than boundary",
	  { .size = SZ_64K, .align = SZ_4K, ANYWHERE, .boundary = SZ_32K } },
	{ "no such cache type", { .size = SZ_4K, .align = SZ_4K, ANYWHERE, .cache = 42 } },
	{ "no such node", { .size = SZ_4K, .align = SZ_4K, ANYWHERE, .node = 77 } },
	{ "larger than memory", { .size = SZ_1G, .align = SZ_4K, ANYWHERE } },
};

/* What can be asked for and not be had, and the reason. */
static int refused(void)
{
	static DEFINE_SPINLOCK(lock);
	struct contiguous_request request = { .size = SZ_8K, .align = SZ_4K, ANYWHERE };
	void *large, *interrupts_off;

	STEP("larger than the pool gives");
	large = freeonce_pool_alloc(SZ_4M, 8, TAG);
	STEP("where nothing may sleep");
	spin_lock_irq(&lock);
	interrupts_off = freeonce_contiguous_alloc(&request);
	spin_unlock_irq(&lock);
	return large || interrupts_off ? -EPROTO : 0;
}

static int use(const struct contiguous_request *request)
{
	void *pointer = freeonce_contiguous_alloc(request);

	if (!pointer)
		return -ENOMEM;
	memset(pointer, 0xa5, request->size);
	freeonce_contiguous_free(pointer, request->size, request->align);
	return 0;
}

static int placement(void)
{
	int i, error, node;

	STEP("possible");
	for (i = 0; i < ARRAY_SIZE(possible); i++) {
		error = use(&possible[i]);
		if (error)
			return error;
	}
	STEP("each node");
	for_each_online_node(node) {
		struct contiguous_request request = { .size = SZ_4K, .align = SZ_4K, ANYWHERE };

		request.node = node;
		error = use(&request);
		if (error)
			return error;
	}
	for (i = 0; i < ARRAY_SIZE(impossible); i++) {
		const struct contiguous_request *request = &impossible[i].request;
		void *pointer;

		freeonce_step(impossible[i].why, strlen(impossible[i].why));
		pointer = freeonce_contiguous_alloc(request);
		if (!pointer)
			continue;
		freeonce_contiguous_free(pointer, request->size, request->align);
		return -EPROTO;
	}
	return 0;
}

static const struct scenario basic_scenarios[] = {
	SCENARIO("c/pool", "The two allocators, from C",
		 "Pool memory can be taken and released with interrupts off.",
		 pool, SHARES),
	SCENARIO("c/contiguous", "The two allocators, from C",
		 "Physically contiguous memory comes in pages and goes back by its own call.",
		 contiguous, SHARES),
	SCENARIO("c/refused", "The two allocators, from C",
		 "The pool has a limit, and contiguous memory may sleep: otherwise it is refused.",
		 refused, SHARES),
	SCENARIO("c/placement", "The two allocators, from C",
		 "A constraint is met or the request is refused; it is never relaxed.",
		 placement, SHARES),
};
SCENARIOS(basic_scenarios);
