// SPDX-License-Identifier: GPL-2.0
// Its exit function gives the memory pool back twice.
#include <linux/mempool.h>
#include <linux/module.h>

static mempool_t *pool;

static int __init mempool_double_free_init(void)
{
	pool = mempool_create_kmalloc_pool(4, 64);
	return pool ? 0 : -ENOMEM;
}

static void __exit mempool_double_free_exit(void)
{
	mempool_destroy(pool);
	mempool_destroy(pool);
	barrier(); /* the last call returns to us: it has a frame of ours */
}

module_init(mempool_double_free_init);
module_exit(mempool_double_free_exit);
MODULE_DESCRIPTION("Gives its memory pool back twice");
MODULE_LICENSE("GPL");
