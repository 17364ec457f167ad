// SPDX-License-Identifier: GPL-2.0
// kfree() takes null, kmem_cache_free() does not.
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *cache;
static void *object;

static noinline void drop(void)
{
	kmem_cache_free(cache, object);
	pr_info("dropped\n");
}

static int __init object_null_free_init(void)
{
	cache = kmem_cache_create("object_null_free", 136, 0, 0, NULL);
	return cache ? 0 : -ENOMEM;
}

static void __exit object_null_free_exit(void)
{
	drop();
	kmem_cache_destroy(cache);
}

module_init(object_null_free_init);
module_exit(object_null_free_exit);
MODULE_DESCRIPTION("kmem_cache_free() of an object that never was");
MODULE_LICENSE("GPL");
