/* SPDX-License-Identifier: GPL-2.0 */
/* What the module's files offer each other, and what the Rust crate may call. */
#ifndef FREEONCE_H
#define FREEONCE_H

#include <linux/list.h>
#include <linux/types.h>

#include "ledger_format.h"

#define FREEONCE_TAG(a, b, c, d) ((u32)(a) | (u32)(b) << 8 | (u32)(c) << 16 | (u32)(d) << 24)

/* window.c: the reserved guest-physical range, mapped write-back. */
int window_open(u64 base, u64 size);
void window_close(void);
void *window_address(void);
u64 window_size(void);

/* ledger.c: append only, lock-free, from any context (NMI included). */
void ledger_open(void);
void ledger_rewind(void);
void ledger_append(struct ledger_record *record);
void ledger_append_as(enum ledger_witness witness, struct ledger_record *record);
void ledger_append_text(enum ledger_type type, u32 serial, const char *text, size_t length);
size_t ledger_bytes(void);
u32 ledger_site(unsigned long address);
u8 ledger_align(size_t align);

/*
 * allocation.c: every allocation the module knows, by address.
 *
 * LIVE -> RELEASED by the owner's release, right or wrong; -> UNUSED when the
 * module gives the memory back to the kernel. RELEASED memory stays ours, so
 * that no address is used twice in one run.
 */
enum allocation_state { ALLOCATION_UNUSED, ALLOCATION_LIVE, ALLOCATION_RELEASED };

struct allocation {
	struct hlist_node by_pointer; /* allocation_lock */
	struct list_head in_order;    /* allocation_lock; oldest first, or free list */
	enum allocation_state state;  /* allocation_lock */
	void *pointer;                /* what the owner got; fixed while not UNUSED, like the rest */
	void *base;                   /* what the kernel gave */
	size_t size;
	u32 serial;
	u32 run;
	enum ledger_kind kind;
	u32 tag;
	u32 pages;                    /* contiguous: pages taken from the kernel */
	bool from_range;              /* contiguous: alloc_contig_range(), not alloc_pages() */
	bool cache_changed;           /* contiguous: page attributes differ from write-back */
	bool gone;                    /* act=real: the kernel has it already */
	bool leave_cache;             /* a planted fault: not restored at release */
};

int allocation_open(void);
void allocation_close(void);
struct allocation *allocation_take(void);
void allocation_discard(struct allocation *allocation);
void allocation_publish(struct allocation *allocation, struct ledger_record *record);
struct allocation *allocation_release(enum ledger_kind kind, const void *pointer, size_t size,
				      size_t align, unsigned long site);
u32 allocation_serial(const void *pointer);
bool allocation_live_at(u64 gpa, size_t size);
bool allocation_known_at(u64 gpa, size_t size);
void allocation_append_reclaim(const struct allocation *allocation);
u32 allocation_reclaim_all(void);
void allocation_failed(enum ledger_kind kind, size_t size, size_t align, int error,
		       bool injected, unsigned long site);

/* pool.c: kmalloc() with a four-character tag. pool_alloc()'s one match is pool_free(). */
void *freeonce_pool_alloc(size_t size, size_t align, u32 tag);
void *freeonce_pool_alloc_zeroed(size_t size, size_t align, u32 tag);
void freeonce_pool_free(void *pointer, size_t size, size_t align);
void pool_give_back(struct allocation *allocation);

/* contiguous.c: its one match is freeonce_contiguous_free(). May sleep, both ways. */
struct contiguous_request {
	u64 size;
	u64 align;    /* power of two; below a page: a page */
	u64 lowest;   /* gpa */
	u64 highest;  /* gpa, inclusive */
	u64 boundary; /* power of two that must not be crossed; 0: none */
	u32 cache;    /* enum cache_type */
	s32 node;     /* -1: any */
};

void *freeonce_contiguous_alloc(const struct contiguous_request *request);
void freeonce_contiguous_free(void *pointer, size_t size, size_t align);
void contiguous_give_back(struct allocation *allocation);

