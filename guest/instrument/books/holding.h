/* SPDX-License-Identifier: GPL-2.0 */
/* Between the files of the books: the table of holdings and its lock. */
#ifndef FREEONCE_HOLDING_H
#define FREEONCE_HOLDING_H

#include <linux/spinlock.h>

#include "books/books.h"

extern raw_spinlock_t books_lock;

/* run.c */
void books_append(enum ledger_witness witness, struct ledger_record *record);

/* holdings.c; with the lock, but for holding_possible(). */
void holdings_reset(void);
u32 holdings_in(enum holding_state state);
bool holdings_busy(void);
struct holding *holding_number(unsigned int number);
bool holdings_deferred_in(unsigned long cache);
bool holding_possible(unsigned long address);
struct holding *holding_new(unsigned long address, enum space space);
struct holding *holding_at(unsigned long address, enum space space);
struct holding *holding_meant(unsigned long address, enum space space);
struct holding *holding_around(unsigned long address, enum space space);
bool space_is_exclusive(enum space space);
void holding_is_gone(struct holding *holding);
void holding_forget(struct holding *holding);

/* memory.c. Guards with the lock; poison with it where it is quick. */
bool memory_is_quick(const struct holding *holding);
size_t memory_room(const struct holding *holding);
void memory_guard(struct holding *holding, size_t room, size_t zoned);
void memory_red_zones(struct holding *holding);
void memory_unguard(struct holding *holding);
void memory_check_guard(struct holding *holding);
void memory_poison(const struct holding *holding);
void memory_check_poison(struct holding *holding);
void memory_reset(void);
u32 memory_broken(void);

/* quarantine.c. Adding and removing with the lock, the rest without. */
void quarantine_reset(void);
bool quarantine_takes(const struct holding *holding);
void quarantine_add(struct holding *holding);
void quarantine_remove(struct holding *holding);
void quarantine_trim(enum space space);
void quarantine_flush_cache(unsigned long cache);
u32 quarantine_flush(void);

#endif
