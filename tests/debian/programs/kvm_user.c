// SPDX-License-Identifier: GPL-2.0
// A small user of /dev/kvm (Documentation/virt/kvm/api.rst). Usage: kvm_user MACHINES [KILLED]
//
// Each machine has two CPUs, each with a thread: one runs an L2 in real mode, the other one in long
// mode, one after the other (QEMU 7.2's SVM now and then hangs when both are in an L2 at once).
// Each writes five bytes to a port, then into memory of a second slot, which is added and removed
// while the machine lives, and stops at port 0xf4. Every other machine has KVM's interrupt
// controllers; every third one logs the pages that were written.
//
// KILLED more machines belong to processes that are killed in the middle: the L2 writes without end
// while the second slot is removed and added, until SIGKILL comes.
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CPUS = 2, CPUIDS = 256, LOW_BYTES = 0x10000, HIGH = 0x80000, HIGH_BYTES = 0x10000, WRITTEN = 0x1000 };
enum { PML4 = 0x2000, PDPT = 0x3000, DIRECTORY = 0x4000, REAL = 0x1000, LONG = 0x6000, LOOP = 0x7000 };
enum { TURNS = 32 };
enum { END_PORT = 0xf4, CR0_PE = 1, CR4_PAE = 1 << 5, EFER_LONG = 0x500 };

#define CR0_PG 0x80000000u

/* mov dx,0x3f8; mov cx,5; l: mov al,'A'; out dx,al; loop l; mov ax,0x8000; mov ds,ax;
 * mov [0x40],al; out 0xf4,al */
static const unsigned char real_code[] = {
	0xba, 0xf8, 0x03, 0xb9, 0x05, 0x00, 0xb0, 0x41, 0xee, 0xe2, 0xfb,
	0xb8, 0x00, 0x80, 0x8e, 0xd8, 0xa2, 0x40, 0x00, 0xe6, END_PORT,
};

/* The same: mov dx,0x3f8; mov ecx,5; l: mov al,'A'; out dx,al; loop l; mov edi,0x81000;
 * mov [rdi],al; out 0xf4,al */
static const unsigned char long_code[] = {
	0x66, 0xba, 0xf8, 0x03, 0xb9, 0x05, 0x00, 0x00, 0x00, 0xb0, 0x41, 0xee, 0xe2, 0xfb,
	0xbf, 0x00, 0x10, 0x08, 0x00, 0x88, 0x07, 0xe6, END_PORT,
};

/* In long mode, without end: mov edi,0x81000; l: mov [rdi],al; inc al; jmp l */
static const unsigned char loop_code[] = {
	0xbf, 0x00, 0x10, 0x08, 0x00, 0x88, 0x07, 0xfe, 0xc0, 0xeb, 0xfa,
};

struct machine {
	int fd;
	unsigned char *low, *high;
};

struct cpu {
	int fd;
	struct kvm_run *run;
	int written, missed;
};

