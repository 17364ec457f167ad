// SPDX-License-Identifier: GPL-2.0
// Names of the kernel functions through which its allocators are called.
#include <linux/hash.h>
#include <linux/kallsyms.h>
#include <linux/pgtable.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "witness/address.h"

#define CACHE_BITS 8

/*
 * Looking up a name is slow. The answer for an address stays the same, so `answers` keeps
 * addresses, shifted by a bit, with the answer in the lowest bit.
 */
struct names {
	const char *const *prefixes;
	unsigned long answers[1 << CACHE_BITS];
};

static bool begins_so(const struct names *names, unsigned long address)
{
	char name[KSYM_SYMBOL_LEN];
	const char *start = name, *const *prefix;

	sprint_symbol_no_offset(name, address);
	start += strspn(start, "_");
	for (prefix = names->prefixes; *prefix; prefix++)
		if (str_has_prefix(start, *prefix))
			return true;
	return false;
}

/* With any number of leading underscores. No allocator is in a module. */
static bool named(struct names *names, unsigned long address)
{
	unsigned long *slot = &names->answers[hash_long(address, CACHE_BITS)];
	unsigned long answer = READ_ONCE(*slot);

	if (address >= MODULES_VADDR)
		return false;
	if (answer >> 1 != address << 1 >> 1) {
		answer = address << 1 | begins_so(names, address);
		WRITE_ONCE(*slot, answer);
	}
	return answer & 1;
}

/* A function by which slab, percpu or vmalloc are called. */
bool interface(unsigned long address)
{
	static const char *const prefixes[] = {
		"kmalloc", "kmem_cache_alloc", "krealloc", "kvmalloc", "kmemdup", "kstrdup", "kstrndup",
		"kvasprintf", "kasprintf", "memdup", "alloc_percpu", "pcpu_alloc", "vmalloc", "vzalloc",
		"vcalloc", "traceiter_", NULL,
	};
	static struct names names = { .prefixes = prefixes };

	return named(&names, address);
}

/* A function of the page allocator's interface, through which a caller may reach it. */
bool page_interface(unsigned long address)
{
	static const char *const prefixes[] = {
		"alloc_pages", "get_free_pages", "get_zeroed_page", "folio_alloc", "make_alloc_exact",
		"free_pages", "free_page", "free_contig_range", "folio_put", "put_page",
		"free_unref_page", "free_pcp_prepare", "free_the_page", "free_frozen_page", "alloc_frozen_pages",
		"traceiter_mm_page", NULL,
	};
	static struct names names = { .prefixes = prefixes };

	return named(&names, address);
}

/* With retpolines a call by pointer calls a thunk. */
static bool thunk(unsigned long address)
{
	static const char *const prefixes[] = { "x86_indirect", NULL };
	static struct names names = { .prefixes = prefixes };

	return named(&names, address);
}

/*
 * Whether the call before that address is of such a function. One that ends with it leaves
 * the address to its own caller: match_strdup(). Of a call by pointer nothing is known.
 */
bool calls(unsigned long after, bool (*of)(unsigned long address))
{
	struct {
		u8 opcode;
		s32 distance;
	} __packed call;
	unsigned long target;

	/* A module may have gone a moment ago, with its text: then nobody calls from there. */
	if (copy_from_kernel_nofault(&call, (void *)(after - sizeof(call)), sizeof(call)))
		return false;
	target = after + call.distance;
	return call.opcode != 0xe8 || of(target) || thunk(target);
}
