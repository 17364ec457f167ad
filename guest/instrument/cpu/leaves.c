// SPDX-License-Identifier: GPL-2.0
// Which pages a CPU was given by others' code, and which of an L2's were freed. Whose they are does not count.
#include <linux/bitmap.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "cpu/operand.h"
#include "families/families.h"
#include "ledger/ledger.h"

/* A bit for each page of memory. */
static unsigned long *given;  /* of whatever use */
static unsigned long *leaves; /* of those the L2's own pages */
static unsigned long *unused; /* leaves that were freed, and that the page allocator has still */
static unsigned long most;
static bool any; /* given: most lives are no hypervisor's, and none of their pages needs a look */

static unsigned long *bits(void)
{
	return vzalloc(BITS_TO_LONGS(most) * sizeof(long));
}

int leaves_open(void)
{
	most = PHYS_PFN(freeonce_memory_end());
	given = bits();
	leaves = bits();
	unused = bits();
	if (given && leaves && unused)
		return 0;
	leaves_close();
	return -ENOMEM;
}

void leaves_close(void)
{
	vfree(given);
	vfree(leaves);
	vfree(unused);
}

void leaves_forget(void)
{
	bitmap_zero(given, most);
	bitmap_zero(leaves, most);
	bitmap_zero(unused, most);
	WRITE_ONCE(any, false);
}

static unsigned long behind(u64 gpa, u64 size)
{
	return min_t(u64, PHYS_PFN(gpa + size + PAGE_SIZE - 1), most);
}

static void set(unsigned long *of, unsigned long page)
{
	if (!test_bit(page, of))
		set_bit(page, of);
}

/* From any context. `leaf`: a page of the L2's own. */
void leaves_add(u64 gpa, u64 size, bool leaf)
{
	unsigned long page = PHYS_PFN(gpa), end = behind(gpa, size);

	WRITE_ONCE(any, true);
	for (; page < end; page++) {
		set(given, page);
		if (leaf)
			set(leaves, page);
	}
}

static bool take(unsigned long *of, unsigned long page)
{
	return test_bit(page, of) && test_and_clear_bit(page, of);
}

/* Whether a CPU was given any of these since they were freed last. */
bool leaves_any(u64 gpa, u64 size)
{
	unsigned long page = PHYS_PFN(gpa), end = behind(gpa, size);
	bool found = false;

	if (!READ_ONCE(any))
		return false;
	for (; page < end; page++)
		found |= take(given, page);
	return found;
}

/* These are freed: whether any was an L2's. It is none any more. */
bool leaves_take(u64 gpa, u64 size)
{
	unsigned long page = PHYS_PFN(gpa), end = behind(gpa, size);
	bool found = false;

	for (; page < end; page++) {
		if (!take(leaves, page))
			continue;
		set(unused, page);
		found = true;
	}
	return found;
}

/* The page allocator has given them to somebody. */
void leaves_taken(u64 gpa, u64 size)
{
	unsigned long page = PHYS_PFN(gpa), end = behind(gpa, size);

	if (!READ_ONCE(any))
		return;
	for (; page < end; page++)
		take(unused, page);
}

/*
 * An L2 was given these: tells again of those that are free at this moment. Some ways to get a page
 * have no tracepoint, so its count has a say.
 */
void leaves_tell_freed(u64 gpa, u64 size)
{
	unsigned long page = PHYS_PFN(gpa), end = behind(gpa, size);

	for (; page < end; page++) {
		struct ledger_record record = {
			.type = LEDGER_PAGE_FREED, .physical = PFN_PHYS(page), .size = PAGE_SIZE,
		};

		if (test_bit(page, unused) && pfn_valid(page) && !page_count(pfn_to_page(page)))
			ledger_append(&record);
	}
}
