// SPDX-License-Identifier: GPL-2.0
// The table outgrew kmalloc(), and one of its releases was not changed.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static void *table;

static noinline void drop(void)
{
	kfree(table);
	pr_info("dropped\n");
}

static int __init vmalloc_mismatched_kfree_init(void)
{
	table = vzalloc(70000);
	return table ? 0 : -ENOMEM;
}

static void __exit vmalloc_mismatched_kfree_exit(void)
{
	drop();
	vfree(table);
}

module_init(vmalloc_mismatched_kfree_init);
module_exit(vmalloc_mismatched_kfree_exit);
MODULE_DESCRIPTION("kfree() of vmalloc() memory");
MODULE_LICENSE("GPL");
