// SPDX-License-Identifier: GPL-2.0
// Has a device while it is loaded.
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

static const struct file_operations operations = {
	.owner = THIS_MODULE,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "clean_misc",
	.fops = &operations,
};

static int __init clean_misc_init(void)
{
	int error = misc_register(&device);

	return error ? -ENOMEM : 0;
}

static void __exit clean_misc_exit(void)
{
	misc_deregister(&device);
}

module_init(clean_misc_init);
module_exit(clean_misc_exit);
MODULE_DESCRIPTION("Gives its device back");
MODULE_LICENSE("GPL");
