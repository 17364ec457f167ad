// SPDX-License-Identifier: GPL-2.0
// Allocations that fail on demand and allocators that place wrongly: all planted.
#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/export.h>

#include "books/books.h"
#include "families/families.h"

static atomic_t countdown; /* 0: off; 1: the next allocation fails */
static bool fail_after;    /* and every one after it */
static bool failing;
static bool counting;      /* each acquisition is told before it is made */
static atomic_t counted;
static bool act_real;
static atomic_t misplacement;

/* At the start of each run, and with nothing in it at its end. */
void inject_reset(const struct run_options *options)
{
	atomic_set(&countdown, options->fail_at);
	fail_after = options->fail_after;
	failing = false;
	counting = options->count;
	atomic_set(&counted, 0);
	act_real = options->act_real;
	atomic_set(&misplacement, 0);
}

/* Where a debugger stops. */
static noinline void acquisition_is_made_to_fail(void)
{
	barrier();
}

static bool should_fail(void)
{
	bool now = atomic_dec_if_positive(&countdown) == 0;

	if (now)
		WRITE_ONCE(failing, fail_after);
	if (!now && !READ_ONCE(failing))
		return false;
	acquisition_is_made_to_fail();
	return true;
}

static void tell(u8 kind, u32 function, u32 site)
{
	struct ledger_record record = {
		.type = LEDGER_ATTEMPT,
		.kind = kind,
		.serial = atomic_inc_return(&counted),
		.detail = function,
		.site = site,
	};

	ledger_append(&record);
}

/* Whether an allocation of pool or contiguous is to fail. `frame`: of the function that was asked. */
bool inject_allocation_fails(enum ledger_kind kind, void *frame)
{
	if (READ_ONCE(counting))
		tell(kind, 0, stack_of(frame));
	return should_fail();
}

/* The same of what a wrapper is asked for. */
bool inject_acquisition_fails(const struct acquisition *take)
{
	if (READ_ONCE(counting))
		tell(take->family->number, take->function, stack_of(take->frame));
	return should_fail();
}

/* Whether the kernel is to suffer faulty releases. */
bool inject_act_real(void)
{
	return READ_ONCE(act_real);
}

/* What to get wrong in this allocation; once. */
u32 inject_misplacement(void)
{
	return atomic_xchg(&misplacement, 0);
}

void freeonce_inject_fail(u32 nth)
{
	atomic_set(&countdown, nth);
}
EXPORT_SYMBOL_GPL(freeonce_inject_fail);

void freeonce_inject_misplacement(u32 what)
{
	atomic_set(&misplacement, what);
}
EXPORT_SYMBOL_GPL(freeonce_inject_misplacement);
