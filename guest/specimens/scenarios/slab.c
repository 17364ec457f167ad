// SPDX-License-Identifier: GPL-2.0
// The kernel's kmalloc() and its kin: used as they should be, and each sin against them.
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "scenarios.h"

#define SIZE 100 /* of 128 that the slab allocator gives: there is room for a guard */

struct node {
	u64 value[10];
	struct rcu_head rcu;
};

/* Each acquisition has the release that is right for it. */
static int slab_right(void)
{
	char *buffer = kmalloc(SIZE, GFP_KERNEL), *larger;
	char *copy = kmemdup("abcdefg", 8, GFP_KERNEL);
	char *name = kasprintf(GFP_KERNEL, "vcpu%d", 1);
	struct node *node = kzalloc(sizeof(*node), GFP_KERNEL);

	STEP("resize");
	larger = krealloc(buffer, 3 * SIZE, GFP_KERNEL);
	if (larger)
		buffer = larger;
	STEP("release");
	kfree(name);
	kfree_sensitive(copy);
	kfree(buffer);
	if (!node)
		return -ENOMEM;
	kfree_rcu(node, rcu);
	return larger && copy && name ? 0 : -ENOMEM;
}

static int slab_leak(void)
{
	char *name = kasprintf(GFP_KERNEL, "vcpu%d", 1);

	LABEL(name, "forgotten");
	return name ? 0 : -ENOMEM;
}

static int slab_double_free(void)
{
	void *pointer = kmalloc(SIZE, GFP_KERNEL);

	kfree(pointer);
	STEP("second release");
	kfree(pointer);
	return pointer ? 0 : -ENOMEM;
}

static int slab_interior_free(void)
{
	char *pointer = kmalloc(SIZE, GFP_KERNEL), *inside = pointer + 16;

	if (!pointer)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(inside);
	STEP("interior pointer");
	kfree(inside);
	kfree(pointer);
	return 0;
}

static int slab_mismatched_free(void)
{
	void *pointer = kmalloc(SIZE, GFP_KERNEL);

	STEP("vfree");
	vfree(pointer);
	kfree(pointer);
	return pointer ? 0 : -ENOMEM;
}

static int slab_use_after_free(void)
{
	char *pointer = kmalloc(SIZE, GFP_KERNEL);

	kfree(pointer);
	if (!pointer)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(pointer);
	WRITE_ONCE(pointer[8], 1);
	return 0;
}

static int slab_out_of_bounds(void)
{
	char *pointer = kmalloc(SIZE, GFP_KERNEL), *end = pointer + SIZE;

	if (!pointer)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(end);
	WRITE_ONCE(*end, 1);
	kfree(pointer);
	return 0;
}

static const struct scenario slab_scenarios[] = {
	OF_KERNEL("slab", slab_right, "What the kernel's allocator gave goes back to it."),
	FAULT("leak/slab/c", "leak", "slab", slab_leak,
	      "A string that the kernel allocated is its caller's to release."),
	FAULT("double-free/slab/c", "double-free", "slab", slab_double_free,
	      "The second kfree() of one allocation is one too many."),
	FAULT("invalid-free/slab/c/interior", "invalid-free", "slab", slab_interior_free,
	      "kfree() takes the pointer that the allocation gave, not one inside of it."),
	FAULT("mismatched-free/slab/c", "mismatched-free", "slab", slab_mismatched_free,
	      "kmalloc() memory goes back by kfree(), not by vfree()."),
	FAULT("use-after-free/slab/c", "use-after-free", "slab", slab_use_after_free,
	      "A write into released memory breaks the poison in it."),
	FAULT("out-of-bounds/slab/c", "out-of-bounds", "slab", slab_out_of_bounds,
	      "A write behind the end breaks the guard in what the allocator gave beyond."),
};
SCENARIOS(slab_scenarios);
