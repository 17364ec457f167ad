// SPDX-License-Identifier: GPL-2.0
// The array's first entry is its length, and is cleared last.
#include <linux/mm.h>
#include <linux/module.h>

static u64 *array;

static noinline void clear(void)
{
	WRITE_ONCE(array[0], 0);
}

static int __init kvmalloc_use_after_free_init(void)
{
	array = kvcalloc(20, sizeof(*array), GFP_KERNEL);
	return array ? 0 : -ENOMEM;
}

static void __exit kvmalloc_use_after_free_exit(void)
{
	kvfree(array);
	clear();
}

module_init(kvmalloc_use_after_free_init);
module_exit(kvmalloc_use_after_free_exit);
MODULE_DESCRIPTION("A write into kvmalloc() memory released before");
MODULE_LICENSE("GPL");
