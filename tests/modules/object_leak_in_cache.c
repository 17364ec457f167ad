// SPDX-License-Identifier: GPL-2.0
// The kernel says "Objects remaining" and keeps the cache; what was forgotten is the object.
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *cache;

static noinline int take(void)
{
	return kmem_cache_alloc(cache, GFP_KERNEL) ? 0 : -ENOMEM;
}

static int __init object_leak_in_cache_init(void)
{
	int error;

	cache = kmem_cache_create("object_leak_in_cache", 72, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	error = take();
	if (error)
		kmem_cache_destroy(cache);
	return error;
}

static void __exit object_leak_in_cache_exit(void)
{
	kmem_cache_destroy(cache);
}

module_init(object_leak_in_cache_init);
module_exit(object_leak_in_cache_exit);
MODULE_DESCRIPTION("A cache destroyed with an object in it");
MODULE_LICENSE("GPL");
