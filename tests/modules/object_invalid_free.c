// SPDX-License-Identifier: GPL-2.0
// The list entry in an object is not where the object begins.
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>

struct job {
	u64 number;
	struct list_head entry;
	u8 payload[144];
};

static struct kmem_cache *jobs;
static struct job *job;

static noinline void drop(struct list_head *entry)
{
	kmem_cache_free(jobs, entry);
	pr_info("dropped\n");
}

static int __init object_invalid_free_init(void)
{
	jobs = kmem_cache_create("object_invalid_free", sizeof(struct job), 0, 0, NULL);
	if (!jobs)
		return -ENOMEM;
	job = kmem_cache_alloc(jobs, GFP_KERNEL);
	return 0;
}

static void __exit object_invalid_free_exit(void)
{
	if (job) {
		drop(&job->entry);
		kmem_cache_free(jobs, job);
	}
	kmem_cache_destroy(jobs);
}

module_init(object_invalid_free_init);
module_exit(object_invalid_free_exit);
MODULE_DESCRIPTION("A pointer into an object released to its cache");
MODULE_LICENSE("GPL");
