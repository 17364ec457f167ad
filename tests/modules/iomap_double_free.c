// SPDX-License-Identifier: GPL-2.0
// Its exit function gives the mapping of registers back twice.
#include <linux/io.h>
#include <linux/module.h>

#define REGISTERS 0xfed40000 /* where a TPM would be; nobody reads it */

static void __iomem *registers;

static int __init iomap_double_free_init(void)
{
	registers = ioremap(REGISTERS, PAGE_SIZE);
	return registers ? 0 : -ENOMEM;
}

static void __exit iomap_double_free_exit(void)
{
	iounmap(registers);
	iounmap(registers);
	barrier(); /* the last call returns to us: it has a frame of ours */
}

module_init(iomap_double_free_init);
module_exit(iomap_double_free_exit);
MODULE_DESCRIPTION("Gives its mapping of registers back twice");
MODULE_LICENSE("GPL");
