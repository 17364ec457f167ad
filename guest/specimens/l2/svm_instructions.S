/* SPDX-License-Identifier: GPL-2.0 */
/* SVM instructions in an L2, 15.9. */
#include "program.h"

	program svm_instructions, LONG
	mov	$DATA, %eax
	exit	EXIT_VMRUN, vmrun %rax
	exit	EXIT_VMLOAD, vmload %rax
	exit	EXIT_VMSAVE, vmsave %rax
	exit	EXIT_STGI, stgi
	exit	EXIT_CLGI, clgi
	exit	EXIT_INVLPGA, invlpga %rax, %ecx
	done
