//! One entry of an archive becomes one name in a directory.
//!
//! Knows: what each kind of entry is on disk, and what a file system may refuse of it.
//! Does not know: where the directory is, or what else is in the archive.
//!
//! Invariant: `dir` is the resolved parent; the last component of a path is created, replaced or
//! opened without following anything.

use std::{
    fs::File,
    io::{self, Seek, Write},
};

use rbuild_sys::{self as sys, Dir, Errno, FileKind, Node, WriteBehind};

use super::{Unpacker, owner_error, refused, split, unpack_error};
use crate::{
    archive::Member,
    attribute,
    error::{Error, Result, shown},
    header::Type,
    unpack_options::{Disk, Ownership, Whiteouts},
};

/// How much is copied at once, in bytes.
const BUFFER: usize = 256 * 1024;
/// So many zeros are a hole, in bytes: the unit of most file systems, some times over.
const HOLE: usize = 32 * 1024;

impl Unpacker<'_> {
    /// Creates what `member` says: the last component of `path`, in `dir`.
    pub(super) fn make(&mut self, dir: &Dir, path: &[u8], member: &Member) -> Result<()> {
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
        let (mut ends_with_hole, mut size, mut behind) = (false, 0, WriteBehind::default());
        loop {
            let count = self.archive.read(&mut self.buffer)?;
            if count == 0 {
                break;
            }
            ends_with_hole = write_sparse(&mut file, &self.buffer[..count]).map_err(unwritten)?;
            size += count as u64;
            if self.options.disk == Disk::Meanwhile {
                behind.advance(&file, size);
            }
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

    pub(super) fn owner(&self, member: &Member) -> Result<(u32, u32)> {
        if let Ownership::Fixed { uid, gid } = self.options.ownership {
            return Ok((uid, gid));
        }
        let id = |id| u32::try_from(id).ok().filter(|&id| id != u32::MAX);
        match (id(member.uid), id(member.gid)) {
            (Some(uid), Some(gid)) => Ok((uid, gid)),
            _ => Err(refused(member, "has an owner beyond 4294967294")),
        }
    }

    pub(super) fn xattrs(&self, dir: &Dir, name: &[u8], member: &Member) -> Result<()> {
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
}

/// Writes `bytes`; whole blocks of zeros become holes. Returns whether the last one did: the file
/// ends before it then.
pub(super) fn write_sparse(file: &mut File, bytes: &[u8]) -> io::Result<bool> {
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
