// SPDX-License-Identifier: GPL-2.0
// The page tables that the CPU goes by for an L2, to their leaves. AMD manual volume 2, 5.3 and 15.25.
#include <linux/io.h>

#include "cpu/operand.h"
#include "families/families.h"

#define ENTRIES DIGEST_ENTRIES
#define TRIES 8
#define MOST_TABLES (1U << 12) /* 16 GiB in pages of 4 KiB; tables may lead to themselves */

/* Nested entries have the bits of ordinary ones (15.25.5, 5.4). */
#define ENTRY_PRESENT BIT_ULL(0)
#define ENTRY_LARGE BIT_ULL(7)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL

struct walk {
	struct operands *operands;
	const struct paging *paging;
	bool identity;
	unsigned int next; /* the table that the second pass comes to */
	unsigned int end;  /* behind the last table */
};

/* Runs at each VMRUN. */
bool page_walk_is_current(const struct operands *operands)
{
	struct digest digest = { 0 };
	unsigned int i;

	for (i = operands->tables; i < operands->pages; i++) {
		const struct operand *table = &operands->list[i];

		if (table->followed &&
		    !digest_table(&digest, phys_to_virt(table->gpa), table->filled))
			return false;
	}
	return digest_same(&digest, &operands->digest);
}

/* With a bit beyond its addresses the CPU takes the entry for a fault (5.3.3). */
static bool leads_on(u64 entry)
{
	return entry & ENTRY_PRESENT && !((entry & ENTRY_ADDRESS) >> svm_physical_bits());
}

static bool is_leaf(u64 entry, u32 level)
{
	return level == 1 || (entry & ENTRY_LARGE && level <= 3);
}

static u64 span(u32 level)
{
	return 1ULL << (12 + 9 * (level - 1));
}

/* A table outside of live memory is told and not read: what stands there is nobody's. */
static struct operand *add_table(struct walk *walk, u64 gpa, u32 level, u64 mapped_at)
{
	struct operands *operands = walk->operands;
	bool nested = walk->paging->kind == PAGING_NESTED;

	operand_add(operands, (struct operand){
		.gpa = gpa, .size = PAGE_SIZE, .mapped_at = mapped_at, .level = level,
		.structure = nested ? STRUCTURE_NESTED_TABLE : STRUCTURE_PAGE_TABLE,
		.cache = operand_cache_type(gpa, PAGE_SIZE),
		.followed = operand_readable(gpa, PAGE_SIZE) && operand_lives(gpa, PAGE_SIZE),
	});
	return operands->full ? NULL : &operands->list[operands->count - 1];
}

/* All tables, before any page, so that pages that lie side by side are told as one. */
static void add_tables(struct walk *walk, u64 gpa, u32 level, u64 mapped_at)
{
	struct operand *table;
	const u64 *entries;
	int i;

	if (walk->operands->count - walk->operands->tables == MOST_TABLES) {
		walk->operands->more = true;
		return;
	}
	table = add_table(walk, gpa, level, mapped_at);
	if (!table || !table->followed)
		return;
	/* First, so that a change of what is read from here on shows in the end. */
	entries = phys_to_virt(gpa);
	table->filled = digest_filled(entries);
	digest_table(&walk->operands->digest, entries, table->filled);
	for (i = 0; level > 1 && i < ENTRIES && !walk->operands->full && !walk->operands->more; i++) {
		u64 entry = READ_ONCE(entries[i]);

		if (leads_on(entry) && !is_leaf(entry, level))
			add_tables(walk, entry & ENTRY_ADDRESS, level - 1,
				   mapped_at + i * span(level));
	}
}

static void add_page(struct walk *walk, u64 gpa, u64 size, u64 mapped_at)
{
	struct operands *operands = walk->operands;
	struct operand *last = operands->count > operands->pages ?
		&operands->list[operands->count - 1] : NULL;
	bool nested = walk->paging->kind == PAGING_NESTED;
	struct operand page = {
		.gpa = gpa, .size = size, .mapped_at = mapped_at,
		.structure = nested ? STRUCTURE_NESTED_PAGE : STRUCTURE_PAGE,
		.identity = walk->identity && gpa == mapped_at, .cache = CACHE_UNKNOWN,
	};

	if (last && last->identity == page.identity &&
	    last->mapped_at + last->size == mapped_at && last->gpa + last->size == gpa)
		last->size += size;
	else
		operand_add(operands, page);
}

/* By the same way as add_tables(); where it leads elsewhere, an entry has changed meanwhile. */
static void add_pages(struct walk *walk, u64 gpa, u32 level, u64 mapped_at)
{
	const struct operand *table = &walk->operands->list[walk->next];
	const u64 *entries;
	int i;

	if (walk->next == walk->end || table->gpa != gpa)
		return;
	walk->next++;
	if (!table->followed)
		return;
	entries = phys_to_virt(gpa);
	for (i = 0; i < ENTRIES && !walk->operands->full; i++) {
		u64 entry = READ_ONCE(entries[i]), at = mapped_at + i * span(level);

		if (!leads_on(entry))
			continue;
		if (is_leaf(entry, level))
			add_page(walk, entry & ENTRY_ADDRESS & ~(span(level) - 1), span(level), at);
		else
			add_pages(walk, entry & ENTRY_ADDRESS, level - 1, at);
	}
}

void page_walk(struct operands *operands, const struct paging *paging, bool identity)
{
	struct walk walk = { .operands = operands, .paging = paging, .identity = identity };
	unsigned int tries = TRIES;
	bool more = operands->more;

	operands->tables = operands->pages = operands->count;
	if (paging->kind == PAGING_UNKNOWN) {
		operands->more = true;
		return;
	}
	/* Another CPU may write the tables meanwhile; a walk counts when all stood still. */
	do {
		operands->count = walk.next = operands->tables;
		operands->full = false; /* a try that was disturbed may have found any number */
		operands->more = more;
		operands->digest = (struct digest){ 0 };
		add_tables(&walk, paging->root, paging->levels, 0);
		walk.end = operands->pages = operands->count;
		if (!operands->full)
			add_pages(&walk, paging->root, paging->levels, 0);
	} while (!page_walk_is_current(operands) && --tries);
	if (!tries)
		operands->more = true;
}
