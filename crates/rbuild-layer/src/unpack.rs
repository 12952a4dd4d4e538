//! Archive → tree. The archive is hostile.
//!
//! Every parent is resolved inside of the root by the kernel, every last component is a name
//! that is never followed. What exists is replaced: the last entry of a path wins; only a
//! directory stays when a directory comes.
//!
//! Invariant: nothing outside of the root is read or written, whatever the archive says and
//! whatever is in the tree.

mod make;

use std::{collections::BTreeMap, io::Read};

use rbuild_sys::{self as sys, Dir, Errno, FileKind, Node, Timestamp};

use crate::{
    archive::{Archive, Member},
    attribute,
    error::{Error, Result, shown},
    header::Type,
    unpack_options::{Ownership, RootEntry, UnpackOptions, Whiteouts},
};

/// What [`unpack`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Number of entries.
    pub entries: u64,
    /// Bytes of all files' content.
    pub bytes: u64,
    /// Devices that were left out, because we may not create them or because they would mean a
    /// deletion (0/0).
    pub skipped_devices: u64,
}

/// Unpacks `archive` into the tree `into`. Reads up to the archive's end; what follows it may or
/// may not have been read.
///
/// Blocks of zeros in files become holes. Missing parents get mode 0755, owner 0:0 (or the fixed one) and time 0. Attributes of overlayfs
/// and of the host's security modules are dropped, and so are those that the file system refuses,
/// except file capabilities.
///
/// # Errors
/// [`Error::Read`] and [`Error::Damaged`] for the archive, [`Error::Refused`] and
/// [`Error::Limit`] for hostile entries, others for the tree; the tree is then incomplete.
pub fn unpack(archive: &mut dyn Read, into: &Dir, options: &UnpackOptions) -> Result<Unpacked> {
    let mut unpacker = Unpacker {
        archive: Archive::new(archive, options.limits),
        root: into,
        options,
        parent: None,
        directories: BTreeMap::new(),
        buffer: Vec::new(),
        unpacked: Unpacked::default(),
    };
    while let Some(member) = unpacker.archive.next()? {
        unpacker.entry(&member)?;
    }
    unpacker.finish()
}

struct Unpacker<'a> {
    archive: Archive<'a>,
    root: &'a Dir,
    options: &'a UnpackOptions,
    /// The directory of the previous entry, and its path.
    parent: Option<(Vec<u8>, Dir)>,
    /// Final mode and time of each directory: set when nothing more is put into it.
    directories: BTreeMap<Vec<u8>, (u32, Timestamp)>,
    buffer: Vec<u8>,
    unpacked: Unpacked,
}

