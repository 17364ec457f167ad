// SPDX-License-Identifier: GPL-2.0
// alloc_pages_exact() gives the fourth page of the block back by itself; these three are ours.
#include <linux/gfp.h>
#include <linux/module.h>

static void *block;

static noinline int take(size_t size)
{
	block = alloc_pages_exact(size, GFP_KERNEL);
	return block ? 0 : -ENOMEM;
}

static int __init pages_leak_exact_init(void)
{
	return take(3 * PAGE_SIZE);
}

static void __exit pages_leak_exact_exit(void)
{
	pr_info("the block at %p stays\n", block);
}

module_init(pages_leak_exact_init);
module_exit(pages_leak_exact_exit);
MODULE_DESCRIPTION("Three pages taken exactly, never released");
MODULE_LICENSE("GPL");
