// SPDX-License-Identifier: GPL-2.0
// The second of two modules: clean_giver allocated what this one releases.
#include <linux/module.h>
#include <linux/slab.h>

char *clean_giver_give(const char *text);

static char *text;

static int __init clean_taker_init(void)
{
	text = clean_giver_give("a present");
	return text ? 0 : -ENOMEM;
}

static void __exit clean_taker_exit(void)
{
	kfree(text);
}

module_init(clean_taker_init);
module_exit(clean_taker_exit);
MODULE_DESCRIPTION("Releases blocks that others have allocated");
MODULE_LICENSE("GPL");
