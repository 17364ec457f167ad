/* SPDX-License-Identifier: GPL-2.0 */
/* Runs, of a scenario or of a life: one at a time. */
#ifndef FREEONCE_RUN_H
#define FREEONCE_RUN_H

#include <linux/mutex.h>

#include "engine/engine.h"
#include "ledger/ledger.h"

/* Also guards the state of inject.c, cpu_state.c and on_cpu.c, and the run's number. */
extern struct mutex run_mutex;

/* run.c, all with run_mutex. */
void run_begin(struct ledger_record *begin, const struct run_options *options);
void run_end(int error, u8 flags);
bool run_is_on(void);
void run_is_at_rest(void);
void run_settle(void);

/* timers.c */
void timers_open(void);
bool timers_awaited(void);
void timers_close(void);

#endif
