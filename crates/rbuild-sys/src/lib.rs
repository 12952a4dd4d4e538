//! Linux, safely: directory handles, namespaces, mounts, processes.
//!
//! The only crate with `unsafe`. Thin and complete, no policy: it does what it is
//! told and reports the system call that failed with its operand.
//!
//! Foreign names (from archives, contexts, images, Dockerfiles) are opened through
//! [`Dir`], never through joined host paths.

mod afterlife;
mod child;
mod command;
mod descent;
mod dir;
mod error;
mod file;
mod filter;
mod guardian;
mod landlock;
mod mounts;
mod network;
mod overlay;
mod process;
mod pty;
mod signal;
mod spawn;
mod stat;
mod step;
mod terminal;
mod userns;
mod xattr;

pub use afterlife::{Lifeline, after_death};
pub use command::end_with_parent;
pub use descent::Descent;
pub use dir::{Dir, Entry, Node};
pub use error::{Error, Result};
pub use file::{
    FileSystem, WriteBehind, copy_contents, file_stat, file_system, memory_file, set_file_mode,
    set_file_mtime, set_file_owner, sync_file_system,
};
pub use filter::{Filter, Instruction};
pub use guardian::Guardian;
pub use landlock::landlock_scope;
pub use mounts::{
    Depth, MountLimits, attach_mount, clone_mount, limit_mount, make_mounts_private, new_mount,
};
pub use network::new_network_namespace;
pub use overlay::{Upper, overlay};
pub use process::{
    Child, Ended, Flag, Interest, Timer, effective_ids, in_child, open_files_limit,
    raise_open_files_limit, set_nonblocking, wait_readable, wait_ready,
};
pub use pty::Pty;
pub use rustix::fs::{Mode, OFlags};
pub use rustix::io::Errno;
pub use signal::{TerminationSignals, WindowChanges, block_termination_signals};
pub use spawn::{NetworkNamespace, SpawnError, spawn};
pub use stat::{FileKind, Stat, Timestamp};
pub use step::{Exec, Handle, Made, Resource, Step};
pub use terminal::{RawTerminal, Unechoed, copy_window_size, is_terminal, restore_terminal};
pub use userns::{EnterError, IdMapping, enter_mount_namespace, enter_user_namespace};
pub use xattr::{Xattr, file_xattrs, set_file_xattr};
