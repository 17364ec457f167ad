// SPDX-License-Identifier: GPL-2.0
// SLAB_TYPESAFE_BY_RCU: within a grace period a reader may still look at a released object.
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#define MAGIC 0x600dcafe

struct handle {
	u64 pad[9];
	u32 magic;
	u64 more[9];
};

static struct kmem_cache *handles;

static void construct(void *object)
{
	((struct handle *)object)->magic = MAGIC;
}

static noinline int look_after_release(void)
{
	struct handle *handle = kmem_cache_alloc(handles, GFP_KERNEL);
	int error = 0;

	if (!handle)
		return -ENOMEM;
	rcu_read_lock();
	kmem_cache_free(handles, handle);
	if (READ_ONCE(handle->magic) != MAGIC)
		error = -EIO;
	rcu_read_unlock();
	return error;
}

static int __init clean_typesafe_cache_init(void)
{
	int error;

	handles = kmem_cache_create("clean_typesafe_cache", sizeof(struct handle), 0,
				    SLAB_TYPESAFE_BY_RCU, construct);
	if (!handles)
		return -ENOMEM;
	error = look_after_release();
	if (error)
		kmem_cache_destroy(handles);
	return error;
}

static void __exit clean_typesafe_cache_exit(void)
{
	kmem_cache_destroy(handles);
}

module_init(clean_typesafe_cache_init);
module_exit(clean_typesafe_cache_exit);
MODULE_DESCRIPTION("A cache whose released objects keep their type for readers");
MODULE_LICENSE("GPL");
