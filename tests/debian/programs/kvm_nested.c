// SPDX-License-Identifier: GPL-2.0
// A user of /dev/kvm whose guest is a hypervisor itself. Usage: kvm_nested MACHINES [ENTRIES]
//
// The guest, L1, sets EFER.SVME and enters an L2 by VMRUN, with nested paging and an MSR permissions
// map of its own, ENTRIES times. The L2 writes a byte to a port, which is KVM's affair, reads an MSR
// that its map intercepts, and ends by VMMCALL. So KVM merges maps, makes a VMCB of the L2's and
// shadows nested tables (AMD manual volume 2, 15.25).
// Then, in the middle of an L2, this program changes what the L2 runs on: a new MSR filter, and
// EFER.SVME of L1 cleared, as KVM_SET_SREGS may at any time.
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BYTES = 0x20000, CPUIDS = 256 };
/* Guest-physical, and by an identity map virtual too. */
enum { PML4 = 0x2000, PDPT = 0x3000, DIRECTORY = 0x4000, CODE = 0x6000, STACK = 0x8000 };
enum { VMCB = 0x9000, SAVE_AREA = 0xa000, IOPM = 0xb000, MSRPM = 0xe000, NESTED = 0x10000 };
enum { L2_PORT = 0x3f8, WRONG_PORT = 0xf3, END_PORT = 0xf4 };
enum { EFER_LONG = 0x500, EFER_SVME = 1 << 12, CR4_PAE = 1 << 5 };

#define CR0_PE_PG 0x80000011u

/* rbx: how often. Each exit but the expected ones goes to WRONG_PORT, with its code in eax. */
asm(".section .rodata\n"
    "l1_begin:\n"
    "	mov	$0xc0000080, %ecx\n"
    "	rdmsr\n"
    "	or	$0x1000, %eax\n"
    "	wrmsr\n"
    "	mov	$0xc0010117, %ecx\n"
    "	mov	$0xa000, %eax\n"
    "	xor	%edx, %edx\n"
    "	wrmsr\n"
    "	mov	$0x9000, %esi\n"
    "	lea	l2_begin(%rip), %rdi\n"
    "1:	mov	%rdi, 0x578(%rsi)\n"
    "2:	mov	%rsi, %rax\n"
    "	clgi\n"
    "	vmload\n"
    "	vmrun\n"
    "	vmsave\n"
    "	stgi\n"
    "	mov	0x70(%rsi), %eax\n"
    "	cmp	$0x7c, %eax\n"
    "	jne	3f\n"
    "	addq	$2, 0x578(%rsi)\n"
    "	jmp	2b\n"
    "3:	cmp	$0x81, %eax\n"
    "	jne	4f\n"
    "	dec	%rbx\n"
    "	jnz	1b\n"
    "l1_end:\n"
    "	out	%al, $0xf4\n"
    "4:	out	%eax, $0xf3\n"
    "l2_begin:\n"
    "	mov	$0x3f8, %dx\n"
    "	mov	$0x41, %al\n"
    "	out	%al, %dx\n"
    "	mov	$0x174, %ecx\n"
    "	rdmsr\n"
    "	vmmcall\n"
    "code_end:\n"
    ".text\n");

extern const unsigned char l1_begin[], l1_end[], l2_begin[], code_end[];

struct machine {
	int fd, cpu;
	unsigned char *memory;
	struct kvm_run *run;
	int run_bytes;
};

