// SPDX-License-Identifier: GPL-2.0
// By the address of a function, which no symbol of this file names.
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define TAKE "pcpu_alloc_noprof"
#else
#define TAKE "__alloc_percpu"
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
typedef void __percpu *get_counters(size_t size, size_t align, bool reserved, gfp_t flags);
#define GET(get, size) get(size, 8, false, GFP_KERNEL)
#else
typedef void __percpu *get_counters(size_t size, size_t align);
#define GET(get, size) get(size, 8)
#endif

static struct kprobe there = { .symbol_name = TAKE };
static void __percpu *counters[2];

static noinline void take(get_counters *get)
{
	counters[0] = GET(get, 32);
	counters[1] = GET(get, 48);
}

static int __init percpu_unledgered_init(void)
{
	int error = register_kprobe(&there);

	if (error)
		return error;
	unregister_kprobe(&there);
	take((get_counters *)there.addr);
	return 0;
}

static void __exit percpu_unledgered_exit(void)
{
	free_percpu(counters[0]);
}

module_init(percpu_unledgered_init);
module_exit(percpu_unledgered_exit);
MODULE_DESCRIPTION("Counters taken by calls that nothing leads elsewhere, and one of two released");
MODULE_LICENSE("GPL");
