// SPDX-License-Identifier: GPL-2.0
// A block of order 1 that was never split has one owner, at its first page.
#include <linux/gfp.h>
#include <linux/module.h>

static unsigned long block;

static noinline void drop(unsigned long page)
{
	free_page(page);
	pr_info("dropped\n");
}

static int __init pages_invalid_free_init(void)
{
	block = __get_free_pages(GFP_KERNEL, 1);
	return block ? 0 : -ENOMEM;
}

static void __exit pages_invalid_free_exit(void)
{
	drop(block + PAGE_SIZE);
	free_pages(block, 1);
}

module_init(pages_invalid_free_init);
module_exit(pages_invalid_free_exit);
MODULE_DESCRIPTION("The second page of a block released by itself");
MODULE_LICENSE("GPL");
