// SPDX-License-Identifier: GPL-2.0
// Zeroed, aligned as asked for, and each CPU's apart from the other's.
#include <linux/module.h>
#include <linux/percpu.h>

struct stats {
	u64 packets;
	u64 bytes;
};

static struct stats __percpu *stats;
static u8 __percpu *line;

static int check(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct stats *of_cpu = per_cpu_ptr(stats, cpu);

		if (of_cpu->packets || of_cpu->bytes)
			return -EIO;
		of_cpu->packets = cpu;
		if (!IS_ALIGNED((unsigned long)per_cpu_ptr(line, cpu), 64))
			return -EIO;
	}
	return 0;
}

static int __init clean_percpu_init(void)
{
	int error = -ENOMEM;

	stats = alloc_percpu_gfp(struct stats, GFP_KERNEL);
	line = __alloc_percpu(1, 64);
	if (stats && line)
		error = check();
	if (error) {
		free_percpu(stats);
		free_percpu(line);
	}
	return error;
}

static void __exit clean_percpu_exit(void)
{
	free_percpu(line);
	free_percpu(stats);
}

module_init(clean_percpu_init);
module_exit(clean_percpu_exit);
MODULE_DESCRIPTION("Memory for each CPU, used on each");
MODULE_LICENSE("GPL");
