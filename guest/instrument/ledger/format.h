/* SPDX-License-Identifier: GPL-2.0 */
/* The wire format of LEDGER.md as C types. Compiles in the kernel and outside of it. */
#ifndef FREEONCE_LEDGER_FORMAT_H
#define FREEONCE_LEDGER_FORMAT_H

#include <linux/types.h>

#define LEDGER_MAGIC "FREEONCE"
#define LEDGER_VERSION 4
#define LEDGER_HEADER_SIZE 4096
#define LEDGER_TEXT_SIZE 24
#define LEDGER_TEXT_MOST 240 /* of a step or a name, in several records */
#define LEDGER_CHECK_PRIME 0x9e3779b97f4a7c15ULL
#define LEDGER_ALIGN_INVALID 255

/* Behind every allocation, and what stands in released memory. */
#define GUARD_SIZE 16
#define GUARD_LIVE 0xcc
#define GUARD_RELEASED 0xbb
#define POISON_RELEASED 0x6b

enum ledger_type {
	LEDGER_BEGIN = 1,
	LEDGER_END = 2,
	LEDGER_ALLOCATE = 3,
	LEDGER_CONSTRAINT = 4,
	LEDGER_ALLOCATE_FAILED = 5,
	LEDGER_RELEASE = 6,
	LEDGER_RECLAIM = 7,
	LEDGER_LABEL = 8,
	LEDGER_STEP = 9,
	LEDGER_UNSUPPORTED = 10,
	LEDGER_VMRUN = 11,
	LEDGER_VMEXIT = 12,
	LEDGER_SVM_ON = 13,
	LEDGER_SVM_OFF = 14,
	LEDGER_PANIC = 15,
	LEDGER_MODULE_EXIT = 16,
	LEDGER_GUARD = 17,
	LEDGER_WITNESS_ON = 18,
	LEDGER_SETTLED = 19,
	LEDGER_RESTORED = 20,
	LEDGER_CPU_STATE = 21,
	LEDGER_BIND = 22,
	LEDGER_OPERAND = 23,
	LEDGER_UNBIND = 24,
	LEDGER_HOST_REGISTER = 25,
	LEDGER_SUBJECT = 26,
	LEDGER_SECTION = 27,
	LEDGER_PHASE = 28,
	LEDGER_STACK = 29,
	LEDGER_SYMBOL = 30,
	LEDGER_BROKEN = 31,
	LEDGER_BLIND = 32,
	LEDGER_QUIESCED = 33,
	LEDGER_STATIC = 34,
	LEDGER_LEFT = 35,
	LEDGER_INVLPGA = 36,
	LEDGER_PAGE_FREED = 37,
	LEDGER_ATTEMPT = 40,
};

enum ledger_witness {
	WITNESS_LEDGER = 1,
	WITNESS_KERNEL = 2,
};

enum ledger_kind {
	KIND_NONE = 0,
	KIND_POOL = 1,
	KIND_CONTIGUOUS = 2,
};

/* Kinds of resource, with the functions that acquire and release them. */
enum ledger_family {
	FAMILY_NONE = 0,
	FAMILY_POOL = 1,
	FAMILY_CONTIGUOUS = 2,
	FAMILY_SLAB = 3,
	FAMILY_OBJECT = 4,
	FAMILY_CACHE = 5,
	FAMILY_PAGES = 6,
	FAMILY_VMALLOC = 7,
	FAMILY_KVMALLOC = 8,
	FAMILY_PERCPU = 9,
	FAMILY_MEMPOOL = 10,
	FAMILY_IOMAP = 11,
	FAMILY_CIPHER = 12,
	FAMILY_MISC = 13,
	FAMILY_SRCU = 14,
	FAMILY_REGISTRATION = 15,
};

enum ledger_flag {
	FLAG_WITHHELD = 1, /* release: the kernel never saw it */
	FLAG_INJECTED = 2, /* allocate_failed: made to fail */
	FLAG_RANGE = 4,    /* allocate: taken by page number; no tracepoint tells of that */
	FLAG_REAL = 8,     /* begin: the kernel suffers faulty releases */
	FLAG_PAGED = 8,    /* allocate: asked for as paged pool */
	FLAG_RAISED = 16,  /* release: where paged pool may not be released */
	FLAG_IDENTITY = 16, /* operand: L1's own memory, mapped where it lies */
	FLAG_FOREIGN = 4,   /* bind: of a subject's own VMRUN */
	FLAG_GONE = 2,      /* operand: the vcpu does not reach it any more */
	FLAG_EXACT = 64,   /* allocate, release: single pages, not a block */
	FLAG_UNLOAD = 64,  /* end: the module is to be unloaded when all is settled */
	FLAG_TAIL = 32,     /* the kernel's release: by a function that ours called */
	FLAG_KEPT = 2,      /* release: poisoned, and held until a reclaim */
	FLAG_DEFERRED = 8,  /* release: the kernel does it later */
	FLAG_LIFE = 16,     /* begin: of a life, not of a scenario */
	FLAG_WRAPPED = 128, /* the kernel's: inside of a wrapper's own call */
};

