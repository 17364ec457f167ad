/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the instructions of a foreign hypervisor give the CPU, called from its code
 * (harness/freeonce/subject/trampolines.py).
 *
 * Here GS, FS and TR may be the L2's and GIF 0 (AMD manual volume 2, 15.5 and 15.17): no C, no
 * per-CPU data, no exception. Each takes the next slot of a ring, in the order of events, and
 * fills it; C reads it later (hooked.c). Which CPU it is, GDTR says, which is the host's all along.
 * All registers and flags are as they were; no return thunk, which would change flags. Interrupts
 * stay out: whoever took a slot fills it at once, since others wait for that.
 */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>

#include "cpu/hooks.h"
#include "cpu/vmcb.h"

#define MSR_EFER 0xc0000080
#define MSR_VM_HSAVE_PA 0xc0010117
#define MSR_GS_BASE 0xc0000101

/* Without a thunk. */
.macro return
	ANNOTATE_UNRET_SAFE
	ret
	int3
.endm

.macro save
	pushfq
	cli
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rsi
.endm

.macro restore
	pop	%rsi
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	popfq
.endm

/* rbx: the slot; rsi: what it is to be marked with when it is full. Changes rdx. */
.macro begin kind
	mov	$1, %esi
	lock xadd %rsi, hooked_next(%rip)
	mov	%rsi, %rbx
	and	$HOOKED_SLOTS - 1, %ebx
	shl	$HOOKED_SHIFT, %rbx
	add	hooked_ring(%rip), %rbx
	movq	$0, HOOKED_READY(%rbx)
	movq	$\kind, HOOKED_KIND(%rbx)
	sub	$16, %rsp
	sgdt	(%rsp)
	mov	2(%rsp), %rdx
	add	$16, %rsp
	mov	%rdx, HOOKED_GDT(%rbx)
	inc	%rsi
.endm

.macro end
	mov	%rsi, HOOKED_READY(%rbx)
.endm

/* rdx: the VMCB at the address in rax, or a page of zeros when there is no such memory. */
.macro find_vmcb
	mov	%rax, %rdx
	shr	$12, %rdx
	cmp	hooked_pages(%rip), %rdx
	jb	1f
	mov	hooked_nothing(%rip), %rdx
	jmp	2f
1:	mov	hooked_offset(%rip), %rdx
	add	%rax, %rdx
2:
.endm

.macro copy field word
	mov	\field(%rdx), %rcx
	mov	%rcx, HOOKED_WORDS + 8 * \word(%rbx)
.endm

	.text
SYM_FUNC_START(freeonce_hook_vmrun)
	save
	begin HOOKED_VMRUN
	mov	%rax, HOOKED_RAX(%rbx)
	find_vmcb
	copy VMCB_IOPM_BASE 0
	copy VMCB_MSRPM_BASE 1
	copy VMCB_ASID 2
	copy VMCB_NESTED_CONTROL 3
	copy VMCB_NESTED_CR3 4
	copy VMCB_INTERRUPT_CONTROL 5
	end
	restore
	return
SYM_FUNC_END(freeonce_hook_vmrun)

/* #VMEXIT brings back rax, the VMCB's address. */
SYM_FUNC_START(freeonce_hook_vmexit)
	save
	begin HOOKED_VMEXIT
	mov	%rax, HOOKED_RAX(%rbx)
	find_vmcb
	copy VMCB_EXIT_CODE 0
	copy VMCB_EXIT_INFO_1 1
	copy VMCB_EXIT_INFO_2 2
	copy VMCB_RIP 3
	end
	restore
	return
SYM_FUNC_END(freeonce_hook_vmexit)

SYM_FUNC_START(freeonce_hook_save_area)
	save
	begin HOOKED_SAVE_AREA
	mov	%rax, HOOKED_RAX(%rbx)
	end
	restore
	return
SYM_FUNC_END(freeonce_hook_save_area)

SYM_FUNC_START(freeonce_hook_invlpga)
	save
	begin HOOKED_INVLPGA
	mov	%rax, HOOKED_RAX(%rbx)
	mov	%rcx, HOOKED_WORDS(%rbx)
	end
	restore
	return
SYM_FUNC_END(freeonce_hook_invlpga)

/* Behind a WRMSR: what both registers are now. They are there when one that is SVM's was written. */
SYM_FUNC_START(freeonce_hook_wrmsr)
	save
	cmp	$MSR_VM_HSAVE_PA, %ecx
	je	1f
	cmp	$MSR_EFER, %ecx
	jne	2f
	cmpb	$0, hooked_svm(%rip)
	je	2f
1:	begin HOOKED_WRMSR
	mov	$MSR_EFER, %ecx
	rdmsr
	mov	%eax, HOOKED_WORDS(%rbx)
	mov	%edx, HOOKED_WORDS + 4(%rbx)
	mov	$MSR_VM_HSAVE_PA, %ecx
	rdmsr
	mov	%eax, HOOKED_RAX(%rbx)
	mov	%edx, HOOKED_RAX + 4(%rbx)
	end
2:	restore
	return
SYM_FUNC_END(freeonce_hook_wrmsr)

/* Calls C if GS is the host's: GDTR and GS.base are those of one CPU. */
.macro call_as_host function
	save
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	sub	$16, %rsp
	sgdt	(%rsp)
	mov	2(%rsp), %rsi
	add	$16, %rsp
	mov	$MSR_GS_BASE, %ecx
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	lea	hooked_cpus(%rip), %rbx
	mov	hooked_cpu_count(%rip), %ecx
1:	dec	%ecx
	js	3f
	cmp	%rsi, (%rbx)
	jne	2f
	cmp	%rax, 8(%rbx)
	je	4f
2:	add	$16, %rbx
	jmp	1b
4:
	call	\function
3:	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	restore
.endm

/* Before a CLGI: before a VMRUN that is to come. */
SYM_FUNC_START(freeonce_hook_clgi)
	call_as_host hooked_before_clgi
	return
SYM_FUNC_END(freeonce_hook_clgi)

/* Behind an STGI. */
SYM_FUNC_START(freeonce_hook_stgi)
	call_as_host hooked_read
	return
SYM_FUNC_END(freeonce_hook_stgi)
