// SPDX-License-Identifier: GPL-2.0
// A run of the books: when they listen, and what becomes of their holdings at its end.
#include <linux/atomic.h>
#include <linux/delay.h>

#include "books/holding.h"

#define PATIENCE_MS 1000 /* that settling waits for memory being poisoned or checked */

enum books_phase books_now;
static atomic_t last_serial;

static void enter(enum books_phase next)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&books_lock, flags);
	WRITE_ONCE(books_now, next);
	raw_spin_unlock_irqrestore(&books_lock, flags);
}

/* Serials are counted over all families. */
u32 books_next_serial(void)
{
	return atomic_inc_return(&last_serial);
}

/* The run before, if any, is settled. */
void books_begin(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&books_lock, flags);
	holdings_reset();
	quarantine_reset();
	memory_reset();
	WRITE_ONCE(books_now, BOOKS_LISTEN);
	raw_spin_unlock_irqrestore(&books_lock, flags);
	stacks_begin();
}

/* Checks guards of live holdings and poison in quarantine: the host cannot see all of it. */
void books_inspect(void)
{
	struct holding *holding;
	unsigned long flags;
	unsigned int i;

	for (i = 0;; i++) {
		raw_spin_lock_irqsave(&books_lock, flags);
		holding = holding_number(i);
		if (holding && holding->state == HOLDING_LIVE)
			memory_check_guard(holding);
		if (holding && holding->state == HOLDING_HELD && !holding->busy)
			memory_check_poison(holding);
		raw_spin_unlock_irqrestore(&books_lock, flags);
		if (!holding)
			return;
	}
}

/*
 * From now on acquisitions are not entered, and what is released stays as it is for the host to see.
 * `end` says how many holdings are live; no release comes between the count and the record.
 */
void books_end(struct ledger_record *end)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&books_lock, flags);
	end->size = holdings_in(HOLDING_LIVE);
	ledger_append(end);
	WRITE_ONCE(books_now, BOOKS_ENDED);
	raw_spin_unlock_irqrestore(&books_lock, flags);
}

static u32 count(enum holding_state state)
{
	unsigned long flags;
	u32 found;

	raw_spin_lock_irqsave(&books_lock, flags);
	found = holdings_in(state);
	raw_spin_unlock_irqrestore(&books_lock, flags);
	return found;
}

u32 books_live(void)
{
	return count(HOLDING_LIVE);
}

/* How many `broken` records the run has. None follows once it is settled. */
u32 books_broken(void)
{
	return memory_broken();
}

u32 books_deferred(void)
{
	return count(HOLDING_DEFERRED);
}

static bool anybody_busy(void)
{
	unsigned long flags;
	bool busy;

	raw_spin_lock_irqsave(&books_lock, flags);
	busy = holdings_busy();
	raw_spin_unlock_irqrestore(&books_lock, flags);
	return busy;
}

/*
 * Gives everything that was released back to the kernel, and returns how many holdings that were.
 * Leaked memory stays, since somebody unknown may use it. May sleep.
 */
u32 books_settle(void)
{
	u32 settled;
	int waited;

	for (waited = 0; anybody_busy() && waited < PATIENCE_MS; waited++)
		msleep(1);
	settled = quarantine_flush();
	enter(BOOKS_CLOSED);
	return settled;
}

/* Appends to the run that is on; once it has ended, as a late record. */
void books_append(enum ledger_witness witness, struct ledger_record *record)
{
	if (books_phase() == BOOKS_ENDED)
		ledger_append_late(witness, record);
	else if (witness == WITNESS_LEDGER)
		ledger_append(record);
	else
		ledger_append_as(witness, record);
}

void books_blind(enum ledger_blind why, u32 serial)
{
	struct ledger_record record = { .type = LEDGER_BLIND, .detail = why, .serial = serial };

	books_append(WITNESS_LEDGER, &record);
}
