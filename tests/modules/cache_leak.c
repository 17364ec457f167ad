// SPDX-License-Identifier: GPL-2.0
// All objects are released; the cache itself stays.
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *cache;

static int __init cache_leak_init(void)
{
	cache = kmem_cache_create("cache_leak", 200, 0, SLAB_PANIC, NULL);
	return 0;
}

static void __exit cache_leak_exit(void)
{
	void *object = kmem_cache_alloc(cache, GFP_KERNEL);

	if (object)
		kmem_cache_free(cache, object);
}

module_init(cache_leak_init);
module_exit(cache_leak_exit);
MODULE_DESCRIPTION("A cache that unload does not destroy");
MODULE_LICENSE("GPL");
