// SPDX-License-Identifier: GPL-2.0
// 100 bytes, each object at the beginning of a cache line: 28 bytes are nobody's.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static struct kmem_cache *cache;
static u8 *object;

static noinline void fill(u8 *to, size_t size)
{
	memset(to, 0xff, size);
}

static int __init object_out_of_bounds_init(void)
{
	cache = kmem_cache_create("object_out_of_bounds", 100, 0, SLAB_HWCACHE_ALIGN, NULL);
	if (!cache)
		return -ENOMEM;
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	if (object)
		fill(object, 104);
	return 0;
}

static void __exit object_out_of_bounds_exit(void)
{
	if (object)
		kmem_cache_free(cache, object);
	kmem_cache_destroy(cache);
}

module_init(object_out_of_bounds_init);
module_exit(object_out_of_bounds_exit);
MODULE_DESCRIPTION("A write behind an object, in the slack that its alignment left");
MODULE_LICENSE("GPL");
