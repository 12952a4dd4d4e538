//! Paths below a directory: foreign text, of any length, with any number of components.
//!
//! Invariant: symlinks lead to what is inside, as if the directory were `/`, or nowhere. openat2(2),
//! `RESOLVE_IN_ROOT`.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{self, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::{DIRECTORY, Dir, regular, stat_fd};
use crate::{
    Stat,
    error::{Context, Error, Result},
};

const RESOLVE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);
/// No longer path is resolved at once, in bytes: with its NUL it is `PATH_MAX`.
const PATH_LIMIT: usize = 4095;

impl Dir {
    /// Opens what `path` leads to, symlinks followed inside this directory.
    ///
    /// An empty path is the directory itself.
    ///
    /// # Errors
    /// `NOENT`, `LOOP`, …; see openat2(2).
    pub fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        self.resolve_with(path, flags, Mode::empty())
    }

    /// As [`Dir::resolve`] with `O_CREAT`, which needs the new file's `mode`.
    ///
    /// # Errors
    /// As [`Dir::resolve`].
    pub fn resolve_with(&self, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let operand = if path.is_empty() { b"." } else { path };
        loop {
            match fs::openat2(&self.0, operand, flags | OFlags::CLOEXEC, mode, RESOLVE) {
                // A rename raced with the walk: the kernel asks us to look again.
                Err(Errno::AGAIN) => {}
                answer => return answer.on("openat2", path),
            }
        }
    }

    /// Opens the directory that `path` leads to, of any length: it may be beyond `PATH_MAX`.
    ///
    /// # Errors
    /// As [`Dir::resolve`]; `NOTDIR` if it is something else; `LOOP` for a symlink beyond the
    /// first `PATH_MAX` bytes, where the kernel cannot tell any more what is above it.
    pub fn resolve_dir(&self, path: &[u8]) -> Result<Self> {
        let (piece, mut rest) = piece(path);
        let mut here = Self(self.resolve(piece, DIRECTORY)?);
        while !rest.is_empty() {
            let (piece, next) = self::piece(rest);
            here = Self(here.resolve_beneath(piece)?);
            rest = next;
        }
        Ok(here)
    }

    /// Opens the directory `path`, without any symlink.
    fn resolve_beneath(&self, path: &[u8]) -> Result<OwnedFd> {
        loop {
            match fs::openat2(&self.0, path, DIRECTORY, Mode::empty(), BENEATH) {
                Err(Errno::AGAIN) => {}
                answer => return answer.on("openat2", path),
            }
        }
    }

    /// Opens the regular file that `path` leads to for reading; never blocks on a FIFO.
    ///
    /// # Errors
    /// As [`Dir::resolve`]; `INVAL` if it is not a regular file.
    pub fn resolve_file(&self, path: &[u8]) -> Result<File> {
        let fd = self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        regular(fd, path)
    }

    /// Metadata of what `path` leads to, symlinks followed inside this directory.
    ///
    /// # Errors
    /// As [`Dir::resolve`].
    pub fn resolve_stat(&self, path: &[u8]) -> Result<Stat> {
        let fd = self.resolve(path, OFlags::PATH)?;
        stat_fd(fd.as_fd(), path)
    }

    /// Opens the parent of `path` and splits off its last component.
    ///
    /// Trailing slashes do not count. `None` in place of the name when `path` is the
    /// directory itself or ends in `..`.
    ///
    /// # Errors
    /// As [`Dir::resolve_dir`].
    pub fn resolve_parent<'path>(&self, path: &'path [u8]) -> Result<(Self, Option<&'path [u8]>)> {
        let end = path
            .iter()
            .rposition(|&b| b != b'/')
            .map_or(0, |last| last + 1);
        let path = &path[..end];
        let (parent, name) = match path.iter().rposition(|&b| b == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        match name {
            b"" | b"." | b".." => Ok((self.resolve_dir(path)?, None)),
            name => Ok((self.resolve_dir(parent)?, Some(name))),
        }
    }

    /// Opens the directory `path`, creating what is missing; existing symlinks are followed
    /// inside. Calls `created` with the parent and the name of each directory it makes.
    ///
    /// # Errors
    /// `NOTDIR` if a component is something else, `LOOP` for a dangling symlink.
    pub fn make_dirs(
        &self,
        path: &[u8],
        mode: u32,
        mut created: impl FnMut(&Self, &[u8]) -> Result<()>,
    ) -> Result<Self> {
        if let Some(dir) = Error::absent(self.resolve_dir(path))? {
            return Ok(dir);
        }
        let mut walked: Vec<u8> = Vec::with_capacity(path.len());
        let mut here = self.try_clone()?;
        for name in path.split(|&b| b == b'/').filter(|name| !name.is_empty()) {
            walked.extend_from_slice(name);
            let next = match Error::absent(self.resolve_dir(&walked))? {
                Some(dir) => dir,
                None => {
                    here.mkdir(name, mode)?;
                    created(&here, name)?;
                    here.child(name)?
                }
            };
            here = next;
            walked.push(b'/');
        }
        Ok(here)
    }
}

/// What of `path` can be resolved at once, and the rest: relative, perhaps empty.
fn piece(path: &[u8]) -> (&[u8], &[u8]) {
    if path.len() <= PATH_LIMIT {
        return (path, b"");
    }
    let cut = path[..=PATH_LIMIT].iter().rposition(|&byte| byte == b'/');
    // Without a slash it is a name that no file system has: the kernel says so.
    let Some(cut) = cut.filter(|&cut| cut > 0) else {
        return (path, b"");
    };
    let rest = &path[cut..];
    let start = rest.iter().position(|&byte| byte != b'/');
    (&path[..cut], &rest[start.unwrap_or(rest.len())..])
}
