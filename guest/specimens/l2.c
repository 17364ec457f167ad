// SPDX-License-Identifier: GPL-2.0
// An L2 made by hand. AMD manual volume 2, 15.5 and appendix B.
#include <linux/io.h>
#include <linux/preempt.h>
#include <linux/string.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "l2.h"
#include "scenarios.h"

/* Intercepts at 0x0c and 0x10 (B-1): INTR, NMI, SHUTDOWN; VMRUN, VMMCALL. */
#define GUARD_3 (BIT(0) | BIT(1) | BIT(31))
#define GUARD_4 (BIT(0) | BIT(1))
#define V_INTR_MASKING BIT_ULL(24)

void *l2_pages(size_t size)
{
	struct contiguous_request request = { .size = size, .align = PAGE_SIZE, ANYWHERE };
	void *pointer = freeonce_contiguous_alloc(&request);

	if (pointer)
		memset(pointer, 0, size);
	return pointer;
}

void l2_give(void *pointer, size_t size)
{
	if (pointer)
		freeonce_contiguous_free(pointer, size, PAGE_SIZE);
}

/* The first page of the L2's memory, through one table a level; the root is tables[0]. */
static void link_tables(struct l2 *l2)
{
	int levels = freeonce_paging_levels(), i;

	for (i = 0; i < levels; i++) {
		const void *below = i + 1 < levels ? (void *)l2->tables[i + 1] : l2->page;

		l2->tables[i][0] = freeonce_gpa(below) | 7; /* present, writable, user */
	}
}

static void set_segment(void *vmcb, unsigned int offset, u16 attributes)
{
	vmcb_write(vmcb, offset, (u64)attributes << 16 | 0xffffULL << 32);
}

static void fill_vmcb(struct l2 *l2)
{
	void *vmcb = l2->vmcb;
	unsigned int data;

	vmcb_write32(vmcb, VMCB_INTERCEPT_EXCEPTIONS, ~0);
	vmcb_write32(vmcb, VMCB_INTERCEPT_3, GUARD_3);
	vmcb_write32(vmcb, VMCB_INTERCEPT_4, GUARD_4);
	vmcb_write(vmcb, VMCB_IOPM_BASE, freeonce_gpa(l2->iopm));
	vmcb_write(vmcb, VMCB_MSRPM_BASE, freeonce_gpa(l2->msrpm));
	vmcb_write(vmcb, VMCB_ASID, 1);
	vmcb_write(vmcb, VMCB_INTERRUPT_CONTROL, V_INTR_MASKING);
	vmcb_write(vmcb, VMCB_NESTED_CONTROL, NESTED_PAGING);
	vmcb_write(vmcb, VMCB_NESTED_CR3, freeonce_gpa(l2->tables[0]));
	for (data = VMCB_ES; data <= VMCB_DS + 0x20; data += 0x10)
		set_segment(vmcb, data, 0x93);
	set_segment(vmcb, VMCB_CS, 0x9b);
	set_segment(vmcb, VMCB_LDTR, 0x82);
	set_segment(vmcb, VMCB_TR, 0x8b);
	vmcb_write(vmcb, VMCB_EFER, EFER_SVME);
	vmcb_write(vmcb, VMCB_CR0, X86_CR0_ET);
	vmcb_write(vmcb, VMCB_DR6, 0xffff0ff0);
	vmcb_write(vmcb, VMCB_DR7, 0x400);
	vmcb_write(vmcb, VMCB_RFLAGS, 2);
	vmcb_write(vmcb, VMCB_GUEST_PAT, 0x0007040600070406ULL);
}

/* What is NULL was lost to a planted fault, or never had. */
void l2_close(struct l2 *l2)
{
	int i;

	freeonce_vcpu_unbind(&l2->vcpu);
	l2_give(l2->vmcb, VMCB_BYTES);
	l2_give(l2->host_vmcb, VMCB_BYTES);
	l2_give(l2->iopm, IOPM_BYTES);
	l2_give(l2->msrpm, MSRPM_BYTES);
	l2_give(l2->page, PAGE_SIZE);
	for (i = 0; i < LEVELS; i++)
		l2_give(l2->tables[i], PAGE_SIZE);
}

int l2_open(struct l2 *l2)
{
	static const u8 program[] = { 0x0f, 0x01, 0xd9 }; /* vmmcall */
	int levels = freeonce_paging_levels(), i;
	bool all;

	*l2 = (struct l2){
		.vmcb = l2_pages(VMCB_BYTES), .host_vmcb = l2_pages(VMCB_BYTES),
		.iopm = l2_pages(IOPM_BYTES), .msrpm = l2_pages(MSRPM_BYTES), .page = l2_pages(PAGE_SIZE),
	};
	all = l2->vmcb && l2->host_vmcb && l2->iopm && l2->msrpm && l2->page;
	for (i = 0; i < levels; i++) {
		l2->tables[i] = l2_pages(PAGE_SIZE);
		all = all && l2->tables[i];
	}
	if (!all) {
		l2_close(l2);
		return -ENOMEM;
	}
	memcpy(l2->page, program, sizeof(program));
	link_tables(l2);
	fill_vmcb(l2);
	l2->vcpu.vmcb_gpa = freeonce_gpa(l2->vmcb);
	l2->vcpu.host_vmcb_gpa = freeonce_gpa(l2->host_vmcb);
	return 0;
}

/* An interrupt or NMI of the host: it has been taken by now, and the L2 may go on. */
static bool exit_of_host(const struct vcpu *vcpu)
{
	u64 code = vmcb_read(phys_to_virt(vcpu->vmcb_gpa), VMCB_EXIT_CODE);

	return code == EXIT_INTR || code == EXIT_NMI;
}

int l2_enter(struct vcpu *vcpu, unsigned int budget)
{
	void *area = l2_pages(HOST_SAVE_AREA_BYTES);
	int error = -ENOMEM;

	freeonce_pin();
	if (area)
		error = freeonce_svm_on(freeonce_gpa(area));
	if (!error) {
		STEP("VMRUN");
		do
			error = freeonce_svm_run(vcpu);
		while (!error && exit_of_host(vcpu) && --budget);
		freeonce_svm_off();
	}
	freeonce_unpin();
	l2_give(area, HOST_SAVE_AREA_BYTES);
	return error;
}
