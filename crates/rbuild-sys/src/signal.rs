//! Signals that ask the process to end, taken one by one instead of interrupting it.

use nix::sys::signal::{SigSet, Signal};
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

fn failed(call: &'static str, errno: nix::errno::Errno) -> Error {
    Error::new(call, "", Errno::from_raw_os_error(errno as i32))
}
