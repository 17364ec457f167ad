/* SPDX-License-Identifier: GPL-2.0 */
/*
 * void vmrun_world_switch(struct vcpu *vcpu)
 *
 * Who saves what (AMD manual volume 2, 15.5.1 and 15.5.2):
 *  1. the caller: interrupts off; we return with them off.
 *  2. the C ABI: rbx, rbp, r12-r15 on our stack.
 *  3. VMSAVE to the host's VMCB: FS, GS, TR, LDTR, KernelGsBase, STAR, LSTAR,
 *     CSTAR, SFMASK, SYSENTER_*. VMLOAD brings them back after the exit.
 *  4. VMRUN to the host save area: CS, SS, DS, ES, GDTR, IDTR, EFER, CR0, CR3,
 *     CR4, RFLAGS, RIP, RSP, RAX. #VMEXIT brings them back.
 *  5. the caller: DR6, DR7, CR2, and the FPU's registers.
 *  6. vcpu->gpr: the L2's general registers but RAX and RSP, which live in its VMCB.
 *
 * GIF is 0 from CLGI to STGI: no interrupt or NMI sees half a world.
 */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>

#include "cpu/world.h"

	.text
SYM_FUNC_START(vmrun_world_switch)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi

	clgi
	sti
	mov	VCPU_HOST_VMCB(%rdi), %rax
	vmsave	%rax
	mov	VCPU_VMCB(%rdi), %rax

	load_gprs
	vmload	%rax
	vmrun	%rax
	vmsave	%rax

	save_gprs

	mov	VCPU_HOST_VMCB(%rdi), %rax
	vmload	%rax
	cli
	stgi

	pop	%rdi
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(vmrun_world_switch)
