// SPDX-License-Identifier: GPL-2.0
// Both ends of a connection release what they share.
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *cache;
static void *shared;

static noinline void close_left(void)
{
	kmem_cache_free(cache, shared);
	pr_info("left closed\n");
}

static noinline void close_right(void)
{
	kmem_cache_free(cache, shared);
	pr_info("right closed\n");
}

static int __init object_double_free_init(void)
{
	cache = kmem_cache_create("object_double_free", 152, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	shared = kmem_cache_alloc(cache, GFP_KERNEL);
	return 0;
}

static void __exit object_double_free_exit(void)
{
	if (shared) {
		close_left();
		close_right();
	}
	kmem_cache_destroy(cache);
}

module_init(object_double_free_init);
module_exit(object_double_free_exit);
MODULE_DESCRIPTION("An object released to its cache twice");
MODULE_LICENSE("GPL");
