//! Network namespaces that no process is in. network_namespaces(7).

use std::{fs::File, os::fd::OwnedFd, thread};

use rustix::io::Errno;

use crate::{
    child::loopback_up,
    error::{Error, Result},
};

/// Makes a network namespace with nothing but `lo`, which is up, and calls `prepare` in it.
///
/// It lives as long as the descriptor, and the processes that join it. The caller stays where it
/// is: a thread of its own makes it.
///
/// # Errors
/// `PERM` without privileges over the user namespace; without /proc; when there is no thread to
/// be had.
pub fn new_network_namespace(prepare: impl FnOnce() + Send) -> Result<OwnedFd> {
    let make = || {
        // SAFETY: a plain number; a thread has a network namespace of its own, and this one ends
        // without having touched anything else of the process.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(Error::last("unshare", "CLONE_NEWNET"));
        }
        loopback_up()
            .map_err(|errno| Error::new("ioctl", "lo", Errno::from_raw_os_error(errno)))?;
        prepare();
        let path = "/proc/thread-self/ns/net";
        let failed = |source| Error {
            call: "open",
            operand: path.to_owned(),
            source,
        };
        File::open(path).map(OwnedFd::from).map_err(failed)
    };
    thread::scope(|scope| {
        let started = thread::Builder::new().spawn_scoped(scope, make);
        let started = started.map_err(|source| Error {
            call: "clone",
            operand: String::new(),
            source,
        })?;
        started
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
