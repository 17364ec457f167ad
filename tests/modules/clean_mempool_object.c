// SPDX-License-Identifier: GPL-2.0
// Has a memory pool while it is loaded.
#include <linux/mempool.h>
#include <linux/module.h>

static mempool_t *pool;

static int __init clean_mempool_object_init(void)
{
	pool = mempool_create_kmalloc_pool(4, 64);
	return pool ? 0 : -ENOMEM;
}

static void __exit clean_mempool_object_exit(void)
{
	mempool_destroy(pool);
}

module_init(clean_mempool_object_init);
module_exit(clean_mempool_object_exit);
MODULE_DESCRIPTION("Gives its memory pool back");
MODULE_LICENSE("GPL");
