// SPDX-License-Identifier: GPL-2.0
// A kmem_cache and its objects: used as they should be, and each sin against them.
#include <linux/slab.h>

#include "scenarios.h"

#define SIZE 80

/* Of a name of its own: what one run forgot must not be in the way of the next. */
static struct kmem_cache *new_cache(void)
{
	static unsigned int number;
	char name[32];

	snprintf(name, sizeof(name), "specimens_objects_%u", ++number);
	return kmem_cache_create(name, SIZE, 8, 0, NULL);
}

/* With an object of it, or not at all. */
static struct kmem_cache *cache_with(char **object)
{
	struct kmem_cache *cache = new_cache();

	*object = cache ? kmem_cache_alloc(cache, GFP_KERNEL) : NULL;
	if (*object)
		return cache;
	kmem_cache_destroy(cache);
	return NULL;
}

static int caches_right(void)
{
	char *object, *other;
	struct kmem_cache *cache = cache_with(&object);

	if (!cache)
		return -ENOMEM;
	other = kmem_cache_zalloc(cache, GFP_KERNEL);
	kmem_cache_free(cache, object);
	/* That is right as well. */
	kfree(other);
	kmem_cache_destroy(cache);
	return other ? 0 : -ENOMEM;
}

static int cache_leak(void)
{
	return new_cache() ? 0 : -ENOMEM;
}

static int object_leak(void)
{
	char *object;

	if (!cache_with(&object))
		return -ENOMEM;
	LABEL(object, "forgotten");
	return 0;
}

static int object_double_free(void)
{
	char *object;
	struct kmem_cache *cache = cache_with(&object);

	if (!cache)
		return -ENOMEM;
	kmem_cache_free(cache, object);
	STEP("second release");
	kmem_cache_free(cache, object);
	kmem_cache_destroy(cache);
	return 0;
}

static int object_to_another_cache(void)
{
	char *object;
	struct kmem_cache *cache = cache_with(&object), *other = new_cache();

	if (cache && other) {
		STEP("the other cache");
		kmem_cache_free(other, object);
	}
	if (cache)
		kmem_cache_free(cache, object);
	kmem_cache_destroy(cache);
	kmem_cache_destroy(other);
	return cache && other ? 0 : -ENOMEM;
}

static int object_use_after_free(void)
{
	char *object;
	struct kmem_cache *cache = cache_with(&object);

	if (!cache)
		return -ENOMEM;
	kmem_cache_free(cache, object);
	OPTIMIZER_HIDE_VAR(object);
	WRITE_ONCE(object[8], 1);
	kmem_cache_destroy(cache);
	return 0;
}

static int object_out_of_bounds(void)
{
	char *object, *end;
	struct kmem_cache *cache = cache_with(&object);

	if (!cache)
		return -ENOMEM;
	end = object + SIZE;
	OPTIMIZER_HIDE_VAR(end);
	WRITE_ONCE(*end, 1);
	kmem_cache_free(cache, object);
	kmem_cache_destroy(cache);
	return 0;
}

static const struct scenario cache_scenarios[] = {
	OF_KERNEL("caches", caches_right, "Objects go back to their cache before it is destroyed."),
	FAULT("leak/cache/c", "leak", "cache", cache_leak,
	      "A kmem_cache that nobody destroys stays, without any object too."),
	SCENARIO("fault/leak/object/c", "Planted faults, from C",
		 "An object that is forgotten keeps its cache from being destroyed.",
		 object_leak,
		 EXPECT(FINDING("leak", "object", .what = "forgotten"), FINDING("leak", "cache"))),
	FAULT("double-free/object/c", "double-free", "object", object_double_free,
	      "The second release of one object is one too many."),
	FAULT("mismatched-free/object/c", "mismatched-free", "object", object_to_another_cache,
	      "An object goes back to its own cache."),
	FAULT("use-after-free/object/c", "use-after-free", "object", object_use_after_free,
	      "A write into a released object breaks the poison in it."),
	FAULT("out-of-bounds/object/c", "out-of-bounds", "object", object_out_of_bounds,
	      "A write behind the end breaks the cache's red zone."),
};
SCENARIOS(cache_scenarios);
