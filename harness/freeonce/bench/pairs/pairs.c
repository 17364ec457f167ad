// SPDX-License-Identifier: GPL-2.0
// Pairs of kmalloc() and kfree(), and how long they took. It knows nothing of freeonce.
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/slab.h>

#define AT_A_TIME 1000
#define SIZE 64

static unsigned int pairs = 100000;
module_param(pairs, uint, 0);

static unsigned long nanoseconds;
module_param(nanoseconds, ulong, 0444);
MODULE_PARM_DESC(nanoseconds, "what all of them took");

static noinline void work(int count)
{
	while (count--)
		kfree(kmalloc(SIZE, GFP_KERNEL));
}

static int __init pairs_init(void)
{
	ktime_t start;
	unsigned int done;

	work(AT_A_TIME); /* warm */
	start = ktime_get();
	for (done = 0; done < pairs; done += AT_A_TIME) {
		work(AT_A_TIME);
		cond_resched();
	}
	nanoseconds = ktime_to_ns(ktime_sub(ktime_get(), start));
	return 0;
}

static void __exit pairs_exit(void)
{
}

module_init(pairs_init);
module_exit(pairs_exit);
MODULE_DESCRIPTION("What allocations cost");
MODULE_LICENSE("GPL");
