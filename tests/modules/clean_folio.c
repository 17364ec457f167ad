// SPDX-License-Identifier: GPL-2.0
// A folio goes with its last reference, wherever that is dropped: by a list of pages, too.
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>

static struct folio *folio;
static LIST_HEAD(pages);

static int __init clean_folio_init(void)
{
	int index;

	folio = folio_alloc(GFP_KERNEL, 2);
	if (!folio)
		return -ENOMEM;
	folio_get(folio);
	folio_put(folio);
	for (index = 0; index < 3; index++) {
		struct page *page = alloc_page(GFP_KERNEL);

		if (page)
			list_add(&page->lru, &pages);
	}
	return 0;
}

static void __exit clean_folio_exit(void)
{
	folio_put(folio);
	put_pages_list(&pages);
}

module_init(clean_folio_init);
module_exit(clean_folio_exit);
MODULE_DESCRIPTION("A folio and a list of pages, whose last references the kernel drops");
MODULE_LICENSE("GPL");
