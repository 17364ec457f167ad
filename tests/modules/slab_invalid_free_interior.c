// SPDX-License-Identifier: GPL-2.0
// Behind the header is what users get; it is the header that kmalloc() returned.
#include <linux/module.h>
#include <linux/slab.h>

struct packet {
	u64 length;
	u8 data[56];
};

static struct packet *packet;

static noinline void drop(void *data)
{
	kfree(data);
	pr_info("dropped\n");
}

static int __init slab_invalid_free_interior_init(void)
{
	packet = kmalloc(sizeof(*packet), GFP_KERNEL);
	return packet ? 0 : -ENOMEM;
}

static void __exit slab_invalid_free_interior_exit(void)
{
	drop(packet->data);
	kfree(packet);
}

module_init(slab_invalid_free_interior_init);
module_exit(slab_invalid_free_interior_exit);
MODULE_DESCRIPTION("kfree() of a pointer into a block");
MODULE_LICENSE("GPL");
