// SPDX-License-Identifier: GPL-2.0
// VMMCALL of a program: vmmcall. The exit status is 0 where the CPU refuses it with #UD, else 1.
#include <signal.h>
#include <unistd.h>

static void refused(int number)
{
	(void)number;
	_exit(0);
}

int main(void)
{
	/* KVM's hypercalls begin with 1; it has none of this number. */
	unsigned long rax = 0;

	signal(SIGILL, refused);
	alarm(5);
	asm volatile("vmmcall" : "+a"(rax) : : "memory");
	return 1;
}
