// SPDX-License-Identifier: GPL-2.0
// It works as long as the array is small.
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

static void *array;

static noinline void drop(void)
{
	kfree(array);
	pr_info("dropped\n");
}

static int __init kvmalloc_mismatched_kfree_init(void)
{
	array = kvmalloc(9000000, GFP_KERNEL);
	return array ? 0 : -ENOMEM;
}

static void __exit kvmalloc_mismatched_kfree_exit(void)
{
	drop();
	kvfree(array);
}

module_init(kvmalloc_mismatched_kfree_init);
module_exit(kvmalloc_mismatched_kfree_exit);
MODULE_DESCRIPTION("kfree() of kvmalloc() memory that came from vmalloc()");
MODULE_LICENSE("GPL");
