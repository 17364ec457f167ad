/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every allocation that we know, by address.
 *
 * LIVE -> RELEASED by the owner's release, right or wrong
 *      -> UNUSED when the memory goes back to the kernel, as the run is settled: so no address is
 *         used twice in a run.
 */
#ifndef FREEONCE_BOOKS_H
#define FREEONCE_BOOKS_H

#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>

#include "ledger/ledger.h"

enum allocation_state { ALLOCATION_UNUSED, ALLOCATION_LIVE, ALLOCATION_RELEASED };

struct allocation {
	struct hlist_node by_pointer; /* allocation_lock */
	struct list_head in_order;    /* allocation_lock; oldest first, or free list */
	enum allocation_state state;  /* allocation_lock */
	void *pointer;                /* what the owner got. This and the rest change only while UNUSED */
	void *base;                   /* what the kernel gave */
	size_t size;
	u32 serial;
	u32 run;
	enum ledger_kind kind;
	void (*give_back)(struct allocation *allocation); /* releases it to the kernel */
	u32 tag;
	size_t align;                 /* as asked for */
	u32 named;                    /* what a release that names it must name: see `struct believed` */
	bool paged;                   /* pool: asked for as paged */
	u32 pages;                    /* contiguous: pages taken from the kernel */
	size_t rest;                  /* bytes behind the guard that nobody may use; watched */
	bool from_range;              /* contiguous: alloc_contig_range(), not alloc_pages() */
	bool cache_changed;           /* contiguous: page attributes differ from write-back */
	bool gone;                    /* act=real: the kernel has it already */
	bool leave_cache;             /* a planted fault: not restored at release */
};

/* What the CPU room knows of memory: CPUs may use it. The lock is taken with interrupts off. */
struct claims {
	void (*look)(u64 gpa, size_t size); /* without the lock, before hold() of these bytes */
	void (*lock)(void);
	void (*unlock)(void);
	bool (*hold)(u64 gpa, size_t size); /* with the lock: a CPU may use them */
	/* Whether code of a subject may give a CPU anything: a life is on, and the CPU has SVM. */
	bool (*any)(void);
	/* Whether a CPU was given anything in this run. */
	bool (*given)(void);
	/* A subject is about to release these. True: a CPU may use them. */
	bool (*let_go)(u64 gpa, size_t size);
	/* Somebody gives these back to the page allocator. */
	void (*freed)(u64 gpa, size_t size, void *frame);
	/* The page allocator has given these to somebody. */
	void (*taken)(u64 gpa, u64 size);
};

#define MOST_GUARD 64 /* bytes, on either side */

/*
 * holdings.c: what subjects hold of the kernel, of all families, by address.
 *
 * LIVE -> HELD by a right release: poisoned, in quarantine
 *      -> DEFERRED: released, but the kernel waits for RCU readers first
 *      -> GONE: the kernel has it. The entry stays until the kernel gives the address out again, or
 *         the table needs the room, so that a second release is seen as one.
 * PAST: acquired by a function without a wrapper; only the kernel's witness told of that.
 */
enum holding_state {
	HOLDING_UNUSED, HOLDING_LIVE, HOLDING_HELD, HOLDING_DEFERRED, HOLDING_GONE, HOLDING_PAST,
};

/*
 * In one space an address means one thing. From SPACE_PERCPU on a handle names a resource, or is
 * a cookie: it tells nothing of the memory at that address.
 */
enum space {
	SPACE_SLAB, SPACE_CACHE, SPACE_PAGES, SPACE_VMALLOC, SPACE_PERCPU, SPACE_MEMPOOL, SPACE_IOMAP,
	SPACE_CIPHER, SPACE_MISC, SPACE_SRCU, SPACE_REGISTRATION, SPACES, SPACE_EITHER
};

struct holding;
struct kmem_cache;
struct release;

/* A kind of resource. Bits of `released_by`: families whose releases are right for it. */
struct family {
	enum ledger_family number;
	enum space space;  /* EITHER: slab or vmalloc, by the address */
	u32 released_by;
	bool held;         /* it may be poisoned, and kept in quarantine */
	bool slack;        /* there may be room for a guard behind it */
	bool sized;        /* a release names a size, which must be right */
	bool (*shared)(const struct release *give); /* others still have references to it; NULL: never */
	bool (*plausible)(unsigned long address);   /* something unknown may lie there, and be released */
	bool (*in_use)(unsigned long address);      /* given out again, which no probe shows; NULL: not asked */
	void (*give_back)(const struct holding *holding);
};

