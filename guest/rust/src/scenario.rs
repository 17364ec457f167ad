// SPDX-License-Identifier: GPL-2.0
//! How a scenario is declared, and the door through which C reaches it.

use crate::declared;
use core::alloc::AllocError;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

/// A negative error number: the scenario could not do what it set out to do.
pub struct Failed(pub c_int);

pub const NO_MEMORY: Failed = Failed(-12);
/// EPROTO: something answered otherwise than it must.
pub const UNEXPECTED: Failed = Failed(-71);

impl From<AllocError> for Failed {
    fn from(_: AllocError) -> Self {
        NO_MEMORY
    }
}

pub type Outcome = Result<(), Failed>;

/// `struct expectation` of `engine/engine.h`: one finding that the audit must make.
#[repr(C)]
pub struct Expectation {
    rule: *const c_char,
    kind: *const c_char,
    at: *const c_char,
    what: *const c_char,
    because: *const c_char,
}

pub const POOL: &CStr = c"pool";
pub const CONTIGUOUS: &CStr = c"contiguous";
pub const SLAB: &CStr = c"slab";

/// A finding of this rule on memory of this kind. A word that there is not does not compile.
///
/// ```
/// # use freeonce::scenario::{Expectation, POOL, finding};
/// const RIGHT: Expectation = finding(c"leak", POOL).at(c"teardown").of(c"bitmap");
/// ```
/// ```compile_fail
/// # use freeonce::scenario::{Expectation, POOL, finding};
/// const WRONG: Expectation = finding(c"leek", POOL);
/// ```
#[track_caller]
pub const fn finding(rule: &'static CStr, kind: &'static CStr) -> Expectation {
    declared::rule(rule);
    declared::kind(kind);
    Expectation {
        rule: rule.as_ptr(),
        kind: kind.as_ptr(),
        at: ptr::null(),
        what: ptr::null(),
        because: ptr::null(),
    }
}

impl Expectation {
    /// The step (see `ledger::step`) at which it happens.
    pub const fn at(mut self, step: &'static CStr) -> Self {
        self.at = step.as_ptr();
        self
    }

    /// The name (see `ledger::named`) of the allocation.
    pub const fn of(mut self, name: &'static CStr) -> Self {
        self.what = name.as_ptr();
        self
    }

    /// Why, for a person: continues the sentence "`bar`, 64 bytes ..., never released; ".
    pub const fn because(mut self, why: &'static CStr) -> Self {
        self.because = why.as_ptr();
        self
    }
}

/// `struct scenario` of `engine/engine.h`.
#[repr(C)]
pub struct Scenario {
    name: *const c_char,
    section: *const c_char,
    language: *const c_char,
    needs: *const c_char,
    ends: *const c_char,
    lesson: *const c_char,
    expected: *const Expectation,
    expected_count: usize,
    cpus: u32,
    shares: u32,
    run_in_c: *const c_void,
    body: fn() -> Outcome,
}

impl Scenario {
    /// A scenario that must be clean. `lesson`: one sentence, what a person should learn.
    /// A name that is too long does not compile.
    #[track_caller]
    pub const fn new(
        name: &'static CStr,
        section: &'static CStr,
        lesson: &'static CStr,
        body: fn() -> Outcome,
    ) -> Self {
        declared::name(name);
        Scenario {
            name: name.as_ptr(),
            section: section.as_ptr(),
            language: c"Rust".as_ptr(),
            needs: ptr::null(),
            ends: ptr::null(),
            lesson: lesson.as_ptr(),
            expected: ptr::null(),
            expected_count: 0,
            cpus: 1,
            shares: 0,
            run_in_c: ptr::null(),
            body,
        }
    }

    /// Exactly these findings, in any order.
    pub const fn expecting(mut self, findings: &'static [Expectation]) -> Self {
        self.expected = findings.as_ptr();
        self.expected_count = findings.len();
        self
    }

    /// How it loses the guest. It is then only run when named.
    #[track_caller]
    pub const fn losing(mut self, how: &'static CStr) -> Self {
        declared::loss(how);
        self.ends = how.as_ptr();
        self
    }

    /// How many CPUs it needs; with fewer it is unsupported. One that does not say needs one, runs
    /// on the first, and is given no other.
    ///
    /// ```
    /// # use freeonce::scenario::{Outcome, Scenario};
    /// # fn body() -> Outcome { Ok(()) }
    /// const ON_TWO: Scenario = Scenario::new(c"mine/two", c"Mine", c"Two CPUs.", body).cpus(2);
    /// ```
    /// ```compile_fail
    /// # use freeonce::scenario::{Outcome, Scenario};
    /// # fn body() -> Outcome { Ok(()) }
    /// const ON_NONE: Scenario = Scenario::new(c"mine/none", c"Mine", c"None.", body).cpus(0);
    /// ```
    #[track_caller]
    pub const fn cpus(mut self, count: u32) -> Self {
        declared::cpus(count);
        self.cpus = count;
        self
    }

    /// It leaves nothing behind: others may come before and after it in one guest.
    pub const fn shares(mut self) -> Self {
        self.shares = 1;
        self
    }

    /// A feature that this CPU may lack.
    pub const fn needs(mut self, feature: &'static CStr) -> Self {
        self.needs = feature.as_ptr();
        self
    }
}

/// `struct scenario_array` of `specimens/scenarios.h`: one array of scenarios of a file.
#[repr(C)]
pub struct InTable {
    first: *const Scenario,
    count: usize,
}

// SAFETY: it points at constants.
unsafe impl Sync for InTable {}

impl InTable {
    pub const fn new(scenarios: &'static [Scenario]) -> Self {
        InTable { first: scenarios.as_ptr(), count: scenarios.len() }
    }
}

/// Puts a `&'static [Scenario]` into the table, as `SCENARIOS()` does in C.
#[macro_export]
macro_rules! scenarios {
    ($array:expr) => {
        const _: () = {
            #[used]
            #[unsafe(link_section = concat!("scenarios.", module_path!()))]
            static IN_TABLE: $crate::scenario::InTable = $crate::scenario::InTable::new($array);
        };
    };
}

/// Runs it. Returns 0 or a negative error number.
///
/// # Safety
/// `scenario` is of the table, and of this crate.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn freeonce_rust_run(scenario: *const Scenario) -> c_int {
    // SAFETY: by the contract above it points at a constant of this crate.
    match unsafe { ((*scenario).body)() } {
        Ok(()) => 0,
        Err(Failed(error)) => error,
    }
}
