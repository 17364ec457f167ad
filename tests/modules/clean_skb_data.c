// SPDX-License-Identifier: GPL-2.0
// build_skb() takes a kmalloc() block over; kfree_skb() releases it with the skb.
#include <linux/module.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define slab_build_skb(data) build_skb(data, 0)
#endif

static struct sk_buff *skb;

static int __init clean_skb_data_init(void)
{
	void *data = kmalloc(SKB_DATA_ALIGN(300) + SKB_DATA_ALIGN(sizeof(struct skb_shared_info)),
			     GFP_KERNEL);

	if (!data)
		return -ENOMEM;
	skb = slab_build_skb(data);
	if (!skb) {
		kfree(data);
		return -ENOMEM;
	}
	skb_put_u8(skb, 1);
	return 0;
}

static void __exit clean_skb_data_exit(void)
{
	kfree_skb(skb);
}

module_init(clean_skb_data_init);
module_exit(clean_skb_data_exit);
MODULE_DESCRIPTION("A block that becomes the data of an skb, released by the network");
MODULE_LICENSE("GPL");
