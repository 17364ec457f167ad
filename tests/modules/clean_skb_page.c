// SPDX-License-Identifier: GPL-2.0
// The reference to the page goes with the fragment; a clone of the skb shares it.
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/skbuff.h>

static struct sk_buff *skb, *twin;

static int __init clean_skb_page_init(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	skb = alloc_skb(128, GFP_KERNEL);
	if (!page || !skb) {
		if (page)
			__free_page(page);
		kfree_skb(skb);
		return -ENOMEM;
	}
	skb_add_rx_frag(skb, 0, page, 0, 1000, PAGE_SIZE);
	twin = skb_clone(skb, GFP_KERNEL);
	return 0;
}

static void __exit clean_skb_page_exit(void)
{
	kfree_skb(skb);
	kfree_skb(twin);
}

module_init(clean_skb_page_init);
module_exit(clean_skb_page_exit);
MODULE_DESCRIPTION("A page that becomes a fragment of an skb, released by the network");
MODULE_LICENSE("GPL");
