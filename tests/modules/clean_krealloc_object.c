// SPDX-License-Identifier: GPL-2.0
// krealloc() takes an object of any cache, as kfree() does: it stays while it fits, or moves.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static struct kmem_cache *cache;
static char *name;

static int __init clean_krealloc_object_init(void)
{
	char *object, *moved;

	cache = kmem_cache_create("clean_krealloc_object", 120, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	object = kmem_cache_zalloc(cache, GFP_KERNEL);
	if (object)
		strscpy(object, "object", 120);
	moved = object ? krealloc(object, 100, GFP_KERNEL) : NULL;
	if (moved)
		moved = krealloc(object = moved, 300, GFP_KERNEL);
	if (!moved) {
		kfree(object);
		kmem_cache_destroy(cache);
		return -ENOMEM;
	}
	name = moved;
	return strcmp(name, "object") ? -EIO : 0;
}

static void __exit clean_krealloc_object_exit(void)
{
	kfree(name);
	kmem_cache_destroy(cache);
}

module_init(clean_krealloc_object_init);
module_exit(clean_krealloc_object_exit);
MODULE_DESCRIPTION("An object of a cache that becomes a block of kmalloc()");
MODULE_LICENSE("GPL");
