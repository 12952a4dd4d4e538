//! The mounts that a command asks for, beside those that every command has.
//!
//! Knows: what is mounted, where, and what it forbids. Making them is in `mount_source`,
//! finding their places in `mount_point`. dockerfile.md R8; the kernel's propagation options
//! are not here on purpose: nothing that happens to a mount reaches anybody (CVE-2024-9407).

use std::{fmt, path::Path};

use rbuild_oci::ImagePath;
use rbuild_sys::{Dir, MountLimits, Upper};

/// A mount of one command. None of them honours setuid bits, and only devices are devices.
#[derive(Clone, Debug)]
pub struct Mount<'a> {
    /// Where it is; symlinks on the way resolve inside the tree. What is missing is made for
    /// the time of the run. Not `/`, nothing in `/proc` or `/sys`.
    pub target: ImagePath,
    /// What it shows.
    pub kind: MountKind<'a>,
}

/// What a mount shows.
#[derive(Clone, Debug)]
pub enum MountKind<'a> {
    /// A directory or a regular file of another tree.
    Bind {
        /// The other tree: a directory of the host, or the root of a mount.
        source: &'a Dir,
        /// Which part of it; symlinks on the way, and at the end, resolve inside `source`.
        path: ImagePath,
        /// What can be done with it.
        access: BindAccess<'a>,
    },
    /// A directory that is kept from run to run.
    Cache {
        /// Itself.
        dir: &'a Dir,
        /// What can be done with it.
        access: CacheAccess,
    },
    /// An empty directory in memory, open to all users.
    Tmpfs {
        /// Bytes; `None` for half of the memory.
        size: Option<u64>,
    },
    /// A file that is on no disk. Read-only.
    Secret {
        /// What is in it.
        content: SecretBytes<'a>,
        /// Whose it is.
        owner: FileOwner,
    },
    /// A device of the host, which can be read and written as far as its permissions say: a mount
    /// cannot forbid it.
    Device {
        /// Where it is in the host's `/dev`.
        path: ImagePath,
    },
    /// A socket whose connections lead to another one.
    Ssh {
        /// The agent's socket, on the host.
        agent: &'a Path,
        /// Whose it is.
        owner: FileOwner,
    },
}

/// What can be done with a [`MountKind::Bind`].
#[derive(Clone, Copy, Debug)]
pub enum BindAccess<'a> {
    /// It can be read.
    ReadOnly,
    /// It can be written; the source never changes. What is written goes to these empty
    /// directories, on a file system that can carry an overlay; they are the caller's to delete.
    Discard(Upper<'a>),
}

/// What can be done with a [`MountKind::Cache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheAccess {
    /// It can be read.
    ReadOnly,
    /// It can be written.
    ReadWrite,
}

/// Owner and permission bits of a file, as the command sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileOwner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, 0..=0o7777.
    pub mode: u32,
}

/// Bytes that are in no dump and no log.
#[derive(Clone, Copy)]
pub struct SecretBytes<'a>(pub &'a [u8]);

impl fmt::Debug for SecretBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(****)")
    }
}

/// What kind of file a mount point must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Directory,
    File,
}

impl MountKind<'_> {
    /// What the mount forbids.
    pub(crate) fn limits(&self) -> MountLimits {
        let plain = MountLimits {
            no_suid: true,
            no_dev: true,
            ..MountLimits::default()
        };
        let read_only = match self {
            Self::Bind { access, .. } => matches!(access, BindAccess::ReadOnly),
            Self::Cache { access, .. } => *access == CacheAccess::ReadOnly,
            Self::Tmpfs { .. } => false,
            Self::Device { .. } => {
                return MountLimits {
                    no_suid: true,
                    no_exec: true,
                    ..MountLimits::default()
                };
            }
            Self::Secret { .. } | Self::Ssh { .. } => return MountLimits::READ_ONLY,
        };
        MountLimits { read_only, ..plain }
    }

    /// As after `type=`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "bind",
            Self::Cache { .. } => "cache",
            Self::Tmpfs { .. } => "tmpfs",
            Self::Device { .. } => "device",
            Self::Secret { .. } => "secret",
            Self::Ssh { .. } => "ssh",
        }
    }
}

/// Indices of `mounts` in the order in which they are attached: what is nearer to the root
/// first, so that one target can be inside of another; of equal targets the last one wins.
pub(crate) fn order(mounts: &[Mount<'_>]) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..mounts.len()).collect();
    indices.sort_by_key(|&index| mounts[index].target.components().count());
    indices
}
