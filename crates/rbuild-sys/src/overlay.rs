//! Overlay mounts, made without a place in the tree (detached).
//!
//! The kernel drops a detached mount when its last descriptor is closed: there is nothing to unmount.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::{
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
        fsconfig_set_string, fsmount, fsopen,
    },
};

use crate::{
    Dir,
    error::{Context, Error, Result},
};

/// Where an overlay keeps what is written to it.
#[derive(Clone, Copy, Debug)]
pub struct Upper<'dir> {
    /// Receives every change.
    pub changes: &'dir Dir,
    /// Empty, on the same file system, for the kernel's own use.
    pub work: &'dir Dir,
}

/// Mounts `lowers` (top first, at least one; two without `upper`) as one tree.
///
/// With `upper` the mount is `volatile`: nothing is ever synced, the caller does that when the
/// changes matter. `userxattr` always: whiteouts and opaque directories are those that an
/// unprivileged user can make. See the kernel's filesystems/overlayfs.rst.
///
/// # Errors
/// `INVAL` where the file system of `upper` cannot carry an overlay, `PERM` without a user
/// namespace of our own, `NODEV` when the kernel has no overlayfs.
pub fn overlay(lowers: &[&Dir], upper: Option<Upper<'_>>) -> Result<Dir> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).on("fsopen", "overlay")?;
    let context = context.as_fd();
    fsconfig_set_flag(context, "userxattr").on("fsconfig", "userxattr")?;
    set_lowers(context, lowers)?;
    if let Some(upper) = upper {
        fsconfig_set_flag(context, "volatile").on("fsconfig", "volatile")?;
        fsconfig_set_string(context, "upperdir", proc_path(upper.changes))
            .on("fsconfig", "upperdir")?;
        fsconfig_set_string(context, "workdir", proc_path(upper.work)).on("fsconfig", "workdir")?;
    }
    fsconfig_create(context).on("fsconfig", "create overlay")?;
    let attributes = if upper.is_some() {
        MountAttrFlags::empty()
    } else {
        MountAttrFlags::MOUNT_ATTR_RDONLY
    };
    let mount: OwnedFd =
        fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).on("fsmount", "overlay")?;
    Ok(Dir::from_fd(mount))
}

/// One call per layer where the kernel has `lowerdir+` (Linux 6.7); before that one string,
/// which fsconfig(2) limits to 255 bytes.
fn set_lowers(context: BorrowedFd<'_>, lowers: &[&Dir]) -> Result<()> {
    for (index, lower) in lowers.iter().enumerate() {
        match fsconfig_set_string(context, "lowerdir+", proc_path(lower)) {
            Err(Errno::INVAL) if index == 0 => {
                let all: Vec<String> = lowers.iter().map(|lower| proc_path(lower)).collect();
                let all = all.join(":");
                return fsconfig_set_string(context, "lowerdir", &all)
                    .map_err(|errno| Error::new("fsconfig", format!("lowerdir={all}"), errno));
            }
            answer => answer.on("fsconfig", "lowerdir+")?,
        }
    }
    Ok(())
}

fn proc_path(dir: &Dir) -> String {
    format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd())
}
