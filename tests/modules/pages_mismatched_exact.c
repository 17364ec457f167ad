// SPDX-License-Identifier: GPL-2.0
// What alloc_pages_exact() gives are single pages, each with a count of its own; a block has one.
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/sizes.h>

static void *pages;
static unsigned long block;

static noinline void drop_pages(void)
{
	free_pages((unsigned long)pages, 2);
	pr_info("dropped\n");
}

static noinline void drop_block(void)
{
	free_pages_exact((void *)block, SZ_16K);
	pr_info("dropped\n");
}

static int __init pages_mismatched_exact_init(void)
{
	pages = alloc_pages_exact(SZ_16K, GFP_KERNEL);
	block = __get_free_pages(GFP_KERNEL, 2);
	return 0;
}

static void __exit pages_mismatched_exact_exit(void)
{
	if (pages)
		drop_pages();
	if (block)
		drop_block();
	free_pages_exact(pages, SZ_16K);
	free_pages(block, 2);
}

module_init(pages_mismatched_exact_init);
module_exit(pages_mismatched_exact_exit);
MODULE_DESCRIPTION("Single pages released as a block, and a block as single pages");
MODULE_LICENSE("GPL");
