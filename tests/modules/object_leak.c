// SPDX-License-Identifier: GPL-2.0
// The kernel refuses to let such a cache go and warns; whose object it is, it does not say.
#include <linux/module.h>
#include <linux/slab.h>

struct request {
	u64 words[21];
};

static struct kmem_cache *requests;
static struct request *first, *second;

static noinline struct request *take(void)
{
	struct request *request = kmem_cache_zalloc(requests, GFP_KERNEL);

	if (request)
		request->words[0] = 1;
	return request;
}

static int __init object_leak_init(void)
{
	requests = kmem_cache_create("object_leak", sizeof(struct request), 0, 0, NULL);
	if (!requests)
		return -ENOMEM;
	first = take();
	second = take();
	return 0;
}

static void __exit object_leak_exit(void)
{
	if (first)
		kmem_cache_free(requests, first);
	kmem_cache_destroy(requests);
}

module_init(object_leak_init);
module_exit(object_leak_exit);
MODULE_DESCRIPTION("A cache destroyed before its last object is released");
MODULE_LICENSE("GPL");
