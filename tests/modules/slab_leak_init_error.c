// SPDX-License-Identifier: GPL-2.0
// The device is not there, so init gives up, without the buffer that it had taken before.
#include <linux/module.h>
#include <linux/slab.h>

static char *buffer;

static noinline int find_device(void)
{
	return -ENODEV;
}

static noinline int take_buffer(size_t size)
{
	buffer = kmalloc(size, GFP_KERNEL);
	return buffer ? 0 : -ENOMEM;
}

static int __init slab_leak_init_error_init(void)
{
	int error = take_buffer(200);

	return error ? error : find_device();
}

static void __exit slab_leak_init_error_exit(void)
{
	kfree(buffer);
}

module_init(slab_leak_init_error_init);
module_exit(slab_leak_init_error_exit);
MODULE_DESCRIPTION("An error path of init that forgets what came first");
MODULE_LICENSE("GPL");
