// SPDX-License-Identifier: GPL-2.0
// As single_open_size() does it: the buffer of a file is the file's, and the kernel releases it.
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

static struct dentry *file;

static int show(struct seq_file *into, void *unused)
{
	seq_puts(into, "whatever\n");
	return 0;
}

static int open(struct inode *inode, struct file *opened)
{
	void *buffer = vmalloc(SZ_64K);
	struct seq_file *sequence;
	int error;

	if (!buffer)
		return -ENOMEM;
	error = single_open(opened, show, NULL);
	if (error) {
		vfree(buffer);
		return error;
	}
	sequence = opened->private_data;
	sequence->buf = buffer;
	sequence->size = SZ_64K;
	return 0;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE, .open = open, .read = seq_read, .release = single_release,
};

static int __init clean_seq_buffer_init(void)
{
	file = debugfs_create_file("clean_seq_buffer", 0400, NULL, NULL, &operations);
	return 0;
}

static void __exit clean_seq_buffer_exit(void)
{
	debugfs_remove(file);
}

module_init(clean_seq_buffer_init);
module_exit(clean_seq_buffer_exit);
MODULE_DESCRIPTION("Memory of vmalloc() that the kernel releases");
MODULE_LICENSE("GPL");
