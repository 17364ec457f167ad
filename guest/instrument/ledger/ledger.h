/* SPDX-License-Identifier: GPL-2.0 */
/* The reserved window and the records in it. The lowest room: it calls no other. */
#ifndef FREEONCE_LEDGER_H
#define FREEONCE_LEDGER_H

#include <linux/compiler.h>
#include <linux/log2.h>
#include <linux/types.h>

#include "ledger/format.h"

#define FREEONCE_TAG(a, b, c, d) ((u32)(a) | (u32)(b) << 8 | (u32)(c) << 16 | (u32)(d) << 24)

/* window.c: the reserved guest-physical range, mapped write-back. */
int window_open(u64 base, u64 size);
void window_close(void);
void *freeonce_window_address(void);
u64 window_size(void);

/* ledger.c: append only, lock-free, from any context (NMI included). */
void ledger_open(void);
void ledger_rewind(void);
void ledger_set_run(u32 run);
u32 ledger_run(void);
void ledger_append(struct ledger_record *record);
void ledger_append_on(u32 cpu, struct ledger_record *record);
void ledger_append_as(enum ledger_witness witness, struct ledger_record *record);
void ledger_append_late(enum ledger_witness witness, struct ledger_record *record);
void ledger_append_text(enum ledger_type type, u32 serial, const char *text, size_t length);
u64 ledger_waiting(void);
u64 ledger_capacity(void);
ssize_t ledger_read(char __user *buffer, size_t count, loff_t *at);
int ledger_drained(u64 upto, u64 *digest);

static inline u8 ledger_align(size_t align)
{
	return is_power_of_2(align) ? ilog2(align) : LEDGER_ALIGN_INVALID;
}

/*
 * drain.c: the host takes records while a run is on. Who may sleep waits for room, in bounded time;
 * who may not has the rest of the window.
 */
extern bool ledger_is_drained;
void drain_begin(bool on);
void drain_await_room(void);
int drain_upto(u64 upto);
u64 drain_digest(u64 *upto);

static inline void ledger_await_room(void)
{
	if (unlikely(READ_ONCE(ledger_is_drained)))
		drain_await_room();
}

/* lie.c: a ledger that says what is not so. All planted. */
enum ledger_lie {
	LIE_NONE,
	LIE_DROP,      /* the ledger never hears of it */
	LIE_DUPLICATE, /* the ledger hears of it twice */
};

void lie_reset(void);
enum ledger_lie lie_about(enum ledger_type type);
void freeonce_lie_about_next(enum ledger_type type, enum ledger_lie what);
void freeonce_lie_forge(struct ledger_record *record);

#endif
