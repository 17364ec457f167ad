// SPDX-License-Identifier: GPL-2.0
// kfree_rcu() is a release, though it comes later: kfree() before the grace period is a second one.
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

struct route {
	struct rcu_head rcu;
	int metric;
};

static struct route *route;

static noinline void replace(void)
{
	kfree_rcu(route, rcu);
}

static noinline void withdraw(void)
{
	kfree(route);
	route = NULL;
}

static int __init slab_double_free_rcu_init(void)
{
	route = kzalloc(sizeof(*route), GFP_KERNEL);
	if (!route)
		return -ENOMEM;
	replace();
	withdraw();
	return 0;
}

static void __exit slab_double_free_rcu_exit(void)
{
}

module_init(slab_double_free_rcu_init);
module_exit(slab_double_free_rcu_exit);
MODULE_DESCRIPTION("kfree() of what kfree_rcu() has already been asked to release");
MODULE_LICENSE("GPL");
