// SPDX-License-Identifier: GPL-2.0
// Every byte of blocks of all sizes used, up to the first and the last one; and read by a user.
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#define MOST 40

static const size_t sizes[] = {
	1, 7, 8, 9, 16, 24, 32, 63, 64, 65, 96, 100, 128, 192, 193, 256, 500, 512, 1000, 1024,
	2048, 4000, 4096, 4097, 8192, 8193, 16384, 100000, KMALLOC_MAX_SIZE,
};
static u8 *blocks[MOST];
static char *page;
static struct dentry *file;

static noinline int fill(u8 *block, size_t size)
{
	if (!block)
		return -ENOMEM;
	memset(block, 0xa5, size);
	if (ksize(block) < size || page_address(virt_to_page(block)) == NULL)
		return -EIO;
	return is_power_of_2(size) && !IS_ALIGNED((unsigned long)block, size) ? -EINVAL : 0;
}

static ssize_t read(struct file *from, char __user *to, size_t size, loff_t *at)
{
	return simple_read_from_buffer(to, size, at, page, PAGE_SIZE);
}

static ssize_t write(struct file *to, const char __user *from, size_t size, loff_t *at)
{
	return simple_write_to_buffer(page, PAGE_SIZE, at, from, size);
}

static const struct file_operations operations = {
	.owner = THIS_MODULE, .read = read, .write = write,
};

static void drop(void)
{
	int index;

	for (index = 0; index < MOST; index++)
		kfree(blocks[index]);
	kfree(page);
}

static int __init clean_exact_sizes_init(void)
{
	int index, error = 0;

	for (index = 0; index < ARRAY_SIZE(sizes) && !error; index++) {
		blocks[index] = kmalloc(sizes[index], GFP_KERNEL | __GFP_NOWARN);
		/* Of the largest there may be none. */
		if (blocks[index] || sizes[index] < 16384)
			error = fill(blocks[index], sizes[index]);
	}
	blocks[index++] = kmemdup(blocks[8], 64, GFP_KERNEL);
	blocks[index++] = kstrdup("fifteen letters", GFP_KERNEL);
	blocks[index++] = kmalloc(64, GFP_KERNEL | GFP_DMA);
	page = kzalloc(PAGE_SIZE, GFP_KERNEL);
	if (!page || fill(blocks[index - 3], 64) || fill(blocks[index - 2], 16) ||
	    fill(blocks[index - 1], 64))
		error = error ?: -ENOMEM;
	if (error)
		drop();
	else
		file = debugfs_create_file("clean_exact_sizes", 0600, NULL, NULL, &operations);
	return error;
}

static void __exit clean_exact_sizes_exit(void)
{
	debugfs_remove(file);
	drop();
}

module_init(clean_exact_sizes_init);
module_exit(clean_exact_sizes_exit);
MODULE_DESCRIPTION("Blocks of kmalloc() used to their first and last bytes");
MODULE_LICENSE("GPL");
