// SPDX-License-Identifier: GPL-2.0
// What is small comes from a slab, what is large from vmalloc(); neither is released.
#include <linux/module.h>
#include <linux/mm.h>

static void *small, *large;

static noinline void take_small(size_t size)
{
	small = kvmalloc(size, GFP_KERNEL);
}

static noinline void take_large(size_t size)
{
	large = kvzalloc(size, GFP_KERNEL);
}

static int __init kvmalloc_leak_init(void)
{
	take_small(500);
	take_large(9000000);
	return 0;
}

static void __exit kvmalloc_leak_exit(void)
{
	pr_info("%p and %p stay\n", small, large);
}

module_init(kvmalloc_leak_init);
module_exit(kvmalloc_leak_exit);
MODULE_DESCRIPTION("kvmalloc() memory that unload forgets, of both kinds");
MODULE_LICENSE("GPL");
