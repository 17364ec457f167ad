// SPDX-License-Identifier: GPL-2.0
// kmalloc(0) is ZERO_SIZE_PTR: neither an error nor memory, and it may be released.
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static void *block, *copy, *array;

static noinline int take(size_t size)
{
	block = kmalloc(size, GFP_KERNEL);
	copy = kmemdup("", size, GFP_KERNEL);
	array = kvcalloc(size, 8, GFP_KERNEL);
	return block && copy && array ? 0 : -ENOMEM;
}

static int __init clean_zero_size_init(void)
{
	return take(0);
}

static void __exit clean_zero_size_exit(void)
{
	kfree(block);
	kfree(copy);
	kvfree(array);
}

module_init(clean_zero_size_init);
module_exit(clean_zero_size_exit);
MODULE_DESCRIPTION("Allocations of no bytes");
MODULE_LICENSE("GPL");
