// SPDX-License-Identifier: GPL-2.0
// strlen() does not count the zero. 11 bytes: the zero falls into the slack of a block of 16.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static char *copy;

static noinline void put(char *to, const char *from)
{
	do {
		WRITE_ONCE(*to++, *from);
	} while (*from++);
}

static int __init slab_out_of_bounds_string_init(void)
{
	const char *text = "hello world";

	copy = kmalloc(strlen(text), GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	put(copy, text);
	return 0;
}

static void __exit slab_out_of_bounds_string_exit(void)
{
	kfree(copy);
}

module_init(slab_out_of_bounds_string_init);
module_exit(slab_out_of_bounds_string_exit);
MODULE_DESCRIPTION("A string copied without room for its end");
MODULE_LICENSE("GPL");