/* cache_type.c: the PAT's encoding (AMD manual volume 2, 7.8.1). */
enum cache_type {
	CACHE_UC = 0,
	CACHE_WC = 1,
	CACHE_WB = 6,
	CACHE_UC_MINUS = 7,
	CACHE_UNKNOWN = 255,
};

bool cache_type_known(u32 cache);
int cache_type_set(void *address, u32 pages, enum cache_type cache);
enum cache_type cache_type_of(const void *address, u32 pages);

/* inject.c: allocations that fail on demand, allocators that place wrongly, ledgers that lie. */
enum inject_misplacement {
	MISPLACE_SHIFT = 1, /* begins where neither alignment nor boundary allow */
	MISPLACE_RANGE = 2, /* outside of lowest..highest */
	MISPLACE_CACHE = 4, /* page attributes not set */
	MISPLACE_LEAVE = 8, /* page attributes set, and not restored at release */
};

enum inject_lie {
	LIE_NONE,
	LIE_DROP,      /* the ledger never hears of it */
	LIE_DUPLICATE, /* the ledger hears of it twice */
};

struct run_options;
void inject_reset(const struct run_options *options);
bool inject_act_real(void);
bool inject_should_fail(void);
u32 inject_misplacement(void);
void inject_scramble(void);
void freeonce_inject_scramble(void);
void freeonce_inject_fail(u32 nth);
void freeonce_inject_misplacement(u32 misplacement);
enum inject_lie inject_lie(enum ledger_type type);
void inject_next(enum ledger_type type, enum inject_lie lie);

/* svm_cpu.c: CPUs into SVM operation and out of it. A CPU's save area is bound while it is on. */
const char *svm_missing(void);
void freeonce_pin(void);
void freeonce_unpin(void);
int freeonce_svm_on(u64 host_save_area);
void freeonce_svm_off(void);
bool svm_is_on(void);
u32 freeonce_paging_levels(void);
u8 svm_physical_bits(void);

/* cpu_state.c: what SVM leaves in a CPU. */
void cpu_state_append_all(void);
void cpu_state_restore_all(void);

/* on_cpu.c: code on a CPU of one's choice, or on all of them at once. May sleep. */
typedef int (*on_cpu_body)(void *argument);
u32 freeonce_cpu_count(void);
int freeonce_on_cpu(u32 cpu, on_cpu_body body, void *argument);
int freeonce_on_each_cpu(on_cpu_body body, void *argument);

/*
 * operand.c: every physical address that the CPU is given, and for how long.
 *
 * A vcpu is bound by its first VMRUN, or before by freeonce_vcpu_bind(); from then
 * on the CPU may use all that its VMCB reaches, until freeonce_vcpu_unbind().
 */
enum vcpu_flags {
	VCPU_IDENTITY = 1,  /* the L2 is L1 itself: its memory is the machine's */
	VCPU_UNCHECKED = 2, /* the host's registers are not compared around VMRUN */
};

struct vcpu {
	u64 vmcb_gpa;      /* offsets known to vmrun.S */
	u64 host_vmcb_gpa;
	u64 gpr[14];       /* rbx rcx rdx rsi rdi rbp r8..r15 */
	void *vmcb;
	u32 number;        /* of its binding; 0: not bound */
	u32 flags;
};

int operand_open(void);
void operand_close(void);
int freeonce_vcpu_bind(struct vcpu *vcpu);
void freeonce_vcpu_unbind(struct vcpu *vcpu);
int operand_check(struct vcpu *vcpu);
void operand_unbind_all(void);
void *operand_fpu(const struct vcpu *vcpu);
void operand_host_save_area(u64 gpa, bool bound);
int operand_vmsave(u64 gpa);
void operand_lock(void);
void operand_unlock(void);
bool operand_holds(u64 gpa, size_t size);

/* host_state.c: the host's registers around a VMRUN. */
struct host_state {
	u64 value[HOST_REGISTERS];
};

