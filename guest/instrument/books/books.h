/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every allocation that we know, by address.
 *
 * LIVE -> RELEASED by the owner's release, right or wrong; -> UNUSED when the
 * memory goes back to the kernel. RELEASED memory stays ours, so that no address is
 * used twice in one run.
 */
#ifndef FREEONCE_BOOKS_H
#define FREEONCE_BOOKS_H

#include <linux/list.h>
#include <linux/types.h>

#include "ledger/ledger.h"

enum allocation_state { ALLOCATION_UNUSED, ALLOCATION_LIVE, ALLOCATION_RELEASED };

struct allocation {
	struct hlist_node by_pointer; /* allocation_lock */
	struct list_head in_order;    /* allocation_lock; oldest first, or free list */
	enum allocation_state state;  /* allocation_lock */
	void *pointer;                /* what the owner got; fixed while not UNUSED, like the rest */
	void *base;                   /* what the kernel gave */
	size_t size;
	u32 serial;
	u32 run;
	enum ledger_kind kind;
	void (*give_back)(struct allocation *allocation); /* its family's way to the kernel */
	u32 tag;
	u32 pages;                    /* contiguous: pages taken from the kernel */
	size_t rest;                  /* bytes behind the guard that are nobody's, and watched */
	bool from_range;              /* contiguous: alloc_contig_range(), not alloc_pages() */
	bool cache_changed;           /* contiguous: page attributes differ from write-back */
	bool gone;                    /* act=real: the kernel has it already */
	bool leave_cache;             /* a planted fault: not restored at release */
};

/* What else may use memory: a CPU that was given its address. The lock is taken with interrupts off. */
struct claims {
	void (*lock)(void);
	void (*unlock)(void);
	bool (*hold)(u64 gpa, size_t size); /* with the lock */
};

int allocation_open(void);
void allocation_close(void);
void allocation_heed(const struct claims *claims);
struct allocation *allocation_take(void);
void allocation_discard(struct allocation *allocation);
void allocation_publish(struct allocation *allocation, struct ledger_record *record);
struct allocation *allocation_release(enum ledger_kind kind, const void *pointer, size_t size,
				      size_t align, unsigned long site);
u32 freeonce_serial(const void *pointer);
bool allocation_live_at(u64 gpa, size_t size);
bool allocation_known_at(u64 gpa, size_t size);
bool allocation_around(u64 *gpa, size_t *size);
void allocation_hand_over(const void *pointer);
u32 allocation_reclaim_all(void);

/* An allocation that was asked for and not given. */
struct failure {
	enum ledger_kind kind;
	size_t size;
	size_t align;
	int error;
	u64 most;  /* -E2BIG: bytes that are not yet too many */
	bool injected;
	unsigned long site;
};

void allocation_failed(const struct failure *failure);

#endif
