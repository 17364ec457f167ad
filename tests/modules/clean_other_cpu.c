// SPDX-License-Identifier: GPL-2.0
// What one CPU takes another gives back, with interrupts off.
#include <linux/cpu.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/smp.h>

static DEFINE_PER_CPU(void *, block);

static void take(void *unused)
{
	this_cpu_write(block, kmalloc(48 << smp_processor_id() % 4, GFP_ATOMIC));
}

/* The next one's. */
static void give(void *unused)
{
	int cpu = cpumask_next_wrap(smp_processor_id(), cpu_online_mask, smp_processor_id(), false);

	if (cpu >= nr_cpu_ids)
		cpu = smp_processor_id();
	kfree(per_cpu(block, cpu));
}

static int __init clean_other_cpu_init(void)
{
	on_each_cpu(take, NULL, true);
	return 0;
}

static void __exit clean_other_cpu_exit(void)
{
	on_each_cpu(give, NULL, true);
}

module_init(clean_other_cpu_init);
module_exit(clean_other_cpu_exit);
MODULE_DESCRIPTION("Blocks taken on each CPU and released on its neighbour");
MODULE_LICENSE("GPL");