int host_state_open(void);
void host_state_close(void);
void host_state_take(struct host_state *state);
void host_state_compare(const struct host_state *before);
void host_fpu_reset(void *image);
void host_fpu_enter(void *image);
void host_fpu_leave(void *image);
size_t host_fpu_bytes(void);

/* nmi.c: a VMRUN that an NMI of L1's own, sent while GIF is 0, awaits. */
int freeonce_svm_run_into_nmi(struct vcpu *vcpu);

/* vcpu.c and vmrun.S: the world switch. */
int freeonce_svm_run(struct vcpu *vcpu);
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
	struct vcpu vcpu;  /* offsets known to virtualize.S */
	void *stack_top;
	bool (*handle)(struct world *world); /* false: leave. Interrupts and GIF are off */
	void *owner;       /* the handler's own */
};

int freeonce_vmsave(const void *vmcb);
int freeonce_virtualize(struct world *world);
int freeonce_devirtualize(void);
void virtualize_leave_all(void);
void virtualize_world(struct world *world);
bool virtualize_exit(struct world *world);

/* scenario.c: the table, C and Rust alike. The layout is repeated in rust/scenario.rs. */
struct expectation {
	const char *rule;
	const char *kind;
	const char *at;
	const char *what;
	const char *because;
};

struct scenario {
	const char *name;
	const char *section;
	const char *language;
	const char *needs; /* NULL, or a feature this CPU may lack */
	const char *ends;  /* NULL, or how it loses the guest: then only run when named */
	const char *lesson;
	const struct expectation *expected;
	size_t expected_count;
	int (*run)(void);      /* C; NULL in a Rust scenario */
	const void *rust_body; /* Rust's own */
};

const struct scenario *scenario_at(size_t index);
const struct scenario *freeonce_rust_scenario(bool planted, size_t index);
int freeonce_rust_run(const struct scenario *scenario);
/* fail_at: 0 for none; fail_after: that allocation and every later one. */
struct run_options {
	u32 fail_at;
	bool fail_after;
	bool act_real;
};

int scenario_run(const char *name, const struct run_options *options);
void scenario_settle(void);
void scenario_rewind(void);
u32 scenario_current_run(void);

void freeonce_step(const char *text, size_t length);
void freeonce_unsupported(const char *text, size_t length, u32 kind);
u64 freeonce_nanoseconds(void);
void freeonce_sleep(u32 milliseconds);
void freeonce_touch(u64 gpa);
u64 freeonce_memory_end(void);
void freeonce_label(const void *pointer, const char *text, size_t length);
void __noreturn freeonce_panic(const char *text, size_t length);
void freeonce_zero(void *pointer, size_t size);
u64 freeonce_gpa(const void *pointer);

/* unload.c: what happens after the run, if the scenario wants it. */
enum unload_left {
	LEFT_EFER = 1,
	LEFT_HOST_SAVE_AREA = 2,
};

void freeonce_unload_after(u32 planted);
void unload_reset(void);
bool unload_wanted(void);
void unload_leave(void);

/* witness.c: what the kernel's own allocators saw of our code. Watching only during a run. */
void witness_open(void);
void witness_watch(void);
void witness_look_away(void);
void witness_close(void);

/* bench.c: nanoseconds for one allocate/release pair. */
struct bench_pair {
	u64 bare;
	u64 ledger;
	u64 witness;
};

int bench_measure_pair(void *into);
int scenario_bench(int (*measure)(void *into), void *into);

/* bench_vmrun.c: nanoseconds for one VMRUN and its #VMEXIT. */
#define BENCH_VMRUNS 5
#define BENCH_ROUNDS 20
#define BENCH_TRIPS 200 /* all the records of all the rounds fit into the ledger */

struct bench_vmrun {
	const char *name;
	void (*trip)(struct vcpu *vcpu);
};

extern const struct bench_vmrun bench_vmruns[BENCH_VMRUNS];
int bench_measure_vmrun(void *into);
int freeonce_rust_bench(void (*measure)(struct vcpu *vcpu, void *into), void *into);

/* control.c: the debugfs files. */
int control_open(void);
void control_close(void);

#endif
