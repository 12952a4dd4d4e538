//! A file that is no directory, and its copy.
//!
//! Knows: content, owners, modes, attributes and times (C12, C20, C21).
//! Does not know: what was in the way, or which other names the file has.
//!
//! Invariant: nothing is followed on either side.

use rbuild_context::Visit;
use rbuild_sys::{
    Dir, Errno, Error as SysError, FileKind, Node, Result, Stat, copy_contents, file_stat,
    file_xattrs, set_file_mode, set_file_mtime, set_file_owner, set_file_xattr,
};

use super::super::{directory::New, place::copy_xattrs};

/// A file of the source.
#[derive(Clone, Copy)]
pub(super) struct Original<'a> {
    /// The directory that it is in.
    pub dir: &'a Dir,
    /// Its name there.
    pub name: &'a [u8],
    /// What it was when it was seen.
    pub stat: &'a Stat,
}

impl<'a> From<&Visit<'a>> for Original<'a> {
    fn from(visit: &Visit<'a>) -> Self {
        Self {
            dir: visit.dir,
            name: visit.name,
            stat: visit.stat,
        }
    }
}

/// Copies `from` to `name` in `to`, where there is nothing of that name, as `new` says.
pub(super) fn copy(from: Original<'_>, to: &Dir, name: &[u8], new: New) -> Result<()> {
    match from.stat.kind {
        FileKind::File => regular(from, to, name, new),
        _ => special(from, to, name, new),
    }
}

/// A regular file, through one descriptor. Owner and mode are set only where the file was not born
/// with them: that depends on the umask, and on the directory's group and default ACL.
fn regular(from: Original<'_>, to: &Dir, name: &[u8], new: New) -> Result<()> {
    let source = from.dir.read_seen(from.name)?;
    // Writing would take setuid and setgid away again.
    let copy = to.create(name, new.mode & 0o777)?;
    copy_contents(&source, &copy, from.stat)?;
    let born = file_stat(&copy)?;
    if (born.uid, born.gid) != (new.uid, new.gid) {
        set_file_owner(&copy, new.uid, new.gid)?;
    }
    if born.mode != new.mode {
        set_file_mode(&copy, new.mode)?;
    }
    copy_xattrs(file_xattrs(&source)?, |key, value| {
        set_file_xattr(&copy, key, value)
    })?;
    set_file_mtime(&copy, from.stat.mtime)
}

/// A symlink, device or FIFO. `--chmod` is not for symlinks (C21).
fn special(from: Original<'_>, to: &Dir, name: &[u8], new: New) -> Result<()> {
    let Original { dir, stat, .. } = from;
    if stat.is_whiteout() {
        // In a layer it would delete the name; overlayfs itself makes none either.
        return Err(SysError::new("mknodat", name, Errno::PERM));
    }
    match stat.kind {
        FileKind::Symlink => to.symlink(&dir.read_link(from.name)?, name)?,
        kind => to.mknod(
            name,
            Node {
                kind,
                mode: 0o600,
                rdev: stat.rdev,
            },
        )?,
    }
    to.set_owner(name, new.uid, new.gid)?;
    if stat.kind != FileKind::Symlink {
        to.set_mode(name, new.mode)?;
    }
    copy_xattrs(dir.xattrs(from.name)?, |key, value| {
        to.set_xattr(name, key, value)
    })?;
    to.set_mtime(name, stat.mtime)
}
