// SPDX-License-Identifier: GPL-2.0
// Which pages foreign L2s were given. They are anybody's: only that they are freed is to be told.
#include <linux/bitmap.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "cpu/operand.h"
#include "families/families.h"

static unsigned long *given; /* a bit for each page of memory */
static unsigned long most;

int leaves_open(void)
{
	most = PHYS_PFN(freeonce_memory_end());
	given = vzalloc(BITS_TO_LONGS(most) * sizeof(long));
	return given ? 0 : -ENOMEM;
}

void leaves_close(void)
{
	vfree(given);
}

void leaves_forget(void)
{
	bitmap_zero(given, most);
}

/* From any context. */
void leaves_add(u64 gpa, u64 size)
{
	unsigned long page = PHYS_PFN(gpa), end = min_t(u64, PHYS_PFN(gpa + size), most);

	for (; page < end; page++)
		if (!test_bit(page, given))
			set_bit(page, given);
}

/* Whether any of these is; not any more. */
bool leaves_take(u64 gpa, u64 size)
{
	unsigned long page = PHYS_PFN(gpa), end = min_t(u64, PHYS_PFN(gpa + size), most);
	bool any = false;

	for (; page < end; page++)
		if (test_bit(page, given))
			any |= test_and_clear_bit(page, given);
	return any;
}
