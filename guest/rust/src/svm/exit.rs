// SPDX-License-Identifier: GPL-2.0
//! Exit codes become an enum at the border. AMD manual volume 2, appendix C.

#[derive(Clone, Copy, PartialEq)]
pub enum Exit {
    Intr,
    Nmi,
    Cpuid,
    Hlt,
    Ioio,
    Vmmcall,
    Other(#[allow(dead_code)] u64),
}

impl From<u64> for Exit {
    fn from(code: u64) -> Self {
        match code {
            0x60 => Exit::Intr,
            0x61 => Exit::Nmi,
            0x72 => Exit::Cpuid,
            0x78 => Exit::Hlt,
            0x7b => Exit::Ioio,
            0x81 => Exit::Vmmcall,
            other => Exit::Other(other),
        }
    }
}

impl Exit {
    /// Bytes of the instruction in its short form; the CPU may lack nRIP save (15.7.1).
    pub fn instruction_length(self) -> Option<u64> {
        match self {
            Exit::Cpuid => Some(2),
            Exit::Ioio => Some(2), // in al, imm8
            Exit::Vmmcall => Some(3),
            Exit::Hlt => Some(1),
            Exit::Intr | Exit::Nmi | Exit::Other(_) => None,
        }
    }
}
