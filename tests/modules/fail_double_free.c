// SPDX-License-Identifier: GPL-2.0
// When the second buffer cannot be had, its function releases the first, and so does its caller.
#include <linux/module.h>
#include <linux/slab.h>

static void *first, *second;

static noinline int take_second(void)
{
	second = kmalloc(200, GFP_KERNEL);
	if (second)
		return 0;
	kfree(first);
	return -ENOMEM;
}

static int __init fail_double_free_init(void)
{
	int error;

	first = kmalloc(100, GFP_KERNEL);
	if (!first)
		return -ENOMEM;
	error = take_second();
	if (error)
		kfree(first);
	return error;
}

static void __exit fail_double_free_exit(void)
{
	kfree(second);
	kfree(first);
}

module_init(fail_double_free_init);
module_exit(fail_double_free_exit);
MODULE_DESCRIPTION("An error path that releases twice");
MODULE_LICENSE("GPL");
