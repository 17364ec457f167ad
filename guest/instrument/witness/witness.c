// SPDX-License-Identifier: GPL-2.0
// The kernel witness: what the slab and page allocators saw of the audited code.
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/stacktrace.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <trace/events/kmem.h>
#include <trace/events/percpu.h>

#include "ledger/ledger.h"
#include "subjects/subjects.h"
#include "witness/address.h"
#include "witness/witness.h"

#define STACK_DEPTH 24

/*
 * Whether a run is watched. The probes themselves stay attached: to attach one is to
 * write to the kernel's code on every CPU, which costs more than most scenarios do.
 */
static bool run_watched;
static u32 probes_attached; /* bits of probes.c */

static bool watching(void)
{
	return READ_ONCE(run_watched);
}

/* Our own allocators, which serve scenarios. Wrappers tell of what they do by themselves. */
static bool ours(unsigned long address)
{
	return instrument_has(address) && !wrapper_has(address);
}

static void append_flagged(enum ledger_type type, enum ledger_kind kind, const void *pointer,
			   size_t size, u8 flags)
{
	struct ledger_record record = {
		.flags = flags,
		.type = type,
		.kind = kind,
		.pointer = (unsigned long)pointer,
		.physical = virt_to_phys((void *)pointer),
		.size = size,
	};

	ledger_append_as(WITNESS_KERNEL, &record);
}

static void append(enum ledger_type type, enum ledger_kind kind, const void *pointer, size_t size)
{
	append_flagged(type, kind, pointer, size, 0);
}

static void on_kmalloc(void *unused, unsigned long site, const void *pointer, size_t asked,
		       size_t given, gfp_t flags, int node)
{
	address_given(FAMILY_SLAB, SPACE_SLAB, site, (unsigned long)pointer, asked);
	if (watching() && pointer && ours(site))
		append(LEDGER_ALLOCATE, KIND_POOL, pointer, given);
}

/*
 * Whether the call before `site` is of kfree() itself. A function of the kernel that
 * ends with kfree(), as iounmap() and kvfree() do, leaves the site to its own caller,
 * and the memory may be the kernel's. A function of ours that ends so is ours.
 */
static bool calls_kfree(unsigned long site)
{
	const u8 *call = (const u8 *)site - 5;
	unsigned long target = site + *(const s32 *)(call + 1);

	return *call != 0xe8 || ours(target) || target - (unsigned long)kfree < 16;
}

static void on_kfree(void *unused, unsigned long site, const void *pointer)
{
	bool known = allocation_taken(KIND_POOL, pointer);

	if (!instrument_has(site))
		address_taken(SPACE_SLAB, (unsigned long)pointer);
	if (!watching() || !pointer)
		return;
	if (ours(site))
		append_flagged(LEDGER_RELEASE, KIND_POOL, pointer, 0,
			       calls_kfree(site) ? 0 : FLAG_TAIL);
	else if (known)
		append(LEDGER_RELEASE, KIND_POOL, pointer, 0);
}

/* kfree_rcu(): the kernel gives back many at once, of which no tracepoint tells. */
void pool_freed_in_bulk(const void *pointer)
{
	if (allocation_taken(KIND_POOL, pointer) && watching())
		append(LEDGER_RELEASE, KIND_POOL, pointer, 0);
}

/*
 * Whether we are the caller of a page event. Such events carry no call site, and only the interface
 * may stand between the tracepoint and the caller: pages that the slab allocator takes to serve a
 * kmalloc() of ours, or that page tables need, are the kernel's own.
 */
static noinline bool pages_are_ours(void)
{
	unsigned long stack[STACK_DEPTH];
	unsigned int count = stack_trace_save(stack, ARRAY_SIZE(stack), 0);
	unsigned int i = 0, caller;

	/* This function and the probe that called it. */
	while (i < count && instrument_has(stack[i]))
		i++;
	/* Looking up names is slow, and most events are the rest of the kernel's. */
	for (caller = i; caller < count && !ours(stack[caller]); caller++)
		;
	while (i < caller && page_interface(stack[i]))
		i++;
	return i < count && i == caller;
}

