//! COPY: selected files into a tree.
//!
//! Knows: what happens to names, owners, modes and times on the way (dockerfile.md 1.10).
//! Does not know: how the files were selected, or how the tree is made of layers.
//!
//! Invariant: nothing is followed out of the source or the destination; both sides are
//! [`Dir`] handles.
//! A context's own files are never linked to.

use std::collections::{HashMap, hash_map::Entry};

use rbuild_context::{Filter, Owners, Source, Visit, walk};
use rbuild_layer::Ownership;
use rbuild_oci::ModeChange;
use rbuild_plan::{Archives, Copy};
use rbuild_store::StagedLayer;
use rbuild_sys::{Dir, Errno, Error as SysError, FileKind, Node, Timestamp, set_file_xattr};

use crate::{
    fetch::{archive_codec, unpack_archive},
    selection::Selection,
};

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

/// Where files go.
#[derive(Clone, Copy)]
pub(crate) struct Destination<'a> {
    /// The tree, written without mounting it.
    pub tree: Tree<'a>,
    /// Mounts it, for archives.
    pub mount: &'a dyn Fn() -> Result<Mounted, StepError>,
}

/// The tree, mounted for a while; nothing else writes to it meanwhile.
pub(crate) struct Mounted {
    pub tree: Dir,
    /// Has the directory that the kernel works in.
    pub _work: StagedLayer,
}

/// Copies what `selection` has to `destination` as `copy` says. Without `chown`, files of trees
/// keep their owners and all others belong to 0:0.
///
/// # Errors
/// The user's ([`StepError::OntoDirectory`], [`StepError::OntoFile`]) and the world's.
pub(crate) fn copy(
    destination: Destination<'_>,
    copy: &Copy,
    selection: &Selection<'_>,
    chown: Option<Owner>,
) -> Result<(), StepError> {
    let several = selection.count() > 1 || copy.items.len() > 1;
    for group in &selection.groups {
        let owner = chown.unwrap_or(match group.owners {
            Owners::Counted => Owner::AsInSource,
            Owners::Ignored => Owner::Fixed { uid: 0, gid: 0 },
        });
        let mut copier = Copier {
            tree: destination.tree,
            owner,
            mode: copy.chmod.as_ref(),
            destination: copy.destination.relative(),
            // Several sources make the destination a directory (C7).
            into_directory: copy.destination_is_dir || several,
            top: None,
            links: HashMap::new(),
        };
        for source in &group.sources {
            if group.archives == Archives::Unpack
                && source.stat.kind == FileKind::File
                && unpack(destination, copy, source, chown)?
            {
                continue;
            }
            copier.source(source, selection.filter(group))?;
        }
    }
    Ok(())
}

/// Unpacks `source` over the destination if it is an archive (X1); `false` if it is a file.
fn unpack(
    destination: Destination<'_>,
    copy: &Copy,
    source: &Source,
    chown: Option<Owner>,
) -> Result<bool, StepError> {
    let name = String::from_utf8_lossy(&source.name).into_owned();
    let read = |source: SysError| StepError::Stage {
        what: format!("`{name}`"),
        source,
    };
    let (dir, entry) = source.open()?;
    let mut file = dir.read(entry).map_err(read)?;
    let codec = archive_codec(&mut file).map_err(|source| {
        read(SysError {
            call: "read",
            operand: name.clone(),
            source,
        })
    })?;
    let Some(codec) = codec else { return Ok(false) };
    let ownership = match chown {
        Some(Owner::Fixed { uid, gid }) => Ownership::Fixed { uid, gid },
        Some(Owner::AsInSource) | None => Ownership::Keep,
    };
    let mounted = (destination.mount)()?;
    let to = (&mounted.tree, copy.destination.relative().as_bytes());
    unpack_archive((&mut file, codec), to, ownership, &name)?;
    Ok(true)
}

/// Copies what is in the directories `sources` into the new directory `to`, owners and all.
///
/// # Errors
/// [`StepError::Write`].
pub(super) fn fill(to: &Dir, empty: &Dir, sources: &[Source]) -> Result<(), StepError> {
    let tree = Tree {
        below: empty,
        changes: to,
    };
    let mut copier = Copier {
        tree,
        owner: Owner::AsInSource,
        mode: None,
        destination: "",
        into_directory: true,
        top: None,
        links: HashMap::new(),
    };
    let mut all = sources.iter().filter(|source| source.stat.is_dir());
    all.try_for_each(|source| copier.contents(source, Filter::default(), b""))
}

