// SPDX-License-Identifier: GPL-2.0
// Is known to several subsystems while it is loaded; takes back what it did when one says no.
#include <linux/fs.h>
#include <linux/inetdevice.h>
#include <linux/key-type.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/nls.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/reboot.h>
#include <net/net_namespace.h>

static int notice(struct notifier_block *block, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

static struct notifier_block at_reboot = { .notifier_call = notice };
static struct notifier_block of_devices = { .notifier_call = notice };
static struct notifier_block of_addresses = { .notifier_call = notice };
static struct pernet_operations of_net;

static int mount(struct fs_context *context)
{
	return -ENODEV;
}

static struct file_system_type type = {
	.owner = THIS_MODULE,
	.name = "clean_registration",
	.init_fs_context = mount,
};

static struct key_type keys = { .name = "clean_registration" };

static struct platform_driver driver = {
	.driver.name = "clean_registration",
};

static const struct pci_device_id none[] = { {} };

static struct pci_driver pci = {
	.name = "clean_registration",
	.id_table = none,
};

static int __init clean_registration_init(void)
{
	int error = register_reboot_notifier(&at_reboot);

	if (error)
		return error;
	error = register_netdevice_notifier(&of_devices);
	if (error)
		goto no_devices;
	error = register_inetaddr_notifier(&of_addresses);
	if (error)
		goto no_addresses;
	error = register_pernet_subsys(&of_net);
	if (error)
		goto no_net;
	error = register_filesystem(&type);
	if (error)
		goto no_type;
	error = register_key_type(&keys);
	if (error)
		goto no_keys;
	error = platform_driver_register(&driver);
	if (error)
		goto no_driver;
	error = pci_register_driver(&pci);
	if (!error)
		return 0;
	platform_driver_unregister(&driver);
no_driver:
	unregister_key_type(&keys);
no_keys:
	unregister_filesystem(&type);
no_type:
	unregister_pernet_subsys(&of_net);
no_net:
	unregister_inetaddr_notifier(&of_addresses);
no_addresses:
	unregister_netdevice_notifier(&of_devices);
no_devices:
	unregister_reboot_notifier(&at_reboot);
	return error;
}

static void __exit clean_registration_exit(void)
{
	pci_unregister_driver(&pci);
	platform_driver_unregister(&driver);
	unregister_key_type(&keys);
	if (unregister_filesystem(&type))
		pr_warn("clean_registration: the file system was not known\n");
	unregister_pernet_subsys(&of_net);
	unregister_inetaddr_notifier(&of_addresses);
	unregister_netdevice_notifier(&of_devices);
	unregister_reboot_notifier(&at_reboot);
}

module_init(clean_registration_init);
module_exit(clean_registration_exit);
MODULE_DESCRIPTION("Is known to several subsystems, and takes that back");
MODULE_LICENSE("GPL");
