/* SPDX-License-Identifier: GPL-2.0 */
/* Exceptions that CPL 0 can raise in long mode, 15.12. */
#include "program.h"

	program exceptions, LONG
	xor	%eax, %eax
	xor	%edx, %edx
	xor	%ecx, %ecx
	exit	EXIT_EXCEPTION(0), div %ecx
	exit	EXIT_EXCEPTION(6), ud2
	mov	$NOT_PRESENT, %eax
	exit_with EXIT_EXCEPTION(11), NOT_PRESENT, ~0, mov %eax, %ds
	exit_with EXIT_EXCEPTION(12), NOT_PRESENT, ~0, mov %eax, %ss
	movabs	$0x8000000000000000, %rbx
	exit_with EXIT_EXCEPTION(13), 0, ~0, mov (%rbx), %eax
	exit_with EXIT_EXCEPTION(14), 2, ~0, mov %eax, UNMAPPED
	exit_with EXIT_EXCEPTION(14), 0, ~0, mov UNMAPPED, %eax
	done
