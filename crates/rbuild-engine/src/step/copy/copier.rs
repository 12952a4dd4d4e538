//! Sources into a tree, one after another.
//!
//! Knows: which names, owners and modes copies get, and what may be in their way (C3 to C24).
//! Does not know: how a file is copied ([`leaf`]), or by which thread ([`crew`]).
//!
//! Invariant: what a source has is copied once its way is clear; hard links stay within a source.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use rbuild_context::{Filter, Source, Visit, walk};
use rbuild_oci::ModeChange;
use rbuild_sys::{Dir, Errno, Error as SysError, FileKind, Stat, set_file_xattr};

use super::{
    super::{
        StepError,
        directory::{New, file_on_the_way},
        place::{Place, Tree, copy_xattrs},
        shown,
    },
    Owner,
    crew::{self, Crew, Stop},
    folder::Folder,
    leaf,
};

/// What holds for all that is copied.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    /// What is written to.
    pub tree: Tree<'a>,
    /// Whose the copies are.
    pub owner: Owner,
    /// Their modes, where they are not those of the sources.
    pub mode: Option<&'a ModeChange>,
    /// Where to, without the leading slash.
    pub destination: &'a str,
    /// Files go into the destination, not in its place.
    pub into_directory: bool,
    /// Most threads that copy; the result does not depend on it.
    pub threads: usize,
}

/// Copies one source after another.
pub(super) struct Copier<'a> {
    terms: Terms<'a>,
    /// Where the content of the current source goes, in the new layer.
    top: Option<Dir>,
    /// Files with several names: where below `top` the first one went.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// Where a file goes.
#[derive(Clone, Copy)]
struct Target<'a> {
    parent: &'a Place,
    /// The same from the tree's root, for messages.
    directory: &'a [u8],
    /// In `parent`.
    name: &'a [u8],
}

impl Target<'_> {
    fn path(&self) -> Vec<u8> {
        join(self.directory, self.name)
    }

    fn shown(&self) -> String {
        shown(&self.path())
    }
}

/// What is to be done with a file, now that nothing is in its way.
enum Next {
    /// A socket is left out.
    Nothing,
    /// The directory is there.
    Enter(Place),
    /// Anything else.
    Write,
}

/// A directory that the walk is in.
struct Open {
    /// Length of its path below the source, and whether a slash follows.
    depth: usize,
    folder: Arc<Folder>,
}

impl<'a> Copier<'a> {
    /// Nothing is copied yet.
    pub fn new(terms: Terms<'a>) -> Self {
        Self {
            terms,
            top: None,
            links: HashMap::new(),
        }
    }
}

