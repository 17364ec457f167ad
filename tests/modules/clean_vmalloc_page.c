// SPDX-License-Identifier: GPL-2.0
// Pages of vmalloc() memory outlive it while somebody has a reference, as a pipe or a device has.
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

static struct page *page;

static int __init clean_vmalloc_page_init(void)
{
	u8 *area = vzalloc(SZ_16K);

	if (!area)
		return -ENOMEM;
	page = vmalloc_to_page(area + SZ_8K);
	get_page(page);
	vfree(area);
	*(u8 *)page_address(page) = 1;
	return 0;
}

static void __exit clean_vmalloc_page_exit(void)
{
	put_page(page);
}

module_init(clean_vmalloc_page_init);
module_exit(clean_vmalloc_page_exit);
MODULE_DESCRIPTION("A page of vmalloc() memory, written to while there is a reference to it");
MODULE_LICENSE("GPL");
