// SPDX-License-Identifier: GPL-2.0
// After split_page() each of the four pages has an owner; three of the four are released.
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>

static struct page *pages;

static noinline int take(void)
{
	pages = alloc_pages(GFP_KERNEL, 2);
	if (!pages)
		return -ENOMEM;
	split_page(pages, 2);
	return 0;
}

static int __init pages_leak_split_init(void)
{
	return take();
}

static void __exit pages_leak_split_exit(void)
{
	__free_page(pages);
	__free_page(pages + 1);
	__free_page(pages + 2);
}

module_init(pages_leak_split_init);
module_exit(pages_leak_split_exit);
MODULE_DESCRIPTION("A block split into four pages, of which three are released");
MODULE_LICENSE("GPL");
