//! COPY: selected files into a tree.
//!
//! Knows: what happens to names, owners, modes and times on the way (dockerfile.md 1.10).
//! Does not know: how the files were selected, or where the tree's changes go.
//!
//! Invariant: nothing is followed out of the source or the destination; both sides are
//! [`Dir`] handles.

use std::collections::HashMap;

use rbuild_context::{Filter, Source, Visit, walk};
use rbuild_plan::Copy;
use rbuild_sys::{Dir, Errno, Error as SysError, FileKind, Node, Timestamp};

use super::{
    StepError,
    directory::{New, make_directory},
    shown,
};

/// Who owns what is copied (C11, C20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The same as in the source tree; directories that have to be made belong to 0:0.
    AsInSource,
    /// These ids.
    Fixed {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// Copies `sources` into `tree` as `copy` says; the filter hides files below them.
///
/// # Errors
/// The user's ([`StepError::OntoDirectory`], [`StepError::OntoFile`]) and the world's.
pub fn copy(
    tree: &Dir,
    copy: &Copy,
    sources: &[Source],
    from: (Owner, Filter<'_>),
) -> Result<(), StepError> {
    let (owner, filter) = from;
    let mut copier = Copier {
        tree,
        owner,
        mode: copy.chmod,
        links: HashMap::new(),
    };
    let destination = copy.destination.relative();
    let several = sources.len() > 1 || copy.patterns.len() > 1;
    for source in sources {
        // Hard links are kept within one source (C12).
        copier.links.clear();
        if source.stat.is_dir() {
            copier.contents(source, filter, destination)?;
        } else if copy.destination_is_dir || several || copier.is_dir(destination)? {
            let path = [destination.as_bytes(), b"/", &source.name].concat();
            copier.file(source, filter, &path)?;
        } else {
            copier.file(source, filter, destination.as_bytes())?;
        }
    }
    Ok(())
}

struct Copier<'a> {
    tree: &'a Dir,
    owner: Owner,
    mode: Option<u32>,
    /// Files with several names: where the first one went.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// Where a file goes.
#[derive(Clone, Copy)]
struct Target<'a> {
    parent: &'a Dir,
    /// In `parent`.
    name: &'a [u8],
    /// The same from the tree's root, for messages and hard links.
    path: &'a [u8],
}

/// A directory that is being filled.
struct Open {
    /// Length of its path below the source, and whether a slash follows.
    depth: usize,
    dir: Dir,
    /// Set when it is complete, because filling it changes it.
    mtime: Timestamp,
}

impl Copier<'_> {
    fn is_dir(&self, path: &str) -> Result<bool, StepError> {
        match SysError::absent(self.tree.resolve_stat(path.as_bytes())) {
            Ok(stat) => Ok(stat.is_some_and(|stat| stat.is_dir())),
            // A file is in the way: making the directory will say so.
            Err(error) if error.is(Errno::NOTDIR) => Ok(false),
            Err(source) => Err(StepError::write(shown(path.as_bytes()), source)),
        }
    }

    /// The directory `path` of the tree, made if it is missing (C3).
    fn directory(&self, path: &[u8]) -> Result<Dir, StepError> {
        let (uid, gid) = match self.owner {
            Owner::AsInSource => (0, 0),
            Owner::Fixed { uid, gid } => (uid, gid),
        };
        let mode = self.mode.unwrap_or(0o755);
        make_directory(self.tree, path, New { uid, gid, mode })
    }

    /// One file to `path` (C4, C5).
    fn file(&mut self, source: &Source, filter: Filter<'_>, path: &[u8]) -> Result<(), StepError> {
        let end = path
            .iter()
            .rposition(|&b| b == b'/')
            .map_or(0, |slash| slash + 1);
        let parent = self.directory(&path[..end])?;
        let target = Target {
            parent: &parent,
            name: &path[end..],
            path,
        };
        walk(source, &filter, |visit: &Visit<'_>| {
            self.place(target, visit)
        })
    }

    /// What is in a directory to the directory `destination` (C6, C9).
    fn contents(
        &mut self,
        source: &Source,
        filter: Filter<'_>,
        destination: &str,
    ) -> Result<(), StepError> {
        let mut open: Vec<Open> = Vec::new();
        walk(source, &filter, |visit: &Visit<'_>| {
            if visit.relative.is_empty() {
                let dir = self.directory(destination.as_bytes())?;
                open.push(Open {
                    depth: 0,
                    dir,
                    mtime: visit.stat.mtime,
                });
                return Ok::<(), StepError>(());
            }
            let name_start = visit.relative.len() - visit.name.len();
            while open.last().is_some_and(|dir| dir.depth > name_start) {
                close(open.pop())?;
            }
            let parent = &open.last().expect("the source itself is visited first").dir;
            let path = [destination.as_bytes(), b"/", visit.relative].concat();
            let target = Target {
                parent,
                name: visit.name,
                path: &path,
            };
            self.place(target, visit)?;
            if visit.stat.is_dir() {
                let dir = parent
                    .child(visit.name)
                    .map_err(|source| StepError::write(shown(&path), source))?;
                open.push(Open {
                    depth: visit.relative.len() + 1,
                    dir,
                    mtime: visit.stat.mtime,
                });
            }
            Ok(())
        })?;
        open.into_iter().rev().try_for_each(|dir| close(Some(dir)))
    }

    /// Puts what is visited at `target`.
    fn place(&mut self, target: Target<'_>, visit: &Visit<'_>) -> Result<(), StepError> {
        let Target { parent, name, path } = target;
        let write = |source| StepError::write(shown(path), source);
        let existing = SysError::absent(parent.stat(name)).map_err(write)?;
        match (visit.stat.kind, existing) {
            (FileKind::Socket, _) => return Ok(()),
            (FileKind::Directory, Some(old)) if old.is_dir() => {
                return parent
                    .set_mode(name, self.mode.unwrap_or(visit.stat.mode))
                    .map_err(write);
            }
            (FileKind::Directory, Some(_)) => {
                return Err(StepError::OntoFile { path: shown(path) });
            }
            (_, Some(old)) if old.is_dir() => {
                return Err(StepError::OntoDirectory { path: shown(path) });
            }
            (_, Some(_)) => parent.unlink(name).map_err(write)?,
            (_, None) => {}
        }
        if visit.stat.kind != FileKind::Directory && visit.stat.links > 1 {
            let first = self.links.entry((visit.stat.dev, visit.stat.ino));
            if let std::collections::hash_map::Entry::Occupied(first) = &first {
                return link(self.tree, first.get(), parent, name).map_err(write);
            }
            first.insert_entry(path.to_vec());
        }
        match visit.stat.kind {
            FileKind::File => self.regular(parent, name, visit).map_err(write),
            _ => self.special(parent, name, visit).map_err(write),
        }
    }

    /// A regular file, through one descriptor.
    fn regular(&self, parent: &Dir, name: &[u8], visit: &Visit<'_>) -> Result<(), SysError> {
        let from = visit.dir.read(visit.name)?;
        let to = parent.create(name, 0o600)?;
        rbuild_sys::copy_contents(&from, &to)?;
        let (uid, gid) = self.ids(visit);
        rbuild_sys::set_file_owner(&to, uid, gid)?;
        rbuild_sys::set_file_mode(&to, self.mode.unwrap_or(visit.stat.mode))?;
        copy_xattrs(visit, parent, name)?;
        rbuild_sys::set_file_mtime(&to, visit.stat.mtime)
    }

    /// Anything that is not a regular file or a socket. `--chmod` is not for symlinks (C21).
    fn special(&self, parent: &Dir, name: &[u8], visit: &Visit<'_>) -> Result<(), SysError> {
        let mode = self.mode.unwrap_or(visit.stat.mode);
        let (uid, gid) = self.ids(visit);
        match visit.stat.kind {
            FileKind::Symlink => parent.symlink(&visit.dir.read_link(visit.name)?, name)?,
            FileKind::Directory => parent.mkdir(name, 0o700)?,
            kind => parent.mknod(
                name,
                Node {
                    kind,
                    mode: 0o600,
                    rdev: visit.stat.rdev,
                },
            )?,
        }
        parent.set_owner(name, uid, gid)?;
        if visit.stat.kind != FileKind::Symlink {
            parent.set_mode(name, mode)?;
        }
        copy_xattrs(visit, parent, name)?;
        parent.set_mtime(name, visit.stat.mtime)
    }

    fn ids(&self, visit: &Visit<'_>) -> (u32, u32) {
        match self.owner {
            Owner::AsInSource => (visit.stat.uid, visit.stat.gid),
            Owner::Fixed { uid, gid } => (uid, gid),
        }
    }
}

fn close(open: Option<Open>) -> Result<(), StepError> {
    let Some(Open { dir, mtime, .. }) = open else {
        return Ok(());
    };
    rbuild_sys::set_file_mtime(&dir, mtime)
        .map_err(|source| StepError::write("a directory's time", source))
}

/// Gives the file at `first` in `tree` another name.
fn link(tree: &Dir, first: &[u8], parent: &Dir, name: &[u8]) -> Result<(), SysError> {
    let (from, old) = tree.resolve_parent(first)?;
    let old = old.ok_or_else(|| SysError::new("linkat", first, Errno::INVAL))?;
    parent.link(&from, old, name)
}

/// Copies the attributes that belong to the file. One that the file system refuses is left out
/// (C12), but a file capability must not get lost (T31).
fn copy_xattrs(visit: &Visit<'_>, parent: &Dir, name: &[u8]) -> Result<(), SysError> {
    for (key, value) in visit.dir.xattrs(visit.name)? {
        let capability = key == b"security.capability";
        let internal = [&b"user.overlay."[..], b"trusted.", b"security."]
            .iter()
            .any(|p| key.starts_with(p));
        if internal && !capability {
            continue;
        }
        match parent.set_xattr(name, &key, &value) {
            Err(error) if capability => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
