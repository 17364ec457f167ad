// SPDX-License-Identifier: GPL-2.0
//! Exit codes become an enum at the border. AMD manual volume 2, appendix C.
//!
//! The same table stands in the harness (`evidence/exits.py`); a test compares them.

/// Why an L2 stopped. The section says when.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 15.9, of the control register
    CrRead(u8),
    /// 15.9, of the control register
    CrWrite(u8),
    /// 15.9, of the debug register
    DrRead(u8),
    /// 15.9, of the debug register
    DrWrite(u8),
    /// 15.12, its vector
    Exception(u8),
    /// 15.13.1
    Intr,
    /// 15.13.2
    Nmi,
    /// 15.13.3
    Smi,
    /// 15.13.4
    Init,
    /// 15.13.5
    Vintr,
    /// 15.9
    Cr0SelWrite,
    /// 15.9
    IdtrRead,
    /// 15.9
    GdtrRead,
    /// 15.9
    LdtrRead,
    /// 15.9
    TrRead,
    /// 15.9
    IdtrWrite,
    /// 15.9
    GdtrWrite,
    /// 15.9
    LdtrWrite,
    /// 15.9
    TrWrite,
    /// 15.9
    Rdtsc,
    /// 15.9
    Rdpmc,
    /// 15.9
    Pushf,
    /// 15.9
    Popf,
    /// 15.9
    Cpuid,
    /// 15.9
    Rsm,
    /// 15.9
    Iret,
    /// 15.9
    Swint,
    /// 15.9
    Invd,
    /// 15.9
    Pause,
    /// 15.9
    Hlt,
    /// 15.9
    Invlpg,
    /// 15.9
    Invlpga,
    /// 15.10
    Ioio,
    /// 15.11
    Msr,
    /// 15.14.1
    TaskSwitch,
    /// 15.14.2
    FerrFreeze,
    /// 15.14.3
    Shutdown,
    /// 15.9
    Vmrun,
    /// 15.9
    Vmmcall,
    /// 15.9
    Vmload,
    /// 15.9
    Vmsave,
    /// 15.9
    Stgi,
    /// 15.9
    Clgi,
    /// 15.9
    Skinit,
    /// 15.9
    Rdtscp,
    /// 15.9
    Icebp,
    /// 15.9
    Wbinvd,
    /// 15.9
    Monitor,
    /// 15.9
    Mwait,
    /// 15.9
    MwaitConditional,
    /// 15.9
    Xsetbv,
    /// 15.9
    Rdpru,
    /// 15.35.10
    EferWriteTrap,
    /// 15.35.10, of the control register
    CrWriteTrap(u8),
    /// 15.9
    Invlpgb,
    /// 15.9
    InvlpgbIllegal,
    /// 15.9
    Invpcid,
    /// appendix C
    Mcommit,
    /// 15.9
    Tlbsync,
    /// 15.14.5
    Buslock,
    /// 15.9
    IdleHlt,
    /// 15.25.6
    NestedPageFault,
    /// 15.29.9.1
    AvicIncompleteIpi,
    /// 15.29.9.2
    AvicNoaccel,
    /// appendix C
    Vmgexit,
    /// 15.5.1: the VMCB was refused
    Invalid,
    /// appendix C
    Busy,
    /// appendix C
    IdleRequired,
    /// appendix C
    InvalidPmc,
    Unknown(u64),
}

impl From<u64> for Exit {
    fn from(code: u64) -> Self {
        match code {
            0x00..=0x0f => Exit::CrRead(code as u8),
            0x10..=0x1f => Exit::CrWrite(code as u8 - 0x10),
            0x20..=0x2f => Exit::DrRead(code as u8 - 0x20),
            0x30..=0x3f => Exit::DrWrite(code as u8 - 0x30),
            0x40..=0x5f => Exit::Exception(code as u8 - 0x40),
            0x60 => Exit::Intr,
            0x61 => Exit::Nmi,
            0x62 => Exit::Smi,
            0x63 => Exit::Init,
            0x64 => Exit::Vintr,
            0x65 => Exit::Cr0SelWrite,
            0x66 => Exit::IdtrRead,
            0x67 => Exit::GdtrRead,
            0x68 => Exit::LdtrRead,
            0x69 => Exit::TrRead,
            0x6a => Exit::IdtrWrite,
            0x6b => Exit::GdtrWrite,
            0x6c => Exit::LdtrWrite,
            0x6d => Exit::TrWrite,
            0x6e => Exit::Rdtsc,
            0x6f => Exit::Rdpmc,
            0x70 => Exit::Pushf,
            0x71 => Exit::Popf,
            0x72 => Exit::Cpuid,
            0x73 => Exit::Rsm,
            0x74 => Exit::Iret,
            0x75 => Exit::Swint,
            0x76 => Exit::Invd,
            0x77 => Exit::Pause,
            0x78 => Exit::Hlt,
            0x79 => Exit::Invlpg,
            0x7a => Exit::Invlpga,
            0x7b => Exit::Ioio,
            0x7c => Exit::Msr,
            0x7d => Exit::TaskSwitch,
            0x7e => Exit::FerrFreeze,
            0x7f => Exit::Shutdown,
            0x80 => Exit::Vmrun,
            0x81 => Exit::Vmmcall,
            0x82 => Exit::Vmload,
            0x83 => Exit::Vmsave,
            0x84 => Exit::Stgi,
            0x85 => Exit::Clgi,
            0x86 => Exit::Skinit,
            0x87 => Exit::Rdtscp,
            0x88 => Exit::Icebp,
            0x89 => Exit::Wbinvd,
            0x8a => Exit::Monitor,
            0x8b => Exit::Mwait,
            0x8c => Exit::MwaitConditional,
            0x8d => Exit::Xsetbv,
            0x8e => Exit::Rdpru,
            0x8f => Exit::EferWriteTrap,
            0x90..=0x9f => Exit::CrWriteTrap(code as u8 - 0x90),
            0xa0 => Exit::Invlpgb,
            0xa1 => Exit::InvlpgbIllegal,
            0xa2 => Exit::Invpcid,
            0xa3 => Exit::Mcommit,
            0xa4 => Exit::Tlbsync,
            0xa5 => Exit::Buslock,
            0xa6 => Exit::IdleHlt,
            0x400 => Exit::NestedPageFault,
            0x401 => Exit::AvicIncompleteIpi,
            0x402 => Exit::AvicNoaccel,
            0x403 => Exit::Vmgexit,
            // -1 to -4; some CPUs write only the low half.
            0xffff_ffff | u64::MAX => Exit::Invalid,
            0xffff_fffe | 0xffff_ffff_ffff_fffe => Exit::Busy,
            0xffff_fffd | 0xffff_ffff_ffff_fffd => Exit::IdleRequired,
            0xffff_fffc | 0xffff_ffff_ffff_fffc => Exit::InvalidPmc,
            _ => Exit::Unknown(code),
        }
    }
}

impl Exit {
    /// The host's own affair: it has been taken by now, and the L2 goes on.
    pub fn is_of_host(self) -> bool {
        matches!(self, Exit::Intr | Exit::Nmi)
    }
}