static void on_page_alloc(void *unused, struct page *page, unsigned int order, gfp_t flags,
			  int migratetype)
{
	bool mine = page && watching() && pages_are_ours();

	if (page)
		books_pages_taken(page_to_phys(page), PAGE_SIZE << order);
	if (page)
		pages_given((unsigned long)page_address(page), PAGE_SIZE << order);
	if (mine)
		append(LEDGER_ALLOCATE, KIND_CONTIGUOUS, page_address(page), PAGE_SIZE << order);
}

static void on_page_free(void *unused, struct page *page, unsigned int order)
{
	bool known = allocation_taken(KIND_CONTIGUOUS, page_address(page));
	bool mine = watching() && (known || pages_are_ours());

	books_pages_freed(page_to_phys(page), PAGE_SIZE << order, __builtin_frame_address(0));
	address_taken(SPACE_PAGES, (unsigned long)page_address(page));
	if (mine)
		append(LEDGER_RELEASE, KIND_CONTIGUOUS, page_address(page), PAGE_SIZE << order);
}

static struct probe {
	const char *name;
	void *function;
	struct tracepoint *tracepoint; /* NULL: this kernel has no tracepoint of that name */
	bool attached;
} probes[] = {
	{ "kmalloc", on_kmalloc },
	{ "kfree", on_kfree },
	{ "mm_page_alloc", on_page_alloc },
	{ "mm_page_free", on_page_free },
	{ "kmem_cache_alloc", on_cache_alloc },
	{ "kmem_cache_free", on_cache_free },
	{ "percpu_alloc_percpu", on_percpu_alloc },
	{ "percpu_free_percpu", on_percpu_free },
};

static void remember(struct tracepoint *tracepoint, void *unused)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (!strcmp(tracepoint->name, probes[i].name))
			probes[i].tracepoint = tracepoint;
}

void witness_open(void)
{
	int i;

	/* Signatures change between kernels; the compiler compares them here. */
	check_trace_callback_type_kmalloc(on_kmalloc);
	check_trace_callback_type_kfree(on_kfree);
	check_trace_callback_type_mm_page_alloc(on_page_alloc);
	check_trace_callback_type_mm_page_free(on_page_free);
	check_trace_callback_type_kmem_cache_alloc(on_cache_alloc);
	check_trace_callback_type_kmem_cache_free(on_cache_free);
	check_trace_callback_type_percpu_alloc_percpu(on_percpu_alloc);
	check_trace_callback_type_percpu_free_percpu(on_percpu_free);
	for_each_kernel_tracepoint(remember, NULL);
	for (i = 0; i < ARRAY_SIZE(probes); i++)
		probes[i].attached = probes[i].tracepoint &&
			!tracepoint_probe_register(probes[i].tracepoint, probes[i].function, NULL);
	probes_attached = probes_watch();
}

/* detail: a bit for each probe that is attached. A missing one makes the verdict incomplete. */
void witness_watch(bool life)
{
	struct ledger_record record = { .type = LEDGER_WITNESS_ON };
	int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (probes[i].attached)
			record.detail |= BIT(i);
	record.detail |= probes_attached << ARRAY_SIZE(probes);
	/* A life's calls are known by their addresses. */
	WRITE_ONCE(run_watched, !life);
	ledger_append_as(WITNESS_KERNEL, &record);
}

/* A probe may still be running when this returns. */
void witness_look_away(void)
{
	WRITE_ONCE(run_watched, false);
}

/* Before the module's code may go away. */
void witness_close(void)
{
	int i;

	probes_look_away();
	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (probes[i].attached)
			tracepoint_probe_unregister(probes[i].tracepoint, probes[i].function, NULL);
	tracepoint_synchronize_unregister();
}
