//! A directory handle: all file access below some root goes through it.
//!
//! Two kinds of operand, never mixed:
//! - a *path* (`resolve…`, `make_dirs`: the file beside this one) is foreign text with any number of
//!   components; symlinks in it resolve inside this directory as if it were `/`;
//! - a *name* is a single component; a symlink of that name is never followed.
//!
//! Invariant: no method reaches a file outside of the directory.

mod resolve;

use std::{
    ffi::OsString,
    fs::File,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        self, AtFlags, CWD, Gid, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, StatxFlags,
        Timespec, Timestamps, Uid,
    },
    io::Errno,
};

use crate::{
    FileKind, Stat, Timestamp,
    error::{Context, Error, Result},
};

/// A directory that nothing can be opened outside of.
#[derive(Debug)]
pub struct Dir(OwnedFd);

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name's bytes.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: FileKind,
}

/// A file to be made that is neither a directory nor a symlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits; the umask applies.
    pub mode: u32,
    /// Major and minor number of a device.
    pub rdev: (u32, u32),
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// What is on the same mount.
const HERE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_XDEV);

impl Dir {
    /// Opens the trusted host path `path`.
    ///
    /// # Errors
    /// As open(2) with `O_DIRECTORY`.
    pub fn open(path: &Path) -> Result<Self> {
        let operand = path.as_os_str().as_encoded_bytes();
        fs::openat(CWD, path, DIRECTORY, Mode::empty())
            .on("open", operand)
            .map(Self)
    }

    /// Takes over a descriptor that is known to be a directory (or a detached mount's root).
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// What the directory is called now, from `/` on and without symlinks. proc(5), `fd`.
    ///
    /// # Errors
    /// As readlink(2).
    pub fn host_path(&self) -> Result<PathBuf> {
        use std::os::{fd::AsRawFd, unix::ffi::OsStringExt};
        let link = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let text = fs::readlinkat(CWD, &link, Vec::new()).on("readlinkat", &link)?;
        Ok(OsString::from_vec(text.into_bytes()).into())
    }

