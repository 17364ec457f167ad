// SPDX-License-Identifier: GPL-2.0
// Planted faults in C: each commits one sin and must trip that rule and only that rule.
#include <linux/io.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "books/books.h"
#include "scenarios.h"

#define SIZE 64
#define ALIGN_OF 8

static char never_allocated[SIZE] __aligned(ALIGN_OF);

static void *pool_alloc(size_t size, size_t align)
{
	return freeonce_pool_alloc(size, align, TAG);
}

static void *contiguous_alloc(size_t size, size_t align)
{
	struct contiguous_request request = { .size = size, .align = align, ANYWHERE };

	return freeonce_contiguous_alloc(&request);
}

#define pool_free freeonce_pool_free
#define contiguous_free freeonce_contiguous_free

/* The same sins against either kind; OTHER is the kind whose call is the wrong one. */
#define FAULTS_OF(KIND, OTHER)                                   \
	static int KIND##_leak(void)                             \
	{                                                        \
		void *pointer = KIND##_alloc(SIZE, ALIGN_OF);    \
                                                                 \
		LABEL(pointer, "forgotten");                     \
		return pointer ? 0 : -ENOMEM;                    \
	}                                                        \
	static int KIND##_double_free(void)                      \
	{                                                        \
		void *pointer = KIND##_alloc(SIZE, ALIGN_OF);    \
                                                                 \
		KIND##_free(pointer, SIZE, ALIGN_OF);            \
		STEP("second release");                          \
		KIND##_free(pointer, SIZE, ALIGN_OF);            \
		return pointer ? 0 : -ENOMEM;                    \
	}                                                        \
	static int KIND##_null_free(void)                        \
	{                                                        \
		KIND##_free(NULL, SIZE, ALIGN_OF);               \
		return 0;                                        \
	}                                                        \
	static int KIND##_never_allocated_free(void)             \
	{                                                        \
		KIND##_free(never_allocated, SIZE, ALIGN_OF);    \
		return 0;                                        \
	}                                                        \
	static int KIND##_interior_free(void)                    \
	{                                                        \
		void *pointer = KIND##_alloc(SIZE, ALIGN_OF);    \
                                                                 \
		if (!pointer)                                    \
			return -ENOMEM;                          \
		STEP("interior pointer");                        \
		KIND##_free(pointer + 16, SIZE, ALIGN_OF);       \
		KIND##_free(pointer, SIZE, ALIGN_OF);            \
		return 0;                                        \
	}                                                        \
	static int KIND##_mismatched_free(void)                  \
	{                                                        \
		void *pointer = KIND##_alloc(SIZE, ALIGN_OF);    \
                                                                 \
		OTHER##_free(pointer, SIZE, ALIGN_OF);           \
		return pointer ? 0 : -ENOMEM;                    \
	}                                                        \
	static int KIND##_use_after_free(void)                   \
	{                                                        \
		char *pointer = KIND##_alloc(SIZE, ALIGN_OF);    \
                                                                 \
		KIND##_free(pointer, SIZE, ALIGN_OF);            \
		if (!pointer)                                    \
			return -ENOMEM;                          \
		WRITE_ONCE(pointer[8], 1);                       \
		return 0;                                        \
	}                                                        \
	static int KIND##_out_of_bounds_live(void)               \
	{                                                        \
		char *pointer = KIND##_alloc(SIZE, ALIGN_OF);    \
                                                                 \
		if (!pointer)                                    \
			return -ENOMEM;                          \
		WRITE_ONCE(pointer[SIZE], 1);                    \
		KIND##_free(pointer, SIZE, ALIGN_OF);            \
		return 0;                                        \
	}                                                        \
	static int KIND##_out_of_bounds_released(void)           \
	{                                                        \
		char *pointer = KIND##_alloc(SIZE, ALIGN_OF);    \
                                                                 \
		KIND##_free(pointer, SIZE, ALIGN_OF);            \
		if (!pointer)                                    \
			return -ENOMEM;                          \
		WRITE_ONCE(pointer[SIZE + 3], 1);                \
		return 0;                                        \
	}                                                        \
	static int KIND##_wrong_size_free(void)                  \
	{                                                        \
		void *pointer = KIND##_alloc(SIZE, ALIGN_OF);    \
                                                                 \
		KIND##_free(pointer, SIZE / 2, ALIGN_OF);        \
		return pointer ? 0 : -ENOMEM;                    \
	}

