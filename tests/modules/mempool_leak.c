// SPDX-License-Identifier: GPL-2.0
// Its exit function forgets the memory pool.
#include <linux/mempool.h>
#include <linux/module.h>

static mempool_t *pool;

static int __init mempool_leak_init(void)
{
	pool = mempool_create_kmalloc_pool(4, 64);
	return pool ? 0 : -ENOMEM;
}

static void __exit mempool_leak_exit(void)
{
}

module_init(mempool_leak_init);
module_exit(mempool_leak_exit);
MODULE_DESCRIPTION("Forgets its memory pool");
MODULE_LICENSE("GPL");
