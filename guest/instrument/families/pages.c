// SPDX-License-Identifier: GPL-2.0
// Wrappers of the page allocator for many pages at once, and for one allocation that becomes many.
#include "families/wrap.h"

#ifdef WRAP___ALLOC_PAGES_BULK
#define FUNCTION_BULK FUNCTION___ALLOC_PAGES_BULK
#define WRAP_BULK WRAP___ALLOC_PAGES_BULK
#define KERNEL_BULK KERNEL___ALLOC_PAGES_BULK
#else
#define FUNCTION_BULK FUNCTION_ALLOC_PAGES_BULK
#define WRAP_BULK WRAP_ALLOC_PAGES_BULK
#define KERNEL_BULK KERNEL_ALLOC_PAGES_BULK
#endif

static void acquired_page(struct acquisition *take, struct page *page)
{
	take->address = (unsigned long)page_address(page);
	take->size = PAGE_SIZE;
	acquired(take);
}

/* Elements that the books know were there before, and are not entered again. */
static void acquired_array(struct acquisition *take, struct page **pages, unsigned long count)
{
	struct holding holding;
	unsigned long i;

	for (i = 0; i < count; i++)
		if (!books_known((unsigned long)page_address(pages[i]), &holding))
			acquired_page(take, pages[i]);
}

/* New ones come before those that were there. */
static void acquired_list(struct acquisition *take, struct list_head *list, struct list_head *first)
{
	struct list_head *at;

	for (at = list->next; at != first; at = at->next)
		acquired_page(take, list_entry(at, struct page, lru));
}

unsigned long WRAP_BULK(gfp_t flags, int node, nodemask_t *nodes, int count,
			struct list_head *list, struct page **pages);
unsigned long WRAP_BULK(gfp_t flags, int node, nodemask_t *nodes, int count,
			struct list_head *list, struct page **pages)
{
	struct acquisition take = ACQUISITION(FUNCTION_BULK, PAGES);
	struct list_head *first = list ? list->next : NULL;
	unsigned long got;

	if (!may_acquire(&take, flags)) {
		not_acquired(&take, -ENOMEM);
		return 0;
	}
	got = KERNEL_BULK(flags, node, nodes, count, list, pages);
	if (list)
		acquired_list(&take, list, first);
	else
		acquired_array(&take, pages, got);
	return got;
}
EXPORT_SYMBOL(WRAP_BULK);

/* One allocation is over; each of its pages is one now. */
void WRAP_SPLIT_PAGE(struct page *page, unsigned int order);
void WRAP_SPLIT_PAGE(struct page *page, unsigned int order)
{
	struct release give = RELEASE(FUNCTION_SPLIT_PAGE, PAGES);
	struct acquisition take = ACQUISITION(FUNCTION_SPLIT_PAGE, PAGES);
	struct holding holding;
	unsigned int i;

	KERNEL_SPLIT_PAGE(page, order);
	give.address = (unsigned long)page_address(page);
	give.size = PAGE_SIZE << order;
	give.renewed = true;
	if (!books_known(give.address, &holding) || !may_release(&give))
		return;
	for (i = 0; i < 1U << order; i++)
		acquired_page(&take, page + i);
}
EXPORT_SYMBOL(WRAP_SPLIT_PAGE);
