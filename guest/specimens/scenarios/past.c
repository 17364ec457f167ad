// SPDX-License-Identifier: GPL-2.0
// Half converted code: one side by an allocator of ours, the other by one of the kernel's.
#include <linux/gfp.h>
#include <linux/kprobes.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <asm/nospec-branch.h>

#include "scenarios.h"

#define SIZE 64

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define KMALLOC "__kmalloc_noprof"
#else
#define KMALLOC "__kmalloc"
#endif

struct node {
	u64 value[4];
	struct rcu_head rcu;
};

static int pool_by_kfree(void)
{
	void *state = freeonce_pool_alloc(SIZE, 8, TAG);

	if (!state)
		return -ENOMEM;
	LABEL(state, "state");
	STEP("kfree");
	kfree(state);
	return 0;
}

static int pool_by_kfree_rcu(void)
{
	struct node *node = freeonce_pool_alloc(sizeof(*node), 8, TAG);

	if (!node)
		return -ENOMEM;
	LABEL(node, "node");
	STEP("kfree_rcu");
	kfree_rcu(node, rcu);
	return 0;
}

static int contiguous_by_free_pages(void)
{
	struct contiguous_request request = { .size = SZ_4K, .align = SZ_4K, ANYWHERE };
	void *area = freeonce_contiguous_alloc(&request);

	if (!area)
		return -ENOMEM;
	LABEL(area, "area");
	STEP("free_pages");
	free_pages((unsigned long)area, 0);
	return 0;
}

static int inside_of_pool_by_kfree(void)
{
	char *state = freeonce_pool_alloc(SIZE, 8, TAG);

	if (!state)
		return -ENOMEM;
	STEP("kfree");
	kfree(state + 16);
	freeonce_pool_free(state, SIZE, 8);
	return 0;
}

static int kmalloc_by_pool(void)
{
	void *state = kmalloc(SIZE, GFP_KERNEL);

	if (!state)
		return -ENOMEM;
	STEP("release");
	freeonce_pool_free(state, SIZE, 8);
	return 0;
}

static int pages_by_contiguous(void)
{
	unsigned long area = __get_free_page(GFP_KERNEL);

	if (!area)
		return -ENOMEM;
	STEP("release");
	freeonce_contiguous_free((void *)area, SZ_4K, SZ_4K);
	return 0;
}

/* No name of a function that could be led elsewhere: its address, as a rootkit would find it. */
static void *unnamed_kmalloc(unsigned long size, unsigned long flags)
{
	struct kprobe probe = { .symbol_name = KMALLOC, .flags = KPROBE_FLAG_DISABLED };
	void *result;

	if (register_kprobe(&probe))
		return NULL;
	unregister_kprobe(&probe);
	asm volatile(ANNOTATE_RETPOLINE_SAFE "call *%[function]"
		     : "=a"(result), "+D"(size), "+S"(flags), ASM_CALL_CONSTRAINT
		     : [function] "r"(probe.addr)
		     : "memory", "cc", "rcx", "rdx", "r8", "r9", "r10", "r11");
	return result;
}

static int slab_past_the_wrappers(void)
{
	return unnamed_kmalloc(SIZE, GFP_KERNEL) ? 0 : -ENOMEM;
}

static const struct scenario past_scenarios[] = {
	FAULT("unledgered/pool/c", "unledgered", "pool", pool_by_kfree,
	      "One of the releases was not converted: kfree() of pool memory."),
	FAULT("unledgered/pool/c/rcu", "unledgered", "pool", pool_by_kfree_rcu,
	      "The same by kfree_rcu(), which comes later and from elsewhere."),
	FAULT("unledgered/contiguous/c", "unledgered", "contiguous", contiguous_by_free_pages,
	      "The same of pages: free_pages() of contiguous memory."),
	FAULT("unledgered/slab/c", "unledgered", "slab", slab_past_the_wrappers,
	      "What nobody told the ledger, the kernel's slab allocator saw."),
	FAULT("invalid-free/pool/c/by-kfree", "invalid-free", "pool", inside_of_pool_by_kfree,
	      "kfree() of an address inside of pool memory is the kernel's end; it never gets it."),
	FAULT("invalid-free/pool/c/of-kmalloc", "invalid-free", "pool", kmalloc_by_pool,
	      "The allocation was not converted: kmalloc() memory is not the pool's."),
	FAULT("invalid-free/contiguous/c/of-pages", "invalid-free", "contiguous", pages_by_contiguous,
	      "The same of pages: what the page allocator gave is not the contiguous call's."),
};
SCENARIOS(past_scenarios);
