/* SPDX-License-Identifier: GPL-2.0 */
/* Registers of an L2 that its VMCB does not hold, in and out of `struct vcpu`. For assembly. */
#define VCPU_VMCB	0
#define VCPU_HOST_VMCB	8
#define VCPU_GPR(n)	(16 + 8 * (n))

/* From the vcpu at %rdi, which it overwrites last. */
.macro load_gprs
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
.endm

/* To the vcpu whose address is on top of the stack; %rdi is that address afterwards. */
.macro save_gprs
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
	pop	VCPU_GPR(4)(%rdi)
.endm
