//! Pseudoterminals: two ends, one for a command, the other for who shows what it draws.
//!
//! pty(7), ioctl_tty(2).

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{Mode, OFlags, openat},
    pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt},
};

use crate::error::{Context, Result};

/// Both ends of a pseudoterminal.
#[derive(Debug)]
pub struct Pty {
    /// What is written here was typed; what is read here was drawn. Reading and writing do not
    /// wait.
    pub shown: OwnedFd,
    /// The terminal as the command has it.
    pub terminal: OwnedFd,
}

impl Pty {
    /// A new one of `devpts`, the root of such a mount, which may be attached nowhere. The terminal
    /// has a name wherever that mount is attached later.
    ///
    /// # Errors
    /// `NOSPC` when the system has too many.
    pub fn open(devpts: impl AsFd) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let shown = openat(devpts, "ptmx", flags, Mode::empty()).on("openat", "ptmx")?;
        unlockpt(&shown).on("ioctl", "TIOCSPTLCK")?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = ioctl_tiocgptpeer(&shown, flags).on("ioctl", "TIOCGPTPEER")?;
        Ok(Self { shown, terminal })
    }
}
