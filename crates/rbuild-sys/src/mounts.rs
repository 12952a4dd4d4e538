//! Mounts as descriptors: made, cloned and restricted while they are attached nowhere.
//!
//! A mount made here is visible to nobody until it is attached, and gone when its
//! descriptor is closed before that. open_tree(2), fsopen(2), move_mount(2).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    mount_change, move_mount, open_tree,
};

use crate::error::{Context, Error, Result};

/// What a mount forbids; mount_setattr(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountLimits {
    /// No writing.
    pub read_only: bool,
    /// Setuid bits and file capabilities do not count.
    pub no_suid: bool,
    /// Device nodes cannot be opened.
    pub no_dev: bool,
    /// Programs cannot be executed.
    pub no_exec: bool,
}

/// How much of a tree of mounts [`clone_mount`] copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// One mount.
    Mount,
    /// The mount and all that is mounted below it.
    Tree,
}

impl MountLimits {
    /// Nothing special: no setuid, no devices, no programs.
    pub const INERT: Self = Self {
        read_only: false,
        no_suid: true,
        no_dev: true,
        no_exec: true,
    };

    /// [`MountLimits::INERT`] and no writing.
    pub const READ_ONLY: Self = Self {
        read_only: true,
        ..Self::INERT
    };

    pub(crate) fn flags(self) -> MountAttrFlags {
        let mut flags = MountAttrFlags::empty();
        flags.set(MountAttrFlags::MOUNT_ATTR_RDONLY, self.read_only);
        flags.set(MountAttrFlags::MOUNT_ATTR_NOSUID, self.no_suid);
        flags.set(MountAttrFlags::MOUNT_ATTR_NODEV, self.no_dev);
        flags.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, self.no_exec);
        flags
    }
}

/// Makes a mount of a new instance of the file system type `kind`, attached nowhere.
/// An option without a value is a flag.
///
/// # Errors
/// As fsconfig(2), naming the option; as fsmount(2).
pub fn new_mount(
    kind: &str,
    options: &[(&str, Option<&str>)],
    limits: MountLimits,
) -> Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).on("fsopen", kind)?;
    for (key, value) in options {
        match value {
            Some(value) => fsconfig_set_string(&context, *key, *value),
            None => fsconfig_set_flag(&context, *key),
        }
        .map_err(|errno| Error::new("fsconfig", format!("{kind} {key}"), errno))?;
    }
    fsconfig_create(&context).on("fsconfig", kind)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, limits.flags()).on("fsmount", kind)
}

/// Copies the mount that `path` below `dir` is in, so that `path` is its root; an empty path
/// is `dir` itself. The copy is attached nowhere. A symlink at the end is not followed.
///
/// # Errors
/// `INVAL` if `dir` is not in our mount namespace, or if there are mounts below `path` which
/// a [`Depth::Mount`] would uncover.
pub fn clone_mount(dir: impl AsFd, path: &[u8], depth: Depth) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW
        | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, depth == Depth::Tree);
    open_tree(dir, path, flags).on("open_tree", path)
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
pub(crate) struct MountAttr {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) propagation: u64,
    pub(crate) userns: u64,
}

/// Adds `limits` to a mount, and to all mounts below it if `depth` says so.
///
/// # Errors
/// As mount_setattr(2).
pub fn limit_mount(mount: impl AsFd, limits: MountLimits, depth: Depth) -> Result<()> {
    let attr = MountAttr {
        set: limits.flags().bits().into(),
        clear: 0,
        propagation: 0,
        userns: 0,
    };
    let recursive = if depth == Depth::Tree {
        libc::AT_RECURSIVE
    } else {
        0
    };
    // SAFETY: the path is a C string, `attr` lives across the call and the size is its own.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    match answer {
        0 => Ok(()),
        _ => Err(Error::last("mount_setattr", "")),
    }
}

/// Attaches a mount over what `at` is open on: a directory over a directory, a file over a file.
///
/// # Errors
/// As move_mount(2).
pub fn attach_mount(mount: impl AsFd, at: impl AsFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", at, c"", flags).on("move_mount", "")
}

/// Stops mount events from reaching this mount namespace and from leaving it.
///
/// # Errors
/// `PERM` without privileges over the namespace.
pub fn make_mounts_private() -> Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", flags).on("mount", "/")
}
