/* SPDX-License-Identifier: GPL-2.0 */
/*
 * void virtualize_world(struct world *world)
 *
 * Returns once, as L2: the VMCB's RIP and RSP are this call's return. L1 goes on
 * here, on the world's own stack, from exit to exit, until the handler says leave;
 * then L1 takes the L2's registers and goes on where the L2 stood.
 *
 *  1. the C ABI: rbx, rbp, r12-r15 and RFLAGS on the caller's stack, for the L2.
 *  2. VMSAVE and VMLOAD: FS, GS, TR, LDTR, KernelGsBase and the MSRs of system calls,
 *     the host's before the handler, the L2's before VMRUN.
 *  3. VMRUN and #VMEXIT: the rest (AMD manual volume 2, 15.5.1, 15.6). Nobody touches
 *     the FPU.
 *
 * L1 runs with interrupts off and GIF 0 throughout.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>

#include "cpu/world.h"

#define WORLD_VMCB	136
#define WORLD_STACK	144
#define VMCB_RFLAGS	0x570
#define VMCB_RIP	0x578
#define VMCB_RSP	0x5d8
#define VMCB_RAX	0x5f8

	.text
/* It changes stacks and worlds in the middle. */
STACK_FRAME_NON_STANDARD virtualize_world
SYM_FUNC_START(virtualize_world)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	pushf
	mov	WORLD_VMCB(%rdi), %rax
	mov	(%rsp), %rcx
	mov	%rcx, VMCB_RFLAGS(%rax)
	lea	.Linside(%rip), %rcx
	mov	%rcx, VMCB_RIP(%rax)
	mov	%rsp, VMCB_RSP(%rax)

	cli
	clgi
	mov	VCPU_HOST_VMCB(%rdi), %rax
	vmsave	%rax
	mov	WORLD_STACK(%rdi), %rsp
	push	$0
	push	%rdi

.Lenter:
	mov	VCPU_VMCB(%rdi), %rax
	load_gprs
	vmload	%rax
	vmrun	%rax
	vmsave	%rax
	save_gprs
	mov	VCPU_HOST_VMCB(%rdi), %rax
	vmload	%rax
	/* Keep what unwinds the handler from walking on into the L2. */
	xor	%ebp, %ebp
	call	virtualize_exit
	mov	(%rsp), %rdi
	test	%al, %al
	jnz	.Lenter

	/* virtualize_exit() has given the CPU the L2's control registers and tables. */
	mov	VCPU_VMCB(%rdi), %rax
	vmload	%rax
	mov	WORLD_VMCB(%rdi), %rax
	mov	VMCB_RSP(%rax), %rsp
	push	VMCB_RIP(%rax)
	push	VMCB_RFLAGS(%rax)
	push	VMCB_RAX(%rax)
	load_gprs
	stgi
	pop	%rax
	popf
	RET

.Linside:
	popf
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(virtualize_world)
