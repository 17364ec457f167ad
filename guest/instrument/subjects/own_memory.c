// SPDX-License-Identifier: GPL-2.0
// The static memory that the kernel gave the subject at its load: it lives as long as the subject.
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>

#include "ledger/ledger.h"
#include "subjects/subjects.h"
#include "kernel/kernel.h"

#define MOST_OWNERS 33 /* for the loads of modules under audit, and for the scenarios' */

struct own_page {
	u64 gpa;
	unsigned long gva;
};

/* By the lock. */
struct owner {
	const struct module *module; /* NULL: of none */
	struct own_page *pages;
	unsigned int count;
};

/* Raw: it is asked for where interrupts are off. */
static DEFINE_RAW_SPINLOCK(lock);
static struct owner owners[MOST_OWNERS];

static void add(struct owner *owner, unsigned long gva)
{
	struct page *page = vmalloc_to_page((void *)gva);

	if (page)
		owner->pages[owner->count++] = (struct own_page){ page_to_phys(page), gva };
}

static struct owner *owner_of(const struct module *module)
{
	int i;

	lockdep_assert_held(&lock);
	for (i = 0; i < MOST_OWNERS; i++)
		if (owners[i].module == module)
			return &owners[i];
	return NULL;
}

/*
 * Called before an audited module's init runs, and by the init of the scenarios' module. -ENOMEM:
 * none of it is known then.
 */
int own_memory_open(const struct module *module)
{
	struct module_part parts[MODULE_PARTS];
	unsigned int i, all = module_parts(module, parts);
	struct owner new = { .module = module }, *owner;
	unsigned long size = 0, at, flags;

	for (i = 0; i < all; i++)
		size += PAGE_ALIGN(parts[i].size);
	new.pages = kvcalloc(PHYS_PFN(size) + 1, sizeof(*new.pages), GFP_KERNEL);
	if (!new.pages)
		return -ENOMEM;
	for (i = 0; i < all; i++)
		for (at = 0; at < parts[i].size; at += PAGE_SIZE)
			add(&new, (unsigned long)parts[i].base + at);
	raw_spin_lock_irqsave(&lock, flags);
	owner = owner_of(NULL);
	if (owner)
		*owner = new;
	raw_spin_unlock_irqrestore(&lock, flags);
	if (!owner)
		kvfree(new.pages);
	return owner ? 0 : -ENOMEM;
}

/* Also called for one of which nothing is known. */
void own_memory_close(const struct module *module)
{
	struct owner old = { 0 }, *owner;
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	owner = owner_of(module);
	if (owner) {
		old = *owner;
		*owner = (struct owner){ 0 };
	}
	raw_spin_unlock_irqrestore(&lock, flags);
	kvfree(old.pages);
}

static u64 common(const struct own_page *page, u64 gpa, u64 size)
{
	u64 from = max(page->gpa, gpa), to = min(page->gpa + PAGE_SIZE, gpa + size);

	return from < to ? to - from : 0;
}

static u64 held_by(const struct owner *owner, u64 gpa, u64 size)
{
	unsigned int i;
	u64 held = 0;

	for (i = 0; owner->module && i < owner->count; i++)
		held += common(&owner->pages[i], gpa, size);
	return held;
}

/* Whether all these bytes are one subject's own. */
bool own_memory_holds(u64 gpa, u64 size)
{
	unsigned long flags;
	bool held = false;
	int i;

	raw_spin_lock_irqsave(&lock, flags);
	for (i = 0; size && !held && i < MOST_OWNERS; i++)
		held = held_by(&owners[i], gpa, size) == size;
	raw_spin_unlock_irqrestore(&lock, flags);
	return held;
}

static void append(const struct owner *owner, u64 gpa, u64 size)
{
	unsigned int i;

	for (i = 0; owner->module && i < owner->count; i++) {
		struct ledger_record record = {
			.type = LEDGER_STATIC,
			.pointer = owner->pages[i].gva,
			.physical = owner->pages[i].gpa,
			.size = PAGE_SIZE,
		};

		if (common(&owner->pages[i], gpa, size))
			ledger_append(&record);
	}
}

/* Tells which of these bytes are a subject's own, page by page. */
void own_memory_append(u64 gpa, u64 size)
{
	unsigned long flags;
	int i;

	raw_spin_lock_irqsave(&lock, flags);
	for (i = 0; i < MOST_OWNERS; i++)
		append(&owners[i], gpa, size);
	raw_spin_unlock_irqrestore(&lock, flags);
}
