// SPDX-License-Identifier: GPL-2.0
// After split_page() each page has its own reference; they go in any order, by any of the calls.
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>

static struct page *pages;

static int __init clean_split_page_init(void)
{
	pages = alloc_pages(GFP_KERNEL, 2);
	if (!pages)
		return -ENOMEM;
	split_page(pages, 2);
	put_page(pages + 3);
	return 0;
}

static void __exit clean_split_page_exit(void)
{
	__free_page(pages);
	free_page((unsigned long)page_address(pages + 2));
	put_page(pages + 1);
}

module_init(clean_split_page_init);
module_exit(clean_split_page_exit);
MODULE_DESCRIPTION("A block split into pages, each released by itself in another way");
MODULE_LICENSE("GPL");
