/* SPDX-License-Identifier: GPL-2.0 */
/*
 * IN and OUT of each size through the permissions map, 15.10. The ports from 0x80 on
 * exit, so does any access that touches one of them; 0x7f alone goes through (a word at
 * 0x7f does not).
 */
#include "program.h"

/* EXITINFO1, 15.10.2: port, size, string, repeated, direction. */
#define PORT(n) ((n) << 16)
#define SIZE_8 0x10
#define SIZE_16 0x20
#define SIZE_32 0x40
#define STRING 0x04
#define REPEATED 0x08
#define IN 0x01
#define KNOWN 0xffff007d

	program io, LONG
	exit_with EXIT_IOIO, PORT(0x80) | SIZE_8 | IN, KNOWN, in $0x80, %al
	exit_with EXIT_IOIO, PORT(0x80) | SIZE_8, KNOWN, out %al, $0x80
	mov	$0x81, %edx
	exit_with EXIT_IOIO, PORT(0x81) | SIZE_16 | IN, KNOWN, in %dx, %ax
	exit_with EXIT_IOIO, PORT(0x81) | SIZE_16, KNOWN, out %ax, %dx
	exit_with EXIT_IOIO, PORT(0x81) | SIZE_32 | IN, KNOWN, in %dx, %eax
	exit_with EXIT_IOIO, PORT(0x81) | SIZE_32, KNOWN, out %eax, %dx
	in	$0x7f, %al
	exit_with EXIT_IOIO, PORT(0x7f) | SIZE_16 | IN, KNOWN, in $0x7f, %ax
	done

	program string_io, LONG
	mov	$0x80, %edx
	mov	$DATA, %esi
	mov	$DATA, %edi
	mov	$1, %ecx
	exit_with EXIT_IOIO, PORT(0x80) | SIZE_8 | STRING, KNOWN, outsb
	exit_with EXIT_IOIO, PORT(0x80) | SIZE_8 | STRING | IN, KNOWN, insb
	exit_with EXIT_IOIO, PORT(0x80) | SIZE_32 | STRING | REPEATED, KNOWN | REPEATED, rep outsl
	exit_with EXIT_IOIO, PORT(0x80) | SIZE_16 | STRING | REPEATED | IN, KNOWN | REPEATED, rep insw
	done