impl Unpacker<'_> {
    fn entry(&mut self, member: &Member) -> Result<()> {
        self.check_limits(member)?;
        let path = self.clean(&member.path, member)?;
        let (parent, name) = split(&path);
        if path == self.options.below || name.is_empty() {
            return self.root_entry(&path, member);
        }
        if self.options.whiteouts == Whiteouts::Overlay {
            if parent
                .split(|&b| b == b'/')
                .any(|part| part.starts_with(b".wh."))
            {
                return Err(refused(member, "is inside of a deletion"));
            }
            if let Some(hidden) = name.strip_prefix(b".wh.") {
                return self.whiteout(parent, hidden, member);
            }
        }
        let dir = self.enter(parent, member)?;
        let made = self.make(&dir, &path, member);
        self.parent = Some((parent.to_vec(), dir));
        made
    }

    fn check_limits(&mut self, member: &Member) -> Result<()> {
        let limits = &self.options.limits;
        self.unpacked.entries += 1;
        self.unpacked.bytes = self.unpacked.bytes.saturating_add(member.size);
        let longest_value = member.xattrs.iter().map(|(_, value)| value.len()).max();
        let checks = [
            ("entries", self.unpacked.entries, limits.entries),
            ("size", self.unpacked.bytes, limits.size),
            (
                "path",
                member.path.len().max(member.link.len()) as u64,
                limits.path,
            ),
            ("xattr", longest_value.unwrap_or(0) as u64, limits.xattr),
        ];
        match checks
            .into_iter()
            .find(|(_, found, allowed)| found > allowed)
        {
            Some((limit, _, allowed)) => Err(Error::Limit {
                path: shown(&member.path),
                limit,
                allowed,
            }),
            None => Ok(()),
        }
    }

    /// `path` from the tree's root, without empty and `.` components.
    fn clean(&self, path: &[u8], member: &Member) -> Result<Vec<u8>> {
        if path.is_empty() || path.contains(&0) {
            return Err(refused(member, "has an impossible path"));
        }
        let mut clean = self.options.below.clone();
        for part in path.split(|&b| b == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return Err(refused(member, "leads out of the tree")),
                part => {
                    if !clean.is_empty() {
                        clean.push(b'/');
                    }
                    clean.extend_from_slice(part);
                }
            }
        }
        Ok(clean)
    }

    /// The archive's own root, `./`: it exists and gets the entry's metadata, if that is wanted.
    fn root_entry(&mut self, path: &[u8], member: &Member) -> Result<()> {
        if member.kind != Type::Directory {
            return Err(refused(member, "would replace the root"));
        }
        let dir = self.enter(path, member)?;
        if self.options.root == RootEntry::Ignored {
            self.parent = Some((path.to_vec(), dir));
            return Ok(());
        }
        let owner = self.owner(member)?;
        sys::set_file_owner(&dir, owner.0, owner.1)
            .map_err(|source| owner_error(member, owner, source))?;
        self.xattrs(&dir, b"", member)?;
        self.directories
            .insert(path.to_vec(), (member.mode, member.mtime));
        self.parent = Some((path.to_vec(), dir));
        Ok(())
    }

    /// Opens the directory `path`, creating what is missing.
    fn enter(&mut self, path: &[u8], member: &Member) -> Result<Dir> {
        if let Some((_, dir)) = self.parent.take_if(|(last, _)| last == path) {
            return Ok(dir);
        }
        let owner = match self.options.ownership {
            Ownership::Keep => (0, 0),
            Ownership::Fixed { uid, gid } => (uid, gid),
        };
        let mut made = Vec::new();
        let dir = self.root.make_dirs(path, 0o755, |dir, name| {
            made.push(name.len());
            dir.set_owner(name, owner.0, owner.1)
        });
        let dir = dir.map_err(|source| unpack_error(member, source))?;
        let mut end = path.len();
        for length in made.into_iter().rev() {
            self.directories
                .insert(path[..end].to_vec(), (0o755, Timestamp::default()));
            end = end.saturating_sub(length + 1);
        }
        Ok(dir)
    }

    /// Records that lower trees' `hidden` in `parent` is deleted.
    fn whiteout(&mut self, parent: &[u8], hidden: &[u8], member: &Member) -> Result<()> {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(refused(member, "deletes nothing that could exist"));
        }
        if hidden.starts_with(b".wh.") && hidden != b".wh..opq" {
            return Ok(()); // AUFS' own bookkeeping
        }
        let dir = self.enter(parent, member)?;
        let done = if hidden == b".wh..opq" {
            dir.set_xattr(b"", attribute::OPAQUE, b"y")
        } else {
            match sys::Error::absent(dir.stat(hidden)) {
                Ok(None) => dir.mknod(
                    hidden,
                    Node {
                        kind: FileKind::CharDevice,
                        mode: 0,
                        rdev: (0, 0),
                    },
                ),
                Ok(Some(stat)) if stat.is_dir() => dir.set_xattr(hidden, attribute::OPAQUE, b"y"),
                Ok(Some(_)) => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.parent = Some((parent.to_vec(), dir));
        done.map_err(|source| unpack_error(member, source))
    }

    /// Sets modes and times of the directories, the deepest first.
    fn finish(self) -> Result<Unpacked> {
        for (path, &(mode, mtime)) in self.directories.iter().rev() {
            let (parent, name) = split(path);
            let opened = self.root.resolve_dir(parent);
            let opened = match opened {
                Ok(dir) if !name.is_empty() => dir.child(name),
                opened => opened,
            };
            let done = opened.and_then(|dir| {
                sys::set_file_mode(&dir, mode)?;
                sys::set_file_mtime(&dir, mtime)
            });
            match done {
                Err(error) if !was_replaced(&error) => {
                    return Err(Error::Unpack {
                        path: shown(path),
                        source: error,
                    });
                }
                _ => {}
            }
        }
        Ok(self.unpacked)
    }
}

/// Whether a later entry took the place of the directory that `error` is about.
fn was_replaced(error: &sys::Error) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
        .into_iter()
        .any(|errno| error.is(errno))
}

/// Parent and name of a clean path; the root has no name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn refused(member: &Member, why: &'static str) -> Error {
    Error::Refused {
        path: shown(&member.path),
        why,
    }
}

fn unpack_error(member: &Member, source: sys::Error) -> Error {
    Error::Unpack {
        path: shown(&member.path),
        source,
    }
}

fn owner_error(member: &Member, (uid, gid): (u32, u32), source: sys::Error) -> Error {
    Error::Owner {
        path: shown(&member.path),
        uid,
        gid,
        source,
    }
}

#[cfg(test)]
mod tests;
