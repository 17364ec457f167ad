// SPDX-License-Identifier: GPL-2.0
// A cache is no block of kmalloc(), though it looks like one.
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *cache;

static noinline void drop(void *state)
{
	kfree(state);
	pr_info("dropped\n");
}

static int __init cache_mismatched_kfree_init(void)
{
	cache = kmem_cache_create("cache_mismatched_kfree", 248, 0, 0, NULL);
	return cache ? 0 : -ENOMEM;
}

static void __exit cache_mismatched_kfree_exit(void)
{
	drop(cache);
	kmem_cache_destroy(cache);
}

module_init(cache_mismatched_kfree_init);
module_exit(cache_mismatched_kfree_exit);
MODULE_DESCRIPTION("kfree() of a cache");
MODULE_LICENSE("GPL");
