// SPDX-License-Identifier: GPL-2.0
// What the kernel's allocators do with addresses in the books, and what a subject acquires past the wrappers.
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/stacktrace.h>

#include "books/books.h"
#include "families/families.h"
#include "subjects/subjects.h"
#include "witness/address.h"

#define DEPTH 12

/*
 * Some kernel functions pass on their caller's address, so the site is the subject's though the
 * memory is theirs (devm_kmalloc()).
 */
static noinline bool called_by_a_subject(void)
{
	unsigned long stack[DEPTH];
	unsigned int count = stack_trace_save(stack, ARRAY_SIZE(stack), 0), i;

	for (i = 0; i < count && !subject_loaded_at(stack[i]); i++)
		if (!instrument_has(stack[i]) && !interface(stack[i]))
			return false;
	return i < count && calls(stack[i], interface);
}

/*
 * The page allocator names no site, and to unwind costs more than most events are worth. First the
 * words on the stack are looked at: without a subject's call of the allocator among them there was none.
 */
static bool subject_may_have_called(void)
{
	unsigned long *word = __builtin_frame_address(0);
	unsigned long left = (unsigned long)task_stack_page(current) + THREAD_SIZE - (unsigned long)word;

	if (left > THREAD_SIZE)
		return true; /* an interrupt's stack */
	for (left /= sizeof(*word); left--; word++) {
		unsigned long after = READ_ONCE_NOCHECK(*word);

		if (subject_range_has(after) && subject_loaded_at(after - 5) &&
		    calls(after, page_interface))
			return true;
	}
	return false;
}

/*
 * Pages that another allocator takes for a subject are the kernel's own; wrappers tell of theirs.
 */
static noinline bool pages_called_by_a_subject(void)
{
	unsigned long stack[DEPTH];
	unsigned int count = stack_trace_save(stack, ARRAY_SIZE(stack), 0), i = 0;

	while (i < count && instrument_has(stack[i]) && !wrapper_has(stack[i]))
		i++;
	while (i < count && page_interface(stack[i]))
		i++;
	return i < count && subject_loaded_at(stack[i]) && calls(stack[i], page_interface);
}

/*
 * `site`: what called the allocator. Of wrappers it is the instrument's: they tell by themselves what
 * they got, and what was released before they do so.
 */
void address_given(enum ledger_family family, enum space space, unsigned long site,
		   unsigned long address, size_t size)
{
	if (!address || wrapper_has(site))
		return;
	books_kernel_gave(address, size, space);
	if (subject_loaded_at(site) && called_by_a_subject())
		books_past_wrappers(&families[family], address, size, space,
				    __builtin_frame_address(0));
}

void pages_given(unsigned long address, size_t size)
{
	books_kernel_gave(address, size, SPACE_PAGES);
	if (books_listening() && subject_may_have_called() && pages_called_by_a_subject())
		books_past_wrappers(&families[FAMILY_PAGES], address, size, SPACE_PAGES,
				    __builtin_frame_address(0));
}

/* `site`: behind the call of a function of vmalloc's family. */
void vmalloc_given(unsigned long site, unsigned long address, size_t size)
{
	if (!address)
		return;
	books_kernel_gave(address, size, SPACE_VMALLOC);
	if (subject_loaded_at(site) && calls(site, interface))
		books_past_wrappers(&families[FAMILY_VMALLOC], address, size, SPACE_VMALLOC,
				    __builtin_frame_address(0));
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
	if (!instrument_has(site))
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