fn below(directory: &str, path: &[u8]) -> Vec<u8> {
    [directory.as_bytes(), b"/", path].concat()
}

struct Copier<'a> {
    tree: Tree<'a>,
    owner: Owner,
    mode: Option<&'a ModeChange>,
    /// Where to, without the leading slash.
    destination: &'a str,
    /// Files go into the destination, not in its place.
    into_directory: bool,
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

/// The directory that `path` is in, with its slash, and the name there.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|&b| b == b'/');
    path.split_at(slash.map_or(0, |slash| slash + 1))
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
    /// One source, which is no archive to unpack (C4-C6, C24).
    fn source(&mut self, source: &Source, filter: Filter<'_>) -> Result<(), StepError> {
        // Hard links are kept within one source (C12).
        self.links.clear();
        self.top = None;
        let destination = self.destination;
        if let Some(kept) = source.kept() {
            self.with_parents(source, filter, &below(destination, kept))
        } else if source.stat.is_dir() {
            self.contents(source, filter, destination.as_bytes())
        } else if self.into_directory || self.is_dir(destination)? {
            self.file(source, filter, &below(destination, &source.name))
        } else {
            self.file(source, filter, destination.as_bytes())
        }
    }

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
        // Only a number is for directories that are made on the way (C21).
        let mode = self.mode.and_then(ModeChange::octal).unwrap_or(0o755);
        let made = self.tree.directory(path, New { uid, gid, mode });
        made.map_err(|source| match source.errno() {
            Some(Errno::NOTDIR) => StepError::OntoFile {
                path: shown(file_on_the_way(self.tree.below, path)),
            },
            _ => StepError::write(shown(path), source),
        })
    }

    /// One file to `path` (C4, C5).
    fn file(&mut self, source: &Source, filter: Filter<'_>, path: &[u8]) -> Result<(), StepError> {
        let (parent, name) = split(path);
        let parent = self.directory(parent)?;
        let target = Target {
            parent: &parent,
            name,
            path,
        };
        walk(source, &filter, |visit: &Visit<'_>| {
            self.place(target, visit).map(drop)
        })
    }

    /// A source to `path`, and the directories that it is in with their owners and modes (C24).
    fn with_parents(
        &mut self,
        source: &Source,
        filter: Filter<'_>,
        path: &[u8],
    ) -> Result<(), StepError> {
        let kept = source.kept().unwrap_or_default().len();
        let top = &path[..path.len() - kept];
        source.visit_parents(|visit: &Visit<'_>| {
            let path = [top, visit.relative].concat();
            let (parent, name) = split(&path);
            let parent = self.directory(parent)?;
            let target = Target {
                parent: &parent,
                name,
                path: &path,
            };
            self.place(target, visit).map(drop)
        })?;
        match source.stat.is_dir() {
            true => self.contents(source, filter, path),
            false => self.file(source, filter, path),
        }
    }

    /// What is in a directory to the directory `destination` (C6, C9).
    fn contents(
        &mut self,
        source: &Source,
        filter: Filter<'_>,
        destination: &[u8],
    ) -> Result<(), StepError> {
        let mut open: Vec<Open> = Vec::new();
        walk(source, &filter, |visit: &Visit<'_>| {
            if visit.relative.is_empty() {
                let place = self.directory(destination)?;
                let top = place.changes.try_clone();
                self.top =
                    Some(top.map_err(|source| StepError::write(shown(destination), source))?);
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
            let path = [destination, b"/", visit.relative].concat();
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
                rbuild_sys::set_file_mode(&place.changes, self.mode_of(visit)).map_err(write)?;
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
        let mode = self.mode_of(visit);
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
        rbuild_sys::set_file_mode(&to, self.mode_of(visit))?;
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
        let mode = self.mode_of(visit);
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

    fn mode_of(&self, visit: &Visit<'_>) -> u32 {
        let mode = visit.stat.mode;
        self.mode
            .map_or(mode, |change| change.apply(mode, visit.stat.is_dir()))
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
