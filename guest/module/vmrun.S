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
 *  5. the caller: DR6 and DR7.
 *  6. vcpu->gpr: the L2's general registers but RAX and RSP, which live in its VMCB.
 *
 * GIF is 0 from CLGI to STGI: no interrupt or NMI sees half a world.
 */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>

#define VCPU_VMCB	0
#define VCPU_HOST_VMCB	8
#define VCPU_GPR(n)	(16 + 8 * (n))

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

	mov	VCPU_GPR(0)(%rdi), %rbx
	mov	VCPU_GPR(1)(%rdi), %rcx
	mov	VCPU_GPR(2)(%rdi), %rdx
	mov	VCPU_GPR(3)(%rdi), %rsi
	mov	VCPU_GPR(5)(%rdi), %rbp
	mov	VCPU_GPR(6)(%rdi), %r8
	mov	VCPU_GPR(7)(%rdi), %r9
	mov	VCPU_GPR(8)(%rdi), %r10
	mov	VCPU_GPR(9)(%rdi), %r11
	mov	VCPU_GPR(10)(%rdi), %r12
	mov	VCPU_GPR(11)(%rdi), %r13
	mov	VCPU_GPR(12)(%rdi), %r14
	mov	VCPU_GPR(13)(%rdi), %r15
	mov	VCPU_GPR(4)(%rdi), %rdi

	vmload	%rax
	vmrun	%rax
	vmsave	%rax

	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rbx, VCPU_GPR(0)(%rdi)
	mov	%rcx, VCPU_GPR(1)(%rdi)
	mov	%rdx, VCPU_GPR(2)(%rdi)
	mov	%rsi, VCPU_GPR(3)(%rdi)
	mov	%rbp, VCPU_GPR(5)(%rdi)
	mov	%r8, VCPU_GPR(6)(%rdi)
	mov	%r9, VCPU_GPR(7)(%rdi)
	mov	%r10, VCPU_GPR(8)(%rdi)
	mov	%r11, VCPU_GPR(9)(%rdi)
	mov	%r12, VCPU_GPR(10)(%rdi)
	mov	%r13, VCPU_GPR(11)(%rdi)
	mov	%r14, VCPU_GPR(12)(%rdi)
	mov	%r15, VCPU_GPR(13)(%rdi)
	pop	%rax
	mov	%rax, VCPU_GPR(4)(%rdi)

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
