// SPDX-License-Identifier: GPL-2.0
// Gives a mapping back, and gets its address again from a function that maps for it.
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/vmalloc.h>

#define TRIES 100

static int bar_of(struct pci_dev *device)
{
	int bar;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++)
		if (pci_resource_flags(device, bar) & IORESOURCE_MEM && pci_resource_len(device, bar))
			return bar;
	return -1;
}

static bool map_again(struct pci_dev *device, int bar)
{
	void __iomem *first = ioremap(pci_resource_start(device, bar), pci_resource_len(device, bar));
	void __iomem *again;

	if (!first)
		return false;
	iounmap(first);
	/* The kernel gives an address out again when all CPUs have forgotten it. */
	vm_unmap_aliases();
	again = pci_iomap(device, bar, 0);
	if (again)
		iounmap(again);
	return again == first;
}

static int __init clean_iomap_again_init(void)
{
	struct pci_dev *device = NULL;
	int bar = -1, tries;

	for_each_pci_dev(device) {
		bar = bar_of(device);
		if (bar >= 0)
			break;
	}
	for (tries = 0; device && tries < TRIES; tries++)
		if (map_again(device, bar))
			break;
	pci_dev_put(device);
	return device && tries < TRIES ? 0 : -ENXIO;
}

static void __exit clean_iomap_again_exit(void)
{
}

module_init(clean_iomap_again_init);
module_exit(clean_iomap_again_exit);
MODULE_DESCRIPTION("Gets an address again that it gave back");
MODULE_LICENSE("GPL");
