// SPDX-License-Identifier: GPL-2.0
// A constructor runs when memory becomes an object, not when an object is taken.
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>

struct item {
	struct list_head list;
	u64 uses;
	u8 data[300];
};

static struct kmem_cache *items;

static void construct(void *object)
{
	struct item *item = object;

	INIT_LIST_HEAD(&item->list);
	item->uses = 0;
}

static noinline int take_and_release(void)
{
	struct item *item = kmem_cache_alloc(items, GFP_KERNEL);
	int error = 0;

	if (!item)
		return -ENOMEM;
	if (!list_empty(&item->list) || item->uses)
		error = -EIO;
	item->data[0]++;
	kmem_cache_free(items, item);
	return error;
}

static int __init clean_constructor_cache_init(void)
{
	int error = 0, times;

	items = kmem_cache_create("clean_constructor_cache", sizeof(struct item), 0, 0, construct);
	if (!items)
		return -ENOMEM;
	for (times = 0; times < 50 && !error; times++)
		error = take_and_release();
	if (error)
		kmem_cache_destroy(items);
	return error;
}

static void __exit clean_constructor_cache_exit(void)
{
	kmem_cache_destroy(items);
}

module_init(clean_constructor_cache_init);
module_exit(clean_constructor_cache_exit);
MODULE_DESCRIPTION("A cache whose objects are constructed once, and come back so");
MODULE_LICENSE("GPL");
