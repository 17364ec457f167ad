// SPDX-License-Identifier: GPL-2.0
// Loads of the modules under audit: their phases, and where each of their sections lies.
#include <linux/bitmap.h>
#include <linux/kallsyms.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/version.h>

#include "ledger/ledger.h"
#include "subjects/subjects.h"

#define MOST_LOADS 32
#define MOST_SECTIONS 64
#define MOST_INDEX 4096 /* of an ELF section */
#define NAMES_SIZE 512

struct extent {
	unsigned long start;
	unsigned long size;
};

/* Where one executable section lies, said by one of its symbols. */
struct section {
	u32 index;
	u32 symbol;
	unsigned long gva;
};

struct load {
	char name[MODULE_NAME_LEN];
	const struct module *module; /* NULL: its memory is free */
	u32 serial;
	bool scenarios; /* a run of a scenario judges it, so its phases are not told */
	enum ledger_phase phase;
	struct extent text[2]; /* what stays, and what goes after init; read without the lock */
	unsigned int sections;
	struct section section[MOST_SECTIONS];
};

static char names[NAMES_SIZE]; /* separated by blanks */
static struct load loads[MOST_LOADS];
static u32 last_serial;
static DEFINE_MUTEX(loads_mutex);
static unsigned long lowest = ULONG_MAX, highest; /* bounds of all text that was ever theirs; they only grow */

static void text_of(const struct module *module, struct extent *text)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	static const enum mod_mem_type types[] = { MOD_TEXT, MOD_INIT_TEXT };
	int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		text[i].start = (unsigned long)module->mem[types[i]].base;
		text[i].size = module->mem[types[i]].size;
	}
#else
	text[0].start = (unsigned long)module->core_layout.base;
	text[0].size = module->core_layout.text_size;
	text[1].start = (unsigned long)module->init_layout.base;
	text[1].size = module->init_layout.text_size;
#endif
}

static bool has(const struct extent *text, unsigned long address)
{
	return address - READ_ONCE(text->start) < smp_load_acquire(&text->size);
}

/* From any context. */
bool subject_loaded_at(unsigned long address)
{
	int i;

	for (i = 0; i < MOST_LOADS; i++)
		if (has(&loads[i].text[0], address) || has(&loads[i].text[1], address))
			return true;
	return false;
}

/* False is certain, and found faster than by looking at each of them. */
bool subject_range_has(unsigned long address)
{
	return address >= READ_ONCE(lowest) && address <= READ_ONCE(highest);
}

static void append_name(const struct load *load)
{
	size_t length = strlen(load->name), at;

	for (at = 0; at < length; at += LEDGER_TEXT_SIZE) {
		struct ledger_record record = {
			.type = LEDGER_SUBJECT,
			.serial = load->serial,
			.detail = at / LEDGER_TEXT_SIZE,
		};

		memcpy(record.text, load->name + at,
		       min_t(size_t, length - at, LEDGER_TEXT_SIZE));
		ledger_append(&record);
	}
}

static void append_sections(const struct load *load)
{
	unsigned int i;

	for (i = 0; i < load->sections; i++) {
		struct ledger_record record = {
			.type = LEDGER_SECTION,
			.serial = load->serial,
			.detail = load->section[i].index,
			.pointer = load->section[i].gva,
			.size = load->section[i].symbol,
		};

		ledger_append(&record);
	}
}

static void append_phase(const struct load *load)
{
	struct ledger_record record = {
		.type = LEDGER_PHASE,
		.serial = load->serial,
		.detail = load->phase,
	};

	ledger_append(&record);
}

static void enter(struct load *load, enum ledger_phase phase)
{
	load->phase = phase;
	if (!load->scenarios)
		append_phase(load);
}

static void note_section(struct load *load, unsigned long *seen, const Elf_Sym *symbol, u32 number)
{
	if (symbol->st_shndx >= MOST_INDEX || load->sections == MOST_SECTIONS ||
	    (!has(&load->text[0], symbol->st_value) && !has(&load->text[1], symbol->st_value)) ||
	    test_and_set_bit(symbol->st_shndx, seen))
		return;
	load->section[load->sections++] = (struct section){
		.index = symbol->st_shndx, .symbol = number, .gva = symbol->st_value,
	};
}

/* While it is coming, the kernel has the file's whole symbol table, with addresses in it. */
static void note_sections(struct load *load, const struct module *module)
{
	static DECLARE_BITMAP(seen, MOST_INDEX); /* by loads_mutex */
	const struct mod_kallsyms *symbols;
	bool only_sections = true;
	u32 i;

	bitmap_zero(seen, MOST_INDEX);
	rcu_read_lock_sched();
	symbols = rcu_dereference_sched(module->kallsyms);
	do {
		for (i = 1; i < symbols->num_symtab; i++)
			if (!only_sections ||
			    ELF_ST_TYPE(symbols->symtab[i].st_info) == STT_SECTION)
				note_section(load, seen, &symbols->symtab[i], i);
		only_sections = !only_sections;
	} while (!only_sections);
	rcu_read_unlock_sched();
}

static bool named(const char *name)
{
	size_t length = strlen(name);
	const char *at = names;

	while ((at = strstr(at, name))) {
		if ((at == names || at[-1] == ' ') && (!at[length] || at[length] == ' '))
			return true;
		at += length;
	}
	return false;
}

static struct load *load_of(const struct module *module)
{
	int i;

	for (i = 0; i < MOST_LOADS; i++)
		if (loads[i].module == module)
			return &loads[i];
	return NULL;
}

