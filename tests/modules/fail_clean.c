// SPDX-License-Identifier: GPL-2.0
// Gives back what it has, whichever of its acquisitions fails.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static void *small, *large;
static struct kmem_cache *cache;

static int __init fail_clean_init(void)
{
	small = kmalloc(100, GFP_KERNEL);
	if (!small)
		return -ENOMEM;
	large = vmalloc(10000);
	if (!large)
		goto no_large;
	cache = kmem_cache_create("fail_clean", 40, 0, 0, NULL);
	if (!cache)
		goto no_cache;
	return 0;

no_cache:
	vfree(large);
no_large:
	kfree(small);
	return -ENOMEM;
}

static void __exit fail_clean_exit(void)
{
	void *last = kmalloc(20, GFP_KERNEL); /* may fail, and nobody misses it */

	kfree(last);
	kmem_cache_destroy(cache);
	vfree(large);
	kfree(small);
}

module_init(fail_clean_init);
module_exit(fail_clean_exit);
MODULE_DESCRIPTION("An init that bears the failure of each acquisition");
MODULE_LICENSE("GPL");
