//! Programs of the host, started through std.

use std::{io, os::unix::process::CommandExt, process::Command};

/// Makes the kernel kill the process that `command` starts when the thread that starts it ends,
/// so it does not outlive us. prctl(2), `PR_SET_PDEATHSIG`.
pub fn end_with_parent(command: &mut Command) {
    let set = || {
        // SAFETY: prctl with PR_SET_PDEATHSIG takes a number and touches no memory.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure makes one system call and neither allocates nor locks.
    unsafe { command.pre_exec(set) };
}
