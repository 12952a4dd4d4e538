//! The user's terminal: one that does not show what is typed, one that leaves everything to a
//! command, and how large it is.
//!
//! termios(3).

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Mutex, PoisonError},
};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetwinsize,
    tcsetattr, tcsetwinsize,
};

use crate::{Error, Result, error::Context};

/// As long as it lives, the terminal shows nothing that is typed, and ^C ends the line instead of
/// the process: a process that ended would leave the terminal so.
#[derive(Debug)]
pub struct Unechoed<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Unechoed<'a> {
    /// Turns the echo of `terminal` off.
    ///
    /// # Errors
    /// If it is no terminal.
    pub fn new(terminal: &'a impl AsFd) -> Result<Self> {
        let terminal = terminal.as_fd();
        let fail = |call| move |errno| Error::new(call, "terminal", errno);
        let before = tcgetattr(terminal).map_err(fail("tcgetattr"))?;
        let mut quiet = before.clone();
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ISIG);
        let interrupt = quiet.special_codes[SpecialCodeIndex::VINTR];
        quiet.special_codes[SpecialCodeIndex::VEOL] = interrupt;
        tcsetattr(terminal, OptionalActions::Flush, &quiet).map_err(fail("tcsetattr"))?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Unechoed<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// The terminal that is raw, and how it was before.
static BEFORE: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// As long as it lives, a terminal passes on every key as it is, ^C too, and shows none.
/// One at a time.
#[derive(Debug)]
pub struct RawTerminal(());

impl RawTerminal {
    /// Makes `terminal` raw. cfmakeraw(3).
    ///
    /// # Errors
    /// If it is no terminal.
    pub fn new(terminal: impl AsFd) -> Result<Self> {
        let own = rustix::io::fcntl_dupfd_cloexec(terminal, 0).on("dup", "terminal")?;
        let before = tcgetattr(&own).on("tcgetattr", "terminal")?;
        let mut raw = before.clone();
        raw.make_raw();
        let mut known = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        tcsetattr(&own, OptionalActions::Drain, &raw).on("tcsetattr", "terminal")?;
        *known = Some((own, before));
        Ok(Self(()))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore_terminal();
    }
}

/// Makes the terminal what it was before [`RawTerminal`]: for those who end the process without
/// dropping anything. Does nothing if none is raw.
pub fn restore_terminal() {
    let mut known = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((terminal, before)) = known.take() {
        let _ = tcsetattr(&terminal, OptionalActions::Now, &before);
    }
}

/// Whether it is a terminal.
pub fn is_terminal(fd: impl AsFd) -> bool {
    isatty(fd)
}

/// Makes the terminal `to` as large as `from`; the kernel tells the programs in it. Nothing
/// happens if `from` is no terminal.
///
/// # Errors
/// As ioctl_tty(2).
pub fn copy_window_size(from: impl AsFd, to: impl AsFd) -> Result<()> {
    match tcgetwinsize(from) {
        Ok(size) => tcsetwinsize(to, size).on("ioctl", "TIOCSWINSZ"),
        Err(_) => Ok(()),
    }
}
