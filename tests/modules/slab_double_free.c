// SPDX-License-Identifier: GPL-2.0
// The error path releases the buffer and does not clear the pointer; unload releases it again.
#include <linux/module.h>
#include <linux/slab.h>

static char *buffer;

static noinline void fail(void)
{
	kfree(buffer);
	pr_info("something went wrong\n");
}

static int __init slab_double_free_init(void)
{
	buffer = kmalloc(48, GFP_KERNEL);
	fail();
	return 0;
}

static void __exit slab_double_free_exit(void)
{
	kfree(buffer);
	buffer = NULL;
}

module_init(slab_double_free_init);
module_exit(slab_double_free_exit);
MODULE_DESCRIPTION("An error path and unload both release a buffer");
MODULE_LICENSE("GPL");
