// SPDX-License-Identifier: GPL-2.0
// Allocations that fail on demand and allocators that place wrongly: all planted.
#include <linux/atomic.h>
#include <linux/export.h>

#include "families/families.h"

static atomic_t countdown; /* 0: off; 1: the next allocation fails */
static bool fail_after;    /* and every one after it */
static bool failing;
static bool act_real;
static atomic_t misplacement;

/* At the start of each run, and with nothing in it at its end. */
void inject_reset(const struct run_options *options)
{
	atomic_set(&countdown, options->fail_at);
	fail_after = options->fail_after;
	failing = false;
	act_real = options->act_real;
	atomic_set(&misplacement, 0);
}

bool inject_should_fail(void)
{
	if (atomic_dec_if_positive(&countdown) != 0)
		return READ_ONCE(failing);
	WRITE_ONCE(failing, fail_after);
	return true;
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
