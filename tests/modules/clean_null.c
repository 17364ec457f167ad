// SPDX-License-Identifier: GPL-2.0
// All of these take NULL, and do nothing.
#include <linux/gfp.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static void *nothing;

static int __init clean_null_init(void)
{
	kfree(nothing);
	kfree_sensitive(nothing);
	vfree(nothing);
	kvfree(nothing);
	kvfree_sensitive(nothing, 0);
	free_percpu(nothing);
	free_page((unsigned long)nothing);
	kmem_cache_destroy(nothing);
	mempool_destroy(nothing);
	return 0;
}

static void __exit clean_null_exit(void)
{
	kfree(nothing);
}

module_init(clean_null_init);
module_exit(clean_null_exit);
MODULE_DESCRIPTION("Releases of nothing");
MODULE_LICENSE("GPL");