impl Copier<'_> {
    /// One source, which is no archive to unpack (C4-C6, C24).
    ///
    /// # Errors
    /// As [`super::copy`].
    pub fn source(&mut self, source: &Source, filter: Filter<'_>) -> Result<(), StepError> {
        // Hard links are kept within one source (C12).
        self.links.clear();
        self.top = None;
        let destination = self.terms.destination;
        if let Some(kept) = source.kept() {
            self.with_parents(source, filter, &join(destination.as_bytes(), kept))
        } else if source.stat.is_dir() {
            self.contents(source, filter, destination.as_bytes())
        } else if self.terms.into_directory || self.is_dir(destination)? {
            self.file(source, filter, &join(destination.as_bytes(), &source.name))
        } else {
            self.file(source, filter, destination.as_bytes())
        }
    }

    /// Whether `path` leads to a directory: below, as nothing else was copied there yet.
    fn is_dir(&self, path: &str) -> Result<bool, StepError> {
        match SysError::absent(self.terms.tree.below.resolve_stat(path.as_bytes())) {
            Ok(stat) => Ok(stat.is_some_and(|stat| stat.is_dir())),
            // A file is in the way: making the directory will say so.
            Err(error) if error.is(Errno::NOTDIR) => Ok(false),
            Err(source) => Err(StepError::write(shown(path.as_bytes()), source)),
        }
    }

    /// The directory `path` of the tree, made if it is missing (C3).
    fn directory(&self, path: &[u8]) -> Result<Place, StepError> {
        let (uid, gid) = match self.terms.owner {
            Owner::AsInSource => (0, 0),
            Owner::Fixed { uid, gid } => (uid, gid),
        };
        // Only a number is for directories that are made on the way (C21).
        let mode = self.terms.mode.and_then(ModeChange::octal).unwrap_or(0o755);
        let made = self.terms.tree.directory(path, New { uid, gid, mode });
        made.map_err(|source| match source.errno() {
            Some(Errno::NOTDIR) => StepError::OntoFile {
                path: shown(file_on_the_way(self.terms.tree.below, path)),
            },
            _ => StepError::write(shown(path), source),
        })
    }

    /// One file to `path` (C4, C5).
    fn file(&mut self, source: &Source, filter: Filter<'_>, path: &[u8]) -> Result<(), StepError> {
        let (directory, name) = split(path);
        let parent = self.directory(directory)?;
        let target = Target {
            parent: &parent,
            directory,
            name,
        };
        walk(source, &filter, |visit: &Visit<'_>| {
            self.place(target, visit)
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
            let (directory, name) = split(&path);
            let parent = self.directory(directory)?;
            let target = Target {
                parent: &parent,
                directory,
                name,
            };
            self.place(target, visit)
        })?;
        match source.stat.is_dir() {
            true => self.contents(source, filter, path),
            false => self.file(source, filter, path),
        }
    }

    /// What is in a directory to the directory `destination` (C6, C9).
    ///
    /// # Errors
    /// As [`super::copy`].
    pub fn contents(
        &mut self,
        source: &Source,
        filter: Filter<'_>,
        destination: &[u8],
    ) -> Result<(), StepError> {
        crew::run(self.terms.threads, |crew| {
            let mut open: Vec<Open> = Vec::new();
            walk(source, &filter, |visit: &Visit<'_>| {
                // The source itself has a name, but no path below itself.
                let name_start = visit.relative.len().saturating_sub(visit.name.len());
                while open.last().is_some_and(|dir| dir.depth > name_start) {
                    leave(open.pop())?;
                }
                open.extend(match open.last() {
                    None => Some(self.top(destination, visit)?),
                    Some(parent) => self.below(&parent.folder, visit, crew)?,
                });
                Ok::<(), Stop>(())
            })?;
            Ok(open
                .into_iter()
                .rev()
                .try_for_each(|dir| leave(Some(dir)))?)
        })
    }

    /// The source itself, which is visited first.
    fn top(&mut self, destination: &[u8], visit: &Visit<'_>) -> Result<Open, StepError> {
        let place = self.directory(destination)?;
        let top = place.changes.try_clone();
        self.top = Some(top.map_err(|source| StepError::write(shown(destination), source))?);
        let folder = Folder {
            place,
            path: destination.to_vec(),
            mtime: visit.stat.mtime,
        };
        Ok(Open {
            depth: 0,
            folder: Arc::new(folder),
        })
    }

    /// What is in the source, to `parent`; returns the directory that is to be filled next.
    fn below(
        &mut self,
        parent: &Arc<Folder>,
        visit: &Visit<'_>,
        crew: &mut Crew<'_, '_>,
    ) -> Result<Option<Open>, Stop> {
        let target = Target {
            parent: &parent.place,
            directory: &parent.path,
            name: visit.name,
        };
        match self.prepare(target, visit)? {
            Next::Nothing => {}
            Next::Enter(place) => {
                let folder = Folder {
                    place,
                    path: target.path(),
                    mtime: visit.stat.mtime,
                };
                return Ok(Some(Open {
                    depth: visit.relative.len() + 1,
                    folder: Arc::new(folder),
                }));
            }
            // A file with several names must be there when the next one is visited.
            Next::Write if visit.stat.kind == FileKind::File && visit.stat.links == 1 => {
                crew.add(parent, visit, self.owner_and_mode(visit))?;
            }
            Next::Write => self.leaf(target, visit)?,
        }
        Ok(None)
    }

    /// Puts what is visited at `target`.
    fn place(&mut self, target: Target<'_>, visit: &Visit<'_>) -> Result<(), StepError> {
        match self.prepare(target, visit)? {
            Next::Nothing | Next::Enter(_) => Ok(()),
            Next::Write => self.leaf(target, visit),
        }
    }

    /// Makes way for what is visited at `target`; a directory is made.
    fn prepare(&self, target: Target<'_>, visit: &Visit<'_>) -> Result<Next, StepError> {
        let Target { parent, name, .. } = target;
        let write = |source| StepError::write(target.shown(), source);
        let existing = parent.stat(name).map_err(write)?;
        match (visit.stat.kind, existing) {
            (FileKind::Socket, _) => return Ok(Next::Nothing),
            (FileKind::Directory, None) => {
                let made = self.new_directory(parent, name, visit);
                return made.map(Next::Enter).map_err(write);
            }
            (FileKind::Directory, Some(old)) if old.is_dir() => {
                let place = parent.enter(name).map_err(write)?;
                rbuild_sys::set_file_mode(&place.changes, self.owner_and_mode(visit).mode)
                    .map_err(write)?;
                return Ok(Next::Enter(place));
            }
            (FileKind::Directory, Some(_)) => {
                return Err(StepError::OntoFile {
                    path: target.shown(),
                });
            }
            (_, Some(old)) if old.is_dir() => {
                return Err(StepError::OntoDirectory {
                    path: target.shown(),
                });
            }
            (_, Some(_)) => SysError::absent(parent.changes.unlink(name))
                .map(drop)
                .map_err(write)?,
            (_, None) => {}
        }
        Ok(Next::Write)
    }

    /// A directory that was not there.
    fn new_directory(
        &self,
        parent: &Place,
        name: &[u8],
        visit: &Visit<'_>,
    ) -> Result<Place, SysError> {
        let place = parent.make(name, self.owner_and_mode(visit))?;
        copy_xattrs(visit.dir.xattrs(visit.name)?, |key, value| {
            set_file_xattr(&place.changes, key, value)
        })?;
        Ok(place)
    }

    /// Anything but a directory, where nothing is in the way.
    fn leaf(&mut self, target: Target<'_>, visit: &Visit<'_>) -> Result<(), StepError> {
        let to = &target.parent.changes;
        let copied = match self.first_name(visit) {
            Some((top, first)) => link(top, first, to, target.name),
            None => leaf::copy(visit.into(), to, target.name, self.owner_and_mode(visit)),
        };
        copied.map_err(|source| StepError::write(target.shown(), source))
    }

    /// Where the copy of what is visited already is, under another name: a path below that directory.
    fn first_name(&mut self, visit: &Visit<'_>) -> Option<(&Dir, &[u8])> {
        if visit.stat.links < 2 {
            return None;
        }
        match (
            self.links.entry((visit.stat.dev, visit.stat.ino)),
            &self.top,
        ) {
            (Entry::Occupied(first), Some(top)) => Some((top, first.into_mut())),
            (first, _) => {
                first.insert_entry(visit.relative.to_vec());
                None
            }
        }
    }

    /// What the copy of what is visited gets.
    fn owner_and_mode(&self, visit: &Visit<'_>) -> New {
        let Stat { mode, uid, gid, .. } = *visit.stat;
        let change = self.terms.mode;
        let mode = change.map_or(mode, |change| change.apply(mode, visit.stat.is_dir()));
        match self.terms.owner {
            Owner::AsInSource => New { uid, gid, mode },
            Owner::Fixed { uid, gid } => New { uid, gid, mode },
        }
    }
}

fn leave(open: Option<Open>) -> Result<(), StepError> {
    open.map_or(Ok(()), |open| open.folder.leave())
}

/// Gives the file at `first` below `top` another name.
fn link(top: &Dir, first: &[u8], to: &Dir, name: &[u8]) -> Result<(), SysError> {
    let (from, old) = top.resolve_parent(first)?;
    let old = old.ok_or_else(|| SysError::new("linkat", first, Errno::INVAL))?;
    to.link(&from, old, name)
}

/// `path` below `directory`.
fn join(directory: &[u8], path: &[u8]) -> Vec<u8> {
    [directory, b"/", path].concat()
}

/// The directory that `path` is in, and the name there.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests;
