// SPDX-License-Identifier: GPL-2.0
// kfree() finds the cache of an object by itself (Documentation/core-api/memory-allocation.rst).
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *cache;
static void *objects[4];

static int __init clean_kfree_object_init(void)
{
	int index;

	cache = kmem_cache_create("clean_kfree_object", 312, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	for (index = 0; index < ARRAY_SIZE(objects); index++)
		objects[index] = kmem_cache_alloc(cache, GFP_KERNEL);
	return 0;
}

static void __exit clean_kfree_object_exit(void)
{
	int index;

	for (index = 0; index < ARRAY_SIZE(objects); index++)
		kfree(objects[index]);
	kmem_cache_destroy(cache);
}

module_init(clean_kfree_object_init);
module_exit(clean_kfree_object_exit);
MODULE_DESCRIPTION("Objects of a cache released by kfree()");
MODULE_LICENSE("GPL");
