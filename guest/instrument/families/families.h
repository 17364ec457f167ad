/* SPDX-License-Identifier: GPL-2.0 */
/* What hands out memory and takes it back; each allocator names its one matching release. */
#ifndef FREEONCE_FAMILIES_H
#define FREEONCE_FAMILIES_H

#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/types.h>

#include "books/books.h"
#include "ledger/format.h"

extern const struct family families[];

/* pool.c: kmalloc() with a four-character tag. Its one match is freeonce_pool_free(). */
void *freeonce_pool_alloc(size_t size, size_t align, u32 tag);
void *freeonce_pool_alloc_zeroed(size_t size, size_t align, u32 tag);
void freeonce_pool_free(void *pointer, size_t size, size_t align);

/* contiguous.c: its one match is freeonce_contiguous_free(). May sleep, both ways. */
struct contiguous_request {
	u64 size;
	u64 align;    /* power of two; below a page: a page */
	u64 lowest;   /* gpa */
	u64 highest;  /* gpa, inclusive */
	u64 boundary; /* power of two that must not be crossed; 0: none */
	u32 cache;    /* enum cache_type */
	s32 node;     /* -1: any */
};

void *freeonce_contiguous_alloc(const struct contiguous_request *request);
void freeonce_contiguous_free(void *pointer, size_t size, size_t align);

/* The same under other names (windows.c). `frame`: of the function that was called. */
struct pool_request {
	size_t size;
	size_t align;
	u32 tag;
	bool zeroed;
	bool paged;   /* served as any other, but refused where nothing may sleep */
	bool invalid; /* refused: Windows takes no such flags, or no such tag */
};

void *pool_take(const struct pool_request *request, void *frame);
void pool_give(const void *pointer, const struct believed *believed, void *frame);
void *contiguous_take(const struct contiguous_request *request, void *frame);
void contiguous_give(const void *pointer, const struct believed *believed, void *frame);

/* As far as this kernel can tell: without CONFIG_PREEMPT_COUNT a spin lock leaves no trace. */
static inline bool may_sleep(void)
{
	return !irqs_disabled() && !in_atomic();
}

/* The first gpa behind all memory. */
u64 freeonce_memory_end(void);

/* slab.c: the kernel, or whoever called it, may use all of an object from now on. */
void slab_measured(const void *object, void *frame);

/* guarded.c: the caches that guard what subjects get of kmalloc(). */
int guarded_open(void);
void guarded_close(void);

/* cache_type.c: the PAT's encoding (AMD manual volume 2, 7.8.1). */
enum cache_type {
	CACHE_UC = 0,
	CACHE_WC = 1,
	CACHE_WB = 6,
	CACHE_UC_MINUS = 7,
	CACHE_UNKNOWN = 255,
};

bool cache_type_known(u32 cache);
int cache_type_set(void *address, u32 pages, enum cache_type cache);
enum cache_type cache_type_of(const void *address, u32 pages);

/* inject.c: allocations that fail on demand, allocators that place wrongly. */
enum inject_misplacement {
	MISPLACE_SHIFT = 1, /* begins where neither alignment nor boundary allow */
	MISPLACE_RANGE = 2, /* outside of lowest..highest */
	MISPLACE_CACHE = 4, /* page attributes not set */
	MISPLACE_LEAVE = 8, /* page attributes set, and not restored at release */
};

/* fail_at: 0 for none; fail_after: that acquisition and every later one; count: each is told. */
struct run_options {
	u32 fail_at;
	bool fail_after;
	bool count;
	bool act_real;
	bool drain; /* the host takes records meanwhile */
};

void inject_reset(const struct run_options *options);
bool inject_act_real(void);
struct acquisition;
bool inject_allocation_fails(enum ledger_kind kind, void *frame);
bool inject_acquisition_fails(const struct acquisition *take);
u32 inject_misplacement(void);
void freeonce_inject_fail(u32 nth);
void freeonce_inject_misplacement(u32 misplacement);

#endif
