//! What Landlock keeps a process from beside files. landlock(7).

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::Errno;

use crate::error::{Error, Result};

/// `struct landlock_ruleset_attr` as of ABI 6.
#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// Connecting to abstract sockets of processes outside, and sending signals to them.
const ABSTRACT_SOCKETS_AND_SIGNALS: u64 = 0b11;

/// What [`crate::Step::Scope`] restricts a process by: no abstract sockets and no signals beyond
/// itself and its children. `None` where the kernel has no such thing: it came with ABI 6 (6.12),
/// and Landlock can be off.
///
/// # Errors
/// When descriptors run out.
pub fn landlock_scope() -> Result<Option<OwnedFd>> {
    let attr = RulesetAttr {
        handled_access_fs: 0,
        handled_access_net: 0,
        scoped: ABSTRACT_SOCKETS_AND_SIGNALS,
    };
    let (number, size) = (libc::SYS_landlock_create_ruleset, size_of::<RulesetAttr>());
    // SAFETY: the structure lives until the call returns, and the size is its own.
    let fd = unsafe { libc::syscall(number, &raw const attr, size, 0) };
    if let Ok(fd @ 0..) = i32::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor for us.
        return Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }));
    }
    let error = Error::last("landlock_create_ruleset", "");
    let unknown = [
        // No Landlock, or switched off.
        Errno::NOSYS,
        Errno::OPNOTSUPP,
        // A kernel that does not know the last field, or what it asks for.
        Errno::TOOBIG,
        Errno::INVAL,
        // A filter around us.
        Errno::PERM,
    ];
    match unknown.iter().any(|errno| error.is(*errno)) {
        true => Ok(None),
        false => Err(error),
    }
}