    /// A second handle on the same directory.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn try_clone(&self) -> Result<Self> {
        rustix::io::fcntl_dupfd_cloexec(&self.0, 0)
            .on("dup", "")
            .map(Self)
    }

    /// Names in this directory, sorted by bytes; `.` and `..` left out.
    ///
    /// # Errors
    /// As getdents64(2).
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let fd = fs::openat(&self.0, ".", DIRECTORY, Mode::empty()).on("openat", ".")?;
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut raw = RawDir::new(fd, &mut buffer);
        let mut entries = Vec::new();
        while let Some(entry) = raw.next() {
            let entry = entry.on("getdents64", "")?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                fs::FileType::Unknown => self.stat(name)?.kind,
                kind => FileKind::from_type(kind),
            };
            entries.push(Entry {
                name: name.to_vec(),
                kind,
            });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Metadata of this directory.
    ///
    /// # Errors
    /// As statx(2).
    pub fn stat_self(&self) -> Result<Stat> {
        stat_fd(self.0.as_fd(), b".")
    }

    /// Metadata of `name`.
    ///
    /// # Errors
    /// As statx(2).
    pub fn stat(&self, name: &[u8]) -> Result<Stat> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let raw = fs::statx(&self.0, name, flags, StatxFlags::BASIC_STATS).on("statx", name)?;
        Ok(Stat::from_statx(&raw))
    }

    /// Opens the directory `name`.
    ///
    /// # Errors
    /// `NOTDIR` or `LOOP` if it is something else.
    pub fn child(&self, name: &[u8]) -> Result<Self> {
        fs::openat(&self.0, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
            .on("openat", name)
            .map(Self)
    }

    /// As [`Dir::child`], unless something is mounted there.
    ///
    /// # Errors
    /// As [`Dir::child`]; `XDEV` for a mount point.
    pub fn child_here(&self, name: &[u8]) -> Result<Self> {
        self.child_here_with(name, OFlags::RDONLY)
    }

    fn child_here_with(&self, name: &[u8], access: OFlags) -> Result<Self> {
        let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            match fs::openat2(&self.0, name, flags, Mode::empty(), HERE) {
                // A rename raced with the walk: the kernel asks us to look again.
                Err(Errno::AGAIN) => {}
                answer => return answer.on("openat2", name).map(Self),
            }
        }
    }

    /// Opens the regular file `name` for reading; never blocks on a FIFO.
    ///
    /// # Errors
    /// `LOOP` for a symlink, `INVAL` for any other kind.
    pub fn read(&self, name: &[u8]) -> Result<File> {
        let fd = fs::openat(&self.0, name, READ, Mode::empty()).on("openat", name)?;
        regular(fd, name)
    }

    /// As [`Dir::read`], for a name that was just seen to be a regular file: it is not looked at
    /// again. What took its place meanwhile is opened as it is; a FIFO still does not block.
    ///
    /// # Errors
    /// `LOOP` for a symlink.
    pub fn read_seen(&self, name: &[u8]) -> Result<File> {
        let fd = fs::openat(&self.0, name, READ, Mode::empty()).on("openat", name)?;
        Ok(File::from(fd))
    }

    /// Creates the regular file `name` for writing; the umask applies to `mode`.
    ///
    /// # Errors
    /// `EXIST` if there is anything of that name.
    pub fn create(&self, name: &[u8], mode: u32) -> Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&self.0, name, flags, Mode::from_raw_mode(mode))
            .on("openat", name)
            .map(File::from)
    }

    /// Opens the regular file `name`, which is there, for writing; what it has stays.
    ///
    /// # Errors
    /// `LOOP` for a symlink.
    pub fn write(&self, name: &[u8]) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.0, name, flags, Mode::empty()).on("openat", name)?;
        regular(fd, name)
    }

    /// Opens the regular file `name` for reading and writing, creating it if it is missing.
    ///
    /// # Errors
    /// `LOOP` for a symlink.
    pub fn open_or_create(&self, name: &[u8], mode: u32) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.0, name, flags, Mode::from_raw_mode(mode)).on("openat", name)?;
        regular(fd, name)
    }

    /// Creates a file without a name in this directory's file system (`O_TMPFILE`).
    ///
    /// # Errors
    /// `OPNOTSUPP` where the file system lacks it.
    pub fn create_unnamed(&self, mode: u32) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        fs::openat(&self.0, ".", flags, Mode::from_raw_mode(mode))
            .on("openat", "O_TMPFILE")
            .map(File::from)
    }

    /// Gives the unnamed `file` the name `name` here.
    ///
    /// # Errors
    /// `EXIST` if there is anything of that name.
    pub fn link_unnamed(&self, file: &File, name: &[u8]) -> Result<()> {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        fs::linkat(CWD, path, &self.0, name, AtFlags::SYMLINK_FOLLOW).on("linkat", name)
    }

    /// Creates the directory `name`; the umask applies to `mode`.
    ///
    /// # Errors
    /// `EXIST` if there is anything of that name.
    pub fn mkdir(&self, name: &[u8], mode: u32) -> Result<()> {
        fs::mkdirat(&self.0, name, Mode::from_raw_mode(mode)).on("mkdirat", name)
    }

    /// Creates the symlink `name` with the text `target`.
    ///
    /// # Errors
    /// `EXIST` if there is anything of that name.
    pub fn symlink(&self, target: &[u8], name: &[u8]) -> Result<()> {
        fs::symlinkat(target, &self.0, name).on("symlinkat", name)
    }

    /// Creates a device, FIFO, socket or empty file `name`.
    ///
    /// # Errors
    /// `PERM` for a device other than 0/0 without privileges over the machine.
    pub fn mknod(&self, name: &[u8], node: Node) -> Result<()> {
        let mode = Mode::from_raw_mode(node.mode);
        let rdev = fs::makedev(node.rdev.0, node.rdev.1);
        fs::mknodat(&self.0, name, node.kind.to_type(), mode, rdev).on("mknodat", name)
    }

    /// Gives the file `name` of `from` a second name `new` here.
    ///
    /// # Errors
    /// `XDEV` between mounts, `MLINK` when the file has too many names.
    pub fn link(&self, from: &Self, name: &[u8], new: &[u8]) -> Result<()> {
        fs::linkat(&from.0, name, &self.0, new, AtFlags::empty()).on("linkat", new)
    }

    /// Moves `name` of `from` here as `new`, replacing what a rename(2) replaces.
    ///
    /// # Errors
    /// As rename(2).
    pub fn rename(&self, from: &Self, name: &[u8], new: &[u8]) -> Result<()> {
        fs::renameat(&from.0, name, &self.0, new).on("renameat", new)
    }

    /// Moves `name` of `from` here as `new`, replacing nothing.
    ///
    /// # Errors
    /// `EXIST` if there is anything of that name.
    pub fn rename_new(&self, from: &Self, name: &[u8], new: &[u8]) -> Result<()> {
        fs::renameat_with(&from.0, name, &self.0, new, RenameFlags::NOREPLACE).on("renameat2", new)
    }

    /// The text of the symlink `name`.
    ///
    /// # Errors
    /// `INVAL` if it is not a symlink.
    pub fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        fs::readlinkat(&self.0, name, Vec::new())
            .on("readlinkat", name)
            .map(std::ffi::CString::into_bytes)
    }

    /// Deletes `name`, which is not a directory.
    ///
    /// # Errors
    /// As unlink(2).
    pub fn unlink(&self, name: &[u8]) -> Result<()> {
        fs::unlinkat(&self.0, name, AtFlags::empty()).on("unlinkat", name)
    }

    /// Deletes the empty directory `name`.
    ///
    /// # Errors
    /// As rmdir(2).
    pub fn rmdir(&self, name: &[u8]) -> Result<()> {
        fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR).on("unlinkat", name)
    }

    /// Deletes `name` and, if it is a directory, all that is below it; makes directories
    /// writable on the way. Nothing of that name is fine. Does not recurse on the stack, and does not
    /// go where something else is mounted.
    ///
    /// # Errors
    /// As unlink(2); `XDEV` or `BUSY` if something is mounted there: that stays as it is.
    pub fn remove_all(&self, name: &[u8]) -> Result<()> {
        let Some(stat) = Error::absent(self.stat(name))? else {
            return Ok(());
        };
        if !stat.is_dir() {
            return Error::absent(self.unlink(name)).map(drop);
        }
        // Each level: its handle, its name in the level above, and the directories left in it.
        let mut levels = vec![(
            self.enter_to_remove(name, stat.mode)?,
            name.to_vec(),
            None::<Vec<Vec<u8>>>,
        )];
        while let Some((dir, own_name, left)) = levels.last_mut() {
            let left = match left {
                Some(left) => left,
                None => left.insert(dir.unlink_files()?),
            };
            if let Some(next) = left.pop() {
                let mode = dir.stat(&next)?.mode;
                let child = dir.enter_to_remove(&next, mode)?;
                levels.push((child, next, None));
                continue;
            }
            let own_name = std::mem::take(own_name);
            levels.pop();
            let parent = levels.last().map_or(self, |(parent, ..)| parent);
            Error::absent(parent.rmdir(&own_name))?;
        }
        Ok(())
    }

    fn enter_to_remove(&self, name: &[u8], mode: u32) -> Result<Self> {
        if mode & 0o700 != 0o700 {
            self.child_here_with(name, OFlags::PATH)?;
            self.set_mode(name, mode | 0o700)?;
        }
        self.child_here(name)
    }

    /// Deletes all but the directories here; returns their names.
    fn unlink_files(&self) -> Result<Vec<Vec<u8>>> {
        let mut directories = Vec::new();
        for entry in self.entries()? {
            if entry.kind == FileKind::Directory {
                directories.push(entry.name);
            } else {
                Error::absent(self.unlink(&entry.name))?;
            }
        }
        Ok(directories)
    }

    /// Sets owner and group of `name`. Clears setuid and setgid: set the mode afterwards.
    ///
    /// # Errors
    /// `INVAL` if an id is not mapped in our user namespace.
    pub fn set_owner(&self, name: &[u8], uid: u32, gid: u32) -> Result<()> {
        let operand = || [name, format!(" {uid}:{gid}").as_bytes()].concat();
        let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        fs::chownat(&self.0, name, user, group, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| Error::new("fchownat", operand(), errno))
    }

    /// Sets the permission bits (0..=0o7777) of `name`, which is not a symlink.
    ///
    /// # Errors
    /// `LOOP` for a symlink.
    pub fn set_mode(&self, name: &[u8], mode: u32) -> Result<()> {
        // fchmodat(2) has no way not to follow before Linux 6.6, so through a descriptor.
        use std::os::fd::AsRawFd;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.0, name, flags, Mode::empty()).on("openat", name)?;
        if stat_fd(fd.as_fd(), name)?.kind == FileKind::Symlink {
            return Err(Error::new("chmod", name, Errno::LOOP));
        }
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        fs::chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty()).on("chmod", name)
    }

    /// Sets the time of last modification of `name`, and of last access to the same.
    ///
    /// # Errors
    /// As utimensat(2).
    pub fn set_mtime(&self, name: &[u8], mtime: Timestamp) -> Result<()> {
        let time = Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: i64::from(mtime.nanoseconds),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        fs::utimensat(&self.0, name, &times, AtFlags::SYMLINK_NOFOLLOW).on("utimensat", name)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Dir> for OwnedFd {
    fn from(dir: Dir) -> Self {
        dir.0
    }
}

fn stat_fd(fd: BorrowedFd<'_>, operand: &[u8]) -> Result<Stat> {
    let raw =
        fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).on("statx", operand)?;
    Ok(Stat::from_statx(&raw))
}

/// `fd` as a file, if it is a regular one.
fn regular(fd: OwnedFd, operand: &[u8]) -> Result<File> {
    if stat_fd(fd.as_fd(), operand)?.kind != FileKind::File {
        return Err(Error::new("open", operand, Errno::INVAL));
    }
    Ok(File::from(fd))
}

#[cfg(test)]
mod tests;
