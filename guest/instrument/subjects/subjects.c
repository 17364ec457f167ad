// SPDX-License-Identifier: GPL-2.0
// Our own text, and the wrappers in it.
#include <linux/version.h>

#include "subjects/subjects.h"

struct text {
	unsigned long start;
	unsigned long size;
};

static struct text text_of(const struct module *module)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	const struct module_memory *text = &module->mem[MOD_TEXT];

	return (struct text){ (unsigned long)text->base, text->size };
#else
	const struct module_layout *core = &module->core_layout;

	return (struct text){ (unsigned long)core->base, core->text_size };
#endif
}

bool instrument_has(unsigned long address)
{
	struct text text = text_of(THIS_MODULE);

	return address - text.start < text.size;
}

/* By the linker (wrappers.lds): the wrappers' own code. objtool rejects an address of its begin. */
extern const char wrappers_end[], wrappers_size[];

bool wrapper_has(unsigned long address)
{
	return (unsigned long)wrappers_end - 1 - address < (unsigned long)wrappers_size;
}
