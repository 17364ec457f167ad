// SPDX-License-Identifier: GPL-2.0
// The memory that the kernel gave the subject when it was loaded: it lives as long as the subject.
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "ledger/ledger.h"
#include "subjects/subjects.h"
#include "kernel/kernel.h"

struct own_page {
	u64 gpa;
	unsigned long gva;
};

static struct own_page *pages;
static unsigned int count;

static void add(unsigned long gva)
{
	struct page *page = vmalloc_to_page((void *)gva);

	if (page)
		pages[count++] = (struct own_page){ page_to_phys(page), gva };
}

/* Before anything of it runs. -ENOMEM: then none is known. */
int own_memory_open(const struct module *module)
{
	struct module_part parts[MODULE_PARTS];
	unsigned int i, all = module_parts(module, parts);
	unsigned long size = 0, at;

	for (i = 0; i < all; i++)
		size += PAGE_ALIGN(parts[i].size);
	count = 0;
	pages = kvcalloc(PHYS_PFN(size) + 1, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (i = 0; i < all; i++)
		for (at = 0; at < parts[i].size; at += PAGE_SIZE)
			add((unsigned long)parts[i].base + at);
	return 0;
}

void own_memory_close(void)
{
	count = 0;
	kvfree(pages);
	pages = NULL;
}

static u64 common(const struct own_page *page, u64 gpa, u64 size)
{
	u64 from = max(page->gpa, gpa), to = min(page->gpa + PAGE_SIZE, gpa + size);

	return from < to ? to - from : 0;
}

/* Whether all these bytes are its own. */
bool own_memory_holds(u64 gpa, u64 size)
{
	unsigned int i;
	u64 held = 0;

	for (i = 0; i < count; i++)
		held += common(&pages[i], gpa, size);
	return size && held == size;
}

/* Tells which of these bytes are its own, page by page. */
void own_memory_append(u64 gpa, u64 size)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct ledger_record record = {
			.type = LEDGER_STATIC,
			.pointer = pages[i].gva,
			.physical = pages[i].gpa,
			.size = PAGE_SIZE,
		};

		if (common(&pages[i], gpa, size))
			ledger_append(&record);
	}
}
