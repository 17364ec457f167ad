// SPDX-License-Identifier: GPL-2.0
// kvfree_rcu(): of large memory, and of what has no rcu_head, for which the caller waits.
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/sizes.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

#ifndef kvfree_rcu_mightsleep
#define kvfree_rcu_mightsleep(object) kvfree_rcu(object)
#endif

struct table {
	struct rcu_head rcu;
	u8 words[SZ_64K];
};

static struct table *table;
static int *word, *words;

static int __init clean_rcu_head_init(void)
{
	table = vmalloc(sizeof(*table));
	word = kmalloc(sizeof(*word), GFP_KERNEL);
	words = kvmalloc(SZ_1M, GFP_KERNEL);
	return 0;
}

static void __exit clean_rcu_head_exit(void)
{
	if (table)
		kvfree_rcu(table, rcu);
	kvfree_rcu_mightsleep(word);
	kvfree_rcu_mightsleep(words);
}

module_init(clean_rcu_head_init);
module_exit(clean_rcu_head_exit);
MODULE_DESCRIPTION("Memory that readers may still have, large and small, with and without a head");
MODULE_LICENSE("GPL");
