//! What the kernel knows of a file.

use rustix::fs::{FileType, Statx};

/// Seconds and nanoseconds since 1970; negative seconds are before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds.
    pub seconds: i64,
    /// 0..=999,999,999, added to the seconds.
    pub nanoseconds: u32,
}

/// The kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// Metadata of one file, symlinks not followed. statx(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits with setuid, setgid and sticky: 0..=0o7777.
    pub mode: u32,
    /// Owner, as seen from our user namespace.
    pub uid: u32,
    /// Group, as seen from our user namespace.
    pub gid: u32,
    /// Bytes; for a symlink the length of its target.
    pub size: u64,
    /// Number of 512-byte blocks on disk.
    pub blocks: u64,
    /// Time of last modification of the content.
    pub mtime: Timestamp,
    /// Time of last change of anything.
    pub ctime: Timestamp,
    /// Number of hard links.
    pub links: u32,
    /// File system.
    pub dev: u64,
    /// Number within the file system.
    pub ino: u64,
    /// Major and minor number of a device.
    pub rdev: (u32, u32),
}

impl Stat {
    /// Whether this is the form in which overlayfs stores a deletion: a 0/0 character device.
    pub fn is_whiteout(&self) -> bool {
        self.kind == FileKind::CharDevice && self.rdev == (0, 0)
    }

    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }

    pub(crate) fn from_statx(raw: &Statx) -> Self {
        let time = |t: rustix::fs::StatxTimestamp| Timestamp {
            seconds: t.tv_sec,
            nanoseconds: t.tv_nsec,
        };
        Self {
            kind: FileKind::from_type(FileType::from_raw_mode(raw.stx_mode.into())),
            mode: u32::from(raw.stx_mode) & 0o7777,
            uid: raw.stx_uid,
            gid: raw.stx_gid,
            size: raw.stx_size,
            blocks: raw.stx_blocks,
            mtime: time(raw.stx_mtime),
            ctime: time(raw.stx_ctime),
            links: raw.stx_nlink,
            dev: rustix::fs::makedev(raw.stx_dev_major, raw.stx_dev_minor),
            ino: raw.stx_ino,
            rdev: (raw.stx_rdev_major, raw.stx_rdev_minor),
        }
    }
}

impl FileKind {
    pub(crate) fn from_type(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::CharacterDevice => Self::CharDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::RegularFile | FileType::Unknown => Self::File,
        }
    }

    pub(crate) fn to_type(self) -> FileType {
        match self {
            Self::File => FileType::RegularFile,
            Self::Directory => FileType::Directory,
            Self::Symlink => FileType::Symlink,
            Self::CharDevice => FileType::CharacterDevice,
            Self::BlockDevice => FileType::BlockDevice,
            Self::Fifo => FileType::Fifo,
            Self::Socket => FileType::Socket,
        }
    }
}
