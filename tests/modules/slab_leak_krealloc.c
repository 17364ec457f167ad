// SPDX-License-Identifier: GPL-2.0
// p = krealloc(p, ...): when that fails, the old block is still there and nobody knows where.
#include <linux/module.h>
#include <linux/slab.h>

static char *table;

static noinline void make(void)
{
	table = kmalloc(64, GFP_KERNEL);
}

static noinline void grow(size_t size)
{
	table = krealloc(table, size, GFP_KERNEL | __GFP_NOWARN);
}

static int __init slab_leak_krealloc_init(void)
{
	make();
	grow(4 * KMALLOC_MAX_SIZE);
	return 0;
}

static void __exit slab_leak_krealloc_exit(void)
{
	kfree(table);
}

module_init(slab_leak_krealloc_init);
module_exit(slab_leak_krealloc_exit);
MODULE_DESCRIPTION("A pointer overwritten by the NULL of a krealloc that failed");
MODULE_LICENSE("GPL");
