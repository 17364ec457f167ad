// SPDX-License-Identifier: GPL-2.0
// The error path returns from the middle.
#include <linux/module.h>
#include <linux/mm.h>

static u64 *array;

static noinline int take(size_t count)
{
	array = kvcalloc(count, sizeof(*array), GFP_KERNEL);
	return array ? 0 : -ENOMEM;
}

static int __init kvmalloc_leak_init_error_init(void)
{
	if (take(300))
		return -ENOMEM;
	return -EINVAL;
}

static void __exit kvmalloc_leak_init_error_exit(void)
{
	kvfree(array);
}

module_init(kvmalloc_leak_init_error_init);
module_exit(kvmalloc_leak_init_error_exit);
MODULE_DESCRIPTION("Init gives up with an array in its hands");
MODULE_LICENSE("GPL");
