// SPDX-License-Identifier: GPL-2.0
// __get_free_page() returns an address, which looks like kmalloc()'s.
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/slab.h>

static unsigned long page;

static noinline void drop(void)
{
	kfree((void *)page);
	pr_info("dropped\n");
}

static int __init pages_mismatched_kfree_init(void)
{
	page = __get_free_page(GFP_KERNEL);
	return page ? 0 : -ENOMEM;
}

static void __exit pages_mismatched_kfree_exit(void)
{
	drop();
	free_page(page);
}

module_init(pages_mismatched_kfree_init);
module_exit(pages_mismatched_kfree_exit);
MODULE_DESCRIPTION("kfree() of a page");
MODULE_LICENSE("GPL");
