// SPDX-License-Identifier: GPL-2.0
// Pages outlive the memory that they were of while somebody has a reference, as a mapping or a pipe has.
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

static struct page *pages[2];

static int __init clean_outlived_pages_init(void)
{
	u8 *area = vzalloc(SZ_16K), *exact = alloc_pages_exact(3 * PAGE_SIZE, GFP_KERNEL);

	if (area) {
		pages[0] = vmalloc_to_page(area + SZ_8K);
		get_page(pages[0]);
		vfree(area);
		*(u8 *)page_address(pages[0]) = 1;
	}
	if (exact) {
		pages[1] = virt_to_page(exact + PAGE_SIZE);
		get_page(pages[1]);
		free_pages_exact(exact, 3 * PAGE_SIZE);
		*(u8 *)page_address(pages[1]) = 1;
	}
	return 0;
}

static void __exit clean_outlived_pages_exit(void)
{
	int index;

	for (index = 0; index < ARRAY_SIZE(pages); index++)
		if (pages[index])
			put_page(pages[index]);
}

module_init(clean_outlived_pages_init);
module_exit(clean_outlived_pages_exit);
MODULE_DESCRIPTION("Pages written to while there is a reference to them, when their memory is gone");
MODULE_LICENSE("GPL");