FAULTS_OF(pool, contiguous)
FAULTS_OF(contiguous, pool)

/* The rest of its last page is nobody's. */
#define BEHIND_THE_GUARD (SZ_4K - 8)

static int same_page(bool released)
{
	char *pointer = contiguous_alloc(SIZE, ALIGN_OF);

	if (!pointer)
		return -ENOMEM;
	if (released)
		contiguous_free(pointer, SIZE, ALIGN_OF);
	WRITE_ONCE(pointer[BEHIND_THE_GUARD], 1);
	if (!released)
		contiguous_free(pointer, SIZE, ALIGN_OF);
	return 0;
}

static int same_page_live(void)
{
	return same_page(false);
}

static int same_page_released(void)
{
	return same_page(true);
}

/* A right history of which the ledger tells one thing otherwise. */
static int told_otherwise(enum ledger_type about, enum ledger_lie lie)
{
	void *pointer;

	freeonce_lie_about_next(about, lie);
	pointer = pool_alloc(SIZE, ALIGN_OF);
	pool_free(pointer, SIZE, ALIGN_OF);
	return pointer ? 0 : -ENOMEM;
}

static int allocation_dropped(void)
{
	return told_otherwise(LEDGER_ALLOCATE, LIE_DROP);
}

static int allocation_duplicated(void)
{
	return told_otherwise(LEDGER_ALLOCATE, LIE_DUPLICATE);
}

static int release_dropped(void)
{
	return told_otherwise(LEDGER_RELEASE, LIE_DROP);
}

static int release_duplicated(void)
{
	return told_otherwise(LEDGER_RELEASE, LIE_DUPLICATE);
}

/* The lie that matters most: a leak, dressed up as released. */
static int release_forged(void)
{
	struct ledger_record record = {
		.type = LEDGER_RELEASE,
		.kind = KIND_POOL,
		.size = SIZE,
		.align_log2 = ledger_align(ALIGN_OF),
	};
	void *pointer = pool_alloc(SIZE, ALIGN_OF);

	record.serial = freeonce_serial(pointer);
	record.pointer = (unsigned long)pointer;
	record.physical = virt_to_phys(pointer);
	freeonce_lie_forge(&record);
	return pointer ? 0 : -ENOMEM;
}

/* An allocation with its release that never were. */
static int allocation_forged(void)
{
	struct ledger_record record = {
		.type = LEDGER_ALLOCATE,
		.kind = KIND_POOL,
		.pointer = (unsigned long)never_allocated,
		.physical = virt_to_phys(never_allocated),
		.size = SIZE,
		.serial = U32_MAX,
		.align_log2 = ledger_align(ALIGN_OF),
		.detail = TAG,
	};

	freeonce_lie_forge(&record);
	record.type = LEDGER_RELEASE;
	freeonce_lie_forge(&record);
	return 0;
}

static int pool_misaligned(void)
{
	void *pointer;

	freeonce_inject_misplacement(MISPLACE_SHIFT);
	pointer = pool_alloc(SIZE, SZ_4K);
	pool_free(pointer, SIZE, SZ_4K);
	return pointer ? 0 : -ENOMEM;
}

static int misplaced(u32 how, const struct contiguous_request *request)
{
	void *pointer;

	freeonce_inject_misplacement(how);
	pointer = freeonce_contiguous_alloc(request);
	contiguous_free(pointer, request->size, request->align);
	return pointer ? 0 : -ENOMEM;
}

static int contiguous_misaligned(void)
{
	struct contiguous_request request = { .size = SZ_4K, .align = SZ_64K, ANYWHERE };

	return misplaced(MISPLACE_SHIFT, &request);
}

static int contiguous_across_boundary(void)
{
	struct contiguous_request request = {
		.size = SZ_8K, .align = SZ_4K, ANYWHERE, .boundary = SZ_8K,
	};

	return misplaced(MISPLACE_SHIFT, &request);
}

static int contiguous_out_of_range(void)
{
	struct contiguous_request request = {
		.size = SZ_4K, .align = SZ_4K, ANYWHERE, .highest = SZ_16M - 1,
	};

	return misplaced(MISPLACE_RANGE, &request);
}

static int contiguous_wrong_cache(void)
{
	struct contiguous_request request = {
		.size = SZ_4K, .align = SZ_4K, ANYWHERE, .cache = CACHE_UC,
	};

	return misplaced(MISPLACE_CACHE, &request);
}

