// SPDX-License-Identifier: GPL-2.0
// When the second buffer cannot be had, init gives up without the first.
#include <linux/module.h>
#include <linux/slab.h>

static void *first, *second;

static noinline int take_first(void)
{
	first = kmalloc(100, GFP_KERNEL);
	return first ? 0 : -ENOMEM;
}

static noinline int take_second(void)
{
	second = kmalloc(200, GFP_KERNEL);
	return second ? 0 : -ENOMEM;
}

static int __init fail_leak_init(void)
{
	int error = take_first();

	return error ? error : take_second();
}

static void __exit fail_leak_exit(void)
{
	kfree(second);
	kfree(first);
}

module_init(fail_leak_init);
module_exit(fail_leak_exit);
MODULE_DESCRIPTION("An error path of init that forgets what came first");
MODULE_LICENSE("GPL");