/* Guarded by books_lock; whoever makes a holding HELD may poison it without the lock. */
struct holding {
	struct hlist_node by_address;
	union {                   /* while not GONE */
		struct hlist_node unsorted;
		struct rb_node in_order;
	};
	struct list_head queue;   /* of those unused, gone or in quarantine; the oldest first */
	const struct family *family;
	unsigned long address;
	unsigned long cache;      /* the kmem_cache of an object, or 0 */
	size_t size;
	u32 serial;
	u16 function;
	u16 guard;                /* bytes directly behind */
	u16 slack;                /* the first bytes of the guard, which are no red zone of the kernel */
	u16 front;                /* bytes of guard directly in front */
	u16 zoned;                /* size of the object it lies in, with red zones around it; 0: none */
	u8 state;
	u8 space;
	bool sorted;
	bool busy;                /* HELD; the instrument poisons or checks it, so not in quarantine */
	bool exact;               /* single pages, each with a count of its own, not one block */
	bool outlived;            /* GONE and exact, but others still have some of its pages */
	bool whole;               /* must not be poisoned: its next owner expects what it holds now */
	bool poisoned;
	bool taken;               /* the kernel took it while it was busy */
	bool told;                /* a record says that it is broken */
};

/* What a wrapper got from the kernel. */
struct acquisition {
	const struct family *family;
	void *frame;
	unsigned long address;
	unsigned long cache;
	size_t size;
	size_t align;
	size_t zoned; /* bytes that the kernel gave, with red zones around them; 0: without red zones */
	u16 function;
	bool failed; /* because it was made to fail */
	bool whole;
	bool exact; /* single pages, each with a count of its own, not one block */
};

/* What a wrapper was given to release. */
struct release {
	const struct family *family;
	void *frame;
	unsigned long address;
	unsigned long cache;
	size_t size;
	u16 function;
	bool exact; /* as of an acquisition */
	bool null_is_right;
	bool deferred;
	bool claimed; /* a CPU may use it: neither poisoned nor given back */
	bool renewed; /* the same memory is acquired again: neither poisoned nor kept */
};

int books_open(void);
void books_close(void);

/* run.c: all events are told from begin to end; releases also until the run is settled. */
enum books_phase {
	BOOKS_CLOSED, /* no run is on, and the last one is settled */
	BOOKS_LISTEN,
	BOOKS_ENDED,  /* the host looks at what the run left */
};

extern enum books_phase books_now; /* changed with books_lock */

static inline enum books_phase books_phase(void)
{
	return READ_ONCE(books_now);
}

static inline bool books_listening(void)
{
	return books_phase() == BOOKS_LISTEN;
}

void books_begin(void);
void books_end(struct ledger_record *end);
void books_inspect(void);
u32 books_settle(void);
u32 books_live(void);
u32 books_broken(void);
u32 books_deferred(void);
u32 books_next_serial(void);
void books_blind(enum ledger_blind why, u32 serial);

/* owner.c: called by wrappers, for what subjects acquire and release. */
void books_acquired(struct acquisition *take);
void books_refused(const struct acquisition *take, int error);
bool books_released(struct release *give);
bool books_known(unsigned long address, struct holding *copy);
u32 books_serial(unsigned long address);
bool books_released_at(unsigned long address);
void books_flush_cache(struct kmem_cache *cache);
bool books_deferred_in(struct kmem_cache *cache);

/* claimed.c: memory of holdings that a CPU may use. */
bool books_claimed(unsigned long address);
bool books_live_at(u64 gpa, size_t size);
void books_pages_freed(u64 gpa, size_t size, void *frame);
void books_pages_taken(u64 gpa, size_t size);
unsigned long books_around(unsigned long address);
void books_deferred_is_over(unsigned long address, void *frame);

/* kernel.c: called for events of the kernel's allocators. From any context. */
void books_kernel_gave(unsigned long address, size_t size, enum space space);
void books_kernel_took(unsigned long address, enum space space, void *frame);
void books_past_wrappers(const struct family *family, unsigned long address, size_t size,
			 enum space space, void *frame);

/*
 * stacks.c: each stack is saved once, and has a number. It begins with the caller of `frame`'s
 * function.
 */
int stacks_open(void);
void stacks_close(void);
void stacks_begin(void);
u32 stack_of(void *frame);

int allocation_open(void);
void allocation_close(void);
void allocation_heed(const struct claims *claims);
const struct claims *allocation_claims(void);
struct allocation *allocation_take(void);
void allocation_discard(struct allocation *allocation);
void allocation_publish(struct allocation *allocation, struct ledger_record *record);

/* What a release says of its allocation. Only what it names is compared. */
struct believed {
	bool sized;
	size_t size;
	size_t align;
	u32 named;   /* pool: the tag; contiguous: the cache type asked for, plus 1; 0: not named */
	bool raised; /* pool: where paged memory may not be released */
};

struct allocation *allocation_release(enum ledger_kind kind, const void *pointer,
				      const struct believed *believed, void *frame);
u32 freeonce_serial(const void *pointer);
bool allocation_live_at(u64 gpa, size_t size);
bool allocation_known_at(u64 gpa, size_t size);
bool allocation_around(u64 *gpa, size_t *size);
u32 allocation_serial(const void *pointer);
bool allocation_inside(unsigned long address);
void allocation_hand_over(const void *pointer);
bool allocation_taken(enum ledger_kind kind, const void *pointer);
u32 allocation_reclaim_all(void);

/* An allocation that was refused. */
struct failure {
	enum ledger_kind kind;
	size_t size;
	size_t align;
	int error;
	u64 most;  /* with -E2BIG: the most bytes that would be served */
	bool injected;
	void *frame;
};

void allocation_failed(const struct failure *failure);

#endif
