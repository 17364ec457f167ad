// SPDX-License-Identifier: GPL-2.0
// kmalloc() of more than two pages comes from the page allocator; it is kfree()'s all the same.
#include <linux/module.h>
#include <linux/slab.h>

static char *block;

static noinline int take_block(size_t size)
{
	block = kmalloc(size, GFP_KERNEL);
	return block ? 0 : -ENOMEM;
}

static int __init slab_leak_large_init(void)
{
	return take_block(40000);
}

static void __exit slab_leak_large_exit(void)
{
	pr_info("the block at %p stays\n", block);
}

module_init(slab_leak_large_init);
module_exit(slab_leak_large_exit);
MODULE_DESCRIPTION("A block too large for any slab, never released");
MODULE_LICENSE("GPL");
