/* SPDX-License-Identifier: GPL-2.0 */
/* What the CPU is given, as the files of this room tell it to each other. */
#ifndef FREEONCE_OPERAND_H
#define FREEONCE_OPERAND_H

#include "cpu/cpu.h"
#include "cpu/digest.h"
#include "ledger/format.h"

struct operand {
	u64 gpa;
	u64 size;
	u64 mapped_at; /* of tables and pages: the first address of the L2 that they are for */
	u8 structure;
	u8 level;
	u8 cache;
	bool identity;
	bool followed; /* a table that was read; then it stays where it is */
	u16 filled;    /* of such a one: as digest.h has it */
};

/*
 * All that one VMCB leads to: the structures that it names, then tables, then pages. Tables and
 * pages are in the order of the L2's addresses, of tables at one address the upper one first.
 */
struct operands {
	struct operand *list;
	unsigned int count;
	unsigned int room;
	unsigned int tables;  /* where they begin */
	unsigned int pages;
	bool full;            /* there are more, which find no room */
	bool more;            /* there are more, which nobody can name */
	struct digest digest; /* of the tables that were followed */
};

/* By which page tables the CPU finds an L2's memory. */
enum paging_kind {
	PAGING_UNKNOWN, /* of a mode that we do not walk, or none: all memory is the L2's */
	PAGING_NESTED,  /* nCR3; the L2's own tables are its own affair */
	PAGING_OWN,     /* CR3: without nested paging the L2's tables hold L1's addresses */
};

struct paging {
	u64 kind;
	u64 root;
	u64 levels;
};

/* The fields of a VMCB that say where else the CPU goes. */
struct reached {
	u64 foreign; /* by a VMRUN that is not ours; then there is no host_vmcb */
	u64 vmcb;
	u64 host_vmcb;
	u64 iopm;
	u64 msrpm;
	struct paging paging;
};

/* operand.c */
bool operand_same_paging(const struct paging *one, const struct paging *other);
bool operand_same_reached(const struct reached *one, const struct reached *other);
void operand_add(struct operands *operands, struct operand operand);
bool operand_lives(u64 gpa, u64 size);
bool operand_readable(u64 gpa, u64 size);
u8 operand_cache_type(u64 gpa, u64 size);
bool operand_may_be_given(u64 vmcb);
bool operand_overlap(u64 gpa, u64 size, u64 other, u64 other_size);
struct reached operand_reached(u64 vmcb, u64 host_vmcb);
struct reached operand_reached_by_others(u64 vmcb);
void operand_gather(struct operands *found, const struct reached *reached, bool identity);
bool operand_any_told(void);
void operand_forget(void);
void operand_tell(u32 number, const struct operand *operand, bool gone);
void operand_tell_on(u32 cpu, u32 number, const struct operand *operand, bool gone);

/* page_walk.c: adds all tables and pages. While they are current, another walk finds the same. */
void page_walk(struct operands *operands, const struct paging *paging, bool identity);
bool page_walk_is_current(const struct operands *operands);

/* binding.c, bound.c, foreign.c: what vcpus are given. */
bool binding_holds(u64 gpa, size_t size); /* with the lock of claims.c */
void binding_look(u64 gpa, size_t size);
void binding_let_go(u64 gpa, size_t size);
void binding_entered(const struct reached *reached, u32 cpu, u32 looked,
		     struct ledger_record *record);
u32 binding_exited(u64 vmcb);
bool binding_look_again(u32 number);
void binding_forget(void);
void binding_close(void);
void *binding_fpu(const struct vcpu *vcpu);
void binding_left(const struct vcpu *vcpu);

/* given.c: what a CPU is given by itself, while no vcpu is. */
bool given_hold(u64 gpa, size_t size); /* with the lock of claims.c */
void given_forget(void);
void given_host_save_area(u64 gpa, bool bound);
int given_vmsave(u64 gpa);
/* leaves.c: which pages a foreign L2 was given, whosever they are. */
int leaves_open(void);
void leaves_close(void);
void leaves_forget(void);
void leaves_add(u64 gpa, u64 size, bool leaf);
bool leaves_any(u64 gpa, u64 size);
bool leaves_take(u64 gpa, u64 size);
void leaves_taken(u64 gpa, u64 size);
void leaves_tell_freed(u64 gpa, u64 size);

void given_by_others(u32 cpu, u64 gpa);
void given_registers(u32 cpu, u64 efer, u64 host_save_area);
void given_let_go(u64 gpa, size_t size);
void given_handler(const struct world *world);
void given_handler_left(void);

/* claims.c: the lock for what CPUs may use. */
unsigned long claims_lock(void);
void claims_unlock(unsigned long flags);
bool claims_trylock(unsigned long *flags);
void claims_assert_locked(void);

#endif
