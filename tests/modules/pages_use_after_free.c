// SPDX-License-Identifier: GPL-2.0
// The device is told to stop writing after its page is gone.
#include <linux/gfp.h>
#include <linux/module.h>

static u64 *page;

static noinline void stop(void)
{
	WRITE_ONCE(page[17], 1);
}

static int __init pages_use_after_free_init(void)
{
	page = (u64 *)__get_free_page(GFP_KERNEL);
	return page ? 0 : -ENOMEM;
}

static void __exit pages_use_after_free_exit(void)
{
	free_page((unsigned long)page);
	stop();
}

module_init(pages_use_after_free_init);
module_exit(pages_use_after_free_exit);
MODULE_DESCRIPTION("A write into a page released before");
MODULE_LICENSE("GPL");
