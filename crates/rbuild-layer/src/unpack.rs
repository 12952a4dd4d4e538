//! Archive → tree. The archive is hostile.
//!
//! Every parent is resolved inside of the root by the kernel, every last component is a name
//! that is never followed. What exists is replaced: the last entry of a path wins; only a
//! directory stays when a directory comes.
//!
//! Invariant: nothing outside of the root is read or written, whatever the archive says and
//! whatever is in the tree.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, Write},
};

use rbuild_sys::{self as sys, Dir, Errno, FileKind, Node, Timestamp};

use crate::{
    archive::{Archive, Member},
    attribute,
    error::{Error, Result, shown},
    header::Type,
    unpack_options::{Ownership, RootEntry, UnpackOptions, Whiteouts},
};

/// How much is copied at once, in bytes.
const BUFFER: usize = 256 * 1024;
/// So many zeros are a hole, in bytes: the unit of most file systems, some times over.
const HOLE: usize = 32 * 1024;

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

    /// Creates what `member` says: the last component of `path`, in `dir`.
    fn make(&mut self, dir: &Dir, path: &[u8], member: &Member) -> Result<()> {
        let (_, name) = split(path);
        let failed = |source| unpack_error(member, source);
        match member.kind {
            Type::File => return self.file(dir, name, member),
            Type::Directory => return self.directory(dir, path, member),
            Type::HardLink => return self.hard_link(dir, name, member),
            Type::Symlink => {
                if member.link.is_empty() || member.link.contains(&0) {
                    return Err(refused(member, "has an impossible target"));
                }
                replacing(dir, name, || dir.symlink(&member.link, name)).map_err(failed)?;
            }
            Type::Fifo => {
                let make = || {
                    dir.mknod(
                        name,
                        Node {
                            kind: FileKind::Fifo,
                            mode: 0o600,
                            rdev: (0, 0),
                        },
                    )
                };
                replacing(dir, name, make).map_err(failed)?;
            }
            Type::CharDevice | Type::BlockDevice => {
                if !make_device(dir, name, member)? {
                    self.unpacked.skipped_devices += 1;
                    return Ok(());
                }
            }
        }
        let owner = self.owner(member)?;
        dir.set_owner(name, owner.0, owner.1)
            .map_err(|source| owner_error(member, owner, source))?;
        self.xattrs(dir, name, member)?;
        if member.kind != Type::Symlink {
            dir.set_mode(name, member.mode).map_err(failed)?;
        }
        dir.set_mtime(name, member.mtime).map_err(failed)
    }

    fn file(&mut self, dir: &Dir, name: &[u8], member: &Member) -> Result<()> {
        let failed = |source| unpack_error(member, source);
        let mut file = replacing(dir, name, || dir.create(name, 0o600)).map_err(failed)?;
        let wanted = BUFFER.min(usize::try_from(member.size).unwrap_or(BUFFER));
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let unwritten = |source| Error::WriteFile {
            path: shown(&member.path),
            source,
        };
        let mut ends_with_hole = false;
        loop {
            let count = self.archive.read(&mut self.buffer)?;
            if count == 0 {
                break;
            }
            ends_with_hole = write_sparse(&mut file, &self.buffer[..count]).map_err(unwritten)?;
        }
        if ends_with_hole {
            file.set_len(member.size).map_err(unwritten)?;
        }
        let owner = self.owner(member)?;
        sys::set_file_owner(&file, owner.0, owner.1)
            .map_err(|source| owner_error(member, owner, source))?;
        self.xattrs(dir, name, member)?;
        sys::set_file_mode(&file, member.mode).map_err(failed)?;
        sys::set_file_mtime(&file, member.mtime).map_err(failed)
    }

    fn directory(&mut self, dir: &Dir, path: &[u8], member: &Member) -> Result<()> {
        let (_, name) = split(path);
        let failed = |source| unpack_error(member, source);
        let existing = match dir.mkdir(name, 0o700) {
            Err(error) if error.is(Errno::EXIST) => Some(dir.stat(name).map_err(failed)?),
            made => made.map(|()| None).map_err(failed)?,
        };
        if let Some(stat) = existing.filter(|stat| !stat.is_dir()) {
            dir.unlink(name).map_err(failed)?;
            dir.mkdir(name, 0o700).map_err(failed)?;
            if stat.is_whiteout() && self.options.whiteouts == Whiteouts::Overlay {
                dir.set_xattr(name, attribute::OPAQUE, b"y")
                    .map_err(failed)?;
            }
        }
        let owner = self.owner(member)?;
        dir.set_owner(name, owner.0, owner.1)
            .map_err(|source| owner_error(member, owner, source))?;
        self.xattrs(dir, name, member)?;
        self.directories
            .insert(path.to_vec(), (member.mode, member.mtime));
        Ok(())
    }

    fn hard_link(&mut self, dir: &Dir, name: &[u8], member: &Member) -> Result<()> {
        let failed = |source| unpack_error(member, source);
        let target = self.clean(&member.link, member)?;
        let (parent, target_name) = split(&target);
        let from = self.root.resolve_dir(parent).map_err(failed)?;
        let stat = from.stat(target_name).map_err(failed)?;
        if stat.is_dir() || stat.is_whiteout() {
            return Err(refused(member, "is a hard link to what is not a file"));
        }
        let same = dir
            .stat(name)
            .is_ok_and(|old| (old.dev, old.ino) == (stat.dev, stat.ino));
        if same {
            return Ok(());
        }
        replacing(dir, name, || dir.link(&from, target_name, name)).map_err(failed)
    }

    fn owner(&self, member: &Member) -> Result<(u32, u32)> {
        if let Ownership::Fixed { uid, gid } = self.options.ownership {
            return Ok((uid, gid));
        }
        let id = |id| u32::try_from(id).ok().filter(|&id| id != u32::MAX);
        match (id(member.uid), id(member.gid)) {
            (Some(uid), Some(gid)) => Ok((uid, gid)),
            _ => Err(refused(member, "has an owner beyond 4294967294")),
        }
    }

    fn xattrs(&self, dir: &Dir, name: &[u8], member: &Member) -> Result<()> {
        for (key, value) in &member.xattrs {
            if key.is_empty() || key.contains(&0) || !attribute::belongs(key) {
                continue;
            }
            match dir.set_xattr(name, key, value) {
                Err(error) if !may_be_dropped(key, &error) => {
                    return Err(unpack_error(member, error));
                }
                _ => {}
            }
        }
        Ok(())
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

/// Writes `bytes`; whole blocks of zeros become holes. Returns whether the last one did: the file
/// ends before it then.
fn write_sparse(file: &mut File, bytes: &[u8]) -> io::Result<bool> {
    let mut in_hole = false;
    for block in bytes.chunks(HOLE) {
        in_hole = block.len() == HOLE && block.iter().all(|&byte| byte == 0);
        match in_hole {
            true => file.seek_relative(HOLE as i64)?,
            false => file.write_all(block)?,
        }
    }
    Ok(in_hole)
}

/// Whether a later entry took the place of the directory that `error` is about.
fn was_replaced(error: &sys::Error) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
        .into_iter()
        .any(|errno| error.is(errno))
}

