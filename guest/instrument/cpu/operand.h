/* SPDX-License-Identifier: GPL-2.0 */
/* All that one VMCB leads to; and what operand.c tells the rest of this room. */
#ifndef FREEONCE_OPERAND_H
#define FREEONCE_OPERAND_H

#include "cpu/cpu.h"
#include "cpu/digest.h"
#include "ledger/format.h"

#define MAX_OPERANDS 96

struct operand {
	u64 gpa;
	u64 size;
	u64 mapped_at; /* of tables and pages: the first address of the L2 that they are for */
	u8 structure;
	u8 level;
	u8 cache;
	bool identity;
	bool followed; /* a table that was read; then it stays where it is */
	u8 zero[3];    /* compared as bytes */
};

struct operands {
	unsigned int count;
	bool more;  /* than these: no room, or tables that did not stand still */
	struct digest digest; /* of the tables that were followed */
	struct operand list[MAX_OPERANDS];
};

/* By which page tables the CPU finds an L2's memory. */
enum paging_kind {
	PAGING_UNKNOWN, /* of a mode that we do not walk, or none: all memory is the L2's */
	PAGING_NESTED,  /* nCR3; the L2's own tables are its own affair */
	PAGING_OWN,     /* CR3: without nested paging the L2's tables hold L1's addresses */
};

/* Compared as bytes. */
struct paging {
	u64 kind;
	u64 root;
	u64 levels;
};

void operand_add(struct operands *operands, struct operand operand);
bool operand_readable(u64 gpa, u64 size);
u8 operand_cache_type(u64 gpa, u64 size);

void *operand_fpu(const struct vcpu *vcpu);
void operand_host_save_area(u64 gpa, bool bound);
int operand_vmsave(u64 gpa);
void operand_handler(const struct world *world);
void operand_handler_left(void);
bool operand_lives(u64 gpa, u64 size);

/* page_walk.c: adds all tables and pages. While they are current, another walk finds the same. */
void page_walk(struct operands *operands, const struct paging *paging, bool identity);
bool page_walk_is_current(const struct operands *operands);

#endif
