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

/* kmalloc() promises it of powers of two, and since 6.12 of the largest that divides a size. */
static unsigned int alignment(unsigned int size)
{
	return size & -size;
}

int guarded_open(void)
{
	int i;

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
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		kmem_cache_destroy(caches[i]);
}

/* NULL: what is not for us, or could not be had; the kernel is to be asked then. */
void *guarded_alloc(struct acquisition *take, size_t size, gfp_t flags, int node)
{
	void *object;
	int i;

	/* Memory that devices reach lies in caches of its own. */
	if (!books_listening() || !size || size > sizes[ARRAY_SIZE(sizes) - 1] || flags & __GFP_DMA)
		return NULL;
	for (i = 0; sizes[i] < size; i++)
		;
	object = node == NUMA_NO_NODE ? kmem_cache_alloc(caches[i], flags)
				      : kmem_cache_alloc_node(caches[i], flags, node);
	if (object && !is_kfence_address(object))
		take->zoned = sizes[i];
	return object;
}

/* Moves what was acquired, and told in `take`, to where it has guards; else it stays where it is. */
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
