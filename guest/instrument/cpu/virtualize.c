// SPDX-License-Identifier: GPL-2.0
// The running Linux becomes L2 on a CPU, and L1 again. AMD manual volume 2, 15.5.
#include <linux/export.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/smp.h>
#include <asm/desc.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/special_insns.h>

#include "cpu/operand.h"
#include "cpu/vmcb.h"
#include "kernel/kernel.h"

void virtualize_world(struct world *world);
bool virtualize_exit(struct world *world);

/* Known to virtualize_world.S. */
static_assert(offsetof(struct world, vmcb) == 136);
static_assert(offsetof(struct world, stack_top) == 144);

struct segment {
	u16 selector;
	u16 attributes;
	u32 limit;
	u64 base;
};

/* What runs below Linux on each CPU; NULL: nothing. */
static DEFINE_PER_CPU(struct world *, below);

/*
 * The host's CR3 is that of whoever ran at the entry; its tables must outlive the process.
 * A handler that leaves by itself cannot let it go, so whoever comes next does.
 */
static DEFINE_PER_CPU(struct mm_struct *, held_mm);

static void hold_mm(void)
{
	mmgrab(current->active_mm);
	this_cpu_write(held_mm, current->active_mm);
}

/* Nothing runs below this CPU any more. */
static void let_mm_go(void)
{
	struct mm_struct *mm = this_cpu_xchg(held_mm, NULL);

	if (mm)
		mmdrop(mm);
}

/* Code and data segments of the kernel; their base is 0 in long mode. */
static struct segment segment_of(u16 selector, unsigned long gdt)
{
	struct segment segment = { .selector = selector };
	u64 descriptor;

	if (!(selector & ~SEGMENT_RPL_MASK))
		return segment;
	descriptor = *(u64 *)(gdt + (selector & ~7));
	segment.attributes = (descriptor >> 40 & 0xff) | (descriptor >> 44 & 0xf00);
	segment.limit = (descriptor & 0xffff) | (descriptor >> 32 & 0xf0000);
	if (descriptor & BIT_ULL(55))
		segment.limit = segment.limit << 12 | 0xfff;
	return segment;
}

static void capture_segments(void *vmcb)
{
	struct desc_ptr gdt, idt;
	u16 cs, ss, ds, es;

	native_store_gdt(&gdt);
	store_idt(&idt);
	savesegment(cs, cs);
	savesegment(ss, ss);
	savesegment(ds, ds);
	savesegment(es, es);
	*(struct segment *)(vmcb + VMCB_CS) = segment_of(cs, gdt.address);
	*(struct segment *)(vmcb + VMCB_SS) = segment_of(ss, gdt.address);
	*(struct segment *)(vmcb + VMCB_DS) = segment_of(ds, gdt.address);
	*(struct segment *)(vmcb + VMCB_ES) = segment_of(es, gdt.address);
	*(struct segment *)(vmcb + VMCB_GDTR) =
		(struct segment){ .limit = gdt.size, .base = gdt.address };
	*(struct segment *)(vmcb + VMCB_IDTR) =
		(struct segment){ .limit = idt.size, .base = idt.address };
}

static void vmsave(u64 gpa)
{
	asm volatile("vmsave %0" : : "a"(gpa) : "memory");
}

/* VMSAVE (15.5.2) of this CPU, with SVM on. -EFAULT: not to this address; withheld. */
int freeonce_vmsave(const void *vmcb)
{
	u64 gpa = virt_to_phys((void *)vmcb);
	int error = given_vmsave(gpa);

	if (!error)
		vmsave(gpa);
	return error;
}
EXPORT_SYMBOL_GPL(freeonce_vmsave);

/*
 * This CPU's state into a VMCB, but for RIP, RSP, RFLAGS and the general registers,
 * which virtualize_world() adds. Nothing may come between here and there.
 */
static void capture(void *vmcb)
{
	unsigned long dr6, dr7;
	u64 efer, pat;

	asm volatile("mov %%db6, %0" : "=r"(dr6));
	asm volatile("mov %%db7, %0" : "=r"(dr7));
	rdmsrq(MSR_EFER, efer);
	rdmsrq(MSR_IA32_CR_PAT, pat);
	capture_segments(vmcb);
	vmcb_write(vmcb, VMCB_EFER, efer);
	vmcb_write(vmcb, VMCB_CR0, native_read_cr0());
	vmcb_write(vmcb, VMCB_CR2, native_read_cr2());
	vmcb_write(vmcb, VMCB_CR3, __native_read_cr3());
	vmcb_write(vmcb, VMCB_CR4, native_read_cr4());
	vmcb_write(vmcb, VMCB_DR6, dr6);
	vmcb_write(vmcb, VMCB_DR7, dr7);
	vmcb_write(vmcb, VMCB_GUEST_PAT, pat);
	vmsave(virt_to_phys(vmcb));
}

