//! The process whose death ends every command: init of a pid namespace around them all.
//!
//! The kernel kills it when the builder dies, however the builder dies, and with it kills
//! everything in its namespace and the namespaces nested there: daemons in sessions of their
//! own and setuid programs too. pid_namespaces(7), PR_SET_PDEATHSIG(2const).
//!
//! Invariant: it never executes a program and never changes its credentials (both would clear
//! the death signal); its only descriptor is a pipe whose hang-up ends it as well.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{
    error::{Error, Result},
    process::{pipe, require_one_thread},
};

/// A handle on the guardian. Dropping it ends the guardian and every command.
#[derive(Debug)]
pub struct Guardian {
    pidfd: OwnedFd,
    /// Whether this process was dumpable at the start; see `spawn`.
    pub(crate) dumpable: bool,
    /// Held open, never written to.
    _lifeline: std::io::PipeWriter,
}

impl Guardian {
    /// Starts the guardian. It dies with the calling thread, so this must be the main thread,
    /// and it keeps a copy of the caller's memory, so this should be early.
    ///
    /// # Errors
    /// `INVAL` when there are other threads; `PERM` without privileges over the user namespace.
    pub fn start() -> Result<Self> {
        require_one_thread("clone")?;
        let (hang_up, lifeline) = pipe()?;
        let mut pidfd: libc::c_int = -1;
        let flags = libc::CLONE_NEWPID | libc::CLONE_PIDFD | libc::SIGCHLD;
        // SAFETY: without a stack this forks; there is one thread, and the child makes system
        // calls only. The third argument is where the descriptor goes on every architecture.
        match unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) } {
            -1 => Err(Error::last("clone", "CLONE_NEWPID")),
            0 => keep_guard(hang_up.as_raw_fd()),
            _ => Ok(Self {
                // SAFETY: the kernel has just made this descriptor for us.
                pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
                // SAFETY: plain numbers.
                dumpable: unsafe { libc::prctl(libc::PR_GET_DUMPABLE) == 1 },
                _lifeline: lifeline,
            }),
        }
    }
}

impl AsFd for Guardian {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The guardian's whole life: wait for the end of the builder.
fn keep_guard(hang_up: libc::c_int) -> ! {
    // SAFETY: numbers, and buffers on this stack that outlive the calls; the process is alone
    // with its copy of the memory and never returns to the caller's frames.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::prctl(libc::PR_SET_NAME, c"rbuild-guardian".as_ptr());
        libc::setsid();
        libc::chdir(c"/".as_ptr());
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        libc::dup2(hang_up, 0);
        libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
        let mut byte = 0_u8;
        // Nobody ever writes: this returns at the end of the builder, also if that was
        // before the death signal was set.
        while libc::read(0, (&raw mut byte).cast(), 1) == -1 {}
        libc::_exit(0)
    }
}
