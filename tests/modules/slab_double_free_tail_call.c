// SPDX-License-Identifier: GPL-2.0
// The compiler makes a jump of the last call: whoever looks at the stack sees our caller, not us.
#include <linux/module.h>
#include <linux/slab.h>

static char *buffer;

static int __init slab_double_free_tail_call_init(void)
{
	buffer = kmalloc(48, GFP_KERNEL);
	kfree(buffer);
	return 0;
}

static void __exit slab_double_free_tail_call_exit(void)
{
	kfree(buffer);
}

module_init(slab_double_free_tail_call_init);
module_exit(slab_double_free_tail_call_exit);
MODULE_DESCRIPTION("A double free from a function that leaves no return address");
MODULE_LICENSE("GPL");
