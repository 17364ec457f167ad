// SPDX-License-Identifier: GPL-2.0
// Wrappers of slab and kvmalloc for what acquires and releases at once, and for what releases later.
#include <linux/version.h>

#include "families/wrap.h"

/* The owner may use the rest of an object from now on, or no longer: it is acquired again, in place. */
static void renew(struct release *give, struct acquisition *take, size_t size)
{
	books_released(give);
	take->address = give->address;
	take->size = size;
	acquired(take);
}

char *freeonce_wrap_kasprintf(gfp_t flags, const char *format, ...);
char *freeonce_wrap_kasprintf(gfp_t flags, const char *format, ...)
{
	struct acquisition take = ACQUISITION(FUNCTION_KASPRINTF, SLAB);
	char *result = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (may_acquire(&take, flags))
		result = kvasprintf(flags, format, arguments);
	va_end(arguments);
	if (!result) {
		not_acquired(&take, -ENOMEM);
		return NULL;
	}
	take.size = strlen(result) + 1;
	result = guarded_copy(&take, result, flags);
	take.address = (unsigned long)result;
	acquired(&take);
	return result;
}
EXPORT_SYMBOL(freeonce_wrap_kasprintf);

char **freeonce_wrap_kasprintf_strarray(gfp_t flags, const char *prefix, size_t count);
char **freeonce_wrap_kasprintf_strarray(gfp_t flags, const char *prefix, size_t count)
{
	struct acquisition array = ACQUISITION(FUNCTION_KASPRINTF_STRARRAY, SLAB);
	struct acquisition string = ACQUISITION(FUNCTION_KASPRINTF_STRARRAY, SLAB);
	char **result = NULL;
	size_t i;

	array.size = (count + 1) * sizeof(*result);
	if (may_acquire(&array, flags))
		result = kasprintf_strarray(flags, prefix, count);
	if (!result) {
		not_acquired(&array, -ENOMEM);
		return NULL;
	}
	array.address = (unsigned long)result;
	acquired(&array);
	for (i = 0; i < count; i++) {
		string.size = strlen(result[i]) + 1;
		result[i] = guarded_copy(&string, result[i], flags);
		string.address = (unsigned long)result[i];
		acquired(&string);
	}
	return result;
}
EXPORT_SYMBOL(freeonce_wrap_kasprintf_strarray);

static void give_string(struct release *give, const void *string)
{
	give->address = (unsigned long)string;
	give->null_is_right = true;
	if (may_release(give))
		kfree(string);
}

void freeonce_wrap_kfree_strarray(char **array, size_t count);
void freeonce_wrap_kfree_strarray(char **array, size_t count)
{
	struct release give = RELEASE(FUNCTION_KFREE_STRARRAY, SLAB);
	bool over = books_released_at((unsigned long)array);
	size_t i;

	/* A released object has no strings in it any more. */
	for (i = 0; array && !over && i < count; i++)
		give_string(&give, array[i]);
	give_string(&give, array);
}
EXPORT_SYMBOL(freeonce_wrap_kfree_strarray);

/* No guard can stand in it any more. */
void slab_measured(const void *object, void *frame)
{
	struct release give = RELEASE(FUNCTION_KSIZE, SLAB);
	struct acquisition take = ACQUISITION(FUNCTION_KSIZE, SLAB);
	struct holding holding;
	size_t size;

	if (!books_listening() || !books_known((unsigned long)object, &holding))
		return;
	size = (ksize)(object);
	if (holding.size == size)
		return;
	give.family = holding.family;
	take.family = holding.family;
	give.cache = holding.cache;
	take.cache = holding.cache;
	give.frame = frame;
	take.frame = frame;
	give.address = (unsigned long)object;
	give.renewed = true;
	take.zoned = holding.front ? size : 0;
	renew(&give, &take, size);
}

size_t freeonce_wrap_ksize(const void *object);
size_t freeonce_wrap_ksize(const void *object)
{
	slab_measured(object, __builtin_frame_address(0));
	return (ksize)(object);
}
EXPORT_SYMBOL(freeonce_wrap_ksize);

static void *resized(struct acquisition *take, const struct holding *holding, size_t size,
		     gfp_t flags)
{
	bool large = take->family->number == FAMILY_KVMALLOC;
	void *moved = guarded_alloc(take, size, flags, NUMA_NO_NODE);

	if (!moved)
		moved = large ? kvmalloc(size, flags) : kmalloc(size, flags);
	if (moved)
		memcpy(moved, (void *)holding->address, min(holding->size, size));
	return moved;
}

/* In place while the allocator's size allows, as the kernel does; what is new is zero. */
static bool fits(const struct holding *holding, size_t size)
{
	if (is_vmalloc_addr((void *)holding->address))
		return size <= holding->size;
	return size <= (ksize)((void *)holding->address);
}

static void *resize(struct release *give, struct acquisition *take, const struct holding *holding,
		    size_t size, gfp_t flags)
{
	void *object = (void *)holding->address, *moved;

	give->address = holding->address;
	if (fits(holding, size)) {
		give->renewed = true;
		books_released(give);
		if (size > holding->size)
			memset(object + holding->size, 0, size - holding->size);
		take->address = holding->address;
		take->size = size;
		/* Of an object of another cache the zone in front has another size. */
		take->zoned = holding->front && !holding->cache ? (ksize)(object) : 0;
		acquired(take);
		return object;
	}
	moved = resized(take, holding, size, flags);
	take->size = size;
	if (!moved) {
		not_acquired(take, -ENOMEM);
		return NULL;
	}
	take->address = (unsigned long)moved;
	acquired(take);
	if (may_release(give))
		kvfree(object);
	return moved;
}

