//! Linux, safely: directory handles, namespaces, mounts, processes.
//!
//! The only crate with `unsafe`. Thin and complete, no policy: it does what it is
//! told and reports the system call that failed with its operand.
//!
//! Foreign names (from archives, contexts, images, Dockerfiles) are opened through
//! [`Dir`], never through joined host paths.

mod descent;
mod dir;
mod error;
mod file;
mod mount;
mod signal;
mod stat;
mod user;
mod xattr;

pub use descent::Descent;
pub use dir::{Dir, Entry};
pub use error::{Error, Result};
pub use file::{
    FileSystem, copy_contents, file_stat, file_system, set_file_mode, set_file_mtime,
    set_file_owner, sync_file_system,
};
pub use mount::{Upper, overlay};
pub use rustix::fs::{Mode, OFlags};
pub use rustix::io::Errno;
pub use signal::{TerminationSignals, block_termination_signals};
pub use stat::{FileKind, Stat, Timestamp};
pub use user::effective_uid;
pub use xattr::Xattr;
