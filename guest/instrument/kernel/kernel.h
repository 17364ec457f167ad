/* SPDX-License-Identifier: GPL-2.0 */
/* Names of the newest kernel for what older kernels name otherwise. */
#ifndef FREEONCE_KERNEL_H
#define FREEONCE_KERNEL_H

#include <linux/module.h>
#include <linux/version.h>
#include <asm/msr.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
#define rdmsrq rdmsrl
#define rdmsrq_safe rdmsrl_safe
#define wrmsrq wrmsrl
#define wrmsrq_safe wrmsrl_safe
#endif

/* Where the kernel has put a module, without the part that goes after its init. Text comes first. */
struct module_part {
	void *base;
	unsigned long size;
};

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define MODULE_PARTS MOD_INIT_TEXT

static inline unsigned int module_parts(const struct module *module, struct module_part *parts)
{
	unsigned int i;

	BUILD_BUG_ON(MOD_TEXT != 0);
	for (i = 0; i < MODULE_PARTS; i++)
		parts[i] = (struct module_part){ module->mem[i].base, module->mem[i].size };
	return MODULE_PARTS;
}
#else
#define MODULE_PARTS 1

static inline unsigned int module_parts(const struct module *module, struct module_part *parts)
{
	parts[0] = (struct module_part){ module->core_layout.base, module->core_layout.size };
	return MODULE_PARTS;
}
#endif

#endif
