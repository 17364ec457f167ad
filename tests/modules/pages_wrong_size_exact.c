// SPDX-License-Identifier: GPL-2.0
// free_pages_exact() believes the caller, too.
#include <linux/gfp.h>
#include <linux/module.h>

static void *block;

static noinline void drop(size_t size)
{
	free_pages_exact(block, size);
	pr_info("dropped %zu bytes\n", size);
}

static int __init pages_wrong_size_exact_init(void)
{
	block = alloc_pages_exact(5 * PAGE_SIZE, GFP_KERNEL);
	return block ? 0 : -ENOMEM;
}

static void __exit pages_wrong_size_exact_exit(void)
{
	drop(2 * PAGE_SIZE);
	free_pages_exact(block, 5 * PAGE_SIZE);
}

module_init(pages_wrong_size_exact_init);
module_exit(pages_wrong_size_exact_exit);
MODULE_DESCRIPTION("An exact block released with fewer bytes than it has");
MODULE_LICENSE("GPL");
