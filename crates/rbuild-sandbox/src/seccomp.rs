//! Which system calls a command cannot make, as a program for the kernel. Pure.
//!
//! ```text
//! profile (ours, or JSON) → resolve: a decision per number → compile: a program per machine
//! ```
//!
//! A seccomp filter of our own making: `docs/adr/0008-seccomp.md`. seccomp(2).

use rbuild_sys::Filter;

use crate::{capability::CapabilitySet, error::Error};

mod compile;
mod default;
mod profile;
mod resolve;
mod table;

pub use profile::SeccompProfile;

/// A set of system call numbers that the kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abi {
    /// 64-bit Intel; x32 is refused.
    X86_64,
    /// 32-bit Intel.
    I386,
    /// 64-bit ARM. Its 32-bit programs are refused.
    Aarch64,
}

/// The system call interfaces of this machine, its own first.
const ABIS: &[Abi] = if cfg!(target_arch = "aarch64") {
    &[Abi::Aarch64]
} else {
    &[Abi::X86_64, Abi::I386]
};
const ABIS_OF_ALL_MACHINES: [Abi; 3] = [Abi::X86_64, Abi::I386, Abi::Aarch64];

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

impl Abi {
    /// `AUDIT_ARCH_…` of linux/audit.h.
    const fn architecture(self) -> u32 {
        match self {
            Self::X86_64 => 0xC000_003E,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xC000_00B7,
        }
    }

    /// As profiles list it.
    const fn oci_name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::I386 => "SCMP_ARCH_X86",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
        }
    }

    /// As conditions of profiles name the machine.
    const fn go_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::I386 => "386",
            Self::Aarch64 => "arm64",
        }
    }
}

/// The program that enforces `profile` on commands with `capabilities` on a kernel of this
/// release. Calls of interfaces that the profile is not about fail with ENOSYS.
///
/// # Errors
/// [`Error::ProfileSize`] if the kernel would not take the program.
pub(crate) fn filter(
    profile: &SeccompProfile,
    capabilities: CapabilitySet,
    release: &str,
) -> Result<Filter, Error> {
    let setting = resolve::Setting {
        capabilities,
        // A kernel that does not say is as old as they get.
        kernel: profile::version(release).unwrap_or_default(),
        native: ABIS[0],
    };
    filter_for(profile, ABIS, &setting)
}

fn filter_for(
    profile: &SeccompProfile,
    abis: &[Abi],
    setting: &resolve::Setting,
) -> Result<Filter, Error> {
    let listed = |abi: &Abi| {
        let list = profile.architectures.as_deref();
        list.is_none_or(|list| list.iter().any(|name| name == abi.oci_name()))
    };
    let interfaces: Vec<_> = abis
        .iter()
        .copied()
        .filter(listed)
        .map(|abi| {
            let decisions = resolve::decisions(profile, abi, setting);
            (abi, compile::ranges(abi, decisions, profile.default))
        })
        .collect();
    let program = compile::program(&interfaces);
    let length = program.len();
    Filter::new(program).ok_or(Error::ProfileSize { length })
}

#[cfg(test)]
mod tests;
