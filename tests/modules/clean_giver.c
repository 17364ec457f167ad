// SPDX-License-Identifier: GPL-2.0
// The first of two modules: what it allocates, clean_taker releases.
#include <linux/module.h>
#include <linux/slab.h>

char *clean_giver_give(const char *text);

char *clean_giver_give(const char *text)
{
	return kstrdup(text, GFP_KERNEL);
}
EXPORT_SYMBOL_GPL(clean_giver_give);

static int __init clean_giver_init(void)
{
	return 0;
}

static void __exit clean_giver_exit(void)
{
}

module_init(clean_giver_init);
module_exit(clean_giver_exit);
MODULE_DESCRIPTION("Gives blocks away for others to release");
MODULE_LICENSE("GPL");
