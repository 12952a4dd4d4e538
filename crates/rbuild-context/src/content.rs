//! The digest of everything about sources that a copy of them shows.
//!
//! Counts: names below the source, a file's own name, kinds, modes, sizes, targets, devices,
//! attributes, content; owners where they are kept; parents that go along (C24). Never counts: times, inodes, link counts.
//! dockerfile.md 1.15, "content hash".
//!
//! Invariant: equal digests ⇒ copies that differ in times at most. A change of what is hashed
//! changes [`RECIPE`].

use std::{fs::File, io};

use blake3::Hasher;
use rbuild_sys::{FileKind, Stat, Xattr, file_xattrs};

use crate::{
    Source, Visit,
    error::{Error, Result, shown},
    filter::Filter,
    source::join,
    walk::walk,
};

/// Version of the recipe; part of every digest.
const RECIPE: &[u8] = b"rbuild content 2";

/// Whether the owners of files count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// Files of a context: copies belong to 0:0, or to whom the instruction says.
    Ignored,
    /// Files of a tree: copies keep their owners.
    Counted,
}

/// Knows digests of regular files' content and attributes, or has them computed. The seam
/// between this crate and a cache that the caller keeps.
pub trait FileDigests {
    /// The digest of the file that `stat` is of; `compute` reads the file.
    ///
    /// # Errors
    /// Those of `compute`.
    fn digest(
        &mut self,
        stat: &Stat,
        compute: &mut dyn FnMut() -> io::Result<[u8; 32]>,
    ) -> io::Result<[u8; 32]>;

    /// Is told of each file or directory that counts: its path in the root, and what makes a
    /// print of all that counts of it.
    fn counted(&mut self, _path: &dyn Fn() -> Vec<u8>, _print: &dyn Fn() -> u64) {}
}

/// Reads every file.
#[derive(Clone, Copy, Debug)]
pub struct ReadFiles;

impl FileDigests for ReadFiles {
    fn digest(
        &mut self,
        _: &Stat,
        compute: &mut dyn FnMut() -> io::Result<[u8; 32]>,
    ) -> io::Result<[u8; 32]> {
        compute()
    }
}

/// The content digest of `sources`, in their order.
///
/// # Errors
/// [`Error::Read`] and [`Error::Content`].
pub fn digest(
    sources: &[Source],
    filter: &Filter<'_>,
    owners: Owners,
    files: &mut dyn FileDigests,
) -> Result<[u8; 32]> {
    let mut hasher = Hasher::new();
    field(&mut hasher, RECIPE);
    for source in sources {
        // A directory's content is copied without its name.
        let name = if source.stat.is_dir() {
            &b""[..]
        } else {
            &source.name
        };
        field(&mut hasher, b"source");
        field(&mut hasher, name);
        if let Some(kept) = source.kept() {
            parents(&mut hasher, source, owners)?;
            field(&mut hasher, b"kept");
            field(&mut hasher, kept);
        }
        walk(source, filter, |visit| {
            let path = || shown(&join(&source.path, visit.relative));
            field(&mut hasher, b"entry");
            field(&mut hasher, visit.relative);
            metadata(&mut hasher, visit.stat, owners);
            let value = match visit.stat.kind {
                FileKind::File => {
                    let mut compute = || file_digest(visit);
                    let found = files.digest(visit.stat, &mut compute);
                    found.map_err(|source| Error::Content {
                        path: path(),
                        source,
                    })?
                }
                _ => other_digest(visit).map_err(|source| Error::Read {
                    path: path(),
                    source,
                })?,
            };
            hasher.update(&value);
            let path = || match visit.relative {
                b"" => source.path.clone(),
                relative => join(&source.path, relative),
            };
            files.counted(&path, &|| print(visit.stat, owners, &value));
            Ok::<(), Error>(())
        })?;
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Stands for one file, among a few thousand.
fn print(stat: &Stat, owners: Owners, value: &[u8; 32]) -> u64 {
    let mut hasher = Hasher::new();
    metadata(&mut hasher, stat, owners);
    hasher.update(value);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// Appends the directories that a source with kept parents brings along.
fn parents(hasher: &mut Hasher, source: &Source, owners: Owners) -> Result<()> {
    source.visit_parents(|visit| {
        field(hasher, b"parent");
        field(hasher, visit.relative);
        metadata(hasher, visit.stat, owners);
        let value = other_digest(visit).map_err(|error| Error::Read {
            path: shown(visit.relative),
            source: error,
        })?;
        hasher.update(&value);
        Ok(())
    })
}

/// The digest of all that is in `file` from its position on.
///
/// # Errors
/// As read(2).
pub fn hash_file(file: &File) -> io::Result<[u8; 32]> {
    let mut hasher = Hasher::new();
    hasher.update_reader(file)?;
    Ok(*hasher.finalize().as_bytes())
}

/// Appends `bytes` and their number, so that no two lists of fields look alike.
fn field(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn metadata(hasher: &mut Hasher, stat: &Stat, owners: Owners) {
    let kind = match stat.kind {
        FileKind::File => 0,
        FileKind::Directory => 1,
        FileKind::Symlink => 2,
        FileKind::CharDevice => 3,
        FileKind::BlockDevice => 4,
        FileKind::Fifo => 5,
        FileKind::Socket => 6,
    };
    let (uid, gid) = match owners {
        Owners::Ignored => (0, 0),
        Owners::Counted => (stat.uid, stat.gid),
    };
    for number in [kind, stat.mode, uid, gid, stat.rdev.0, stat.rdev.1] {
        hasher.update(&number.to_le_bytes());
    }
    let size = if stat.kind == FileKind::File {
        stat.size
    } else {
        0
    };
    hasher.update(&size.to_le_bytes());
}

/// Content and attributes of a regular file.
fn file_digest(visit: &Visit) -> io::Result<[u8; 32]> {
    let mut hasher = Hasher::new();
    let file = visit.dir.read_seen(visit.name).map_err(io::Error::other)?;
    xattrs(&mut hasher, file_xattrs(&file).map_err(io::Error::other)?);
    hasher.update(&hash_file(&file)?);
    Ok(*hasher.finalize().as_bytes())
}

/// Target and attributes of anything else.
fn other_digest(visit: &Visit) -> rbuild_sys::Result<[u8; 32]> {
    let mut hasher = Hasher::new();
    xattrs(&mut hasher, visit.dir.xattrs(visit.name)?);
    if visit.stat.kind == FileKind::Symlink {
        field(&mut hasher, &visit.dir.read_link(visit.name)?);
    }
    Ok(*hasher.finalize().as_bytes())
}

fn xattrs(hasher: &mut Hasher, mut all: Vec<Xattr>) {
    all.retain(|(key, _)| counts(key));
    hasher.update(&(all.len() as u64).to_le_bytes());
    for (key, value) in all {
        field(hasher, &key);
        field(hasher, &value);
    }
}

/// Whether attribute `key` is part of a copy.
fn counts(key: &[u8]) -> bool {
    let internal = [&b"security."[..], b"user.overlay.", b"trusted."];
    key == b"security.capability" || !internal.iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
mod tests;