/// Creates a device; `false` if it is left out.
fn make_device(dir: &Dir, name: &[u8], member: &Member) -> Result<bool> {
    if member.rdev == (0, 0) {
        return Ok(false);
    }
    let char = member.kind == Type::CharDevice;
    let kind = if char {
        FileKind::CharDevice
    } else {
        FileKind::BlockDevice
    };
    match replacing(dir, name, || {
        dir.mknod(
            name,
            Node {
                kind,
                mode: 0o600,
                rdev: member.rdev,
            },
        )
    }) {
        Ok(()) => Ok(true),
        Err(error) if error.is(Errno::PERM) => Ok(false),
        Err(error) => Err(unpack_error(member, error)),
    }
}

/// Whether an image works without attribute `key` when the file system refuses it.
fn may_be_dropped(key: &[u8], error: &sys::Error) -> bool {
    key != attribute::CAPABILITY && (error.is(Errno::PERM) || error.is(Errno::OPNOTSUPP))
}

/// Calls `make`; if there is something of that `name`, removes it and calls again.
fn replacing<T>(dir: &Dir, name: &[u8], make: impl Fn() -> sys::Result<T>) -> sys::Result<T> {
    match make() {
        Err(error) if error.is(Errno::EXIST) => {
            dir.remove_all(name)?;
            make()
        }
        answer => answer,
    }
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
