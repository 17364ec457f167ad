// SPDX-License-Identifier: GPL-2.0
// One run: everything is watched from its begin to its end, and given back after the host has looked.
#include <linux/lockdep.h>

#include "books/books.h"
#include "cpu/cpu.h"
#include "engine/run.h"
#include "subjects/subjects.h"
#include "witness/witness.h"

DEFINE_MUTEX(run_mutex);
static u32 last_run;
static bool on;
static bool at_rest; /* and nothing is left that could disturb it */

/* Resets planted faults and failures, and arms the failures that `options` asks for. */
static void plant(const struct run_options *options)
{
	inject_reset(options);
	host_state_reset();
	lie_reset();
}

/* Settles what an earlier run left. `begin`: the record that says what this run is of. */
void run_begin(struct ledger_record *begin, const struct run_options *options)
{
	lockdep_assert_held(&run_mutex);
	run_settle();
	plant(options);
	ledger_set_run(++last_run);
	drain_begin(options->drain);
	begin->type = LEDGER_BEGIN;
	ledger_append(begin);
	witness_watch(begin->flags & FLAG_LIFE);
	books_begin();
	subjects_tell(begin->flags & FLAG_LIFE);
	hooked_watch(begin->flags & FLAG_LIFE);
	cpu_state_append_all();
	on = true;
	at_rest = false;
}

/* The kernel came to rest in this run, and the modules under audit are gone. */
void run_is_at_rest(void)
{
	lockdep_assert_held(&run_mutex);
	at_rest = true;
}

/* After its end, only the records of settling belong to a run. */
void run_end(int error, u8 flags)
{
	static const struct run_options nothing;
	struct ledger_record record = { .type = LEDGER_END, .detail = error, .flags = flags };

	lockdep_assert_held(&run_mutex);
	hooked_end();
	books_inspect();
	cpu_state_append_all();
	books_end(&record);
	plant(&nothing);
	on = false;
}

bool run_is_on(void)
{
	lockdep_assert_held(&run_mutex);
	return on;
}

/*
 * Gives what the run left back to the kernel. First deferred work is awaited, so that nobody uses
 * it.
 */
void run_settle(void)
{
	struct ledger_record record = { .type = LEDGER_SETTLED };

	lockdep_assert_held(&run_mutex);
	if (!ledger_run())
		return;
	if (on)
		run_end(0, 0);
	/* Once is enough: it takes longer than the rest of a short life. */
	if (!at_rest)
		rest_awaited();
	virtualize_leave_all();
	cpu_state_restore_all();
	operand_unbind_all();
	record.detail = allocation_reclaim_all() + books_settle();
	record.size = books_broken();
	ledger_append(&record);
	witness_look_away();
	ledger_set_run(0);
}
