/* SPDX-License-Identifier: GPL-2.0 */
/* CPUs in SVM operation: what they are given, what they run, what is left in them. */
#ifndef FREEONCE_CPU_H
#define FREEONCE_CPU_H

#include <linux/types.h>

/* svm_cpu.c: CPUs into SVM operation and out of it. A CPU's save area is bound while it is on. */
const char *svm_missing(void);
void freeonce_pin(void);
void freeonce_unpin(void);
int freeonce_svm_on(u64 host_save_area);
void freeonce_svm_off(void);
int freeonce_invlpga(u64 address, u32 asid);
bool svm_is_on(void);
u32 freeonce_paging_levels(void);
u8 svm_physical_bits(void);

/*
 * hooks.S and hooked.c: VMRUN and what else gives the CPU memory, in code of others. Noted without C;
 * told by hooked_read(), before anything that must come behind it in the ledger.
 */
int hooked_open(void);
void hooked_close(void);
void hooked_read(void);
void hooked_forget(void);
void hooked_watch(bool life);
void hooked_end(void);
bool hooked_any(void);

/* cpu_state.c: what SVM leaves in a CPU. */
void cpu_state_append_all(void);
void cpu_state_restore_all(void);

/* on_cpu.c: code on a CPU of one's choice, or on all of them at once. May sleep. */
typedef int (*on_cpu_body)(void *argument);
u32 freeonce_cpu_count(void);
int freeonce_on_cpu(u32 cpu, on_cpu_body body, void *argument);
int freeonce_on_each_cpu(on_cpu_body body, void *argument);
void one_cpu_only(bool only);

/*
 * bound.c, foreign.c: every physical address that the CPU is given with a vcpu, and for how long.
 *
 * A vcpu is bound by its first VMRUN, or before by freeonce_vcpu_bind(); from then
 * on the CPU may use all that its VMCB reaches, until freeonce_vcpu_unbind(). What a CPU's TLB
 * has kept beyond that the host finds by the VMRUNs, their ASIDs and their TLB_CONTROL.
 */
enum vcpu_flags {
	VCPU_IDENTITY = 1,  /* the L2 is L1 itself: its memory is the machine's */
	VCPU_UNCHECKED = 2, /* the host's registers are not compared around VMRUN */
};

struct vcpu {
	u64 vmcb_gpa;      /* offsets known to vmrun.S. What the CPU gets is what is judged */
	u64 host_vmcb_gpa;
	u64 gpr[14];       /* rbx rcx rdx rsi rdi rbp r8..r15 */
	u32 number;        /* of its binding; 0: not bound */
	u32 flags;
};

void operand_open(void);
int binding_reserve(void);
void operand_close(void);
int freeonce_vcpu_bind(struct vcpu *vcpu);
void freeonce_vcpu_unbind(struct vcpu *vcpu);
int operand_prepare(struct vcpu *vcpu);
int operand_check(struct vcpu *vcpu, bool final);
void operand_unbind_all(void);

/* host_state.c: the host's registers around a VMRUN. */
int host_state_open(void);
void host_state_close(void);
void host_state_reset(void);
void freeonce_inject_scramble(void);

/* nmi.c: a VMRUN that an NMI of L1's own, sent while GIF is 0, awaits. */
int freeonce_svm_run_into_nmi(struct vcpu *vcpu);

/* vcpu.c and vmrun.S: the world switch. */
int freeonce_svm_run(struct vcpu *vcpu);
int vcpu_run_prepared(struct vcpu *vcpu, bool final);
void vmrun_world_switch(struct vcpu *vcpu);
void vcpu_append_entry(const struct vcpu *vcpu, bool withheld);
void vcpu_append_exit(const struct vcpu *vcpu);

/*
 * virtualize.c and virtualize_world.S: the running Linux becomes the L2 of this CPU. What it
 * runs on must stay until it has left: VMCBs, stack, `world` itself.
 */
#define VIRTUALIZE_LEAVE 0x66726565u /* CPUID leaf that asks the handler to leave */
#define VIRTUALIZE_LEFT 0x6c656674u  /* EAX then */

struct world {
	struct vcpu vcpu;  /* offsets known to virtualize_world.S */
	void *vmcb;        /* what the vcpu had at its entry; set by freeonce_virtualize() */
	void *stack_top;
	bool (*handle)(struct world *world); /* false: leave. Interrupts and GIF are off */
	void *owner;       /* the handler's own; the allocation that it points into is in use */
};

int freeonce_vmsave(const void *vmcb);
int freeonce_virtualize(struct world *world);
int freeonce_devirtualize(void);
void virtualize_leave_all(void);

#endif
