// SPDX-License-Identifier: GPL-2.0
// The kernel believes the caller: six pages would be lost.
#include <linux/gfp.h>
#include <linux/module.h>

static struct page *block;

static noinline void drop(unsigned int order)
{
	__free_pages(block, order);
	pr_info("dropped with order %u\n", order);
}

static int __init pages_wrong_order_init(void)
{
	block = alloc_pages(GFP_KERNEL, 3);
	return block ? 0 : -ENOMEM;
}

static void __exit pages_wrong_order_exit(void)
{
	drop(1);
	__free_pages(block, 3);
}

module_init(pages_wrong_order_init);
module_exit(pages_wrong_order_exit);
MODULE_DESCRIPTION("A block of order 3 released as one of order 1");
MODULE_LICENSE("GPL");
