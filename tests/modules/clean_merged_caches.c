// SPDX-License-Identifier: GPL-2.0
// Caches alike are merged: both creations return the same pointer, and both are destroyed.
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *letters, *parcels;
static void *letter, *parcel;

static int __init clean_merged_caches_init(void)
{
	letters = kmem_cache_create("clean_merged_letters", 328, 0, 0, NULL);
	parcels = kmem_cache_create("clean_merged_parcels", 328, 0, 0, NULL);
	if (!letters || !parcels) {
		kmem_cache_destroy(letters);
		kmem_cache_destroy(parcels);
		return -ENOMEM;
	}
	letter = kmem_cache_alloc(letters, GFP_KERNEL);
	parcel = kmem_cache_alloc(parcels, GFP_KERNEL);
	return 0;
}

static void __exit clean_merged_caches_exit(void)
{
	if (letter)
		kmem_cache_free(letters, letter);
	kmem_cache_destroy(letters);
	if (parcel)
		kmem_cache_free(parcels, parcel);
	kmem_cache_destroy(parcels);
}

module_init(clean_merged_caches_init);
module_exit(clean_merged_caches_exit);
MODULE_DESCRIPTION("Two caches that the kernel makes one of");
MODULE_LICENSE("GPL");
