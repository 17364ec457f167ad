// SPDX-License-Identifier: GPL-2.0
// An error path that destroys the cache and forgets what was taken from it.
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *cache;
static void *object;

static noinline int take(void)
{
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	return object ? 0 : -ENOMEM;
}

static int __init object_leak_init_error_init(void)
{
	int error;

	cache = kmem_cache_create("object_leak_init_error", 136, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	error = take();
	if (!error)
		error = -EBUSY;
	kmem_cache_destroy(cache);
	return error;
}

static void __exit object_leak_init_error_exit(void)
{
}

module_init(object_leak_init_error_init);
module_exit(object_leak_init_error_exit);
MODULE_DESCRIPTION("Init gives up with its cache, but not with the object of it");
MODULE_LICENSE("GPL");
