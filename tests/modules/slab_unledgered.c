// SPDX-License-Identifier: GPL-2.0
// By the address of a function, which no symbol of this file names.
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define TAKE "__kmalloc_noprof"
#else
#define TAKE "__kmalloc"
#endif

typedef void *get_block(size_t size, gfp_t flags);

static struct kprobe there = { .symbol_name = TAKE };
static void *blocks[2];

static noinline void take(get_block *get)
{
	blocks[0] = get(100, GFP_KERNEL);
	blocks[1] = get(200, GFP_KERNEL);
}

static int __init slab_unledgered_init(void)
{
	int error = register_kprobe(&there);

	if (error)
		return error;
	unregister_kprobe(&there);
	take((get_block *)there.addr);
	return 0;
}

static void __exit slab_unledgered_exit(void)
{
	kfree(blocks[0]);
}

module_init(slab_unledgered_init);
module_exit(slab_unledgered_exit);
MODULE_DESCRIPTION("Blocks taken by calls that nothing leads elsewhere, and one of two released");
MODULE_LICENSE("GPL");
