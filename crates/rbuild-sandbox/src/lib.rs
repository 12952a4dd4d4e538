//! Runs a command in a tree, as strictly confined as real Dockerfiles allow.
//!
//! 1. [`enter`] takes the whole, still single-threaded process into a user namespace and
//!    starts the guardian, with whose death every command ends;
//! 2. [`Sandbox::new`] prepares what all commands share;
//! 3. [`Sandbox::run`] runs one command, from any thread: [`ops()`] decides what the child
//!    does, as data; `program` makes a list of system calls of it; `rbuild_sys::spawn` does it.
//!
//! Knows nothing of images, snapshots or Dockerfiles: a tree is a mount that somebody made.

mod agent;
mod capability;
mod confinement;
mod console;
mod control_group;
mod ending;
mod enter;
mod error;
mod etc_files;
mod host;
mod interpreter;
mod mount;
mod mount_point;
mod mount_source;
mod ops;
mod private_network;
mod program;
mod resource_limit;
mod run;
mod sandbox;
mod seccomp;
mod skeleton;
mod spec;
mod stdio;
pub mod subids;
mod traces;
pub mod users;

pub use capability::{CapabilitySet, DEFAULT_CAPABILITIES};
pub use confinement::{
    Confinement, DEFAULT_SHM_SIZE, Hosts, NewPrivileges, Resolver, SystemCalls, Unmasked,
};
pub use console::Console;
pub use control_group::{
    ControlRequest,
    limits::{ControlLimits, Processes, Swap},
};
pub use ending::Cancel;
pub use enter::{Entered, Ids, enter, enter_limited, enter_unguarded};
pub use error::Error;
pub use etc_files::EtcFile;
pub use host::{Host, Probe};
pub use interpreter::Interpreter;
pub use mount::{BindAccess, CacheAccess, FileOwner, Mount, MountKind, SecretBytes};
pub use ops::{Calls, ControlGroups, Fixture, Op, Place, Surroundings, Writes, dump, ops};
pub use resource_limit::ResourceLimit;
pub use run::{Exit, Stream};
pub use sandbox::Sandbox;
pub use seccomp::SeccompProfile;
pub use skeleton::skeleton;
pub use spec::{Input, Network, Security, Spec, Stdio};
pub use traces::Traces;
pub use users::UserError;