static int must(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static void put(struct machine *machine, int at, unsigned long value, int size)
{
	memcpy(machine->memory + at, &value, size);
}

/* An identity map of the first 2 MiB; NESTED's tables are read as a user's (15.25.5). */
static void map_identity(struct machine *machine, int tables)
{
	put(machine, tables, (tables + 0x1000) | 7, 8);
	put(machine, tables + 0x1000, (tables + 0x2000) | 7, 8);
	put(machine, tables + 0x2000, 0x87, 8);
}

static void put_segment(struct machine *machine, int at, int selector, int attributes)
{
	put(machine, at, selector, 2);
	put(machine, at + 2, attributes, 2);
	put(machine, at + 4, 0xffffffff, 4);
}

/* AMD manual volume 2, appendix B. */
static void fill_vmcb(struct machine *machine)
{
	enum { SAVE = VMCB + 0x400 };

	put(machine, VMCB + 0x0c, 1u << 28, 4);   /* MSR_PROT */
	put(machine, VMCB + 0x10, 3, 4);          /* VMRUN, VMMCALL */
	put(machine, VMCB + 0x40, IOPM, 8);
	put(machine, VMCB + 0x48, MSRPM, 8);
	put(machine, VMCB + 0x58, 1, 4);          /* ASID */
	put(machine, VMCB + 0x90, 1, 8);          /* nested paging */
	put(machine, VMCB + 0xb0, NESTED, 8);
	put_segment(machine, SAVE + 0x00, 16, 0xc93);
	put_segment(machine, SAVE + 0x10, 8, 0xa9b);
	put_segment(machine, SAVE + 0x20, 16, 0xc93);
	put_segment(machine, SAVE + 0x30, 16, 0xc93);
	put(machine, SAVE + 0xd0, EFER_LONG | EFER_SVME, 8);
	put(machine, SAVE + 0x148, CR4_PAE, 8);
	put(machine, SAVE + 0x150, PML4, 8);
	put(machine, SAVE + 0x158, CR0_PE_PG, 8);
	put(machine, SAVE + 0x160, 0x400, 8);     /* DR7 */
	put(machine, SAVE + 0x168, 0xffff0ff0, 8);
	put(machine, SAVE + 0x170, 2, 8);         /* RFLAGS */
	put(machine, SAVE + 0x1d8, STACK, 8);
	put(machine, SAVE + 0x268, 0x0007040600070406, 8); /* PAT */
	/* Reads of SYSENTER_CS, 0x174. */
	put(machine, MSRPM + 0x174 / 4, 1, 1);
}

static void long_mode(struct kvm_sregs *sregs)
{
	struct kvm_segment code = { .limit = -1, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1 };
	struct kvm_segment data = { .limit = -1, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1 };

	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->cr3 = PML4;
	sregs->cr4 = CR4_PAE;
	sregs->cr0 = CR0_PE_PG;
	sregs->efer = EFER_LONG;
}

static void start(struct machine *machine, int entries)
{
	struct kvm_regs regs = { .rip = CODE, .rsp = STACK, .rbx = entries, .rflags = 2 };
	struct kvm_sregs sregs;

	must(ioctl(machine->cpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	long_mode(&sregs);
	must(ioctl(machine->cpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(ioctl(machine->cpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* To the next byte on a port. */
static int next(struct machine *machine)
{
	struct kvm_run *run = machine->run;

	must(ioctl(machine->cpu, KVM_RUN, 0), "KVM_RUN");
	if (run->exit_reason != KVM_EXIT_IO) {
		fprintf(stderr, "exit %d\n", run->exit_reason);
		return -1;
	}
	if (run->io.port == WRONG_PORT)
		fprintf(stderr, "VMEXIT %x\n", *(unsigned int *)((char *)run + run->io.data_offset));
	return run->io.port;
}

static void expect(int port, int wanted)
{
	if (port == wanted)
		return;
	fprintf(stderr, "port %x, not %x\n", port, wanted);
	exit(1);
}

/* While the L2 is in the middle of its code: all MSRs allowed, which is what was before. */
static void filter_msrs(struct machine *machine)
{
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_ALLOW };

	must(ioctl(machine->fd, KVM_X86_SET_MSR_FILTER, &filter), "KVM_X86_SET_MSR_FILTER");
}

/* L1 is no hypervisor any more: what ran its L2 goes on at the end of L1's code. */
static void clear_svme(struct machine *machine)
{
	struct kvm_regs regs = { .rip = CODE + (l1_end - l1_begin), .rsp = STACK, .rflags = 2 };
	struct kvm_sregs sregs;

	must(ioctl(machine->cpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.efer &= ~EFER_SVME;
	must(ioctl(machine->cpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(ioctl(machine->cpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

static void set_cpuid(int kvm, int cpu)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUIDS * sizeof(cpuid->entries[0]));

	must(cpuid ? 0 : -1, "calloc");
	cpuid->nent = CPUIDS;
	must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	must(ioctl(cpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
}

static void *mapped(int size, int fd)
{
	int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	must(at == MAP_FAILED ? -1 : 0, "mmap");
	return at;
}

static struct machine make(int kvm)
{
	struct machine machine = { .fd = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM") };
	struct kvm_userspace_memory_region region = { .memory_size = BYTES };

	machine.memory = mapped(BYTES, -1);
	region.userspace_addr = (unsigned long)machine.memory;
	must(ioctl(machine.fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	memcpy(machine.memory + CODE, l1_begin, code_end - l1_begin);
	map_identity(&machine, PML4);
	map_identity(&machine, NESTED);
	fill_vmcb(&machine);
	machine.cpu = must(ioctl(machine.fd, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	machine.run_bytes = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	machine.run = mapped(machine.run_bytes, machine.cpu);
	set_cpuid(kvm, machine.cpu);
	return machine;
}

static void end(struct machine *machine)
{
	munmap(machine->run, machine->run_bytes);
	close(machine->cpu);
	close(machine->fd);
	munmap(machine->memory, BYTES);
}

static void one(int kvm, int entries)
{
	struct machine machine = make(kvm);
	int entry;

	start(&machine, entries + 1);
	for (entry = 0; entry < entries; entry++) {
		expect(next(&machine), L2_PORT);
		filter_msrs(&machine);
	}
	expect(next(&machine), L2_PORT);
	clear_svme(&machine);
	/* A KVM with a fault may end it in another way: what it did is for others to judge. */
	if (next(&machine) != END_PORT)
		printf("L2 did not end as it should\n");
	end(&machine);
}

int main(int argc, char **argv)
{
	int machines = argc > 1 ? atoi(argv[1]) : 1, entries = argc > 2 ? atoi(argv[2]) : 8;
	int kvm = must(open("/dev/kvm", O_RDWR), "/dev/kvm"), round;

	for (round = 0; round < machines; round++)
		one(kvm, entries);
	printf("%d machines, %d entries each\n", machines, entries);
	return 0;
}
