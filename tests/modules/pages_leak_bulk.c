// SPDX-License-Identifier: GPL-2.0
// The loop that releases begins at 1.
#include <linux/gfp.h>
#include <linux/module.h>

static struct page *pages[8];

static noinline unsigned long take(void)
{
	unsigned long count = alloc_pages_bulk_array(GFP_KERNEL, ARRAY_SIZE(pages), pages);

	pr_info("took %lu pages\n", count);
	return count;
}

static int __init pages_leak_bulk_init(void)
{
	return take() ? 0 : -ENOMEM;
}

static void __exit pages_leak_bulk_exit(void)
{
	int index;

	for (index = 1; index < ARRAY_SIZE(pages); index++)
		if (pages[index])
			__free_page(pages[index]);
}

module_init(pages_leak_bulk_init);
module_exit(pages_leak_bulk_exit);
MODULE_DESCRIPTION("Of eight pages taken at once, seven go back");
MODULE_LICENSE("GPL");
