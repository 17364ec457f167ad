// SPDX-License-Identifier: GPL-2.0
// The page allocator: used as it should be, and each sin against it.
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "scenarios.h"

#define EXACT (3 * PAGE_SIZE - 100)

static int pages_right(void)
{
	struct page *block = alloc_pages(GFP_KERNEL, 2), *single = alloc_page(GFP_KERNEL);
	unsigned long page = get_zeroed_page(GFP_KERNEL);
	void *exact = alloc_pages_exact(EXACT, GFP_KERNEL);

	if (single) {
		STEP("a reference more");
		get_page(single);
		__free_page(single);
		__free_page(single);
	}
	if (block)
		__free_pages(block, 2);
	free_page(page);
	if (exact)
		free_pages_exact(exact, EXACT);
	return block && single && page && exact ? 0 : -ENOMEM;
}

static int pages_leak(void)
{
	void *exact = alloc_pages_exact(EXACT, GFP_KERNEL);

	LABEL(exact, "forgotten");
	return exact ? 0 : -ENOMEM;
}

static int pages_double_free(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page)
		return -ENOMEM;
	__free_page(page);
	STEP("second release");
	__free_page(page);
	return 0;
}

static int pages_mismatched_free(void)
{
	unsigned long page = __get_free_page(GFP_KERNEL);

	STEP("kfree");
	kfree((void *)page);
	free_page(page);
	return page ? 0 : -ENOMEM;
}

static int pages_wrong_order(void)
{
	struct page *block = alloc_pages(GFP_KERNEL, 2);

	if (!block)
		return -ENOMEM;
	STEP("order 1 of 2");
	__free_pages(block, 1);
	__free_pages(block, 2);
	return 0;
}

static int pages_use_after_free(void)
{
	char *page = (char *)__get_free_page(GFP_KERNEL);

	free_page((unsigned long)page);
	if (!page)
		return -ENOMEM;
	WRITE_ONCE(page[8], 1);
	return 0;
}

static int pages_out_of_bounds(void)
{
	char *exact = alloc_pages_exact(EXACT, GFP_KERNEL), *end = exact + EXACT;

	if (!exact)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(end);
	WRITE_ONCE(*end, 1);
	free_pages_exact(exact, EXACT);
	return 0;
}

static const struct scenario page_scenarios[] = {
	OF_KERNEL("pages", pages_right, "Pages go back with the order that they came in."),
	FAULT("leak/pages/c", "leak", "pages", pages_leak, "Pages that are never released are a leak."),
	FAULT("double-free/pages/c", "double-free", "pages", pages_double_free,
	      "The second release of one page is one too many."),
	FAULT("mismatched-free/pages/c", "mismatched-free", "pages", pages_mismatched_free,
	      "A page goes back by free_page(), not by kfree()."),
	FAULT("wrong-size-free/pages/c", "wrong-size-free", "pages", pages_wrong_order,
	      "The page allocator believes the order that it is told."),
	FAULT("use-after-free/pages/c", "use-after-free", "pages", pages_use_after_free,
	      "A write into a released page breaks the poison in it."),
	FAULT("out-of-bounds/pages/c", "out-of-bounds", "pages", pages_out_of_bounds,
	      "A write behind the end breaks the guard in the rest of the last page."),
};
SCENARIOS(page_scenarios);
