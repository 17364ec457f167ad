// SPDX-License-Identifier: GPL-2.0
// What the kernel offers as macros and inline functions, for scenarios in Rust.
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/string.h>

#include "engine/engine.h"

u64 freeonce_nanoseconds(void)
{
	return ktime_get_mono_fast_ns();
}
EXPORT_SYMBOL_GPL(freeonce_nanoseconds);

void freeonce_sleep(u32 milliseconds)
{
	msleep(milliseconds);
}
EXPORT_SYMBOL_GPL(freeonce_sleep);

/* Reads a byte of guest-physical memory that no driver uses, whatever is there. */
void freeonce_touch(u64 gpa)
{
	void __iomem *address = ioremap(gpa, PAGE_SIZE);

	if (address)
		readb(address);
	iounmap(address);
}
EXPORT_SYMBOL_GPL(freeonce_touch);

/* RtlZeroMemory's part: a call that the compiler of the scenario cannot see into. */
void freeonce_zero(void *pointer, size_t size)
{
	memset(pointer, 0, size);
}
EXPORT_SYMBOL_GPL(freeonce_zero);

u64 freeonce_gpa(const void *pointer)
{
	return virt_to_phys((void *)pointer);
}
EXPORT_SYMBOL_GPL(freeonce_gpa);
