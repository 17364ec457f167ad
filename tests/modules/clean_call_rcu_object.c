// SPDX-License-Identifier: GPL-2.0
// rcu_barrier() waits for the callbacks; then the cache is empty.
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

struct node {
	u64 key;
	struct rcu_head rcu;
	u8 value[200];
};

static struct kmem_cache *nodes;

static void release(struct rcu_head *rcu)
{
	kmem_cache_free(nodes, container_of(rcu, struct node, rcu));
}

static int __init clean_call_rcu_object_init(void)
{
	struct node *node;
	int index;

	nodes = kmem_cache_create("clean_call_rcu_object", sizeof(struct node), 0, 0, NULL);
	if (!nodes)
		return -ENOMEM;
	for (index = 0; index < 20; index++) {
		node = kmem_cache_alloc(nodes, GFP_KERNEL);
		if (node)
			call_rcu(&node->rcu, release);
	}
	return 0;
}

static void __exit clean_call_rcu_object_exit(void)
{
	rcu_barrier();
	kmem_cache_destroy(nodes);
}

module_init(clean_call_rcu_object_init);
module_exit(clean_call_rcu_object_exit);
MODULE_DESCRIPTION("Objects that a callback of RCU releases, before their cache goes");
MODULE_LICENSE("GPL");
