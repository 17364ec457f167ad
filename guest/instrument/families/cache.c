// SPDX-License-Identifier: GPL-2.0
// Wrappers of kmem_caches, and of their objects by the dozen.
#include <linux/version.h>

#include "families/wrap.h"

static struct kmem_cache *created(struct acquisition *take, struct kmem_cache *cache,
				  unsigned int size, slab_flags_t flags, bool constructed)
{
	take->size = size;
	if (!cache) {
		not_acquired(take, -ENOMEM);
		return NULL;
	}
	take->address = (unsigned long)cache;
	/* Released objects are still read under RCU, or stay as constructed for their next owner. */
	take->whole = constructed || flags & SLAB_TYPESAFE_BY_RCU;
	acquired(take);
	return cache;
}

#ifdef WRAP_KMEM_CACHE_CREATE
struct kmem_cache *WRAP_KMEM_CACHE_CREATE(const char *name, unsigned int size, unsigned int align,
					  slab_flags_t flags, void (*constructor)(void *));
struct kmem_cache *WRAP_KMEM_CACHE_CREATE(const char *name, unsigned int size, unsigned int align,
					  slab_flags_t flags, void (*constructor)(void *))
{
	struct acquisition take = ACQUISITION(FUNCTION_KMEM_CACHE_CREATE, CACHE);
	struct kmem_cache *cache = NULL;

	if (may_acquire(&take, 0))
		cache = KERNEL_KMEM_CACHE_CREATE(name, size, align, flags | GUARDED, constructor);
	return created(&take, cache, size, flags, constructor);
}
EXPORT_SYMBOL(WRAP_KMEM_CACHE_CREATE);
#endif

#ifdef WRAP_KMEM_CACHE_CREATE_USERCOPY
struct kmem_cache *
WRAP_KMEM_CACHE_CREATE_USERCOPY(const char *name, unsigned int size, unsigned int align,
				slab_flags_t flags, unsigned int useroffset,
				unsigned int usersize, void (*constructor)(void *));
struct kmem_cache *
WRAP_KMEM_CACHE_CREATE_USERCOPY(const char *name, unsigned int size, unsigned int align,
				slab_flags_t flags, unsigned int useroffset,
				unsigned int usersize, void (*constructor)(void *))
{
	struct acquisition take = ACQUISITION(FUNCTION_KMEM_CACHE_CREATE_USERCOPY, CACHE);
	struct kmem_cache *cache = NULL;

	if (may_acquire(&take, 0))
		cache = KERNEL_KMEM_CACHE_CREATE_USERCOPY(name, size, align, flags | GUARDED,
							  useroffset, usersize, constructor);
	return created(&take, cache, size, flags, constructor);
}
EXPORT_SYMBOL(WRAP_KMEM_CACHE_CREATE_USERCOPY);
#endif

#ifdef WRAP___KMEM_CACHE_CREATE_ARGS
struct kmem_cache *WRAP___KMEM_CACHE_CREATE_ARGS(const char *name, unsigned int size,
						 struct kmem_cache_args *arguments,
						 slab_flags_t flags);
struct kmem_cache *WRAP___KMEM_CACHE_CREATE_ARGS(const char *name, unsigned int size,
						 struct kmem_cache_args *arguments,
						 slab_flags_t flags)
{
	struct acquisition take = ACQUISITION(FUNCTION___KMEM_CACHE_CREATE_ARGS, CACHE);
	struct kmem_cache *cache = NULL;

	if (may_acquire(&take, 0))
		cache = KERNEL___KMEM_CACHE_CREATE_ARGS(name, size, arguments, flags | GUARDED);
	return created(&take, cache, size, flags, arguments->ctor);
}
EXPORT_SYMBOL(WRAP___KMEM_CACHE_CREATE_ARGS);
#endif

/* To the kernel an object in quarantine would be one that nobody released. */
void WRAP_KMEM_CACHE_DESTROY(struct kmem_cache *cache);
void WRAP_KMEM_CACHE_DESTROY(struct kmem_cache *cache)
{
	struct release give = RELEASE(FUNCTION_KMEM_CACHE_DESTROY, CACHE);

	give.address = (unsigned long)cache;
	give.null_is_right = true;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	/* kmem_cache_destroy() waits for the kernel's deferred releases; these are the instrument's. */
	if (cache && books_deferred_in(cache))
		rcu_barrier();
#endif
	if (!may_release(&give))
		return;
	if (cache)
		books_flush_cache(cache);
	KERNEL_KMEM_CACHE_DESTROY(cache);
}
EXPORT_SYMBOL(WRAP_KMEM_CACHE_DESTROY);

int WRAP_KMEM_CACHE_ALLOC_BULK(struct kmem_cache *cache, gfp_t flags, size_t count, void **objects);
int WRAP_KMEM_CACHE_ALLOC_BULK(struct kmem_cache *cache, gfp_t flags, size_t count, void **objects)
{
	struct acquisition take = ACQUISITION(FUNCTION_KMEM_CACHE_ALLOC_BULK, OBJECT);
	int got = 0, i;

	take.cache = (unsigned long)cache;
	take.size = kmem_cache_size(cache);
	if (may_acquire(&take, flags))
		got = KERNEL_KMEM_CACHE_ALLOC_BULK(cache, flags, count, objects);
	if (!got)
		not_acquired(&take, -ENOMEM);
	for (i = 0; i < got; i++) {
		take.address = (unsigned long)objects[i];
		acquired(&take);
	}
	return got;
}
EXPORT_SYMBOL(WRAP_KMEM_CACHE_ALLOC_BULK);

/* kfree_bulk() is this without a cache: the objects are of any. */
void WRAP_KMEM_CACHE_FREE_BULK(struct kmem_cache *cache, size_t count, void **objects);
void WRAP_KMEM_CACHE_FREE_BULK(struct kmem_cache *cache, size_t count, void **objects)
{
	struct release object = RELEASE(FUNCTION_KMEM_CACHE_FREE_BULK, OBJECT);
	struct release slab = RELEASE(FUNCTION_KMEM_CACHE_FREE_BULK, SLAB);
	struct release *give = cache ? &object : &slab;
	size_t i;

	give->cache = (unsigned long)cache;
	for (i = 0; i < count; i++) {
		give->address = (unsigned long)objects[i];
		if (!may_release(give))
			continue;
		if (cache)
			kmem_cache_free(cache, objects[i]);
		else
			kfree(objects[i]);
	}
}
EXPORT_SYMBOL(WRAP_KMEM_CACHE_FREE_BULK);
