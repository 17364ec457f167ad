// SPDX-License-Identifier: GPL-2.0
// Memory that is contiguous to the CPU only, never released.
#include <linux/module.h>
#include <linux/vmalloc.h>

static void *table;

static int __init vmalloc_leak_init(void)
{
	table = vmalloc(100000);
	return table ? 0 : -ENOMEM;
}

static void __exit vmalloc_leak_exit(void)
{
	pr_info("the table at %p stays\n", table);
}

module_init(vmalloc_leak_init);
module_exit(vmalloc_leak_exit);
MODULE_DESCRIPTION("A large table that unload forgets");
MODULE_LICENSE("GPL");
