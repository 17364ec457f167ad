// SPDX-License-Identifier: GPL-2.0
// A ledger that says what is not so, because a planted fault asked for it.
#include <linux/atomic.h>
#include <linux/export.h>

#include "ledger/ledger.h"

static atomic_t next_type; /* a record type, 0: none */
static enum ledger_lie next_lie;

/* At the start of each run and at its end. */
void lie_reset(void)
{
	atomic_set(&next_type, 0);
}

/* The lie to tell about this record; once. */
enum ledger_lie lie_about(enum ledger_type type)
{
	if (likely(atomic_read(&next_type) != type))
		return LIE_NONE;
	return atomic_cmpxchg(&next_type, type, 0) == type ? next_lie : LIE_NONE;
}

void freeonce_lie_about_next(enum ledger_type type, enum ledger_lie what)
{
	next_lie = what;
	atomic_set(&next_type, type);
}
EXPORT_SYMBOL_GPL(freeonce_lie_about_next);

/* A record of something that never happened. */
void freeonce_lie_forge(struct ledger_record *record)
{
	ledger_append_as(WITNESS_LEDGER, record);
}
EXPORT_SYMBOL_GPL(freeonce_lie_forge);
