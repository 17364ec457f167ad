// SPDX-License-Identifier: GPL-2.0
// Each object lies behind another: what is in front of one is the end of its neighbour.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static struct kmem_cache *cache;
static u8 *object;

static noinline void fill(u8 *to, size_t size)
{
	memset(to, 0xff, size);
}

static int __init object_out_of_bounds_front_init(void)
{
	cache = kmem_cache_create("object_out_of_bounds_front", 104, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	if (object)
		fill(object - 4, 8);
	return 0;
}

static void __exit object_out_of_bounds_front_exit(void)
{
	if (object)
		kmem_cache_free(cache, object);
	kmem_cache_destroy(cache);
}

module_init(object_out_of_bounds_front_init);
module_exit(object_out_of_bounds_front_exit);
MODULE_DESCRIPTION("A write in front of an object");
MODULE_LICENSE("GPL");
