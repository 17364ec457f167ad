// SPDX-License-Identifier: GPL-2.0
// The text of the module under audit, and our own.
#include <linux/compiler.h>
#include <linux/version.h>

#include "ledger/ledger.h"
#include "subjects/subjects.h"

struct text {
	unsigned long start;
	unsigned long size;
};

static struct text subject;

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

/* Probes may look meanwhile: an empty range holds nothing, whatever its start. */
void subject_come(const struct module *module)
{
	struct text text = text_of(module);

	ledger_set_text(text.start);
	WRITE_ONCE(subject.start, text.start);
	smp_store_release(&subject.size, text.size);
}

void subject_go(void)
{
	WRITE_ONCE(subject.size, 0);
}

bool subject_has(unsigned long address)
{
	unsigned long size = smp_load_acquire(&subject.size);

	return address - READ_ONCE(subject.start) < size;
}

u32 subject_site(unsigned long address)
{
	return subject_has(address) ? address - READ_ONCE(subject.start) : 0;
}

bool instrument_has(unsigned long address)
{
	struct text text = text_of(THIS_MODULE);

	return address - text.start < text.size;
}

/* Of the linker: the wrappers' own code, wrappers.lds. objtool wants no address of its begin. */
extern const char wrappers_end[], wrappers_size[];

bool wrapper_has(unsigned long address)
{
	return (unsigned long)wrappers_end - 1 - address < (unsigned long)wrappers_size;
}
