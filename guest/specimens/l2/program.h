/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An L2's program: its code, and the exits it must make, in order.
 *
 *	program NAME, LONG		(REAL, PROTECTED: 32-bit, no paging); one in a file, or NAME tells them apart
 *	exit CODE, instruction		this instruction, and no earlier one, must exit
 *	exit_with CODE, INFO, MASK, instruction	and EXITINFO1 & MASK must be INFO
 *	exit_at CODE, AT, NEXT		an exit with its RIP at AT, and where the L2 goes on;
 *					AT may be ANYWHERE, NEXT may be GO_ON
 *	done				VMMCALL, and the program is over
 *
 * After `exit` the L2 goes on behind the instruction. The code stands at CODE_BASE;
 * what else the L2 has is in rust/src/svm/memory.rs. Codes: AMD manual volume 2,
 * appendix C.
 */
#define LONG 64
#define PROTECTED 32
#define REAL 16

/* Not #define: they stand in quotes. */
	.set	CODE_BASE, 0x1000
	.set	STACK_TOP, 0x3000
	.set	DATA, 0x8000
	.set	READ_ONLY, 0x9000	/* in the nested page table */
	.set	NO_EXECUTE, 0xa000	/* in the nested page table */
	.set	NOT_NESTED, 0xb000	/* not in the nested page table */
	.set	RESERVED_BIT, 0xc000	/* with a reserved bit in the nested page table */
	.set	HANDLERS, 0xd000		/* of vector n at + 16 * n: vmmcall, iret */
	.set	BEYOND, 0xe000		/* leads to a gpa that no nested table covers */
	.set	UNMAPPED, 0x100000	/* not in the L2's own page table */

#define CODE_DPL3 0x1b
#define DATA_DPL3 0x23
#define NOT_PRESENT 0x38
#define OTHER_TASK 0x48

#define EXIT_CR_READ(n) (0x00 + (n))
#define EXIT_CR_WRITE(n) (0x10 + (n))
#define EXIT_DR_READ(n) (0x20 + (n))
#define EXIT_DR_WRITE(n) (0x30 + (n))
#define EXIT_EXCEPTION(n) (0x40 + (n))
#define EXIT_INTR 0x60
#define EXIT_NMI 0x61
#define EXIT_VINTR 0x64
#define EXIT_CR0_SEL_WRITE 0x65
#define EXIT_IDTR_READ 0x66
#define EXIT_GDTR_READ 0x67
#define EXIT_LDTR_READ 0x68
#define EXIT_TR_READ 0x69
#define EXIT_IDTR_WRITE 0x6a
#define EXIT_GDTR_WRITE 0x6b
#define EXIT_LDTR_WRITE 0x6c
#define EXIT_TR_WRITE 0x6d
#define EXIT_RDTSC 0x6e
#define EXIT_RDPMC 0x6f
#define EXIT_PUSHF 0x70
#define EXIT_POPF 0x71
#define EXIT_CPUID 0x72
#define EXIT_RSM 0x73
#define EXIT_IRET 0x74
#define EXIT_SWINT 0x75
#define EXIT_INVD 0x76
#define EXIT_PAUSE 0x77
#define EXIT_HLT 0x78
#define EXIT_INVLPG 0x79
#define EXIT_INVLPGA 0x7a
#define EXIT_IOIO 0x7b
#define EXIT_MSR 0x7c
#define EXIT_TASK_SWITCH 0x7d
#define EXIT_SHUTDOWN 0x7f
#define EXIT_VMRUN 0x80
#define EXIT_VMMCALL 0x81
#define EXIT_VMLOAD 0x82
#define EXIT_VMSAVE 0x83
#define EXIT_STGI 0x84
#define EXIT_CLGI 0x85
#define EXIT_SKINIT 0x86
#define EXIT_RDTSCP 0x87
#define EXIT_ICEBP 0x88
#define EXIT_WBINVD 0x89
#define EXIT_MONITOR 0x8a
#define EXIT_MWAIT 0x8b
#define EXIT_XSETBV 0x8d
#define EXIT_RDPRU 0x8e
#define EXIT_NPF 0x400

#define ANYWHERE 0xffffffff
#define GO_ON 0xffffffff

/* Labels 70 to 73: code, its end, exits, an instruction. */
.macro program name, mode
	.section .rodata.l2, "a"
	.balign	8
	.globl	l2_\name
l2_\name:
	.quad	70f, 72f
	.long	71f - 70f, \mode
	.section .rodata.l2_exits, "a"
	.balign	8
72:
	.section .rodata.l2_code, "a"
	.if	\mode == LONG
	.code64
	.elseif	\mode == PROTECTED
	.code32
	.else
	.code16
	.endif
70:
.endm

/* `struct expected` of rust/src/svm/program.rs. */
.macro expect code, info, mask, at, next, last
	.pushsection .rodata.l2_exits, "a"
	.long	\code, \last
	.quad	\info, \mask
	.long	\at, \next
	.popsection
.endm

.macro exit_with code, info, mask, instruction:vararg
73:	\instruction
74:	expect \code, \info, \mask, "CODE_BASE + 73b - 70b", "CODE_BASE + 74b - 70b", 0
.endm

.macro exit code, instruction:vararg
73:	\instruction
74:	expect \code, 0, 0, "CODE_BASE + 73b - 70b", "CODE_BASE + 74b - 70b", 0
.endm

.macro exit_at code, at, next
	expect \code, 0, 0, "\at", "\next", 0
.endm

.macro done
73:	vmmcall
	expect EXIT_VMMCALL, 0, 0, "CODE_BASE + 73b - 70b", GO_ON, 1
71:
.endm
