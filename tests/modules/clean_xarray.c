// SPDX-License-Identifier: GPL-2.0
// The nodes of an XArray are the kernel's; the entries are ours.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/xarray.h>

static DEFINE_XARRAY_ALLOC(entries);

static int __init clean_xarray_init(void)
{
	u64 *entry;
	u32 at;

	for (at = 0; at < 200; at++) {
		entry = kmalloc(sizeof(*entry), GFP_KERNEL);
		if (entry && xa_is_err(xa_store(&entries, at * 1000, entry, GFP_KERNEL)))
			kfree(entry);
	}
	return 0;
}

static void __exit clean_xarray_exit(void)
{
	unsigned long at;
	u64 *entry;

	xa_for_each(&entries, at, entry)
		kfree(entry);
	xa_destroy(&entries);
}

module_init(clean_xarray_init);
module_exit(clean_xarray_exit);
MODULE_DESCRIPTION("Structures of the kernel that take memory by themselves");
MODULE_LICENSE("GPL");
