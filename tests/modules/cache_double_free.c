// SPDX-License-Identifier: GPL-2.0
// Two parts of a module share a cache, and each destroys it.
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *shared;

static noinline void stop_reader(void)
{
	kmem_cache_destroy(shared);
	pr_info("the reader stopped\n");
}

static noinline void stop_writer(void)
{
	kmem_cache_destroy(shared);
	pr_info("the writer stopped\n");
}

static int __init cache_double_free_init(void)
{
	shared = kmem_cache_create("cache_double_free", 232, 0, 0, NULL);
	return shared ? 0 : -ENOMEM;
}

static void __exit cache_double_free_exit(void)
{
	stop_reader();
	stop_writer();
}

module_init(cache_double_free_init);
module_exit(cache_double_free_exit);
MODULE_DESCRIPTION("A cache destroyed twice");
MODULE_LICENSE("GPL");
