// SPDX-License-Identifier: GPL-2.0
// Ten entries of one place: what is left at the end is one entry of it.
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>

struct entry {
	struct list_head list;
	int number;
};

static LIST_HEAD(entries);

static noinline int add(int number)
{
	struct entry *entry = kmalloc(sizeof(*entry), GFP_KERNEL);

	if (!entry)
		return -ENOMEM;
	entry->number = number;
	list_add_tail(&entry->list, &entries);
	return 0;
}

static int __init slab_leak_list_init(void)
{
	int number;

	for (number = 0; number < 10; number++)
		add(number);
	return 0;
}

static void __exit slab_leak_list_exit(void)
{
	struct entry *entry, *next;

	list_for_each_entry_safe(entry, next, &entries, list)
		if (entry->number != 0)
			kfree(entry);
}

module_init(slab_leak_list_init);
module_exit(slab_leak_list_exit);
MODULE_DESCRIPTION("A list of which unload releases all but the first");
MODULE_LICENSE("GPL");
