// SPDX-License-Identifier: GPL-2.0
//! What the C side offers. Contracts: the headers of `guest/instrument/`.

use core::ffi::{c_char, c_int, c_void};

/// `struct contiguous_request`.
#[repr(C)]
pub struct ContiguousRequest {
    pub size: u64,
    pub align: u64,
    pub lowest: u64,
    pub highest: u64,
    pub boundary: u64,
    pub cache: u32,
    pub node: i32,
}

pub const CACHE_WRITE_BACK: u32 = 6;
pub const CACHE_UNCACHED: u32 = 0;
pub const ANY_NODE: i32 = -1;

/// `enum inject_misplacement`.
pub const MISPLACE_SHIFT: u32 = 1;

/// `enum unload_left`.
pub const LEFT_EFER: u32 = 1;
pub const LEFT_HOST_SAVE_AREA: u32 = 2;

/// `struct vcpu`.
#[repr(C)]
pub struct Vcpu {
    pub vmcb_gpa: u64,
    pub host_vmcb_gpa: u64,
    pub gpr: [u64; 14],
    pub number: u32,
    pub flags: u32,
}

/// `enum vcpu_flags`.
pub const VCPU_IDENTITY: u32 = 1;

/// `struct world`.
#[repr(C)]
pub struct World {
    pub vcpu: Vcpu,
    /// Set by `freeonce_virtualize`.
    pub vmcb: *mut c_void,
    pub stack_top: *mut c_void,
    pub handle: unsafe extern "C" fn(*mut World) -> bool,
    pub owner: *mut c_void,
}

pub const VIRTUALIZE_LEAVE: u32 = 0x6672_6565;
pub const VIRTUALIZE_LEFT: u32 = 0x6c65_6674;

/// Of `<linux/gfp_types.h>`: may sleep, may start I/O.
pub const GFP_KERNEL: u32 = 0xcc0;

pub type OnCpuBody = unsafe extern "C" fn(*mut c_void) -> c_int;

unsafe extern "C" {
    /// The kernel's own. Null: it has no memory.
    pub fn kasprintf(flags: u32, format: *const c_char, ...) -> *mut u8;
    pub fn kfree(pointer: *const u8);

    pub fn freeonce_pool_alloc(size: usize, align: usize, tag: u32) -> *mut u8;
    pub fn freeonce_pool_alloc_zeroed(size: usize, align: usize, tag: u32) -> *mut u8;
    pub fn freeonce_pool_free(pointer: *mut u8, size: usize, align: usize);
    pub fn freeonce_contiguous_alloc(request: *const ContiguousRequest) -> *mut u8;
    pub fn freeonce_contiguous_free(pointer: *mut u8, size: usize, align: usize);
    pub fn freeonce_zero(pointer: *mut u8, size: usize);
    pub safe fn freeonce_gpa(pointer: *const u8) -> u64;

    pub fn freeonce_step(text: *const u8, length: usize);
    pub fn freeonce_label(pointer: *const u8, text: *const u8, length: usize);
    pub fn freeonce_panic(text: *const u8, length: usize) -> !;

    pub safe fn freeonce_inject_fail(nth: u32);
    pub safe fn freeonce_inject_misplacement(what: u32);

    pub safe fn freeonce_inject_scramble();
    pub safe fn unload_after(planted: u32);

    pub safe fn freeonce_nanoseconds() -> u64;
    pub safe fn freeonce_sleep(milliseconds: u32);
    pub fn freeonce_touch(gpa: u64);
    pub safe fn freeonce_known(gpa: u64, size: usize) -> bool;
    pub safe fn freeonce_memory_end() -> u64;
    pub fn freeonce_unsupported(text: *const u8, length: usize, kind: u32);
    pub fn freeonce_pin();
    pub fn freeonce_unpin();
    pub safe fn freeonce_cpu_count() -> u32;
    pub fn freeonce_on_cpu(cpu: u32, body: OnCpuBody, argument: *mut c_void) -> c_int;
    pub fn freeonce_on_each_cpu(body: OnCpuBody, argument: *mut c_void) -> c_int;

    pub fn freeonce_svm_on(host_save_area: u64) -> c_int;
    pub fn freeonce_svm_off();
    pub safe fn freeonce_invlpga(address: u64, asid: u32) -> c_int;
    pub fn freeonce_svm_run(vcpu: *mut Vcpu) -> c_int;
    pub fn freeonce_svm_run_into_nmi(vcpu: *mut Vcpu) -> c_int;
    pub fn freeonce_vcpu_bind(vcpu: *mut Vcpu) -> c_int;
    pub fn freeonce_vcpu_unbind(vcpu: *mut Vcpu);
    pub safe fn freeonce_paging_levels() -> u32;

    pub fn freeonce_vmsave(vmcb: *const c_void) -> c_int;
    pub fn freeonce_virtualize(world: *mut World) -> c_int;
    pub fn freeonce_devirtualize() -> c_int;
    pub fn freeonce_msr_read(msr: u32, value: *mut u64) -> c_int;
    pub fn freeonce_msr_write(msr: u32, value: u64) -> c_int;
    pub fn freeonce_program(path: *const c_char) -> c_int;
}
