// SPDX-License-Identifier: GPL-2.0
// A buffer of a constant size, taken when the module loads; unload forgets it.
#include <linux/module.h>
#include <linux/slab.h>

static char *buffer;

static int __init slab_leak_init(void)
{
	buffer = kzalloc(100, GFP_KERNEL);
	return buffer ? 0 : -ENOMEM;
}

static void __exit slab_leak_exit(void)
{
	pr_info("the buffer at %p stays\n", buffer);
}

module_init(slab_leak_init);
module_exit(slab_leak_exit);
MODULE_DESCRIPTION("A buffer that unload forgets");
MODULE_LICENSE("GPL");
