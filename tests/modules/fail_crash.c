// SPDX-License-Identifier: GPL-2.0
// Writes to its second buffer without asking whether it has one.
#include <linux/module.h>
#include <linux/slab.h>

static int *first, *second;

static noinline void fill(int *buffer)
{
	WRITE_ONCE(buffer[2], 1);
}

static int __init fail_crash_init(void)
{
	first = kmalloc(100, GFP_KERNEL);
	if (!first)
		return -ENOMEM;
	second = kmalloc(200, GFP_KERNEL);
	fill(second);
	return 0;
}

static void __exit fail_crash_exit(void)
{
	kfree(second);
	kfree(first);
}

module_init(fail_crash_init);
module_exit(fail_crash_exit);
MODULE_DESCRIPTION("Uses what it did not get");
MODULE_LICENSE("GPL");
