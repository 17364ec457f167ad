// SPDX-License-Identifier: GPL-2.0
// A life of any length: pairs of kmalloc() and kfree(), with a fault at its begin, middle and end.
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static int pairs = 100;
static bool faulty;
static bool atomic; /* where nobody may sleep */
module_param(pairs, int, 0);
module_param(faulty, bool, 0);
module_param(atomic, bool, 0);

static DEFINE_SPINLOCK(lock);

/* No tail calls: each function has a frame of its own. */
static noinline void leak_at_the_begin(void)
{
	kmalloc(11, GFP_KERNEL);
	barrier();
}

static noinline void double_free_in_the_middle(void)
{
	void *memory = kmalloc(12, GFP_KERNEL);

	kfree(memory);
	kfree(memory);
	barrier();
}

static noinline void leak_at_the_end(void)
{
	kmalloc(13, GFP_KERNEL);
	barrier();
}

static noinline void some(int count)
{
	int i;

	for (i = 0; i < count; i++)
		kfree(kmalloc(64, atomic ? GFP_ATOMIC : GFP_KERNEL));
}

static noinline void some_atomic(int count)
{
	spin_lock(&lock);
	some(count);
	spin_unlock(&lock);
}

static int __init long_life_init(void)
{
	void (*half)(int count) = atomic ? some_atomic : some;

	if (faulty)
		leak_at_the_begin();
	half(pairs / 2);
	if (faulty)
		double_free_in_the_middle();
	half(pairs - pairs / 2);
	return 0;
}

static void __exit long_life_exit(void)
{
	if (faulty)
		leak_at_the_end();
}

module_init(long_life_init);
module_exit(long_life_exit);
MODULE_DESCRIPTION("as long as it is asked to be");
MODULE_LICENSE("GPL");
