// SPDX-License-Identifier: GPL-2.0
// A page for the device, which is not there.
#include <linux/gfp.h>
#include <linux/module.h>

static unsigned long page;

static noinline int take_page(void)
{
	page = get_zeroed_page(GFP_KERNEL);
	return page ? 0 : -ENOMEM;
}

static int __init pages_leak_init_error_init(void)
{
	int error = take_page();

	return error ? error : -ENXIO;
}

static void __exit pages_leak_init_error_exit(void)
{
	free_page(page);
}

module_init(pages_leak_init_error_init);
module_exit(pages_leak_init_error_exit);
MODULE_DESCRIPTION("Init gives up with a page in its hands");
MODULE_LICENSE("GPL");