/* The kernel resizes what is unknown, unless the books withhold its release. */
static void *resize_any(struct release *give, struct acquisition *take, const void *object,
			size_t size, gfp_t flags, void *(*plain)(const void *, size_t, gfp_t))
{
	struct holding holding;
	void *result = NULL;

	if (object && !size) {
		give->address = (unsigned long)object;
		give->null_is_right = true;
		if (may_release(give))
			kvfree(object);
		return ZERO_SIZE_PTR;
	}
	take->size = size;
	if (!may_acquire(take, flags)) {
		not_acquired(take, -ENOMEM);
		return NULL;
	}
	if (books_known((unsigned long)object, &holding) &&
	    holding.family->released_by & BIT(give->family->number))
		return resize(give, take, &holding, size, flags);
	if (books_listening() && !ZERO_OR_NULL_PTR(object)) {
		/* Released before, or never acquired: a record of a release says so. */
		give->address = (unsigned long)object;
		give->renewed = true;
		if (!may_release(give))
			return NULL;
	}
	if (ZERO_OR_NULL_PTR(object))
		result = guarded_alloc(take, size, flags, NUMA_NO_NODE);
	if (!result)
		result = plain(object, size, flags);
	if (!result) {
		not_acquired(take, -ENOMEM);
		return NULL;
	}
	take->address = (unsigned long)result;
	acquired(take);
	return result;
}

static void *plain_krealloc(const void *object, size_t size, gfp_t flags)
{
	return KERNEL_KREALLOC(object, size, flags);
}

void *WRAP_KREALLOC(const void *object, size_t size, gfp_t flags);
void *WRAP_KREALLOC(const void *object, size_t size, gfp_t flags)
{
	struct release give = RELEASE(FUNCTION_KREALLOC, SLAB);
	struct acquisition take = ACQUISITION(FUNCTION_KREALLOC, SLAB);

	return resize_any(&give, &take, object, size, flags, plain_krealloc);
}
EXPORT_SYMBOL(WRAP_KREALLOC);

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
static void *plain_kvrealloc(const void *object, size_t size, gfp_t flags)
{
	return KERNEL_KVREALLOC(object, size, flags);
}

void *WRAP_KVREALLOC(const void *object, size_t size, gfp_t flags);
void *WRAP_KVREALLOC(const void *object, size_t size, gfp_t flags)
{
	struct release give = RELEASE(FUNCTION_KVREALLOC, KVMALLOC);
	struct acquisition take = ACQUISITION(FUNCTION_KVREALLOC, KVMALLOC);

	return resize_any(&give, &take, object, size, flags, plain_kvrealloc);
}
#else
/* What the books do not know is of the size that the caller says. */
static void *plain_kvrealloc(const void *object, size_t size, gfp_t flags)
{
	return object ? NULL : kvmalloc_node(size, flags, NUMA_NO_NODE);
}

void *WRAP_KVREALLOC(const void *object, size_t old, size_t size, gfp_t flags);
void *WRAP_KVREALLOC(const void *object, size_t old, size_t size, gfp_t flags)
{
	struct release give = RELEASE(FUNCTION_KVREALLOC, KVMALLOC);
	struct acquisition take = ACQUISITION(FUNCTION_KVREALLOC, KVMALLOC);
	struct holding holding;

	if (object && !books_known((unsigned long)object, &holding) && !books_listening())
		return KERNEL_KVREALLOC(object, old, size, flags);
	if (old >= size)
		return (void *)object;
	return resize_any(&give, &take, object, size, flags, plain_kvrealloc);
}
#endif
EXPORT_SYMBOL(WRAP_KVREALLOC);

static void give_deferred(void *object)
{
	books_deferred_is_over((unsigned long)object, __builtin_frame_address(0));
	kvfree(object);
}

static void after_grace_period(struct rcu_head *head)
{
	give_deferred((void *)books_around((unsigned long)head));
}

/*
 * The kernel would give it back in one bulk with others, of which no tracepoint tells, and seconds
 * later. So the instrument waits for the readers by itself. Whether to call the kernel is returned.
 */
static bool deferred(struct release *give, struct rcu_head *head)
{
	struct holding holding;
	bool known = books_known(give->address, &holding);

	give->deferred = true;
	if (!may_release(give))
		return false;
	if (!known)
		return true;
	if (head) {
		call_rcu(head, after_grace_period);
	} else {
		synchronize_rcu();
		give_deferred((void *)give->address);
	}
	return false;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
void WRAP_KVFREE_CALL_RCU(struct rcu_head *head, void *object);
void WRAP_KVFREE_CALL_RCU(struct rcu_head *head, void *object)
{
	struct release give = RELEASE(FUNCTION_KVFREE_CALL_RCU, KVMALLOC);

	give.address = (unsigned long)object;
	if (deferred(&give, head))
		KERNEL_KVFREE_CALL_RCU(head, object);
}
#else
/* `where`: the head's offset, or the object itself when there is no head. */
void WRAP_KVFREE_CALL_RCU(struct rcu_head *head, rcu_callback_t where);
void WRAP_KVFREE_CALL_RCU(struct rcu_head *head, rcu_callback_t where)
{
	struct release give = RELEASE(FUNCTION_KVFREE_CALL_RCU, KVMALLOC);

	give.address = head ? (unsigned long)head - (unsigned long)where : (unsigned long)where;
	if (deferred(&give, head))
		KERNEL_KVFREE_CALL_RCU(head, where);
}
#endif
EXPORT_SYMBOL(WRAP_KVFREE_CALL_RCU);
