// SPDX-License-Identifier: GPL-2.0
// What kmalloc() gives, from caches of our own in which the kernel keeps red zones.
#include <linux/kfence.h>

#include "families/wrap.h"

/*
 * kmalloc()'s sizes up to where it goes to the page allocator. kfree() takes an object of any
 * cache; and ksize() says of one with red zones how large the object is, so that nobody is told
 * that a zone is his.
 */
static const unsigned int sizes[] = {
	8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192,
};
static struct kmem_cache *caches[ARRAY_SIZE(sizes)];

/*
 * Objects that came back, a stack for each size on each CPU. They need not go through the slab
 * allocator, which has no fast path for caches with red zones, and for which they are still in
 * use.
 */
#define MOST_SPARE 16

struct spare {
	unsigned int count;
	void *objects[MOST_SPARE];
};

struct spares {
	struct spare of[ARRAY_SIZE(sizes)];
};

static struct spares __percpu *spares;

/* kmalloc() promises it of powers of two, and since 6.12 of the largest that divides a size. */
static unsigned int alignment(unsigned int size)
{
	return size & -size;
}

int guarded_open(void)
{
	int i;

	spares = alloc_percpu(struct spares);
	if (!spares)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		char name[32];

		snprintf(name, sizeof(name), "freeonce-%u", sizes[i]);
		/* All of it may be copied from user space and to it, as of kmalloc()'s own. */
		caches[i] = kmem_cache_create_usercopy(name, sizes[i], alignment(sizes[i]), GUARDED,
						       0, sizes[i], NULL);
		if (!caches[i]) {
			guarded_close();
			return -ENOMEM;
		}
	}
	return 0;
}

/* Also after a guarded_open() that failed half-way. */
void guarded_close(void)
{
	struct spare *spare;
	int i, cpu;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for_each_possible_cpu(cpu) {
			spare = &per_cpu_ptr(spares, cpu)->of[i];
			while (spare->count)
				kmem_cache_free(caches[i], spare->objects[--spare->count]);
		}
		kmem_cache_destroy(caches[i]);
	}
	free_percpu(spares);
}

/* The place of a size in `sizes`; it is not larger than the last. */
static int class_of(size_t size)
{
	int i = 0;

	while (sizes[i] < size)
		i++;
	return i;
}

/*
 * Writes its zones as the slab allocator does: somebody may have written there since they were
 * checked.
 */
static void renew(void *object, size_t zoned, gfp_t flags)
{
	size_t front = min_t(size_t, alignment(zoned), MOST_GUARD);

	memset64(object - front, GUARD_LIVE * (~0ULL / 0xff), front / sizeof(u64));
	*(u64 *)(object + zoned) = GUARD_LIVE * (~0ULL / 0xff);
	if (want_init_on_alloc(flags))
		memset(object, 0, zoned);
}

static void *take_spare(int class, gfp_t flags)
{
	struct spare *spare;
	unsigned long interrupts;
	void *object;

	local_irq_save(interrupts);
	spare = &this_cpu_ptr(spares)->of[class];
	object = spare->count ? spare->objects[--spare->count] : NULL;
	local_irq_restore(interrupts);
	if (object)
		renew(object, sizes[class], flags);
	return object;
}

/* Whether it stays ours. `zoned`: as it was acquired; 0: of no cache of ours. */
bool guarded_keep(void *object, size_t zoned)
{
	struct spare *spare;
	unsigned long flags;
	bool room;

	if (!zoned)
		return false;
	local_irq_save(flags);
	spare = &this_cpu_ptr(spares)->of[class_of(zoned)];
	room = spare->count < MOST_SPARE;
	if (room)
		spare->objects[spare->count++] = object;
	local_irq_restore(flags);
	return room;
}

/* NULL: not for these caches, or none is free; the caller asks the kernel then. */
void *guarded_alloc(struct acquisition *take, size_t size, gfp_t flags, int node)
{
	void *object = NULL;
	int i;

	/* Memory that devices reach lies in caches of its own. */
	if (!books_listening() || !size || size > sizes[ARRAY_SIZE(sizes) - 1] || flags & __GFP_DMA)
		return NULL;
	i = class_of(size);
	if (node == NUMA_NO_NODE && !(flags & __GFP_ACCOUNT))
		object = take_spare(i, flags);
	if (!object)
		object = kmem_cache_alloc_node(caches[i], flags, node);
	if (object && !is_kfence_address(object))
		take->zoned = sizes[i];
	return object;
}

/* Moves what `take` tells of to an object with guards, if there is one. */
void *guarded_copy(struct acquisition *take, const void *object, gfp_t flags)
{
	void *copy;

	if (is_vmalloc_addr(object))
		return (void *)object;
	copy = guarded_alloc(take, take->size, flags | __GFP_NOWARN, NUMA_NO_NODE);
	if (!copy)
		return (void *)object;
	memcpy(copy, object, take->size);
	kfree(object);
	return copy;
}
