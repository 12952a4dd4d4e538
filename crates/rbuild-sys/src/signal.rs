//! Signals that are taken one by one instead of interrupting the process: those that ask it to end,
//! and the one that tells of a terminal that changed its size.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// SIGINT, SIGTERM, SIGHUP and SIGQUIT, held back. signal(7).
#[derive(Clone, Copy, Debug)]
pub struct TerminationSignals(SigSet);

/// Holds them back in this thread and all that it starts afterwards.
///
/// # Errors
/// As pthread_sigmask(3).
pub fn block_termination_signals() -> Result<TerminationSignals> {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        set.add(signal);
    }
    set.thread_block()
        .map_err(|errno| failed("pthread_sigmask", errno))?;
    Ok(TerminationSignals(set))
}

impl TerminationSignals {
    /// Waits for the next one; returns its number.
    ///
    /// # Errors
    /// As sigwait(3).
    pub fn wait(&self) -> Result<i32> {
        self.0
            .wait()
            .map(|signal| signal as i32)
            .map_err(|errno| failed("sigwait", errno))
    }
}

/// Readable when the terminal of this process has another size than before. SIGWINCH, signalfd(2).
#[derive(Debug)]
pub struct WindowChanges(SignalFd);

impl WindowChanges {
    /// From now on; to be called before other threads are started, which would take the signal.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn watch() -> Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGWINCH);
        set.thread_block()
            .map_err(|errno| failed("pthread_sigmask", errno))?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map(Self)
            .map_err(|errno| failed("signalfd", errno))
    }

    /// Takes notice of all changes so far.
    pub fn acknowledge(&self) {
        while let Ok(Some(_)) = self.0.read_signal() {}
    }
}

impl AsFd for WindowChanges {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn failed(call: &'static str, errno: nix::errno::Errno) -> Error {
    Error::new(call, "", Errno::from_raw_os_error(errno as i32))
}
