// SPDX-License-Identifier: GPL-2.0
// Taken by the addresses of functions, and released: by plain calls, and by the kernel.
#include <linux/gfp.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define TAKE "get_free_pages_noprof"
#define HUGE vmalloc_huge_noprof
#else
#define TAKE "__get_free_pages"
#define HUGE vmalloc_huge
#endif

typedef unsigned long get_pages(gfp_t flags, unsigned int order);

static struct kprobe there = { .symbol_name = TAKE };
static unsigned long pages[2];
static void *area;

static noinline void take(get_pages *get, typeof(HUGE) *huge)
{
	pages[0] = get(GFP_KERNEL, 1);
	pages[1] = get(GFP_KERNEL, 0);
	area = huge(SZ_16K, GFP_KERNEL);
}

static int __init clean_unledgered_init(void)
{
	typeof(HUGE) *huge = symbol_get(HUGE);
	int error = register_kprobe(&there);

	if (!huge)
		return -ENOENT;
	if (error)
		return error;
	unregister_kprobe(&there);
	take((get_pages *)there.addr, huge);
	return 0;
}

static void __exit clean_unledgered_exit(void)
{
	free_pages(pages[0], 1);
	if (pages[1])
		put_page(virt_to_page((void *)pages[1]));
	vfree(area);
	symbol_put(HUGE);
}

module_init(clean_unledgered_init);
module_exit(clean_unledgered_exit);
MODULE_DESCRIPTION("What nothing leads elsewhere is released all the same");
MODULE_LICENSE("GPL");
