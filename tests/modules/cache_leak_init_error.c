// SPDX-License-Identifier: GPL-2.0
// Objects of 2^31 bytes: the kernel makes no such cache, and init gives up with one made before.
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *first, *second;

static noinline struct kmem_cache *create(const char *name, unsigned int size)
{
	struct kmem_cache *cache = kmem_cache_create(name, size, 0, 0, NULL);

	if (!cache)
		pr_info("no cache of %u bytes\n", size);
	return cache;
}

static int __init cache_leak_init_error_init(void)
{
	first = create("cache_leak_first", 216);
	second = create("cache_leak_second", 1u << 31);
	return second ? 0 : -ENOMEM;
}

static void __exit cache_leak_init_error_exit(void)
{
	kmem_cache_destroy(second);
	kmem_cache_destroy(first);
}

module_init(cache_leak_init_error_init);
module_exit(cache_leak_init_error_exit);
MODULE_DESCRIPTION("The second cache is refused, and the first one stays");
MODULE_LICENSE("GPL");
