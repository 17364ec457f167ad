/* SPDX-License-Identifier: GPL-2.0 */
/* An L2 made by hand, for scenarios in C. */
#ifndef FREEONCE_L2_H
#define FREEONCE_L2_H

#include "cpu/cpu.h"
#include "cpu/vmcb.h"

#define LEVELS 5 /* at most: as many as the host's own paging has (15.25.3) */
#define EXIT_INTR 0x60
#define EXIT_NMI 0x61
#define EXIT_VMMCALL 0x81

/* A real-mode L2 of one page that asks for VMMCALL. All that the CPU is given, by its names. */
struct l2 {
	struct vcpu vcpu;
	void *vmcb;
	void *host_vmcb;
	void *iopm;
	void *msrpm;
	void *page;
	u64 *tables[LEVELS];
};

/* Zeroed whole pages, or NULL. Matches l2_give(), which takes NULL as well. */
void *l2_pages(size_t size);
void l2_give(void *pointer, size_t size);

int l2_open(struct l2 *l2);
void l2_close(struct l2 *l2);

/* SVM on, VMRUN until an exit of the L2's own or the budget is spent, SVM off. */
int l2_enter(struct vcpu *vcpu, unsigned int budget);

#endif
