// SPDX-License-Identifier: GPL-2.0
// By the address of a function, which no symbol of this file names.
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define HUGE vmalloc_huge_noprof
#else
#define HUGE vmalloc_huge
#endif

static void *areas[2];

static noinline void take(typeof(HUGE) *huge)
{
	areas[0] = huge(SZ_16K, GFP_KERNEL);
	areas[1] = huge(SZ_8K, GFP_KERNEL);
}

static int __init vmalloc_unledgered_init(void)
{
	typeof(HUGE) *huge = symbol_get(HUGE);

	if (!huge)
		return -ENOENT;
	take(huge);
	symbol_put(HUGE);
	return 0;
}

static void __exit vmalloc_unledgered_exit(void)
{
	vfree(areas[0]);
}

module_init(vmalloc_unledgered_init);
module_exit(vmalloc_unledgered_exit);
MODULE_DESCRIPTION("Memory taken by calls that nothing leads elsewhere, and one of two released");
MODULE_LICENSE("GPL");
