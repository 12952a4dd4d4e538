//! A terminal that does not show what is typed.
//!
//! termios(3).

use std::os::fd::{AsFd, BorrowedFd};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::{Error, Result};

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
