//! What is left to do when this process has ended, however it ends.

use std::os::fd::AsRawFd;

use crate::{
    error::{Error, Result},
    process::{pipe, require_one_thread},
};

/// Held by a process as long as it lives; the kernel lets go of it for who is killed.
#[derive(Debug)]
pub struct Lifeline {
    id: u32,
    _pipe: std::io::PipeWriter,
}

impl Lifeline {
    /// The number of the process that waits.
    pub fn id(&self) -> u32 {
        self.id
    }
}

/// Forks a process that waits until this one has ended, or has dropped what is returned, does
/// `last`, and ends. It holds no files of ours, is in a session of its own, and nothing but
/// SIGKILL ends it before.
///
/// # Errors
/// `INVAL` when there are other threads; as fork(2).
pub fn after_death(last: impl FnOnce()) -> Result<Lifeline> {
    require_one_thread("fork")?;
    let (hang_up, lifeline) = pipe()?;
    // SAFETY: there is one thread, as was just counted, so no lock is held by another one.
    match unsafe { libc::fork() } {
        -1 => Err(Error::last("fork", "")),
        0 => {
            wait_alone(hang_up.as_raw_fd());
            last();
            // SAFETY: plain numbers; no destructors run, and nothing is flushed twice.
            unsafe { libc::_exit(0) }
        }
        id => Ok(Lifeline {
            id: id.unsigned_abs(),
            _pipe: lifeline,
        }),
    }
}

/// Waits for the end of the pipe `hang_up`, which nobody writes to, with nothing else open.
fn wait_alone(hang_up: libc::c_int) {
    // SAFETY: numbers, and buffers on this stack that outlive the calls. The descriptors that are
    // closed have owners in this copy of the memory, which never run.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"rbuild-sweeper".as_ptr());
        libc::setsid();
        libc::chdir(c"/".as_ptr());
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        libc::dup2(hang_up, 0);
        libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
        let mut byte = 0_u8;
        while libc::read(0, (&raw mut byte).cast(), 1) == -1 {}
    }
}
