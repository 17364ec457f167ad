// SPDX-License-Identifier: GPL-2.0
// Non-paged pool: kmalloc() with a four-character tag.
#include <linux/export.h>
#include <linux/io.h>
#include <linux/log2.h>
#include <linux/slab.h>

#include "books/books.h"
#include "families/families.h"

#define MISPLACED_BY 8 /* bytes; less than any alignment a planted fault asks for */

static void *place(struct allocation *allocation, size_t size, size_t align, gfp_t gfp)
{
	size_t shift = inject_misplacement() & MISPLACE_SHIFT ? MISPLACED_BY : 0;
	size_t room = size + shift + GUARD_SIZE;

	/* kmalloc() aligns to the size only when that is a power of two. */
	if (align > ARCH_KMALLOC_MINALIGN)
		room = roundup_pow_of_two(max(room, align));
	allocation->base = kmalloc(room, gfp | __GFP_NOWARN);
	return allocation->base ? allocation->base + shift : NULL;
}

static void give_back(struct allocation *allocation)
{
	kfree(allocation->base);
}

/* kmalloc()'s own is twice as much; alignment and guard need room. */
#define MOST (KMALLOC_MAX_SIZE / 2)

/* -EINVAL: it contradicts itself. -E2BIG: larger than can be had. -EWOULDBLOCK: not from here. */
static int check(const struct pool_request *request)
{
	if (request->invalid || !request->size || !is_power_of_2(request->align))
		return -EINVAL;
	if (request->size > MOST || request->align > KMALLOC_MAX_SIZE)
		return -E2BIG;
	return request->paged && !may_sleep() ? -EWOULDBLOCK : 0;
}

/* NULL when refused or out of memory; the ledger has the reason. */
void *pool_take(const struct pool_request *request, void *frame)
{
	/* Usable in atomic context, as ExAllocatePoolWithTag(NonPagedPool) is at DISPATCH_LEVEL. */
	gfp_t gfp = GFP_ATOMIC | (request->zeroed ? __GFP_ZERO : 0);
	struct ledger_record record = {
		.align_log2 = ledger_align(request->align),
		.detail = request->tag,
		.flags = request->paged ? FLAG_PAGED : 0,
		.site = stack_of(frame),
	};
	struct allocation *allocation;
	struct failure failure = {
		.kind = KIND_POOL, .size = request->size, .align = request->align, .most = MOST,
		.frame = frame, .error = check(request),
	};

	if (!failure.error && inject_allocation_fails(KIND_POOL, frame)) {
		failure.error = -ENOMEM;
		failure.injected = true;
	}
	allocation = failure.error ? NULL : allocation_take();
	if (!allocation) {
		failure.error = failure.error ?: -ENOSPC;
		allocation_failed(&failure);
		return NULL;
	}
	allocation->kind = KIND_POOL;
	allocation->give_back = give_back;
	allocation->tag = request->tag;
	allocation->size = request->size;
	allocation->align = request->align;
	allocation->named = request->tag;
	allocation->paged = request->paged;
	allocation->pointer = place(allocation, request->size, request->align, gfp);
	if (!allocation->pointer) {
		allocation_discard(allocation);
		failure.error = -ENOMEM;
		allocation_failed(&failure);
		return NULL;
	}
	record.physical = virt_to_phys(allocation->pointer);
	allocation_publish(allocation, &record);
	return allocation->pointer;
}

void pool_give(const void *pointer, const struct believed *believed, void *frame)
{
	allocation_release(KIND_POOL, pointer, believed, frame);
	if (!inject_act_real())
		return;
	/* As an allocator without books would do it. */
	allocation_hand_over(pointer);
	kfree(pointer);
}

void *freeonce_pool_alloc(size_t size, size_t align, u32 tag)
{
	struct pool_request request = { .size = size, .align = align, .tag = tag };

	return pool_take(&request, __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(freeonce_pool_alloc);

void *freeonce_pool_alloc_zeroed(size_t size, size_t align, u32 tag)
{
	struct pool_request request = {
		.size = size, .align = align, .tag = tag, .zeroed = true,
	};

	return pool_take(&request, __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(freeonce_pool_alloc_zeroed);

/* Matches freeonce_pool_alloc*() and nothing else. */
void freeonce_pool_free(void *pointer, size_t size, size_t align)
{
	struct believed believed = { .sized = true, .size = size, .align = align };

	pool_give(pointer, &believed, __builtin_frame_address(0));
}
EXPORT_SYMBOL_GPL(freeonce_pool_free);
