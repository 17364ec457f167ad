// SPDX-License-Identifier: GPL-2.0
// Has a mapping of registers while it is loaded.
#include <linux/io.h>
#include <linux/module.h>

#define REGISTERS 0xfed40000 /* where a TPM would be; nobody reads it */

static void __iomem *registers;

static int __init clean_iomap_init(void)
{
	registers = ioremap(REGISTERS, PAGE_SIZE);
	return registers ? 0 : -ENOMEM;
}

static void __exit clean_iomap_exit(void)
{
	iounmap(registers);
}

module_init(clean_iomap_init);
module_exit(clean_iomap_exit);
MODULE_DESCRIPTION("Gives its mapping of registers back");
MODULE_LICENSE("GPL");
