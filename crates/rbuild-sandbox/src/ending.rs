//! What ends a command: itself, somebody who wants it ended, or the clock.

use std::{os::fd::BorrowedFd, time::Duration};

use rbuild_sys::{self as sys, Child, Ended, Flag, Timer};

/// Ends commands: all that run with a clone of it, and all that will.
#[derive(Clone, Debug)]
pub struct Cancel(Flag);

impl Cancel {
    /// Not cancelled.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn new() -> Result<Self, sys::Error> {
        Flag::new().map(Self)
    }

    /// Kills the commands, at once.
    pub fn cancel(&self) {
        self.0.raise();
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_raised()
    }
}

/// A command that runs, and what may end it.
pub(crate) struct Running<'a> {
    child: Child,
    cancel: &'a Cancel,
    timer: Option<Timer>,
}

/// How it ended.
pub(crate) struct Ending {
    pub(crate) ended: Ended,
    /// Whether it was because its time was over.
    pub(crate) timed_out: bool,
}

impl<'a> Running<'a> {
    /// The clock starts now.
    pub(crate) fn new(
        child: Child,
        cancel: &'a Cancel,
        timeout: Option<Duration>,
    ) -> Result<Self, sys::Error> {
        let timer = timeout.map(Timer::after).transpose()?;
        Ok(Self {
            child,
            cancel,
            timer,
        })
    }

    /// Readable when the command is over, or is to be.
    pub(crate) fn ends(&self) -> [BorrowedFd<'_>; 3] {
        use std::os::fd::AsFd;
        let child = self.child.as_fd();
        let timer = self.timer.as_ref().map_or(child, AsFd::as_fd);
        [child, self.cancel.0.as_fd(), timer]
    }

    /// Ends it, and all that it started; `ready` says which of [`Running::ends`] were readable.
    pub(crate) fn end(mut self, ready: [bool; 3]) -> Result<Ending, sys::Error> {
        let [over, cancelled, late] = ready;
        self.child.kill();
        Ok(Ending {
            ended: self.child.wait()?,
            timed_out: late && !over && !cancelled,
        })
    }
}
