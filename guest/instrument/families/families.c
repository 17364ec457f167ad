// SPDX-License-Identifier: GPL-2.0
// The families: what the books must know of each, and how its memory goes back to the kernel.
#include "families/wrap.h"

static void give_slab(const struct holding *holding)
{
	if (!guarded_keep((void *)holding->address, holding->zoned))
		kfree((void *)holding->address);
}

static void give_object(const struct holding *holding)
{
	kmem_cache_free((struct kmem_cache *)holding->cache, (void *)holding->address);
}

static void give_pages(const struct holding *holding)
{
	__free_pages(virt_to_page((void *)holding->address), get_order(holding->size));
}

/* alloc_pages_exact() took single pages and gave back those behind the last. */
static void give_exact_pages(const struct holding *holding)
{
	free_pages_exact((void *)holding->address, holding->size);
}

static void give_some_pages(const struct holding *holding)
{
	if (holding->exact)
		give_exact_pages(holding);
	else
		give_pages(holding);
}

static void give_virtual(const struct holding *holding)
{
	if (!guarded_keep((void *)holding->address, holding->zoned))
		kvfree((void *)holding->address);
}

static void give_percpu(const struct holding *holding)
{
	free_percpu((void __percpu *)holding->address);
}

/* Only one of several references is given back. */
static bool others_have_it(const struct release *give)
{
	return virt_addr_valid((void *)give->address) &&
	       page_ref_count(virt_to_page((void *)give->address)) > 1;
}

static bool is_slab(unsigned long address)
{
	return virt_addr_valid((void *)address) &&
	       (PageSlab(virt_to_head_page((void *)address)) ||
		PageHead(virt_to_page((void *)address)));
}

static bool is_page(unsigned long address)
{
	return PAGE_ALIGNED(address) && virt_addr_valid((void *)address) &&
	       page_ref_count(virt_to_page((void *)address)) > 0;
}

/* A live mapping of device memory leads to a pfn that is no RAM; a removed one leads nowhere. */
static bool maps_device(unsigned long address)
{
	return is_vmalloc_addr((void *)address) && vmalloc_to_page((void *)address) &&
	       !page_is_ram(vmalloc_to_pfn((void *)address));
}

static bool is_vmalloc(unsigned long address)
{
	return PAGE_ALIGNED(address) && is_vmalloc_addr((void *)address);
}

static bool is_any(unsigned long address)
{
	return is_vmalloc_addr((void *)address) ? is_vmalloc(address) : is_slab(address);
}

/* The handle shows nothing: it is a percpu cookie, or known only to the family's own functions. */
static bool is_any_handle(unsigned long address)
{
	return !IS_ERR_VALUE(address);
}

const struct family families[FAMILY_REGISTRATION + 1] = {
	[FAMILY_SLAB] = {
		.number = FAMILY_SLAB, .released_by = SLAB_RELEASED_BY, .space = SPACE_SLAB,
		.held = true, .slack = true, .give_back = give_slab, .plausible = is_slab,
	},
	[FAMILY_OBJECT] = {
		.number = FAMILY_OBJECT, .released_by = OBJECT_RELEASED_BY, .space = SPACE_SLAB,
		.held = true, .give_back = give_object, .plausible = is_slab,
	},
	[FAMILY_CACHE] = {
		.number = FAMILY_CACHE, .released_by = CACHE_RELEASED_BY, .space = SPACE_CACHE,
		.plausible = is_slab,
	},
	[FAMILY_PAGES] = {
		.number = FAMILY_PAGES, .released_by = PAGES_RELEASED_BY, .space = SPACE_PAGES,
		.held = true, .slack = true, .sized = true, .shared = others_have_it, .give_back = give_some_pages,
		.plausible = is_page, .in_use = is_page,
	},
	[FAMILY_VMALLOC] = {
		.number = FAMILY_VMALLOC, .released_by = VMALLOC_RELEASED_BY,
		.space = SPACE_VMALLOC, .held = true, .slack = true, .give_back = give_virtual,
		.plausible = is_vmalloc,
	},
	[FAMILY_KVMALLOC] = {
		.number = FAMILY_KVMALLOC, .released_by = KVMALLOC_RELEASED_BY,
		.space = SPACE_EITHER, .held = true, .slack = true, .give_back = give_virtual,
		.plausible = is_any,
	},
	[FAMILY_PERCPU] = {
		.number = FAMILY_PERCPU, .released_by = PERCPU_RELEASED_BY, .space = SPACE_PERCPU,
		.held = true, .give_back = give_percpu, .plausible = is_any_handle,
	},
	[FAMILY_MEMPOOL] = {
		.number = FAMILY_MEMPOOL, .released_by = MEMPOOL_RELEASED_BY,
		.space = SPACE_MEMPOOL, .plausible = is_any_handle,
	},
	[FAMILY_IOMAP] = {
		.number = FAMILY_IOMAP, .released_by = IOMAP_RELEASED_BY, .space = SPACE_IOMAP,
		.plausible = is_any_handle, .in_use = maps_device,
	},
	[FAMILY_CIPHER] = {
		.number = FAMILY_CIPHER, .released_by = CIPHER_RELEASED_BY, .space = SPACE_CIPHER,
		.plausible = is_any_handle,
	},
	[FAMILY_MISC] = {
		.number = FAMILY_MISC, .released_by = MISC_RELEASED_BY, .space = SPACE_MISC,
		.plausible = is_any_handle,
	},
	[FAMILY_SRCU] = {
		.number = FAMILY_SRCU, .released_by = SRCU_RELEASED_BY, .space = SPACE_SRCU,
		.plausible = is_any_handle,
	},
	[FAMILY_REGISTRATION] = {
		.number = FAMILY_REGISTRATION, .released_by = REGISTRATION_RELEASED_BY,
		.space = SPACE_REGISTRATION, .plausible = is_any_handle,
	},
};
