// SPDX-License-Identifier: GPL-2.0
// The reserved guest-physical range that the host reads.
#include <linux/export.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/printk.h>

#include "ledger/ledger.h"

static void *address;
static u64 bytes;

/*
 * Refuses a range that the kernel could hand out as memory: writing there would
 * corrupt the guest and the host would read somebody else's bytes.
 */
int window_open(u64 base, u64 size)
{
	if (!size || size % PAGE_SIZE || base % PAGE_SIZE || size < 2 * LEDGER_HEADER_SIZE) {
		pr_err("freeonce: window_base and window_bytes must be whole pages, at least two\n");
		return -EINVAL;
	}
	if (region_intersects(base, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
	    REGION_DISJOINT) {
		pr_err("freeonce: 0x%llx..0x%llx is ordinary memory; boot with memmap=0x%llx$0x%llx\n",
		       base, base + size - 1, size, base);
		return -EBUSY;
	}
	address = memremap(base, size, MEMREMAP_WB);
	if (!address)
		return -ENOMEM;
	bytes = size;
	memset(address, 0, size);
	return 0;
}

void window_close(void)
{
	memunmap(address);
}

void *freeonce_window_address(void)
{
	return address;
}
EXPORT_SYMBOL_GPL(freeonce_window_address);

u64 window_size(void)
{
	return bytes;
}
