// SPDX-License-Identifier: GPL-2.0
// VM_MAP_PUT_PAGES hands the pages, and the array that names them, to the mapping.
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define COUNT 4

static void *mapping;

static noinline void drop(struct page **pages)
{
	int index;

	for (index = 0; index < COUNT; index++)
		if (pages[index])
			__free_page(pages[index]);
	kvfree(pages);
}

static int __init clean_vmap_init(void)
{
	struct page **pages = kvcalloc(COUNT, sizeof(*pages), GFP_KERNEL);
	int index;

	if (!pages)
		return -ENOMEM;
	for (index = 0; index < COUNT; index++)
		pages[index] = alloc_page(GFP_KERNEL);
	if (pages[COUNT - 1])
		mapping = vmap(pages, COUNT, VM_MAP | VM_MAP_PUT_PAGES, PAGE_KERNEL);
	if (!mapping) {
		drop(pages);
		return -ENOMEM;
	}
	*(int *)mapping = 1;
	return 0;
}

static void __exit clean_vmap_exit(void)
{
	vfree(mapping);
}

module_init(clean_vmap_init);
module_exit(clean_vmap_exit);
MODULE_DESCRIPTION("Pages that vfree() of their mapping releases");
MODULE_LICENSE("GPL");