/* Its memory is free, or somebody else gets it next. */
static void forget(struct load *load)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(load->text); i++)
		WRITE_ONCE(load->text[i].size, 0);
	if (!load->scenarios)
		own_memory_close(load->module);
	load->module = NULL;
	enter(load, PHASE_GONE);
}

/* The entry of the earliest load of those that are gone; NULL: none is gone. */
static struct load *new_load(void)
{
	struct load *oldest = NULL;
	int i;

	for (i = 0; i < MOST_LOADS; i++)
		if (!loads[i].module && (!oldest || loads[i].serial < oldest->serial))
			oldest = &loads[i];
	return oldest;
}

static struct load *come(const struct module *module, bool scenarios)
{
	struct load *load = load_of(module);
	struct extent text[2];
	int i;

	if (load)
		forget(load);
	load = new_load();
	if (!load)
		return NULL;
	load->serial = ++last_serial;
	load->module = module;
	load->scenarios = scenarios;
	load->sections = 0;
	strscpy(load->name, module->name, sizeof(load->name));
	text_of(module, text);
	for (i = 0; i < ARRAY_SIZE(text); i++) {
		if (text[i].size) {
			WRITE_ONCE(lowest, min(lowest, text[i].start));
			WRITE_ONCE(highest, max(highest, text[i].start + text[i].size));
		}
		WRITE_ONCE(load->text[i].start, text[i].start);
		smp_store_release(&load->text[i].size, text[i].size);
	}
	note_sections(load, module);
	return load;
}

static void come_named(const struct module *module)
{
	struct ledger_record blind = { .type = LEDGER_BLIND, .detail = BLIND_BOOKS };
	struct load *load = come(module, false);

	if (!load)
		return;
	if (own_memory_open(module))
		ledger_append(&blind);
	append_name(load);
	append_sections(load);
	enter(load, PHASE_COMING);
}

/* Called by its init function: until that returns, the kernel has its whole symbol table. */
void subject_brings_scenarios(const struct module *module)
{
	struct load *load;

	mutex_lock(&loads_mutex);
	load = come(module, true);
	if (load)
		enter(load, PHASE_COMING);
	mutex_unlock(&loads_mutex);
}

void subject_goes(const struct module *module)
{
	struct load *load;

	mutex_lock(&loads_mutex);
	load = load_of(module);
	if (load)
		forget(load);
	mutex_unlock(&loads_mutex);
}

/* The memory of its init functions is free; stacks through them were told before and stay true. */
static void live(struct load *load)
{
	enter(load, PHASE_LIVE);
	WRITE_ONCE(load->text[1].size, 0);
}

static int on_module(struct notifier_block *block, unsigned long state, void *data)
{
	const struct module *module = data;
	struct load *load;

	mutex_lock(&loads_mutex);
	load = load_of(module);
	if (state == MODULE_STATE_COMING && named(module->name))
		come_named(module);
	else if (state == MODULE_STATE_LIVE && load)
		live(load);
	else if (state == MODULE_STATE_GOING && load)
		enter(load, load->phase == PHASE_COMING ? PHASE_INIT_FAILED : PHASE_GOING);
	mutex_unlock(&loads_mutex);
	return NOTIFY_OK;
}

/* The kernel does not say when a module's memory is free; but its functions have no names then. */
static bool still_there(const struct load *load)
{
	char name[KSYM_SYMBOL_LEN], module[MODULE_NAME_LEN + 2];

	/* Another module may lie there now, and have names. */
	sprint_symbol(name, load->text[0].start);
	snprintf(module, sizeof(module), "[%s]", load->name);
	return strstr(name, module);
}

/* Notes those that are gone by now, and returns whether all are. */
bool subjects_look(void)
{
	bool all_gone = true;
	int i;

	mutex_lock(&loads_mutex);
	for (i = 0; i < MOST_LOADS; i++) {
		if (loads[i].module && loads[i].phase >= PHASE_GOING && !still_there(&loads[i]))
			forget(&loads[i]);
		all_gone = all_gone && !loads[i].module;
	}
	mutex_unlock(&loads_mutex);
	return all_gone;
}

/* At the begin of a run, whose subjects they are: it is complete in itself. */
void subjects_tell(bool life)
{
	int i;

	mutex_lock(&loads_mutex);
	for (i = 0; i < MOST_LOADS; i++)
		if (loads[i].module && loads[i].scenarios != life) {
			append_name(&loads[i]);
			append_sections(&loads[i]);
			if (life)
				append_phase(&loads[i]);
		}
	mutex_unlock(&loads_mutex);
}

/* Names of modules, separated by blanks; - and _ are one to the kernel. */
int subjects_choose(const char *chosen)
{
	if (strlen(chosen) >= sizeof(names))
		return -E2BIG;
	mutex_lock(&loads_mutex);
	strscpy(names, chosen, sizeof(names));
	strreplace(names, '-', '_');
	mutex_unlock(&loads_mutex);
	return 0;
}

void subjects_show(struct seq_file *file)
{
	static const char *const phases[] = {
		[PHASE_COMING] = "coming", [PHASE_LIVE] = "live", [PHASE_GOING] = "going",
		[PHASE_INIT_FAILED] = "init failed",
	};
	int i;

	mutex_lock(&loads_mutex);
	for (i = 0; i < MOST_LOADS; i++)
		if (loads[i].module && !loads[i].scenarios)
			seq_printf(file, "%s\t%u\t%s\n", loads[i].name, loads[i].serial,
				   phases[loads[i].phase]);
	mutex_unlock(&loads_mutex);
}

static struct notifier_block notifier = { .notifier_call = on_module };

int subjects_open(void)
{
	return register_module_notifier(&notifier);
}

void subjects_close(void)
{
	unregister_module_notifier(&notifier);
}
