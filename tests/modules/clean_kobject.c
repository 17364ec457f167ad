// SPDX-License-Identifier: GPL-2.0
// One has a release of its own; the other is made and released by the kernel.
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/slab.h>

struct thing {
	struct kobject kobject;
	char *label;
};

static struct thing *thing;
static struct kobject *parent;

static void release(struct kobject *kobject)
{
	struct thing *gone = container_of(kobject, struct thing, kobject);

	kfree(gone->label);
	kfree(gone);
}

static const struct kobj_type type = {
	.sysfs_ops = &kobj_sysfs_ops,
	.release = release,
};

static int __init clean_kobject_init(void)
{
	int error;

	parent = kobject_create_and_add("clean_kobject", kernel_kobj);
	thing = kzalloc(sizeof(*thing), GFP_KERNEL);
	if (!parent || !thing) {
		kobject_put(parent);
		kfree(thing);
		return -ENOMEM;
	}
	thing->label = kstrdup("label", GFP_KERNEL);
	error = kobject_init_and_add(&thing->kobject, &type, parent, "thing%d", 1);
	if (error) {
		kobject_put(&thing->kobject);
		kobject_put(parent);
	}
	return error;
}

static void __exit clean_kobject_exit(void)
{
	kobject_put(&thing->kobject);
	kobject_put(parent);
}

module_init(clean_kobject_init);
module_exit(clean_kobject_exit);
MODULE_DESCRIPTION("Objects that the last reference releases, by the module and by the kernel");
MODULE_LICENSE("GPL");
