/* SPDX-License-Identifier: GPL-2.0 */
/* Scenarios: the table that a module registers, and the run of one of them. */
#ifndef FREEONCE_ENGINE_H
#define FREEONCE_ENGINE_H

#include <linux/module.h>
#include <linux/types.h>

#include "cpu/cpu.h"
#include "families/families.h"

/* One finding that the audit must make. The layout is repeated in rust/src/scenario.rs. */
struct expectation {
	const char *rule;
	const char *kind;
	const char *at;
	const char *what;
	const char *because;
};

/* Likewise. */
struct scenario {
	const char *name;
	const char *section;
	const char *language;
	const char *needs; /* NULL, or a feature this CPU may lack */
	const char *ends;  /* NULL, or how it loses the guest: then only run when named */
	const char *lesson;
	const struct expectation *expected;
	size_t expected_count;
	u32 cpus;   /* how many it needs at least; 0 for 1 */
	u32 shares; /* it leaves nothing behind, so others may run in the same guest */
	int (*run)(void);      /* C; NULL in a Rust scenario */
	const void *rust_body; /* Rust's own */
};

/* What a module of scenarios brings. Its text is what is judged. */
struct scenario_table {
	struct module *owner;
	const struct scenario *(*at)(size_t index); /* NULL after the last one */
	int (*run)(const struct scenario *scenario);
	/* Calls `measure` with an L2 that exits for ever, on a CPU with SVM on: for bench/. */
	int (*with_l2)(void (*measure)(struct vcpu *vcpu, void *into), void *into);
};

int freeonce_register_scenarios(const struct scenario_table *table);
void freeonce_unregister_scenarios(void);

/* scenario.c */
int scenario_run(const char *name, const struct run_options *options);
void scenario_settle(void);
void scenario_rewind(void);
int scenario_each(int (*tell)(const struct scenario *scenario, void *to), void *to);
u32 scenario_cpus(const struct scenario *scenario);
int scenario_bench(int (*measure)(const struct scenario_table *table, void *into), void *into);
void freeonce_unload_after(void);
bool freeonce_unload_wanted(void);

/* rest.c: waits until the kernel has done what it deferred. May sleep. */
int rest_open(void);
void rest_close(void);
bool rest_awaited(void);

/* life.c */
void life_begin(const struct run_options *options);
int life_end(void);

/*
 * say.c: for scenarios. Texts are cut at LEDGER_TEXT_MOST, those of freeonce_unsupported() at
 * LEDGER_TEXT_SIZE.
 */
void freeonce_step(const char *text, size_t length);
void freeonce_label(const void *pointer, const char *text, size_t length);
void freeonce_unsupported(const char *text, size_t length, u32 kind);
void __noreturn freeonce_panic(const char *text, size_t length);

/* help.c: what scenarios in Rust cannot do by themselves. */
u64 freeonce_nanoseconds(void);
void freeonce_sleep(u32 milliseconds);
void freeonce_touch(u64 gpa);
void freeonce_zero(void *pointer, size_t size);
u64 freeonce_gpa(const void *pointer);
bool freeonce_known(u64 gpa, size_t size);
int freeonce_msr_read(u32 msr, u64 *value);
int freeonce_msr_write(u32 msr, u64 value);
int freeonce_program(const char *path);

#endif
