// SPDX-License-Identifier: GPL-2.0
// A small request is served from the stack; the release does not know.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static noinline void work(size_t size)
{
	char small[64] = "";
	char *buffer = size <= sizeof(small) ? small : kmalloc(size, GFP_KERNEL);

	if (!buffer)
		return;
	memset(buffer, 1, size);
	kfree(buffer);
	pr_info("worked on %zu bytes\n", size);
}

static int __init slab_invalid_free_stack_init(void)
{
	work(40);
	return 0;
}

static void __exit slab_invalid_free_stack_exit(void)
{
}

module_init(slab_invalid_free_stack_init);
module_exit(slab_invalid_free_stack_exit);
MODULE_DESCRIPTION("kfree() of a variable on the stack");
MODULE_LICENSE("GPL");
