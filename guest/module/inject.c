// SPDX-License-Identifier: GPL-2.0
// Allocations that fail on demand, allocators that place wrongly, ledgers that lie: all planted.
#include <linux/atomic.h>
#include <asm/special_insns.h>

#include "freeonce.h"

static atomic_t countdown; /* 0: off; 1: the next allocation fails */
static bool fail_after;    /* and every one after it */
static bool failing;
static bool act_real;
static atomic_t misplacement;
static atomic_t scramble;
static atomic_t lie_about; /* a record type, 0: none */
static enum inject_lie lie;

/* At the start of each run, and with nothing in it at its end. */
void inject_reset(const struct run_options *options)
{
	atomic_set(&countdown, options->fail_at);
	fail_after = options->fail_after;
	failing = false;
	act_real = options->act_real;
	atomic_set(&misplacement, 0);
	atomic_set(&scramble, 0);
	atomic_set(&lie_about, 0);
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

/*
 * A world switch that forgets registers of the host: CR2, since nothing rests on it,
 * and XMM0, which stands for nothing within kernel_fpu_begin(). Once.
 */
void inject_scramble(void)
{
	if (!atomic_xchg(&scramble, 0))
		return;
	native_write_cr2(~native_read_cr2());
	/* Each byte of XMM0 one more than it was. */
	asm volatile("pcmpeqd %%xmm1, %%xmm1\n\tpsubb %%xmm1, %%xmm0" : : : "memory");
}

void freeonce_inject_scramble(void)
{
	atomic_set(&scramble, 1);
}

void freeonce_inject_fail(u32 nth)
{
	atomic_set(&countdown, nth);
}

void freeonce_inject_misplacement(u32 what)
{
	atomic_set(&misplacement, what);
}

/* The lie to tell about this record; once. */
enum inject_lie inject_lie(enum ledger_type type)
{
	return atomic_cmpxchg(&lie_about, type, 0) == type ? lie : LIE_NONE;
}

void inject_next(enum ledger_type type, enum inject_lie what)
{
	lie = what;
	atomic_set(&lie_about, type);
}
