// SPDX-License-Identifier: GPL-2.0
// Its exit function gives the device back twice.
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

static const struct file_operations operations = {
	.owner = THIS_MODULE,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "misc_double_free",
	.fops = &operations,
};

static int __init misc_double_free_init(void)
{
	int error = misc_register(&device);

	return error ? -ENOMEM : 0;
}

static void __exit misc_double_free_exit(void)
{
	misc_deregister(&device);
	misc_deregister(&device);
	barrier(); /* the last call returns to us: it has a frame of ours */
}

module_init(misc_double_free_init);
module_exit(misc_double_free_exit);
MODULE_DESCRIPTION("Gives its device back twice");
MODULE_LICENSE("GPL");