static int contiguous_cache_left(void)
{
	struct contiguous_request request = {
		.size = SZ_4K, .align = SZ_4K, ANYWHERE, .cache = CACHE_WC,
	};

	return misplaced(MISPLACE_LEAVE, &request);
}

#define LIE(NAME, RUN, LESSON) \
	FAULT("witnesses-disagree/pool/c/" NAME, "witnesses-disagree", "pool", RUN, LESSON, \
	      SHARES)

#define FAULTS(KIND)                                                                           \
	FAULT("leak/" #KIND "/c", "leak", #KIND, KIND##_leak,                                  \
	      "Memory that is never released is a leak.", SHARES),                                     \
	FAULT("double-free/" #KIND "/c", "double-free", #KIND, KIND##_double_free,             \
	      "The second release of one allocation is one too many.", SHARES),                        \
	FAULT("null-free/" #KIND "/c", "null-free", #KIND, KIND##_null_free,                   \
	      "Releasing null is harmless to kfree() and fatal to others; it is never meant.", SHARES), \
	FAULT("invalid-free/" #KIND "/c/never-allocated", "invalid-free", #KIND,               \
	      KIND##_never_allocated_free, "Only what was allocated can be released.", SHARES),        \
	FAULT("invalid-free/" #KIND "/c/interior", "invalid-free", #KIND, KIND##_interior_free, \
	      "A release takes the pointer that the allocation gave, not one inside of it.", SHARES),  \
	FAULT("mismatched-free/" #KIND "/c", "mismatched-free", #KIND, KIND##_mismatched_free, \
	      "Memory goes back by the call that matches the one it came from.", SHARES),              \
	FAULT("wrong-size-free/" #KIND "/c", "wrong-size-free", #KIND, KIND##_wrong_size_free, \
	      "The owner must believe the size that it allocated.", SHARES),                           \
	FAULT("use-after-free/" #KIND "/c", "use-after-free", #KIND, KIND##_use_after_free,    \
	      "A write into released memory breaks the poison in it."),                        \
	FAULT("out-of-bounds/" #KIND "/c/live", "out-of-bounds", #KIND,                        \
	      KIND##_out_of_bounds_live, "A write behind the end breaks the guard."),          \
	FAULT("out-of-bounds/" #KIND "/c/released", "out-of-bounds", #KIND,                    \
	      KIND##_out_of_bounds_released, "The guard stands after the release as well.")

static const struct scenario fault_scenarios[] = {
	FAULTS(pool),
	FAULTS(contiguous),
	FAULT("out-of-bounds/contiguous/c/same-page-live", "out-of-bounds", "contiguous",
	      same_page_live, "The rest of the last page is watched as well."),
	FAULT("out-of-bounds/contiguous/c/same-page-released", "out-of-bounds", "contiguous",
	      same_page_released, "The rest of the last page is watched after the release as well."),
	LIE("allocation-dropped", allocation_dropped, "A ledger that hides an allocation is caught."),
	LIE("allocation-duplicated", allocation_duplicated,
	    "A ledger that tells an allocation twice is caught."),
	LIE("allocation-forged", allocation_forged,
	    "A ledger that makes up an allocation is caught."),
	LIE("release-dropped", release_dropped, "A ledger that hides a release is caught."),
	LIE("release-duplicated", release_duplicated,
	    "A ledger that tells a release twice is caught."),
	LIE("release-forged", release_forged, "A leak told as a release is caught by the memory."),
	FAULT("misplaced/pool/c/alignment", "misplaced", "pool", pool_misaligned,
	      "An allocator that ignores the alignment is caught."),
	FAULT("misplaced/contiguous/c/alignment", "misplaced", "contiguous", contiguous_misaligned,
	      "An allocator that ignores the alignment is caught."),
	FAULT("misplaced/contiguous/c/boundary", "misplaced", "contiguous",
	      contiguous_across_boundary, "An allocation across its boundary is caught."),
	FAULT("misplaced/contiguous/c/range", "misplaced", "contiguous", contiguous_out_of_range,
	      "An allocation outside of its address range is caught."),
	FAULT("misplaced/contiguous/c/cache", "misplaced", "contiguous", contiguous_wrong_cache,
	      "Page attributes other than those asked for are caught."),
	FAULT("not-restored/contiguous/c/cache", "not-restored", "contiguous",
	      contiguous_cache_left, "Page attributes that outlive the release are caught."),
};
SCENARIOS(fault_scenarios);
