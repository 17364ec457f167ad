// SPDX-License-Identifier: GPL-2.0
// put_page() is a release only when it is the last one; __free_page() may not be the last one.
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>

static struct page *single, *compound;

static int __init clean_page_references_init(void)
{
	single = alloc_page(GFP_KERNEL);
	compound = alloc_pages(GFP_KERNEL | __GFP_COMP, 2);
	if (!single || !compound) {
		if (single)
			__free_page(single);
		if (compound)
			put_page(compound);
		return -ENOMEM;
	}
	get_page(single);
	get_page(compound + 3);
	__free_page(single);
	put_page(compound);
	return page_count(single) == 1 && page_count(compound) == 1 ? 0 : -EIO;
}

static void __exit clean_page_references_exit(void)
{
	put_page(single);
	put_page(compound);
}

module_init(clean_page_references_init);
module_exit(clean_page_references_exit);
MODULE_DESCRIPTION("Pages that the last of several references releases");
MODULE_LICENSE("GPL");
