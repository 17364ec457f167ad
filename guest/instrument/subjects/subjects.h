/* SPDX-License-Identifier: GPL-2.0 */
/* Whose code is judged, and where it lies. What stands in the instrument is a wrapper. */
#ifndef FREEONCE_SUBJECTS_H
#define FREEONCE_SUBJECTS_H

#include <linux/module.h>
#include <linux/types.h>

/* loads.c: modules that are under audit, by their names or since they brought scenarios. */
struct seq_file;
int subjects_open(void);
void subjects_close(void);
int subjects_choose(const char *chosen);
void subjects_show(struct seq_file *file);
void subjects_tell(bool life);
void subject_brings_scenarios(const struct module *module);
void subject_goes(const struct module *module);
bool subjects_look(void);
bool subject_loaded_at(unsigned long address);
bool subject_range_has(unsigned long address);

bool wrapper_has(unsigned long address);
bool instrument_has(unsigned long address);

/* own_memory.c: what it was loaded with, .data and .bss say. It lives as long as the module. */
int own_memory_open(const struct module *module);
void own_memory_close(const struct module *module);
bool own_memory_holds(u64 gpa, u64 size);
void own_memory_append(u64 gpa, u64 size);

#endif
