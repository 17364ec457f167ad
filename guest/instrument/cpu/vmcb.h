/* SPDX-License-Identifier: GPL-2.0 */
/* The VMCB's fields that C reads or writes, by offset. AMD manual volume 2, appendix B. */
#ifndef FREEONCE_VMCB_H
#define FREEONCE_VMCB_H

#ifndef __ASSEMBLY__
#include <linux/types.h>
#endif

#define VMCB_BYTES 4096
#define HOST_SAVE_AREA_BYTES 4096
#define IOPM_BYTES (12 << 10)  /* 15.10.1 */
#define MSRPM_BYTES (8 << 10)  /* 15.11 */

#define VMCB_INTERCEPT_DR 0x04
#define VMCB_INTERCEPT_EXCEPTIONS 0x08
#define VMCB_INTERCEPT_3 0x0c
#define VMCB_INTERCEPT_4 0x10
#define VMCB_IOPM_BASE 0x40
#define VMCB_MSRPM_BASE 0x48
#define VMCB_ASID 0x58
#define VMCB_TLB_CONTROL 0x5c
#define VMCB_INTERRUPT_CONTROL 0x60
#define VMCB_EXIT_CODE 0x70
#define VMCB_EXIT_INFO_1 0x78
#define VMCB_EXIT_INFO_2 0x80
#define VMCB_NESTED_CONTROL 0x90
#define VMCB_NESTED_CR3 0xb0
#define VMCB_ES 0x400
#define VMCB_CS 0x410
#define VMCB_SS 0x420
#define VMCB_DS 0x430
#define VMCB_GDTR 0x460
#define VMCB_LDTR 0x470
#define VMCB_IDTR 0x480
#define VMCB_TR 0x490
#define VMCB_EFER 0x4d0
#define VMCB_CR4 0x548
#define VMCB_CR3 0x550
#define VMCB_CR0 0x558
#define VMCB_DR7 0x560
#define VMCB_DR6 0x568
#define VMCB_RFLAGS 0x570
#define VMCB_RIP 0x578
#define VMCB_RSP 0x5d8
#define VMCB_RAX 0x5f8
#define VMCB_CR2 0x640
#define VMCB_GUEST_PAT 0x668

#define NESTED_PAGING 1
#define VMCB_SEV_ES 4 /* of the nested control (15.35.1) */
#define VMCB_AVIC (1U << 31) /* of the interrupt control (15.29.1) */
#define VMCB_FLUSH_ALL 1  /* 15.16.1 */
#define VMCB_FLUSH_ASID 3
#define CR3_ADDRESS 0x000ffffffffff000ULL /* also of nCR3 */

#ifndef __ASSEMBLY__
static inline u64 vmcb_read(const void *vmcb, unsigned int offset)
{
	return *(const volatile u64 *)(vmcb + offset);
}

static inline void vmcb_write(void *vmcb, unsigned int offset, u64 value)
{
	*(volatile u64 *)(vmcb + offset) = value;
}

static inline void vmcb_write32(void *vmcb, unsigned int offset, u32 value)
{
	*(volatile u32 *)(vmcb + offset) = value;
}
#endif

#endif
