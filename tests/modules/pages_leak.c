// SPDX-License-Identifier: GPL-2.0
// A block of order 2, never released.
#include <linux/gfp.h>
#include <linux/module.h>

static struct page *block;

static int __init pages_leak_init(void)
{
	block = alloc_pages(GFP_KERNEL, 2);
	return block ? 0 : -ENOMEM;
}

static void __exit pages_leak_exit(void)
{
	pr_info("the block of pages at %p stays\n", block);
}

module_init(pages_leak_init);
module_exit(pages_leak_exit);
MODULE_DESCRIPTION("Four pages that unload forgets");
MODULE_LICENSE("GPL");
