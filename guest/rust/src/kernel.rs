// SPDX-License-Identifier: GPL-2.0
//! What the C side offers. Contracts: `../module/freeonce.h`.

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
pub const ANY_NODE: i32 = -1;

/// `enum inject_misplacement`.
pub const MISPLACE_SHIFT: u32 = 1;

/// `struct vcpu`.
#[repr(C)]
pub struct Vcpu {
    pub vmcb_gpa: u64,
    pub host_vmcb_gpa: u64,
    pub gpr: [u64; 14],
    pub vmcb: *const core::ffi::c_void,
}

unsafe extern "C" {
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

    pub fn freeonce_svm_on(host_save_area: u64) -> i32;
    pub fn freeonce_svm_off();
    pub fn freeonce_svm_run(vcpu: *mut Vcpu) -> i32;
    pub safe fn freeonce_paging_levels() -> u32;
}
