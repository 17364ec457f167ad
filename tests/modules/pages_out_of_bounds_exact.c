// SPDX-License-Identifier: GPL-2.0
// 5000 bytes take two pages; the rest of the second one is nobody's.
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/string.h>

static u8 *block;

static noinline void fill(u8 *to, size_t size)
{
	memset(to, 1, size);
}

static int __init pages_out_of_bounds_exact_init(void)
{
	block = alloc_pages_exact(5000, GFP_KERNEL);
	if (!block)
		return -ENOMEM;
	fill(block, 5004);
	return 0;
}

static void __exit pages_out_of_bounds_exact_exit(void)
{
	free_pages_exact(block, 5000);
}

module_init(pages_out_of_bounds_exact_init);
module_exit(pages_out_of_bounds_exact_exit);
MODULE_DESCRIPTION("A write behind an exact block, in the rest of its last page");
MODULE_LICENSE("GPL");