static int must(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static void *memory(size_t size, int fd)
{
	int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	must(mapped == MAP_FAILED ? -1 : 0, "mmap");
	return mapped;
}

/* size 0 removes the slot. */
static void slot(struct machine *machine, int number, unsigned int flags, int gpa, void *at, int size)
{
	struct kvm_userspace_memory_region region = {
		.slot = number, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = size, .userspace_addr = (unsigned long)at,
	};

	must(ioctl(machine->fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
}

static void fill_low(unsigned char *low)
{
	unsigned long pml4 = PDPT | 3, pdpt = DIRECTORY | 3, page_2m = 0x83;

	memcpy(low + REAL, real_code, sizeof(real_code));
	memcpy(low + LONG, long_code, sizeof(long_code));
	memcpy(low + LOOP, loop_code, sizeof(loop_code));
	memcpy(low + PML4, &pml4, sizeof(pml4));
	memcpy(low + PDPT, &pdpt, sizeof(pdpt));
	memcpy(low + DIRECTORY, &page_2m, sizeof(page_2m));
}

static void real_mode(struct kvm_sregs *sregs)
{
	sregs->cs.base = 0;
	sregs->cs.selector = 0;
}

static void long_mode(struct kvm_sregs *sregs)
{
	struct kvm_segment code = { .limit = -1, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1 };
	struct kvm_segment data = { .limit = -1, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1 };

	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->cr3 = PML4;
	sregs->cr4 = CR4_PAE;
	sregs->cr0 |= CR0_PE | CR0_PG;
	sregs->efer = EFER_LONG;
}

static void start_at(struct cpu *cpu, unsigned long rip)
{
	struct kvm_regs regs = { .rip = rip, .rflags = 2 };
	struct kvm_sregs sregs;

	must(ioctl(cpu->fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	rip != REAL ? long_mode(&sregs) : real_mode(&sregs);
	must(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(ioctl(cpu->fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* Runs to the end port. Counts what was written to the other port, and into missing memory. */
static void *run(void *of)
{
	struct cpu *cpu = of;
	int reason;

	cpu->written = cpu->missed = 0;
	for (;;) {
		must(ioctl(cpu->fd, KVM_RUN, 0), "KVM_RUN");
		reason = cpu->run->exit_reason;
		if (reason == KVM_EXIT_IO && cpu->run->io.port == END_PORT)
			return NULL;
		if (reason != KVM_EXIT_IO && reason != KVM_EXIT_MMIO) {
			fprintf(stderr, "exit %d\n", reason);
			exit(1);
		}
		cpu->written += reason == KVM_EXIT_IO;
		cpu->missed += reason == KVM_EXIT_MMIO;
	}
}

/* missed: how often each must find no memory there. */
static void run_all(struct cpu *cpus, int missed)
{
	pthread_t thread;
	int number;

	for (number = 0; number < CPUS; number++) {
		start_at(&cpus[number], number ? LONG : REAL);
		must(-pthread_create(&thread, NULL, run, &cpus[number]), "pthread_create");
		pthread_join(thread, NULL);
		if (cpus[number].written != 5 || cpus[number].missed != missed) {
			fprintf(stderr, "CPU %d: %d bytes, %d missed\n", number,
				cpus[number].written, cpus[number].missed);
			exit(1);
		}
	}
}

/* The CPU that KVM can offer. Before it is told, KVM lets no CPU into long mode (6.12). */
static void set_cpuid(int kvm, struct cpu *cpu)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUIDS * sizeof(cpuid->entries[0]));

	must(cpuid ? 0 : -1, "calloc");
	cpuid->nent = CPUIDS;
	must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	must(ioctl(cpu->fd, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
}

static void make_cpus(int kvm, struct machine *machine, struct cpu *cpus, int with_irqchip)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	int size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	int number;

	for (number = 0; number < CPUS; number++) {
		cpus[number].fd = must(ioctl(machine->fd, KVM_CREATE_VCPU, number), "KVM_CREATE_VCPU");
		cpus[number].run = memory(size, cpus[number].fd);
		set_cpuid(kvm, &cpus[number]);
		if (with_irqchip)
			must(ioctl(cpus[number].fd, KVM_SET_MP_STATE, &runnable), "KVM_SET_MP_STATE");
	}
}

static void dirty_log(struct machine *machine)
{
	unsigned long bitmap[1] = { 0 };
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	must(ioctl(machine->fd, KVM_GET_DIRTY_LOG, &log), "KVM_GET_DIRTY_LOG");
	if (bitmap[0] != 3) {
		fprintf(stderr, "written pages: %lx\n", bitmap[0]);
		exit(1);
	}
}

static void end(struct machine *machine, struct cpu *cpus, int kvm)
{
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), number;

	for (number = 0; number < CPUS; number++) {
		munmap(cpus[number].run, size);
		close(cpus[number].fd);
	}
	close(machine->fd);
	munmap(machine->low, LOW_BYTES);
	munmap(machine->high, HIGH_BYTES);
}

/* With its CPUs and the first slot. Of every other round, with interrupt controllers. */
static struct machine begin(int kvm, int round, struct cpu *cpus)
{
	struct machine machine = { .fd = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM") };

	machine.low = memory(LOW_BYTES, -1);
	machine.high = memory(HIGH_BYTES, -1);
	fill_low(machine.low);
	if (round % 2)
		must(ioctl(machine.fd, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
	slot(&machine, 0, 0, 0, machine.low, LOW_BYTES);
	make_cpus(kvm, &machine, cpus, round % 2);
	return machine;
}

static void one(int kvm, int round)
{
	unsigned int flags = round % 3 == 0 ? KVM_MEM_LOG_DIRTY_PAGES : 0;
	struct cpu cpus[CPUS];
	struct machine machine = begin(kvm, round, cpus);

	run_all(cpus, 1);
	slot(&machine, 1, flags, HIGH, machine.high, HIGH_BYTES);
	run_all(cpus, 0);
	if (flags)
		dirty_log(&machine);
	slot(&machine, 1, 0, HIGH, machine.high, 0);
	run_all(cpus, 1);
	end(&machine, cpus, kvm);
}

static void *run_for_ever(void *of)
{
	struct cpu *cpu = of;

	for (;;) {
		must(ioctl(cpu->fd, KVM_RUN, 0), "KVM_RUN");
		if (cpu->run->exit_reason != KVM_EXIT_MMIO) {
			fprintf(stderr, "exit %d\n", cpu->run->exit_reason);
			exit(1);
		}
	}
}

/* Never returns. Writes a byte to `told` when the L2 has run beside TURNS changes of its memory. */
static void live(int kvm, int round, int told)
{
	struct cpu cpus[CPUS];
	struct machine machine = begin(kvm, round, cpus);
	pthread_t thread;
	int turn;

	start_at(&cpus[1], LOOP);
	must(-pthread_create(&thread, NULL, run_for_ever, &cpus[1]), "pthread_create");
	for (turn = 0;; turn++) {
		slot(&machine, 1, 0, HIGH, machine.high, HIGH_BYTES);
		/* Until the L2 has written there. */
		for (machine.high[WRITTEN] = 0; !machine.high[WRITTEN];)
			usleep(100);
		slot(&machine, 1, 0, HIGH, machine.high, 0);
		if (turn == TURNS)
			must(write(told, "", 1), "write");
	}
}

static void killed(int kvm, int round)
{
	int pipes[2], status, child;
	char byte;

	must(pipe(pipes), "pipe");
	child = must(fork(), "fork");
	if (!child) {
		close(pipes[0]);
		live(kvm, round, pipes[1]);
	}
	close(pipes[1]);
	if (must(read(pipes[0], &byte, 1), "read") != 1) {
		fprintf(stderr, "the process ended before it was killed\n");
		exit(1);
	}
	must(kill(child, SIGKILL), "kill");
	must(waitpid(child, &status, 0), "waitpid");
	close(pipes[0]);
	if (!WIFSIGNALED(status)) {
		fprintf(stderr, "the process ended by itself: %x\n", status);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	int machines = argc > 1 ? atoi(argv[1]) : 1, more = argc > 2 ? atoi(argv[2]) : 0;
	int round, kvm = must(open("/dev/kvm", O_RDWR), "/dev/kvm");

	for (round = 0; round < machines; round++)
		one(kvm, round);
	for (round = 0; round < more; round++)
		killed(kvm, round);
	printf("%d machines, %d killed\n", machines, more);
	return 0;
}