enum ledger_phase {
	PHASE_COMING = 1,
	PHASE_LIVE = 2,
	PHASE_GOING = 3,
	PHASE_GONE = 4,
	PHASE_INIT_FAILED = 5,
};

enum ledger_broken {
	BROKEN_FRONT = 1,
	BROKEN_BEHIND = 2,
	BROKEN_POISON = 3,
};

enum ledger_blind {
	BLIND_BOOKS = 1,
	BLIND_STACKS = 2,
	BLIND_RELEASE = 3,
	BLIND_HOOKS = 4,
	BLIND_REST = 5,
	BLIND_ROOM = 6,
	BLIND_CPUS = 7,
};

enum ledger_quiesced {
	QUIESCED_RCU = 1,
	QUIESCED_WORK = 2,
	QUIESCED_DEFERRED = 4,
};

/* By which field of a VMCB an L2 reaches what is not told. Of STRUCTURE_MORE, instead of a level. */
enum ledger_field {
	FIELD_AVIC = 1,
	FIELD_VMSA = 2,
	FIELD_CR3 = 3,
};

/* What an address given to the CPU is for. */
enum ledger_structure {
	STRUCTURE_VMCB = 1,
	STRUCTURE_HOST_VMCB = 2,
	STRUCTURE_HOST_SAVE_AREA = 3,
	STRUCTURE_IOPM = 4,
	STRUCTURE_MSRPM = 5,
	STRUCTURE_NESTED_TABLE = 6,
	STRUCTURE_NESTED_PAGE = 7,
	STRUCTURE_MORE = 8, /* there were more than can be told */
	STRUCTURE_PAGE_TABLE = 9,
	STRUCTURE_PAGE = 10,
	STRUCTURE_VMSAVE = 11, /* for that one instruction */
	STRUCTURE_HANDLER_STACK = 12, /* of what runs below Linux on a CPU */
	STRUCTURE_HANDLER_DATA = 13,
};

/* Registers of the host that a VMRUN must leave as they were. */
enum ledger_host_register {
	HOST_CR0, HOST_CR2, HOST_CR3, HOST_CR4, HOST_CR8,
	HOST_DR0, HOST_DR1, HOST_DR2, HOST_DR3, HOST_DR6, HOST_DR7,
	HOST_EFER, HOST_FS_BASE, HOST_GS_BASE, HOST_KERNEL_GS_BASE,
	HOST_STAR, HOST_LSTAR, HOST_CSTAR, HOST_SFMASK,
	HOST_SYSENTER_CS, HOST_SYSENTER_ESP, HOST_SYSENTER_EIP, HOST_PAT,
	HOST_GDTR, HOST_IDTR, HOST_LDTR, HOST_TR, HOST_SELECTORS, HOST_XCR0, HOST_FPU,
	HOST_REGISTERS,
};

#define CPU_STATE_GIF 1
#define CPU_STATE_SILENT 2
#define CPU_STATE_FLUSH_BY_ASID 4
#define CPU_STATE_SEV_ES 8

struct ledger_guard {
	__u32 tag;
	__u32 serial;
	__u8 pattern[8];
};

struct ledger_header {
	char magic[8];
	__u32 version;
	__u32 record_size;
	__u64 capacity;
	__u64 appended;
	char release[64];
	__u64 page_offset;
	__u64 drained;
};

struct ledger_record {
	__u32 sequence;
	__u32 check;
	__u64 time;
	union {
		struct {
			__u64 pointer;
			__u64 physical;
			__u64 size;
		};
		char text[LEDGER_TEXT_SIZE];
	};
	__u32 serial;
	__u32 run;
	__u32 site;
	__u32 detail;
	__u8 type;
	__u8 witness;
	__u8 kind;
	__u8 flags;
	__u8 align_log2;
	__u8 zero;
	__u16 cpu;
};

#endif
