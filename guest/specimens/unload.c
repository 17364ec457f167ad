// SPDX-License-Identifier: GPL-2.0
// A scenario may ask that the modules be unloaded when it is settled: the host does it, and judges.
#include <asm/page_types.h>

#include "kernel/kernel.h"
#include "scenarios.h"

static u32 left; /* planted: enum unload_left */

void unload_after(u32 planted)
{
	freeonce_unload_after();
	left = planted;
}

/* At module exit, when all is put back: what a careless one would have left. */
void unload_leave(void)
{
	u64 efer;

	if (!freeonce_unload_wanted())
		return;
	if (left & LEFT_EFER) {
		rdmsrq(MSR_EFER, efer);
		wrmsrq(MSR_EFER, efer | EFER_SVME);
	}
	if (left & LEFT_HOST_SAVE_AREA)
		wrmsrq(MSR_VM_HSAVE_PA, PAGE_SIZE);
}
