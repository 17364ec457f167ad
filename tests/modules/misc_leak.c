// SPDX-License-Identifier: GPL-2.0
// Its exit function forgets the device.
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

static const struct file_operations operations = {
	.owner = THIS_MODULE,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "misc_leak",
	.fops = &operations,
};

static int __init misc_leak_init(void)
{
	int error = misc_register(&device);

	return error ? -ENOMEM : 0;
}

static void __exit misc_leak_exit(void)
{
}

module_init(misc_leak_init);
module_exit(misc_leak_exit);
MODULE_DESCRIPTION("Forgets its device");
MODULE_LICENSE("GPL");
