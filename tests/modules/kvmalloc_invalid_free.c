// SPDX-License-Identifier: GPL-2.0
// The second half is released by itself.
#include <linux/module.h>
#include <linux/mm.h>

static char *block;

static noinline void drop(char *half)
{
	kvfree(half);
	pr_info("dropped\n");
}

static int __init kvmalloc_invalid_free_init(void)
{
	block = kvmalloc(512, GFP_KERNEL);
	return block ? 0 : -ENOMEM;
}

static void __exit kvmalloc_invalid_free_exit(void)
{
	drop(block + 256);
	kvfree(block);
}

module_init(kvmalloc_invalid_free_init);
module_exit(kvmalloc_invalid_free_exit);
MODULE_DESCRIPTION("kvfree() of a pointer into a block");
MODULE_LICENSE("GPL");
