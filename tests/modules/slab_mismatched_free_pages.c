// SPDX-License-Identifier: GPL-2.0
// A block of kmalloc() that is as large as a page, and aligned as one, is none.
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/slab.h>

static void *block;

static noinline void drop(void)
{
	free_page((unsigned long)block);
	pr_info("dropped\n");
}

static int __init slab_mismatched_free_pages_init(void)
{
	block = kmalloc(PAGE_SIZE, GFP_KERNEL);
	return block ? 0 : -ENOMEM;
}

static void __exit slab_mismatched_free_pages_exit(void)
{
	drop();
	kfree(block);
}

module_init(slab_mismatched_free_pages_init);
module_exit(slab_mismatched_free_pages_exit);
MODULE_DESCRIPTION("free_pages() of kmalloc() memory");
MODULE_LICENSE("GPL");
