// SPDX-License-Identifier: GPL-2.0
// Its exit function gives its memory pool to kfree() first.
#include <linux/mempool.h>
#include <linux/module.h>
#include <linux/slab.h>

static mempool_t *pool;

static int __init mempool_mismatched_free_init(void)
{
	pool = mempool_create_kmalloc_pool(4, 64);
	return pool ? 0 : -ENOMEM;
}

static void __exit mempool_mismatched_free_exit(void)
{
	kfree(pool);
	mempool_destroy(pool);
	barrier(); /* the last call returns to us: it has a frame of ours */
}

module_init(mempool_mismatched_free_init);
module_exit(mempool_mismatched_free_exit);
MODULE_DESCRIPTION("Gives its memory pool to kfree()");
MODULE_LICENSE("GPL");
