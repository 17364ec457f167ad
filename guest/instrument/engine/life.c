// SPDX-License-Identifier: GPL-2.0
// A life: what a module does from before it is loaded until the kernel is at rest after it.
#include <linux/delay.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/mutex.h>

#include "books/books.h"
#include "cpu/cpu.h"
#include "engine/engine.h"
#include "engine/run.h"
#include "subjects/subjects.h"

#define DEFERRED_PATIENCE_MS 10000
#define LIVE_PATIENCE_MS 1000
#define STEP_MS 10
#define ALL_QUIESCED (QUIESCED_RCU | QUIESCED_WORK | QUIESCED_DEFERRED)

static bool living; /* by run_mutex */

static bool wait_while(u32 (*left)(void), u32 patience)
{
	unsigned long end = jiffies + msecs_to_jiffies(patience);

	while (left() && time_before(jiffies, end)) {
		msleep(STEP_MS);
		if (!rest_awaited())
			break;
	}
	return !left();
}

/* Waits a bounded time. The host judges what is still live then. */
static void quiesce(void)
{
	struct ledger_record record = { .type = LEDGER_QUIESCED };

	/* While it is still known where the modules were. */
	hooked_read();
	if (rest_awaited())
		record.detail |= QUIESCED_RCU | QUIESCED_WORK;
	if (wait_while(books_deferred, DEFERRED_PATIENCE_MS))
		record.detail |= QUIESCED_DEFERRED;
	wait_while(books_live, LIVE_PATIENCE_MS);
	record.size = books_live();
	if (subjects_look() && !record.size && record.detail == ALL_QUIESCED)
		run_is_at_rest();
	ledger_append(&record);
}

/* A life that is still on ends first, in whatever state. */
void life_begin(const struct run_options *options)
{
	struct ledger_record record = {
		.serial = U32_MAX,
		.flags = FLAG_LIFE,
		.text = "life",
	};

	mutex_lock(&run_mutex);
	run_begin(&record, options);
	living = true;
	mutex_unlock(&run_mutex);
}

/* -ENOENT: none is on. */
int life_end(void)
{
	int error = -ENOENT;

	mutex_lock(&run_mutex);
	if (living && run_is_on()) {
		/* The host drains no records meanwhile. */
		drain_begin(false);
		quiesce();
		run_end(0, 0);
		error = 0;
	}
	living = false;
	mutex_unlock(&run_mutex);
	return error;
}
