// SPDX-License-Identifier: GPL-2.0
// 700 bytes of a block of 1024: the last of three records does not fit.
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

struct record {
	u8 bytes[240];
};

static struct record *records;

static noinline void fill(struct record *to, int count)
{
	memset(to, 0x11, count * sizeof(*to));
}

static int __init kvmalloc_out_of_bounds_init(void)
{
	records = kvmalloc(700, GFP_KERNEL);
	if (!records)
		return -ENOMEM;
	fill(records, 3);
	return 0;
}

static void __exit kvmalloc_out_of_bounds_exit(void)
{
	kvfree(records);
}

module_init(kvmalloc_out_of_bounds_init);
module_exit(kvmalloc_out_of_bounds_exit);
MODULE_DESCRIPTION("A write behind kvmalloc() memory, in its slack");
MODULE_LICENSE("GPL");