/*
 * The CPU's own control registers take the L2's values. What the L2 changed in its
 * page tables was flushed under its own ASID only, so everything of ours is stale:
 * CR4.PGE off and on flushes all (volume 2, 5.5.2).
 */
static void take_over(const void *vmcb)
{
	const struct segment *gdtr = vmcb + VMCB_GDTR, *idtr = vmcb + VMCB_IDTR;
	struct desc_ptr gdt = { gdtr->limit, gdtr->base }, idt = { idtr->limit, idtr->base };
	u64 cr4 = vmcb_read(vmcb, VMCB_CR4);

	asm volatile("mov %0, %%cr0" : : "r"(vmcb_read(vmcb, VMCB_CR0)) : "memory");
	asm volatile("mov %0, %%cr3" : : "r"(vmcb_read(vmcb, VMCB_CR3)) : "memory");
	asm volatile("mov %0, %%cr4" : : "r"(cr4 & ~X86_CR4_PGE) : "memory");
	asm volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
	native_write_cr2(vmcb_read(vmcb, VMCB_CR2));
	native_load_gdt(&gdt);
	native_load_idt(&idt);
	asm volatile("mov %0, %%db6" : : "r"(vmcb_read(vmcb, VMCB_DR6)));
	asm volatile("mov %0, %%db7" : : "r"(vmcb_read(vmcb, VMCB_DR7)));
}

static bool enter_again(struct world *world)
{
	struct vcpu *vcpu = &world->vcpu;
	bool withheld = operand_check(vcpu, true);

	vcpu_append_entry(vcpu, withheld);
	/* Where VMSAVE put what VMLOAD is to bring back. */
	if (withheld)
		vcpu->vmcb_gpa = virt_to_phys(world->vmcb);
	else
		world->vmcb = phys_to_virt(vcpu->vmcb_gpa);
	return !withheld;
}

/*
 * Called by virtualize_world() for each #VMEXIT. False: Linux is on its own again, as the
 * handler wants it or because the CPU must not be given what the handler left.
 *
 * The L2 may have been stopped anywhere. operand_check() takes locks only when a nested
 * page fault here or on another CPU has changed the tables. With them taken
 * Linux touches only what is mapped from the start, but it may exit: on KVM an unlock may wake
 * another CPU by VMMCALL, so with allocation_lock held and drop_lock() inside of it.
 * Should another CPU have changed the tables by then, this one waits for itself.
 */
bool virtualize_exit(struct world *world)
{
	vcpu_append_exit(&world->vcpu);
	if (world->handle(world) && enter_again(world))
		return true;
	take_over(world->vmcb);
	this_cpu_write(below, NULL);
	given_handler_left();
	return false;
}

/* With interrupts off: what was captured is what is entered. */
static int enter(struct world *world)
{
	int error = given_vmsave(world->vcpu.vmcb_gpa);

	if (error)
		return error;
	world->vmcb = phys_to_virt(world->vcpu.vmcb_gpa);
	capture(world->vmcb);
	error = operand_check(&world->vcpu, true);
	vcpu_append_entry(&world->vcpu, error);
	if (error)
		return error;
	given_handler(world);
	hold_mm();
	this_cpu_write(below, world);
	virtualize_world(world);
	/* The handler has left at once: VMRUN refused the VMCB, say. */
	if (!this_cpu_read(below)) {
		let_mm_go();
		return -EPROTO;
	}
	return 0;
}

/*
 * On this CPU, to which the caller is bound, with SVM on and the VMCB's control area
 * filled; its state-save area is filled here.
 */
int freeonce_virtualize(struct world *world)
{
	unsigned long flags;
	int error;

	if (!svm_is_on())
		return -EINVAL;
	if (this_cpu_read(below))
		return -EBUSY;
	let_mm_go();
	error = operand_prepare(&world->vcpu);
	if (error)
		return error;
	local_irq_save(flags);
	error = enter(world);
	local_irq_restore(flags);
	return error;
}
EXPORT_SYMBOL_GPL(freeonce_virtualize);

/* Asks what runs below this CPU to leave it. -ENOENT: nothing does, or it did not answer. */
int freeonce_devirtualize(void)
{
	struct world *world = this_cpu_read(below);
	u32 eax = VIRTUALIZE_LEAVE, ebx, ecx = 0, edx;

	if (world)
		native_cpuid(&eax, &ebx, &ecx, &edx);
	if (this_cpu_read(below))
		return -ENOENT;
	let_mm_go();
	return world && eax == VIRTUALIZE_LEFT ? 0 : -ENOENT;
}
EXPORT_SYMBOL_GPL(freeonce_devirtualize);

static int leave(void *unused)
{
	freeonce_devirtualize();
	if (svm_is_on())
		freeonce_svm_off();
	return 0;
}

/* A hypervisor that its scenario left running. May sleep. */
void virtualize_leave_all(void)
{
	freeonce_on_each_cpu(leave, NULL);
}
