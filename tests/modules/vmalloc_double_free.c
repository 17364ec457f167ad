// SPDX-License-Identifier: GPL-2.0
// vfree() of what is no longer there; the kernel warns of an address that it does not know.
#include <linux/module.h>
#include <linux/vmalloc.h>

static void *table;

static noinline void reset(void)
{
	vfree(table);
	pr_info("reset\n");
}

static int __init vmalloc_double_free_init(void)
{
	table = vmalloc(12345);
	if (!table)
		return -ENOMEM;
	reset();
	return 0;
}

static void __exit vmalloc_double_free_exit(void)
{
	vfree(table);
	table = NULL;
}

module_init(vmalloc_double_free_init);
module_exit(vmalloc_double_free_exit);
MODULE_DESCRIPTION("A table released twice");
MODULE_LICENSE("GPL");
