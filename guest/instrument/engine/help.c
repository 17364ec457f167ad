// SPDX-License-Identifier: GPL-2.0
// What the kernel offers as macros and inline functions, for scenarios in Rust.
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/umh.h>

#include "books/books.h"
#include "engine/engine.h"
#include "kernel/kernel.h"

/* 0, or a negative error number: this CPU has no such MSR, or not that value in it. */
int freeonce_msr_read(u32 msr, u64 *value)
{
	return rdmsrq_safe(msr, value);
}
EXPORT_SYMBOL_GPL(freeonce_msr_read);

int freeonce_msr_write(u32 msr, u64 value)
{
	return wrmsrq_safe(msr, value);
}
EXPORT_SYMBOL_GPL(freeonce_msr_write);

/* Runs a program of the guest's to its end. 0, its wait status, or a negative error number. */
int freeonce_program(const char *path)
{
	char *arguments[] = { (char *)path, NULL }, *environment[] = { NULL };

	return call_usermodehelper(path, arguments, environment, UMH_WAIT_PROC);
}
EXPORT_SYMBOL_GPL(freeonce_program);

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

/* Reads a byte of guest-physical memory that is no RAM and that no driver uses. */
void freeonce_touch(u64 gpa)
{
	void __iomem *address = ioremap(gpa, PAGE_SIZE);

	if (address)
		readb(address);
	iounmap(address);
}
EXPORT_SYMBOL_GPL(freeonce_touch);

/*
 * Whether these bytes are in an allocation, live or released. Released ones stay until the run is
 * settled.
 */
bool freeonce_known(u64 gpa, size_t size)
{
	return allocation_known_at(gpa, size);
}
EXPORT_SYMBOL_GPL(freeonce_known);

/* As RtlZeroMemory: the scenario's compiler cannot see into the call, and so cannot drop it. */
void freeonce_zero(void *pointer, size_t size)
{
	memset(pointer, 0, size);
}
EXPORT_SYMBOL_GPL(freeonce_zero);

static bool in_a_module(const void *pointer)
{
	return (unsigned long)pointer >= MODULES_VADDR && (unsigned long)pointer < MODULES_END;
}

/* The gpa of any kernel memory, also of a module's static memory, which is mapped page by page. */
u64 freeonce_gpa(const void *pointer)
{
	if (!is_vmalloc_addr(pointer) && !in_a_module(pointer))
		return virt_to_phys((void *)pointer);
	return page_to_phys(vmalloc_to_page(pointer)) + offset_in_page(pointer);
}
EXPORT_SYMBOL_GPL(freeonce_gpa);
