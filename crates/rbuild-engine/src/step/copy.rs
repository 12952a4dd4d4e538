//! COPY: selected files into a tree.
//!
//! Knows: what happens to names, owners, modes and times on the way (dockerfile.md 1.10).
//! Does not know: how the files were selected, or how the tree is made of layers.
//!
//! Invariant: nothing is followed out of the source or the destination; both sides are
//! [`Dir`] handles.
//! A context's own files are never linked to.

use std::collections::{HashMap, hash_map::Entry};

use rbuild_context::{IgnoreRules, Source, Visit, walk};
use rbuild_plan::Copy;
use rbuild_sys::{Dir, Errno, Error as SysError, FileKind, Node, Timestamp, set_file_xattr};

use super::{
    StepError,
    directory::{New, file_on_the_way},
    place::{Place, Tree, copy_xattrs},
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

/// Copies `sources` into `tree` as `copy` says; `rules` hide files below them.
///
/// # Errors
/// The user's ([`StepError::OntoDirectory`], [`StepError::OntoFile`]) and the world's.
pub fn copy(
    tree: Tree<'_>,
    copy: &Copy,
    sources: &[Source],
    from: (Owner, Option<&IgnoreRules>),
) -> Result<(), StepError> {
    let (owner, rules) = from;
    let mut copier = Copier {
        tree,
        owner,
        mode: copy.chmod,
        top: None,
        links: HashMap::new(),
    };
    let destination = copy.destination.relative();
    let several = sources.len() > 1 || copy.patterns.len() > 1;
    for source in sources {
        // Hard links are kept within one source (C12).
        copier.links.clear();
        copier.top = None;
        if source.stat.is_dir() {
            copier.contents(source, rules, destination)?;
        } else if copy.destination_is_dir || several || copier.is_dir(destination)? {
            let path = [destination.as_bytes(), b"/", &source.name].concat();
            copier.file(source, rules, &path)?;
        } else {
            copier.file(source, rules, destination.as_bytes())?;
        }
    }
    Ok(())
}

struct Copier<'a> {
    tree: Tree<'a>,
    owner: Owner,
    mode: Option<u32>,
    /// Where the content of the current source goes, in the new layer.
    top: Option<Dir>,
    /// Files with several names: where below `top` the first one went.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// Where a file goes.
#[derive(Clone, Copy)]
struct Target<'a> {
    parent: &'a Place,
    /// In `parent`.
    name: &'a [u8],
    /// The same from the tree's root, for messages.
    path: &'a [u8],
}

/// A directory that is being filled.
struct Open {
    /// Length of its path below the source, and whether a slash follows.
    depth: usize,
    place: Place,
    /// Set when it is complete, because filling it changes it.
    mtime: Timestamp,
}

