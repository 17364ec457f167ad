// SPDX-License-Identifier: GPL-2.0
// Taken when it is opened, released when it is closed; the text of a read is the kernel's memory.
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

static struct dentry *file;

static int show(struct seq_file *to, void *unused)
{
	seq_printf(to, "%s\n", (char *)to->private);
	return 0;
}

static int open(struct inode *inode, struct file *filp)
{
	char *text = kasprintf(GFP_KERNEL, "flags %x", filp->f_flags);
	int error = text ? single_open(filp, show, text) : -ENOMEM;

	if (error)
		kfree(text);
	return error;
}

static int release(struct inode *inode, struct file *filp)
{
	struct seq_file *of = filp->private_data;

	kfree(of->private);
	return single_release(inode, filp);
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = open,
	.read = seq_read,
	.release = release,
};

static int __init clean_file_init(void)
{
	file = debugfs_create_file("clean_file", 0400, NULL, NULL, &operations);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit clean_file_exit(void)
{
	debugfs_remove(file);
}

module_init(clean_file_init);
module_exit(clean_file_exit);
MODULE_DESCRIPTION("A file whose every opening has memory of its own");
MODULE_LICENSE("GPL");
