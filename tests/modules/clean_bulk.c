// SPDX-License-Identifier: GPL-2.0
// One call, many handles; kfree_bulk() releases objects of any slab.
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *cache;
static void *objects[10], *blocks[3];
static struct page *pages[5];
static int count;

static int __init clean_bulk_init(void)
{
	int index;

	cache = kmem_cache_create("clean_bulk", 360, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	count = kmem_cache_alloc_bulk(cache, GFP_KERNEL, ARRAY_SIZE(objects), objects);
	for (index = 0; index < ARRAY_SIZE(blocks); index++)
		blocks[index] = kmalloc(250, GFP_KERNEL | __GFP_NOFAIL);
	alloc_pages_bulk_array(GFP_KERNEL, ARRAY_SIZE(pages), pages);
	return 0;
}

static void __exit clean_bulk_exit(void)
{
	int index;

	for (index = 0; index < ARRAY_SIZE(pages); index++)
		if (pages[index])
			__free_page(pages[index]);
	kfree_bulk(ARRAY_SIZE(blocks), blocks);
	if (count)
		kmem_cache_free_bulk(cache, count, objects);
	kmem_cache_destroy(cache);
}

module_init(clean_bulk_init);
module_exit(clean_bulk_exit);
MODULE_DESCRIPTION("Objects and pages taken and released many at a time");
MODULE_LICENSE("GPL");
