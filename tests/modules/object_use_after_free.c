// SPDX-License-Identifier: GPL-2.0
// The reference count is dropped after the object has gone back to its cache.
#include <linux/module.h>
#include <linux/slab.h>

struct session {
	u64 words[20];
	int users;
};

static struct kmem_cache *sessions;
static struct session *session;

static noinline void leave(struct session *left)
{
	WRITE_ONCE(left->users, left->users - 1);
}

static int __init object_use_after_free_init(void)
{
	sessions = kmem_cache_create("object_use_after_free", sizeof(struct session), 0, 0, NULL);
	if (!sessions)
		return -ENOMEM;
	session = kmem_cache_zalloc(sessions, GFP_KERNEL);
	return 0;
}

static void __exit object_use_after_free_exit(void)
{
	if (session) {
		kmem_cache_free(sessions, session);
		leave(session);
	}
	kmem_cache_destroy(sessions);
}

module_init(object_use_after_free_init);
module_exit(object_use_after_free_exit);
MODULE_DESCRIPTION("A write into an object released before");
MODULE_LICENSE("GPL");
