// SPDX-License-Identifier: GPL-2.0
// A page of the module's own data, released as if it had been allocated.
#include <linux/gfp.h>
#include <linux/module.h>

static char fallback[PAGE_SIZE] __aligned(PAGE_SIZE);

static noinline void drop(char *page)
{
	free_page((unsigned long)page);
	pr_info("dropped\n");
}

static int __init pages_invalid_free_static_init(void)
{
	drop(fallback);
	return 0;
}

static void __exit pages_invalid_free_static_exit(void)
{
}

module_init(pages_invalid_free_static_init);
module_exit(pages_invalid_free_static_exit);
MODULE_DESCRIPTION("free_page() of a static page");
MODULE_LICENSE("GPL");
