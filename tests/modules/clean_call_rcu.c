// SPDX-License-Identifier: GPL-2.0
// The callback is the module's, so unload waits for all of them: rcu_barrier().
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

struct rule {
	struct rcu_head rcu;
	char *name;
};

static struct rule *rule;

static void release(struct rcu_head *rcu)
{
	struct rule *gone = container_of(rcu, struct rule, rcu);

	kfree(gone->name);
	kfree(gone);
}

static int __init clean_call_rcu_init(void)
{
	rule = kzalloc(sizeof(*rule), GFP_KERNEL);
	if (!rule)
		return -ENOMEM;
	rule->name = kstrdup("allow", GFP_KERNEL);
	return 0;
}

static void __exit clean_call_rcu_exit(void)
{
	call_rcu(&rule->rcu, release);
	rcu_barrier();
}

module_init(clean_call_rcu_init);
module_exit(clean_call_rcu_exit);
MODULE_DESCRIPTION("Memory released by a callback of call_rcu()");
MODULE_LICENSE("GPL");
