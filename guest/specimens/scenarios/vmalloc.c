// SPDX-License-Identifier: GPL-2.0
// vmalloc() and kvmalloc(): used as they should be, and each sin against them.
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "scenarios.h"

#define SIZE (SZ_64K - 100)

static int vmalloc_right(void)
{
	void *area = vzalloc(SIZE), *small = kvmalloc(64, GFP_KERNEL);
	void *large = kvmalloc(SZ_4M, GFP_KERNEL);

	vfree(area);
	kvfree(small);
	kvfree(large);
	return area && small && large ? 0 : -ENOMEM;
}

static int vmalloc_leak(void)
{
	void *area = vmalloc(SIZE);

	LABEL(area, "forgotten");
	return area ? 0 : -ENOMEM;
}

static int kvmalloc_leak(void)
{
	void *small = kvmalloc(64, GFP_KERNEL);

	LABEL(small, "forgotten");
	return small ? 0 : -ENOMEM;
}

static int vmalloc_double_free(void)
{
	void *area = vmalloc(SIZE);

	vfree(area);
	STEP("second release");
	vfree(area);
	return area ? 0 : -ENOMEM;
}

static int kvmalloc_double_free(void)
{
	void *small = kvmalloc(64, GFP_KERNEL);

	kvfree(small);
	STEP("second release");
	kvfree(small);
	return small ? 0 : -ENOMEM;
}

static int vmalloc_mismatched_free(void)
{
	void *area = vmalloc(SIZE);

	STEP("kfree");
	kfree(area);
	vfree(area);
	return area ? 0 : -ENOMEM;
}

/* Behind the first page: such a one the host does not find by itself. */
static int vmalloc_use_after_free(void)
{
	char *area = vmalloc(SIZE);

	vfree(area);
	if (!area)
		return -ENOMEM;
	WRITE_ONCE(area[SZ_32K], 1);
	return 0;
}

static int vmalloc_out_of_bounds(void)
{
	char *area = vmalloc(SIZE), *end = area + SIZE;

	if (!area)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(end);
	WRITE_ONCE(*end, 1);
	vfree(area);
	return 0;
}

static const struct scenario vmalloc_scenarios[] = {
	OF_KERNEL("vmalloc", vmalloc_right, "kvfree() is right for what kvmalloc() took from either."),
	FAULT("leak/vmalloc/c", "leak", "vmalloc", vmalloc_leak,
	      "An area that is never released is a leak."),
	FAULT("leak/kvmalloc/c", "leak", "kvmalloc", kvmalloc_leak,
	      "Memory that is never released is a leak."),
	FAULT("double-free/vmalloc/c", "double-free", "vmalloc", vmalloc_double_free,
	      "The second release of one area is one too many."),
	FAULT("double-free/kvmalloc/c", "double-free", "kvmalloc", kvmalloc_double_free,
	      "The second release of one allocation is one too many."),
	FAULT("mismatched-free/vmalloc/c", "mismatched-free", "vmalloc", vmalloc_mismatched_free,
	      "An area goes back by vfree(), not by kfree()."),
	FAULT("use-after-free/vmalloc/c", "use-after-free", "vmalloc", vmalloc_use_after_free,
	      "A write into a released area breaks the poison in any of its pages."),
	FAULT("out-of-bounds/vmalloc/c", "out-of-bounds", "vmalloc", vmalloc_out_of_bounds,
	      "A write behind the end breaks the guard in the rest of the last page."),
};
SCENARIOS(vmalloc_scenarios);
