// SPDX-License-Identifier: GPL-2.0
// kfree_sensitive() asks how large the block really is and wipes all of it, slack too.
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static char *key, *large;

static int __init clean_sensitive_init(void)
{
	key = kmemdup("0123456789abcdef01", 18, GFP_KERNEL);
	large = kvmalloc(300000, GFP_KERNEL);
	return 0;
}

static void __exit clean_sensitive_exit(void)
{
	kfree_sensitive(key);
	kvfree_sensitive(large, 300000);
}

module_init(clean_sensitive_init);
module_exit(clean_sensitive_exit);
MODULE_DESCRIPTION("Secrets, wiped and released in one call");
MODULE_LICENSE("GPL");
