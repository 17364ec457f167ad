// SPDX-License-Identifier: GPL-2.0
// The address of the pointer in place of what it points to.
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *cache;

static noinline void drop(void)
{
	kmem_cache_destroy((struct kmem_cache *)&cache);
	pr_info("dropped\n");
}

static int __init cache_invalid_free_init(void)
{
	cache = kmem_cache_create("cache_invalid_free", 152, 0, 0, NULL);
	return cache ? 0 : -ENOMEM;
}

static void __exit cache_invalid_free_exit(void)
{
	drop();
	kmem_cache_destroy(cache);
}

module_init(cache_invalid_free_init);
module_exit(cache_invalid_free_exit);
MODULE_DESCRIPTION("kmem_cache_destroy() of what is no cache");
MODULE_LICENSE("GPL");
