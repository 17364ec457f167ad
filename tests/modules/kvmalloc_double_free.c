// SPDX-License-Identifier: GPL-2.0
// Released when it was used up, and again at unload.
#include <linux/module.h>
#include <linux/mm.h>

static void *array;

static noinline void use_up(void)
{
	kvfree(array);
	pr_info("used up\n");
}

static int __init kvmalloc_double_free_init(void)
{
	array = kvmalloc(9000000, GFP_KERNEL);
	if (!array)
		return -ENOMEM;
	use_up();
	return 0;
}

static void __exit kvmalloc_double_free_exit(void)
{
	kvfree(array);
	array = NULL;
}

module_init(kvmalloc_double_free_init);
module_exit(kvmalloc_double_free_exit);
MODULE_DESCRIPTION("kvmalloc() memory released twice");
MODULE_LICENSE("GPL");
