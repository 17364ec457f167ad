/* SPDX-License-Identifier: GPL-2.0 */
/* What hooks.S and hooked.c tell each other: a ring of slots. */
#ifndef FREEONCE_HOOKS_H
#define FREEONCE_HOOKS_H

#define HOOKED_SLOTS 8192
#define HOOKED_SHIFT 7
#define HOOKED_CPUS 64

#define HOOKED_READY 0 /* 1 + the slot's number, when it is full */
#define HOOKED_KIND 8
#define HOOKED_GDT 16
#define HOOKED_RAX 24
#define HOOKED_WORDS 32
#define HOOKED_MOST_WORDS 6 /* that any kind has */

#define HOOKED_VMRUN 1
#define HOOKED_VMEXIT 2
#define HOOKED_SAVE_AREA 3
#define HOOKED_INVLPGA 4
#define HOOKED_WRMSR 5

#endif
