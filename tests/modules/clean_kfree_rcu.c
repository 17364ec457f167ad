// SPDX-License-Identifier: GPL-2.0
// Nothing of the module is needed for the release, so unload need not wait: the kernel releases.
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

struct node {
	struct rcu_head rcu;
	u64 value;
};

static struct node *nodes[100];

static int __init clean_kfree_rcu_init(void)
{
	int index;

	for (index = 0; index < ARRAY_SIZE(nodes); index++)
		nodes[index] = kmalloc(sizeof(struct node), GFP_KERNEL);
	return 0;
}

static void __exit clean_kfree_rcu_exit(void)
{
	int index;

	for (index = 0; index < ARRAY_SIZE(nodes); index++)
		if (nodes[index])
			kfree_rcu(nodes[index], rcu);
}

module_init(clean_kfree_rcu_init);
module_exit(clean_kfree_rcu_exit);
MODULE_DESCRIPTION("kfree_rcu() as the last thing that a module does");
MODULE_LICENSE("GPL");
