// SPDX-License-Identifier: GPL-2.0
// Large tables come from vmalloc(), small ones do not; this release thinks of the large ones only.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static void *table;

static noinline void drop(void)
{
	vfree(table);
	pr_info("dropped\n");
}

static int __init slab_mismatched_vfree_init(void)
{
	table = kmalloc(128, GFP_KERNEL);
	return table ? 0 : -ENOMEM;
}

static void __exit slab_mismatched_vfree_exit(void)
{
	drop();
	kfree(table);
}

module_init(slab_mismatched_vfree_init);
module_exit(slab_mismatched_vfree_exit);
MODULE_DESCRIPTION("vfree() of kmalloc() memory");
MODULE_LICENSE("GPL");
