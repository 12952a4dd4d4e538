//! Places in a tree that is a new layer over the layers below it.
//!
//! COPY writes the new layer's directory itself, by the rules of overlayfs, without mounting it:
//! it only ever adds, so it needs neither deletions nor opaque directories. A directory of the
//! new layer shows what is in the same directory below it, and a file hides one below it.
//!
//! Knows: which names a directory has, and how one that exists below gets into the new layer.
//! Does not know: what is copied.
//!
//! Invariant: symlinks of the image resolve inside of the tree; nothing below is written.

use std::collections::VecDeque;

use rbuild_sys::{
    Dir, Errno, Error as SysError, FileKind, Result, Stat, Xattr, set_file_mode, set_file_owner,
    set_file_xattr,
};

use super::directory::New;

/// Most symlinks on the way to a place, as in path_resolution(7).
const MAX_LINKS: usize = 40;

/// A tree that is written to.
#[derive(Clone, Copy)]
pub struct Tree<'a> {
    /// All layers below as one tree, for reading.
    pub below: &'a Dir,
    /// The new layer.
    pub changes: &'a Dir,
}

/// A directory of the tree.
pub(super) struct Place {
    /// As the new layer has it.
    pub changes: Dir,
    /// As the layers below have it; `None` if they do not.
    below: Option<Dir>,
    /// Whether it was made just now, so that nothing can be here.
    new: bool,
}

impl Tree<'_> {
    /// The tree's root.
    pub(super) fn root(&self) -> Result<Place> {
        Ok(Place {
            changes: self.changes.try_clone()?,
            below: Some(self.below.try_clone()?),
            new: false,
        })
    }

    /// The directory that `path` leads to; what is missing is made, as `new` says.
    ///
    /// # Errors
    /// `NOTDIR` if a component is something else, `LOOP` for too many symlinks.
    pub(super) fn directory(&self, path: &[u8], new: New) -> Result<Place> {
        let mut here = self.root()?;
        // Where we are, without symlinks: the way back for `..`.
        let mut walked: Vec<Vec<u8>> = Vec::new();
        let mut left: VecDeque<Vec<u8>> = parts(path).collect();
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            if name == b".." {
                walked.pop();
                walked
                    .drain(..)
                    .rev()
                    .for_each(|name| left.push_front(name));
                here = self.root()?;
                continue;
            }
            match here.stat(&name)? {
                None => here = here.make(&name, new)?,
                Some(stat) if stat.is_dir() => here = here.enter(&name)?,
                Some(stat) if stat.kind == FileKind::Symlink => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(SysError::new("openat", path, Errno::LOOP));
                    }
                    let target = here.read_link(&name)?;
                    parts(&target).rev().for_each(|part| left.push_front(part));
                    if target.starts_with(b"/") {
                        walked.clear();
                        here = self.root()?;
                    }
                    continue;
                }
                Some(_) => return Err(SysError::new("openat", path, Errno::NOTDIR)),
            }
            walked.push(name);
        }
        Ok(here)
    }
}

impl Place {
    /// What `name` is; `None` if there is no such thing. Of a directory that was made just now,
    /// each name is asked for once, before anything gets it.
    pub(super) fn stat(&self, name: &[u8]) -> Result<Option<Stat>> {
        if self.new {
            return Ok(None);
        }
        if let Some(stat) = SysError::absent(self.changes.stat(name))? {
            return Ok(Some(stat));
        }
        let below = self.below.as_ref();
        below.map_or(Ok(None), |below| SysError::absent(below.stat(name)))
    }

    fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        match (SysError::absent(self.changes.read_link(name))?, &self.below) {
            (Some(target), _) => Ok(target),
            (None, Some(below)) => below.read_link(name),
            (None, None) => Err(SysError::new("readlinkat", name, Errno::NOENT)),
        }
    }

    /// The existing directory `name`.
    pub(super) fn enter(&self, name: &[u8]) -> Result<Self> {
        let below = self.below.as_ref().map(|below| below.child(name));
        let below = match below.transpose() {
            Err(error) if is_no_directory(&error) => None,
            found => found?,
        };
        let changes = match (SysError::absent(self.changes.child(name))?, &below) {
            (Some(changes), _) => changes,
            (None, Some(below)) => self.copy_up(name, below)?,
            (None, None) => return Err(SysError::new("openat", name, Errno::NOENT)),
        };
        Ok(Self {
            changes,
            below,
            new: false,
        })
    }

    /// Makes the directory `name`, which does not exist.
    pub(super) fn make(&self, name: &[u8], new: New) -> Result<Self> {
        self.changes.mkdir(name, 0o700)?;
        let changes = self.changes.child(name)?;
        set_file_owner(&changes, new.uid, new.gid)?;
        set_file_mode(&changes, new.mode)?;
        Ok(Self {
            changes,
            below: None,
            new: true,
        })
    }

    /// Gives the new layer the directory `name`, which is `below`.
    fn copy_up(&self, name: &[u8], below: &Dir) -> Result<Dir> {
        let Stat { uid, gid, mode, .. } = below.stat_self()?;
        let made = self.make(name, New { uid, gid, mode })?;
        copy_xattrs(below.xattrs(b"")?, |key, value| {
            set_file_xattr(&made.changes, key, value)
        })?;
        Ok(made.changes)
    }
}

/// Gives a copy, through `set`, the attributes `all` of a file that belong to it. One that the
/// file system refuses is left out (C12), but a file capability must not get lost (T31).
pub(super) fn copy_xattrs(all: Vec<Xattr>, set: impl Fn(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    for (key, value) in all {
        let capability = key == b"security.capability";
        let internal = [&b"user.overlay."[..], b"trusted.", b"security."]
            .iter()
            .any(|prefix| key.starts_with(prefix));
        if internal && !capability {
            continue;
        }
        match set(&key, &value) {
            Err(error) if capability => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The components of `path`.
fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&b| b == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
}

/// Whether `error` says that a name is no directory, or nothing.
fn is_no_directory(error: &SysError) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
        .into_iter()
        .any(|errno| error.is(errno))
}
