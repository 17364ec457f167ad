// SPDX-License-Identifier: GPL-2.0
// The error path knows the second table only.
#include <linux/module.h>
#include <linux/vmalloc.h>

static void *first, *second;

static noinline void *take(unsigned long size)
{
	void *table = vzalloc(size);

	if (!table)
		pr_info("no table of %lu bytes\n", size);
	return table;
}

static noinline void *take_second(unsigned long size)
{
	void *table = vzalloc(size);

	if (!table)
		pr_info("no second table of %lu bytes\n", size);
	return table;
}

static int __init vmalloc_leak_init_error_init(void)
{
	first = take(20000);
	second = take_second(30000);
	vfree(second);
	return -EIO;
}

static void __exit vmalloc_leak_init_error_exit(void)
{
	vfree(first);
}

module_init(vmalloc_leak_init_error_init);
module_exit(vmalloc_leak_init_error_exit);
MODULE_DESCRIPTION("Init gives up with a table in its hands");
MODULE_LICENSE("GPL");
