// SPDX-License-Identifier: GPL-2.0
// build_skb() asks ksize() and puts what it needs at the end of what there is, not of what was asked for.
#include <linux/module.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define slab_build_skb(data) build_skb(data, 0)
#endif

static struct sk_buff *skb;

static int __init clean_ksize_of_kernel_init(void)
{
	void *data = kmalloc(900, GFP_KERNEL);

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

static void __exit clean_ksize_of_kernel_exit(void)
{
	kfree_skb(skb);
}

module_init(clean_ksize_of_kernel_init);
module_exit(clean_ksize_of_kernel_exit);
MODULE_DESCRIPTION("A block whose slack the kernel uses");
MODULE_LICENSE("GPL");
