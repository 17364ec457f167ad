// SPDX-License-Identifier: GPL-2.0
// Its exit function forgets the mapping of registers.
#include <linux/io.h>
#include <linux/module.h>

#define REGISTERS 0xfed40000 /* where a TPM would be; nobody reads it */

static void __iomem *registers;

static int __init iomap_leak_init(void)
{
	registers = ioremap(REGISTERS, PAGE_SIZE);
	return registers ? 0 : -ENOMEM;
}

static void __exit iomap_leak_exit(void)
{
}

module_init(iomap_leak_init);
module_exit(iomap_leak_exit);
MODULE_DESCRIPTION("Forgets its mapping of registers");
MODULE_LICENSE("GPL");
