// SPDX-License-Identifier: GPL-2.0
// The text of __init is released after init; who allocated cannot be looked up any more.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static void *block, *table;

static __init noinline int take_table(void)
{
	table = vmalloc(6000);
	return table ? 0 : -ENOMEM;
}

static int __init clean_init_memory_init(void)
{
	block = kmalloc(800, GFP_KERNEL);
	if (!block)
		return -ENOMEM;
	if (take_table()) {
		kfree(block);
		return -ENOMEM;
	}
	return 0;
}

static void __exit clean_init_memory_exit(void)
{
	kfree(block);
	vfree(table);
}

module_init(clean_init_memory_init);
module_exit(clean_init_memory_exit);
MODULE_DESCRIPTION("Memory taken by code that is gone when it is released");
MODULE_LICENSE("GPL");
