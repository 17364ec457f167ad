// SPDX-License-Identifier: GPL-2.0
// By the address of a function, which no symbol of this file names.
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define TAKE "kmem_cache_alloc_noprof"
#else
#define TAKE "kmem_cache_alloc"
#endif

typedef void *get_object(struct kmem_cache *cache, gfp_t flags);

static struct kprobe there = { .symbol_name = TAKE };
static struct kmem_cache *cache;
static void *objects[2];

static noinline void take(get_object *get)
{
	objects[0] = get(cache, GFP_KERNEL);
	objects[1] = get(cache, GFP_KERNEL);
}

static int __init object_unledgered_init(void)
{
	int error = register_kprobe(&there);

	if (error)
		return error;
	unregister_kprobe(&there);
	cache = kmem_cache_create("object_unledgered", 168, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	take((get_object *)there.addr);
	return 0;
}

static void __exit object_unledgered_exit(void)
{
	kmem_cache_free(cache, objects[0]);
	kmem_cache_destroy(cache);
}

module_init(object_unledgered_init);
module_exit(object_unledgered_exit);
MODULE_DESCRIPTION("Objects taken by calls that nothing leads elsewhere, and one of two released");
MODULE_LICENSE("GPL");
