// SPDX-License-Identifier: GPL-2.0
// rcu_barrier() is not needed for kfree_rcu(), and does not even wait for it; many call it.
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

struct node {
	u64 key;
	struct rcu_head rcu;
	u8 value[200];
};

static int __init clean_kfree_rcu_barrier_init(void)
{
	struct node *node;
	int index;

	for (index = 0; index < 20; index++) {
		node = kmalloc(sizeof(*node), GFP_KERNEL);
		if (node)
			kfree_rcu(node, rcu);
	}
	return 0;
}

static void __exit clean_kfree_rcu_barrier_exit(void)
{
	rcu_barrier();
}

module_init(clean_kfree_rcu_barrier_init);
module_exit(clean_kfree_rcu_barrier_exit);
MODULE_DESCRIPTION("kfree_rcu() and a barrier before unload");
MODULE_LICENSE("GPL");
