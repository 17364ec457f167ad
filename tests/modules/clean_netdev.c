// SPDX-License-Identifier: GPL-2.0
// needs_free_netdev: unregister_netdev() releases the device when its last user is gone.
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/slab.h>

struct private {
	u64 __percpu *packets;
	char *name;
};

static struct net_device *device;

static netdev_tx_t drop(struct sk_buff *skb, struct net_device *to)
{
	struct private *private = netdev_priv(to);

	this_cpu_inc(*private->packets);
	dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}

static int start(struct net_device *new)
{
	struct private *private = netdev_priv(new);

	private->packets = alloc_percpu(u64);
	private->name = kstrdup(new->name, GFP_KERNEL);
	return private->packets && private->name ? 0 : -ENOMEM;
}

static void destroy(struct net_device *gone)
{
	struct private *private = netdev_priv(gone);

	free_percpu(private->packets);
	kfree(private->name);
}

static const struct net_device_ops operations = {
	.ndo_init = start,
	.ndo_start_xmit = drop,
};

static void setup(struct net_device *new)
{
	ether_setup(new);
	eth_hw_addr_random(new);
	new->netdev_ops = &operations;
	new->needs_free_netdev = true;
	new->priv_destructor = destroy;
}

static int __init clean_netdev_init(void)
{
	int error;

	device = alloc_netdev(sizeof(struct private), "clean%d", NET_NAME_ENUM, setup);
	if (!device)
		return -ENOMEM;
	error = register_netdev(device);
	if (error)
		free_netdev(device);
	return error;
}

static void __exit clean_netdev_exit(void)
{
	unregister_netdev(device);
}

module_init(clean_netdev_init);
module_exit(clean_netdev_exit);
MODULE_DESCRIPTION("A network device with private memory that the network releases");
MODULE_LICENSE("GPL");
