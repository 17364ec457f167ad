// SPDX-License-Identifier: GPL-2.0
// What was written last is kept; what was written before is forgotten, not released.
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static struct dentry *file;
static void *last;

static ssize_t keep(struct file *filp, const char __user *from, size_t size, loff_t *at)
{
	void *copy = memdup_user(from, size);

	if (IS_ERR(copy))
		return PTR_ERR(copy);
	last = copy;
	return size;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.write = keep,
};

static int __init slab_leak_memdup_user_init(void)
{
	file = debugfs_create_file("slab_leak_memdup_user", 0200, NULL, NULL, &operations);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit slab_leak_memdup_user_exit(void)
{
	debugfs_remove(file);
	kfree(last);
}

module_init(slab_leak_memdup_user_init);
module_exit(slab_leak_memdup_user_exit);
MODULE_DESCRIPTION("Each write to a file keeps a copy that nobody releases");
MODULE_LICENSE("GPL");
