// SPDX-License-Identifier: GPL-2.0
// Exact pages released twice, while somebody else has a reference to the first of them.
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>

#define BYTES (3 * PAGE_SIZE)

static struct page *first;

static int __init pages_double_free_exact_init(void)
{
	void *area = alloc_pages_exact(BYTES, GFP_KERNEL);

	if (!area)
		return -ENOMEM;
	first = virt_to_page(area);
	get_page(first);
	free_pages_exact(area, BYTES);
	free_pages_exact(area, BYTES);
	return 0;
}

static void __exit pages_double_free_exact_exit(void)
{
	put_page(first);
}

module_init(pages_double_free_exact_init);
module_exit(pages_double_free_exact_exit);
MODULE_DESCRIPTION("Exact pages released twice, the first of them with another reference");
MODULE_LICENSE("GPL");
