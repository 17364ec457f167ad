// SPDX-License-Identifier: GPL-2.0
//! What a declaration may say, checked when it is compiled: a word that there is not, and a name
//! that is too long, are refused with file and line. `guest/specimens/declared.h` has the same.

use core::ffi::CStr;

/// Bytes. With the options of a run behind it, it is one line to the control file.
const SCENARIO_NAME_MOST: usize = 80;
const SCENARIO_CPUS_MOST: u32 = 64;

const RULES: &[&str] = &[
    "leak",
    "double-free",
    "null-free",
    "invalid-free",
    "mismatched-free",
    "wrong-size-free",
    "misplaced",
    "not-restored",
    "use-after-free",
    "out-of-bounds",
    "hardware-use-after-free",
    "unledgered",
    "witnesses-disagree",
];

#[rustfmt::skip]
const KINDS: &[&str] = &[
    "none", "pool", "contiguous", "slab", "object", "cache", "pages", "vmalloc", "kvmalloc",
    "percpu", "mempool", "iomap", "cipher", "misc", "srcu", "registration",
];

#[rustfmt::skip]
const LOSSES: &[&str] = &[
    "qemu", "panic", "oops", "rust-panic", "reset", "hang", "ssh", "control", "ledger",
];

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

const fn is_one_of(word: &CStr, known: &[&str]) -> bool {
    let mut at = 0;
    while at < known.len() {
        if same(word.to_bytes(), known[at].as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

#[track_caller]
pub const fn rule(word: &CStr) {
    assert!(is_one_of(word, RULES), "there is no such rule");
}

#[track_caller]
pub const fn kind(word: &CStr) {
    assert!(is_one_of(word, KINDS), "there is no such kind");
}

#[track_caller]
pub const fn loss(word: &CStr) {
    assert!(is_one_of(word, LOSSES), "no guest is lost like this");
}

#[track_caller]
pub const fn name(word: &CStr) {
    let length = word.to_bytes().len();
    assert!(0 < length && length <= SCENARIO_NAME_MOST, "the name of a scenario has 1 to 80 bytes");
}

#[track_caller]
pub const fn cpus(count: u32) {
    assert!(1 <= count && count <= SCENARIO_CPUS_MOST, "a scenario needs 1 to 64 CPUs");
}
