// SPDX-License-Identifier: GPL-2.0
// __free_page() only drops a reference; the one of get_page() is never dropped, and the page stays.
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>

static struct page *page;

static noinline int take(void)
{
	page = alloc_page(GFP_KERNEL);
	return page ? 0 : -ENOMEM;
}

static int __init pages_leak_reference_init(void)
{
	if (take())
		return -ENOMEM;
	get_page(page);
	return 0;
}

static void __exit pages_leak_reference_exit(void)
{
	__free_page(page);
}

module_init(pages_leak_reference_init);
module_exit(pages_leak_reference_exit);
MODULE_DESCRIPTION("A page released while somebody still holds a reference");
MODULE_LICENSE("GPL");
