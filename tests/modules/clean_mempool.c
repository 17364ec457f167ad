// SPDX-License-Identifier: GPL-2.0
// The kernel takes elements for a pool: of kmalloc(), of the module's cache, by its own function.
#include <linux/gfp.h>
#include <linux/mempool.h>
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *cache;
static mempool_t *pools[3];
static void *elements[3];

static void *take(gfp_t gfp, void *unused)
{
	return (void *)__get_free_page(gfp);
}

static void release(void *element, void *unused)
{
	free_page((unsigned long)element);
}

static void destroy(void)
{
	int index;

	for (index = 0; index < ARRAY_SIZE(pools); index++) {
		if (elements[index])
			mempool_free(elements[index], pools[index]);
		mempool_destroy(pools[index]);
	}
	kmem_cache_destroy(cache);
}

static int __init clean_mempool_init(void)
{
	int index;

	cache = kmem_cache_create("clean_mempool", 344, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	pools[0] = mempool_create_kmalloc_pool(4, 96);
	pools[1] = mempool_create_slab_pool(4, cache);
	pools[2] = mempool_create(4, take, release, NULL);
	if (!pools[0] || !pools[1] || !pools[2]) {
		destroy();
		return -ENOMEM;
	}
	for (index = 0; index < ARRAY_SIZE(pools); index++)
		elements[index] = mempool_alloc(pools[index], GFP_KERNEL);
	return 0;
}

static void __exit clean_mempool_exit(void)
{
	destroy();
}

module_init(clean_mempool_init);
module_exit(clean_mempool_exit);
MODULE_DESCRIPTION("Pools that keep elements in reserve");
MODULE_LICENSE("GPL");
