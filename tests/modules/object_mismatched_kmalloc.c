// SPDX-License-Identifier: GPL-2.0
// When the cache was empty, somebody took kmalloc() instead, and the release does not know.
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *cache;
static void *spare;

static noinline void drop(void)
{
	kmem_cache_free(cache, spare);
	pr_info("dropped\n");
}

static int __init object_mismatched_kmalloc_init(void)
{
	cache = kmem_cache_create("object_mismatched_kmalloc", 184, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	spare = kmalloc(184, GFP_KERNEL);
	return 0;
}

static void __exit object_mismatched_kmalloc_exit(void)
{
	if (spare)
		drop();
	kfree(spare);
	kmem_cache_destroy(cache);
}

module_init(object_mismatched_kmalloc_init);
module_exit(object_mismatched_kmalloc_exit);
MODULE_DESCRIPTION("kmalloc() memory released to a cache");
MODULE_LICENSE("GPL");
