// SPDX-License-Identifier: GPL-2.0
// What devm_*() gave goes when the device goes, and an action releases what it is told to.
#include <linux/device.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

static struct platform_device *device;

static void release(void *table)
{
	kfree(table);
}

static int probe(struct platform_device *found)
{
	void *table = kmalloc(400, GFP_KERNEL);

	if (!table || !devm_kzalloc(&found->dev, 64, GFP_KERNEL)) {
		kfree(table);
		return -ENOMEM;
	}
	if (!devm_kasprintf(&found->dev, GFP_KERNEL, "of %s", dev_name(&found->dev))) {
		kfree(table);
		return -ENOMEM;
	}
	return devm_add_action_or_reset(&found->dev, release, table);
}

static struct platform_driver driver = {
	.probe = probe,
	.driver.name = "clean_devm",
};

static int __init clean_devm_init(void)
{
	const int number = 7;
	int error = platform_driver_register(&driver);

	if (error)
		return error;
	device = platform_device_register_data(NULL, "clean_devm", -1, &number, sizeof(number));
	if (IS_ERR(device))
		platform_driver_unregister(&driver);
	return PTR_ERR_OR_ZERO(device);
}

static void __exit clean_devm_exit(void)
{
	platform_device_unregister(device);
	platform_driver_unregister(&driver);
}

module_init(clean_devm_init);
module_exit(clean_devm_exit);
MODULE_DESCRIPTION("Memory that goes with its device");
MODULE_LICENSE("GPL");