impl Copier<'_> {
    /// Whether `path` leads to a directory: below, as nothing else was copied there yet.
    fn is_dir(&self, path: &str) -> Result<bool, StepError> {
        match SysError::absent(self.tree.below.resolve_stat(path.as_bytes())) {
            Ok(stat) => Ok(stat.is_some_and(|stat| stat.is_dir())),
            // A file is in the way: making the directory will say so.
            Err(error) if error.is(Errno::NOTDIR) => Ok(false),
            Err(source) => Err(StepError::write(shown(path.as_bytes()), source)),
        }
    }

    /// The directory `path` of the tree, made if it is missing (C3).
    fn directory(&self, path: &[u8]) -> Result<Place, StepError> {
        let (uid, gid) = match self.owner {
            Owner::AsInSource => (0, 0),
            Owner::Fixed { uid, gid } => (uid, gid),
        };
        let mode = self.mode.unwrap_or(0o755);
        let made = self.tree.directory(path, New { uid, gid, mode });
        made.map_err(|source| match source.errno() {
            Some(Errno::NOTDIR) => StepError::OntoFile {
                path: shown(file_on_the_way(self.tree.below, path)),
            },
            _ => StepError::write(shown(path), source),
        })
    }

    /// One file to `path` (C4, C5).
    fn file(
        &mut self,
        source: &Source,
        rules: Option<&IgnoreRules>,
        path: &[u8],
    ) -> Result<(), StepError> {
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
        walk(source, rules, |visit: &Visit<'_>| {
            self.place(target, visit).map(drop)
        })
    }

    /// What is in a directory to the directory `destination` (C6, C9).
    fn contents(
        &mut self,
        source: &Source,
        rules: Option<&IgnoreRules>,
        destination: &str,
    ) -> Result<(), StepError> {
        let mut open: Vec<Open> = Vec::new();
        walk(source, rules, |visit: &Visit<'_>| {
            if visit.relative.is_empty() {
                let place = self.directory(destination.as_bytes())?;
                let top = place.changes.try_clone();
                self.top = Some(top.map_err(|source| StepError::write(destination, source))?);
                open.push(Open {
                    depth: 0,
                    place,
                    mtime: visit.stat.mtime,
                });
                return Ok::<(), StepError>(());
            }
            let name_start = visit.relative.len() - visit.name.len();
            while open.last().is_some_and(|dir| dir.depth > name_start) {
                close(open.pop())?;
            }
            let parent = open.last().expect("the source itself is visited first");
            let path = [destination.as_bytes(), b"/", visit.relative].concat();
            let target = Target {
                parent: &parent.place,
                name: visit.name,
                path: &path,
            };
            if let Some(place) = self.place(target, visit)? {
                open.push(Open {
                    depth: visit.relative.len() + 1,
                    place,
                    mtime: visit.stat.mtime,
                });
            }
            Ok(())
        })?;
        open.into_iter().rev().try_for_each(|dir| close(Some(dir)))
    }

    /// Puts what is visited at `target`; returns the place that a directory became.
    fn place(&mut self, target: Target<'_>, visit: &Visit<'_>) -> Result<Option<Place>, StepError> {
        let Target { parent, name, path } = target;
        let write = |source| StepError::write(shown(path), source);
        let existing = parent.stat(name).map_err(write)?;
        match (visit.stat.kind, existing) {
            (FileKind::Socket, _) => return Ok(None),
            (FileKind::Directory, None) => {
                return self
                    .new_directory(parent, name, visit)
                    .map(Some)
                    .map_err(write);
            }
            (FileKind::Directory, Some(old)) if old.is_dir() => {
                let place = parent.enter(name).map_err(write)?;
                rbuild_sys::set_file_mode(&place.changes, self.mode.unwrap_or(visit.stat.mode))
                    .map_err(write)?;
                return Ok(Some(place));
            }
            (FileKind::Directory, Some(_)) => {
                return Err(StepError::OntoFile { path: shown(path) });
            }
            (_, Some(old)) if old.is_dir() => {
                return Err(StepError::OntoDirectory { path: shown(path) });
            }
            (_, Some(_)) => SysError::absent(parent.changes.unlink(name))
                .map(drop)
                .map_err(write)?,
            (_, None) => {}
        }
        self.leaf(&parent.changes, name, visit).map_err(write)?;
        Ok(None)
    }

    /// A directory that was not there.
    fn new_directory(
        &self,
        parent: &Place,
        name: &[u8],
        visit: &Visit<'_>,
    ) -> Result<Place, SysError> {
        let (uid, gid) = self.ids(visit);
        let mode = self.mode.unwrap_or(visit.stat.mode);
        let place = parent.make(name, New { uid, gid, mode })?;
        copy_xattrs(visit.dir.xattrs(visit.name)?, |key, value| {
            set_file_xattr(&place.changes, key, value)
        })?;
        Ok(place)
    }

    /// Anything but a directory, where nothing is in the way.
    fn leaf(&mut self, to: &Dir, name: &[u8], visit: &Visit<'_>) -> Result<(), SysError> {
        if visit.stat.links > 1 {
            match (
                self.links.entry((visit.stat.dev, visit.stat.ino)),
                &self.top,
            ) {
                (Entry::Occupied(first), Some(top)) => {
                    return link(top, first.get(), to, name);
                }
                (first, _) => first.insert_entry(visit.relative.to_vec()),
            };
        }
        match visit.stat.kind {
            FileKind::File => self.regular(to, name, visit),
            _ => self.special(to, name, visit),
        }
    }

    /// A regular file, through one descriptor.
    fn regular(&self, parent: &Dir, name: &[u8], visit: &Visit<'_>) -> Result<(), SysError> {
        let from = visit.dir.read_seen(visit.name)?;
        let to = parent.create(name, 0o600)?;
        rbuild_sys::copy_contents(&from, &to, visit.stat)?;
        let (uid, gid) = self.ids(visit);
        rbuild_sys::set_file_owner(&to, uid, gid)?;
        rbuild_sys::set_file_mode(&to, self.mode.unwrap_or(visit.stat.mode))?;
        copy_xattrs(rbuild_sys::file_xattrs(&from)?, |key, value| {
            set_file_xattr(&to, key, value)
        })?;
        rbuild_sys::set_file_mtime(&to, visit.stat.mtime)
    }

    /// A symlink, device or FIFO. `--chmod` is not for symlinks (C21).
    fn special(&self, parent: &Dir, name: &[u8], visit: &Visit<'_>) -> Result<(), SysError> {
        if visit.stat.is_whiteout() {
            // In a layer it would delete the name; overlayfs itself makes none either.
            return Err(SysError::new("mknodat", name, Errno::PERM));
        }
        let mode = self.mode.unwrap_or(visit.stat.mode);
        let (uid, gid) = self.ids(visit);
        match visit.stat.kind {
            FileKind::Symlink => parent.symlink(&visit.dir.read_link(visit.name)?, name)?,
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
        copy_xattrs(visit.dir.xattrs(visit.name)?, |key, value| {
            parent.set_xattr(name, key, value)
        })?;
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
    let Some(Open { place, mtime, .. }) = open else {
        return Ok(());
    };
    rbuild_sys::set_file_mtime(&place.changes, mtime)
        .map_err(|source| StepError::write("a directory's time", source))
}

/// Gives the file at `first` below `top` another name.
fn link(top: &Dir, first: &[u8], to: &Dir, name: &[u8]) -> Result<(), SysError> {
    let (from, old) = top.resolve_parent(first)?;
    let old = old.ok_or_else(|| SysError::new("linkat", first, Errno::INVAL))?;
    to.link(&from, old, name)
}
