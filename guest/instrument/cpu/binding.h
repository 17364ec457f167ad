/* SPDX-License-Identifier: GPL-2.0 */
/* A vcpu that can be entered: where it led when it was looked at last. */
#ifndef FREEONCE_BINDING_H
#define FREEONCE_BINDING_H

#include <linux/types.h>

#include "cpu/operand.h"

#define MOST_OPERANDS (1U << 19) /* more than the ledger has records */

/*
 * One that is unbound serves the next vcpu, and none is freed before the module goes: a CPU may
 * look for one from below Linux, where no lock can be waited for.
 */
struct binding {
	struct binding *next;
	u32 number;    /* by the lock of claims.c; 0: unbound */
	atomic_t busy; /* 1 + the CPU that looks where the VMCB leads; 0: none does */
	/* By the CPU that looks; by the lock too: what is told, and unbinding. */
	bool identity;
	bool refused;  /* the CPU must not be given this VMCB */
	bool running;  /* a CPU is in guest mode with it */
	bool grow;     /* before the next look */
	bool foreign;  /* of a VMRUN in a subject's code, by its VMCB */
	bool again;    /* another look is due, whatever it would find */
	struct reached reached;
	struct operands told;
	struct operands found;
	void *fpu;     /* of the CPU that enters it */
};

/* A VMRUN, and which CPU it was on, that is told while others' tables are looked at. */
struct entry {
	u32 cpu;
	bool looked; /* at these tables just before it */
	struct ledger_record *record;
};

/* binding.c: which there are. */
struct binding *binding_first(void);
struct binding *binding_of(const struct vcpu *vcpu);
struct binding *binding_take(struct vcpu *vcpu);
int binding_add(unsigned int room, struct vcpu *vcpu);
int binding_grow(struct binding *binding);
bool binding_reaches(const struct binding *binding, u64 gpa, size_t size);
bool look_begin(struct binding *binding);
void look_end(struct binding *binding);

/* look.c: where they lead, and what of that is told. By whoever looks. */
bool look_is_due(const struct binding *binding, const struct reached *reached);
int look(struct binding *binding, const struct reached *reached, bool final,
	 const struct entry *entry);

/* foreign.c */
void foreign_close(void);

#endif
