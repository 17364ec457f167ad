// SPDX-License-Identifier: GPL-2.0
// What the kernel's allocators do with addresses that are in the books, and what a subject took past the wrappers.
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/stacktrace.h>
#include <linux/string.h>

#include "books/books.h"
#include "subjects/subjects.h"
#include "witness/address.h"

#define DEPTH 12

/* A function by which slab or percpu allocators are called, whatever its number of underscores. */
static bool interface(unsigned long address)
{
	static const char *const prefixes[] = {
		"kmalloc", "kmem_cache_alloc", "krealloc", "kvmalloc", "kmemdup", "kstrdup", "kstrndup",
		"kvasprintf", "kasprintf", "memdup", "alloc_percpu", "pcpu_alloc", "traceiter_",
	};
	char name[KSYM_SYMBOL_LEN];
	const char *start = name;
	int i;

	sprint_symbol_no_offset(name, address);
	start += strspn(start, "_");
	for (i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (str_has_prefix(start, prefixes[i]))
			return true;
	return false;
}

/*
 * Whether the call before that address is of such a function. One that ends with it leaves
 * the address to its own caller: match_strdup(). Of a call by pointer nothing is known.
 */
static bool calls_interface(unsigned long after)
{
	const u8 *call = (const u8 *)after - 5;

	return *call != 0xe8 || interface(after + *(const s32 *)(call + 1));
}

/*
 * Functions of the kernel hand on their caller's address as if it were their own, so that the site
 * is the subject's though the memory is theirs (devm_kmalloc()).
 */
static noinline bool called_by_a_subject(void)
{
	unsigned long stack[DEPTH];
	unsigned int count = stack_trace_save(stack, ARRAY_SIZE(stack), 0), i;

	for (i = 0; i < count && !subject_loaded_at(stack[i]); i++)
		if (!instrument_has(stack[i]) && !interface(stack[i]))
			return false;
	return i < count && calls_interface(stack[i]);
}

/* `site`: what called the allocator. Of wrappers it is the instrument's, and they tell by themselves. */
void address_given(enum ledger_family family, enum space space, unsigned long site,
		   unsigned long address, size_t size)
{
	if (!address)
		return;
	books_kernel_gave(address, size, space);
	if (subject_loaded_at(site) && called_by_a_subject())
		books_past_wrappers(family, address, size, __builtin_frame_address(0));
}

void address_taken(enum space space, unsigned long address)
{
	if (address)
		books_kernel_took(address, space, __builtin_frame_address(0));
}

void on_cache_alloc(void *unused, unsigned long site, const void *pointer, struct kmem_cache *cache,
		    gfp_t flags, int node)
{
	address_given(FAMILY_OBJECT, SPACE_SLAB, site, (unsigned long)pointer,
		      pointer ? kmem_cache_size(cache) : 0);
}

void on_cache_free(void *unused, unsigned long site, const void *pointer,
		   const struct kmem_cache *cache)
{
	address_taken(SPACE_SLAB, (unsigned long)pointer);
}

void on_percpu_alloc(void *unused, unsigned long site, bool reserved, bool atomic, size_t size,
		     size_t align, void *base, int offset, void __percpu *cookie, size_t given,
		     gfp_t flags)
{
	address_given(FAMILY_PERCPU, SPACE_PERCPU, site, (unsigned long)cookie, size);
}

void on_percpu_free(void *unused, void *base, int offset, void __percpu *cookie)
{
	address_taken(SPACE_PERCPU, (unsigned long)cookie);
}

/* kmem_cache_free_bulk(cache, count, objects): no tracepoint tells of what it frees. */
static int on_bulk_free(struct kprobe *probe, struct pt_regs *registers)
{
	size_t count = registers->si, i;
	void **objects = (void **)registers->dx;

	for (i = 0; i < count; i++) {
		address_taken(SPACE_SLAB, (unsigned long)objects[i]);
		pool_freed_in_bulk(objects[i]);
	}
	return 0;
}

static struct kprobe bulk = {
	.symbol_name = "kmem_cache_free_bulk",
	.pre_handler = on_bulk_free,
};

bool bulk_watch(void)
{
	return !register_kprobe(&bulk);
}

void bulk_look_away(void)
{
	unregister_kprobe(&bulk);
}
