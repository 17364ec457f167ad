// SPDX-License-Identifier: GPL-2.0
// free_pages() takes null, __free_pages() does not.
#include <linux/gfp.h>
#include <linux/module.h>

static struct page *page;

static noinline void drop(void)
{
	__free_pages(page, 0);
	pr_info("dropped\n");
}

static int __init pages_null_free_init(void)
{
	return 0;
}

static void __exit pages_null_free_exit(void)
{
	drop();
}

module_init(pages_null_free_init);
module_exit(pages_null_free_exit);
MODULE_DESCRIPTION("__free_pages() of a page that never was");
MODULE_LICENSE("GPL");
