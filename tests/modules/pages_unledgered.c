// SPDX-License-Identifier: GPL-2.0
// By the address of a function, which no symbol of this file names.
#include <linux/gfp.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define TAKE "get_free_pages_noprof"
#else
#define TAKE "__get_free_pages"
#endif

typedef unsigned long get_pages(gfp_t flags, unsigned int order);

static struct kprobe there = { .symbol_name = TAKE };
static unsigned long pages[2];

static noinline void take(get_pages *get)
{
	pages[0] = get(GFP_KERNEL, 1);
	pages[1] = get(GFP_KERNEL, 0);
}

static int __init pages_unledgered_init(void)
{
	int error = register_kprobe(&there);

	if (error)
		return error;
	unregister_kprobe(&there);
	take((get_pages *)there.addr);
	return 0;
}

static void __exit pages_unledgered_exit(void)
{
	free_pages(pages[0], 1);
}

module_init(pages_unledgered_init);
module_exit(pages_unledgered_exit);
MODULE_DESCRIPTION("Pages taken by calls that nothing leads elsewhere, and some of them released");
MODULE_LICENSE("GPL");
