//! Open files: copying content without losing holes, syncing, file systems.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    os::fd::{AsFd, AsRawFd},
};

use rustix::{
    fs::{self, AtFlags, Gid, MemfdFlags, Mode, StatxFlags, Timespec, Timestamps, Uid},
    io::Errno,
};

use crate::{
    Stat, Timestamp,
    error::{Context, Error, Result},
};

/// Files of at most this size are copied through memory at once, in bytes.
const SMALL: u64 = 64 * 1024;

/// A file system, told apart by what statfs(2) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// The `f_type` magic number.
    pub magic: u64,
    /// Bytes that an ordinary user can still write.
    pub free: u64,
    /// Whether nothing more can be written: no block is left for an ordinary user, or no inode.
    pub is_full: bool,
}

/// Less than this, in bytes, is as good as nothing: a disk that is full keeps some odd blocks.
const NOTHING: u64 = 64 << 10;

impl FileSystem {
    /// The usual name; `None` if it is not one that rbuild knows.
    pub const fn name(&self) -> Option<&'static str> {
        Some(match self.magic {
            0xEF53 => "ext4",
            0x5846_5342 => "xfs",
            0x9123_683E => "btrfs",
            0x0102_1994 => "tmpfs",
            0x794C_7630 => "overlay",
            0x6969 => "nfs",
            0x0BD0_0BD0 => "lustre",
            0x4750_4653 => "gpfs",
            0x1983_0326 => "beegfs",
            0x6573_5546 => "fuse",
            0x2FC1_2FC1 => "zfs",
            0x0102_1997 => "9p",
            _ => return None,
        })
    }

    /// Whether other machines may write to it too.
    pub fn is_network(&self) -> bool {
        matches!(
            self.name(),
            Some("nfs" | "lustre" | "gpfs" | "beegfs" | "9p")
        )
    }
}

/// A file in memory, which is gone with its last descriptor; `name` is for debuggers.
///
/// # Errors
/// As memfd_create(2).
pub fn memory_file(name: &str) -> Result<File> {
    fs::memfd_create(name, MemfdFlags::CLOEXEC)
        .on("memfd_create", name)
        .map(File::from)
}

/// The file system that `fd` lives on.
///
/// # Errors
/// As fstatfs(2).
pub fn file_system(fd: impl AsFd) -> Result<FileSystem> {
    let raw = fs::fstatfs(fd).on("fstatfs", "")?;
    let magic = u64::from_ne_bytes(raw.f_type.to_ne_bytes()) & 0xFFFF_FFFF;
    let block = u64::try_from(raw.f_bsize).unwrap_or(0);
    let free = raw.f_bavail.saturating_mul(block);
    // Where inodes are made as they are needed, there are none at all.
    let counts_inodes = raw.f_files > 0;
    Ok(FileSystem {
        magic,
        free,
        is_full: free < NOTHING || (counts_inodes && raw.f_ffree == 0),
    })
}

/// Writes everything that is dirty in the file system of `fd` to disk.
///
/// # Errors
/// As syncfs(2): also errors of earlier writes.
pub fn sync_file_system(fd: impl AsFd) -> Result<()> {
    fs::syncfs(fd).on("syncfs", "")
}

/// How far a file that is being written was sent to the disk, so that a later sync has less to wait
/// for.
#[derive(Debug, Default)]
pub struct WriteBehind {
    sent: u64,
}

impl WriteBehind {
    /// So many bytes are sent at once.
    const STEP: u64 = 16 << 20;

    /// `file` has `size` bytes now. Only a hint: a file system that does not take it loses nothing.
    /// sync_file_range(2).
    pub fn advance(&mut self, file: impl AsFd, size: u64) {
        let more = size.saturating_sub(self.sent);
        if more < Self::STEP {
            return;
        }
        let offset = i64::try_from(self.sent).unwrap_or(i64::MAX);
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        let file = file.as_fd().as_raw_fd();
        // SAFETY: the descriptor is open as long as it is borrowed; no memory is passed.
        unsafe { libc::sync_file_range(file, offset, more, libc::SYNC_FILE_RANGE_WRITE) };
        self.sent = size;
    }
}

/// Metadata of an open file.
///
/// # Errors
/// As statx(2).
pub fn file_stat(fd: impl AsFd) -> Result<Stat> {
    let raw = fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).on("statx", "")?;
    Ok(Stat::from_statx(&raw))
}

/// Sets owner and group of an open file. Clears setuid and setgid: set the mode afterwards.
///
/// # Errors
/// `INVAL` if an id is not mapped in our user namespace.
pub fn set_file_owner(fd: impl AsFd, uid: u32, gid: u32) -> Result<()> {
    fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .map_err(|errno| Error::new("fchown", format!("{uid}:{gid}"), errno))
}

/// Sets the permission bits (0..=0o7777) of an open file.
///
/// # Errors
/// As fchmod(2).
pub fn set_file_mode(fd: impl AsFd, mode: u32) -> Result<()> {
    fs::fchmod(fd, Mode::from_raw_mode(mode)).on("fchmod", "")
}

/// Sets the time of last modification of an open file, and of last access to the same.
///
/// # Errors
/// As futimens(3).
pub fn set_file_mtime(fd: impl AsFd, mtime: Timestamp) -> Result<()> {
    let time = Timespec {
        tv_sec: mtime.seconds,
        tv_nsec: i64::from(mtime.nanoseconds),
    };
    fs::futimens(
        fd,
        &Timestamps {
            last_access: time,
            last_modification: time,
        },
    )
    .on("futimens", "")
}

/// Copies the whole content of `from`, of which `stat` was taken, into the empty file `to`;
/// returns the number of bytes.
///
/// Shares blocks where the file system can (reflink), copies inside the kernel where that
/// works, and keeps holes. A file that shrinks or grows meanwhile is copied as it was read.
///
/// # Errors
/// As read(2) and write(2).
pub fn copy_contents(from: &File, to: &File, stat: &Stat) -> Result<u64> {
    if stat.size <= SMALL {
        return copy_small(from, to, stat.size);
    }
    if fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(stat.size);
    }
    if stat.blocks.saturating_mul(512) >= stat.size {
        return copy_range(from, to, 0, u64::MAX);
    }
    copy_sparse(from, to, stat.size)
}

/// Copies at most `size` bytes with as few calls as possible.
fn copy_small(from: &File, to: &File, size: u64) -> Result<u64> {
    let mut content = Vec::with_capacity(usize::try_from(size).expect("at most SMALL"));
    (&mut &*from)
        .take(size)
        .read_to_end(&mut content)
        .map_err(|source| io("read", source))?;
    let mut to = to;
    to.write_all(&content)
        .map_err(|source| io("write", source))?;
    Ok(content.len() as u64)
}

/// Copies the data between the holes, then sets the size.
fn copy_sparse(from: &File, to: &File, size: u64) -> Result<u64> {
    let mut position = 0;
    while position < size {
        let data = match fs::seek(from, fs::SeekFrom::Data(position)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL) => return copy_range(from, to, 0, u64::MAX),
            Err(errno) => return Err(Error::new("lseek", "SEEK_DATA", errno)),
        };
        let hole = fs::seek(from, fs::SeekFrom::Hole(data)).on("lseek", "SEEK_HOLE")?;
        copy_range(from, to, data, hole - data)?;
        position = hole;
    }
    fs::ftruncate(to, size).on("ftruncate", "")?;
    Ok(size)
}

/// Copies at most `length` bytes at `start`; returns the end of what was written.
fn copy_range(from: &File, to: &File, start: u64, length: u64) -> Result<u64> {
    let (mut read_at, mut write_at) = (start, start);
    let end = start.saturating_add(length);
    while read_at < end {
        let step = usize::try_from((end - read_at).min(1 << 30)).expect("at most 1 GiB");
        match fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), step) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
                return copy_through_memory(from, to, read_at, end);
            }
            Err(errno) => return Err(Error::new("copy_file_range", "", errno)),
        }
    }
    Ok(write_at)
}

fn copy_through_memory(mut from: &File, mut to: &File, start: u64, end: u64) -> Result<u64> {
    from.seek(SeekFrom::Start(start))
        .map_err(|e| io("lseek", e))?;
    to.seek(SeekFrom::Start(start))
        .map_err(|e| io("lseek", e))?;
    let mut buffer = vec![0; 256 * 1024];
    let mut position = start;
    while position < end {
        let wanted = usize::try_from(end - position)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = from
            .read(&mut buffer[..wanted])
            .map_err(|e| io("read", e))?;
        if count == 0 {
            break;
        }
        to.write_all(&buffer[..count]).map_err(|e| io("write", e))?;
        position += count as u64;
    }
    Ok(position)
}

fn io(call: &'static str, source: std::io::Error) -> Error {
    Error {
        call,
        operand: String::new(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Seek, SeekFrom, Write},
        os::unix::fs::MetadataExt,
    };

    use super::{copy_contents, file_stat};

    #[test]
    fn content_and_holes_are_copied() {
        let dir = tempfile::tempdir().unwrap();
        let mut from = File::create_new(dir.path().join("from")).unwrap();
        from.write_all(b"start").unwrap();
        from.seek(SeekFrom::Start(8 << 20)).unwrap();
        from.write_all(b"end").unwrap();
        let from = File::open(dir.path().join("from")).unwrap();
        let to = File::create_new(dir.path().join("to")).unwrap();
        let stat = file_stat(&from).unwrap();
        assert_eq!(copy_contents(&from, &to, &stat).unwrap(), (8 << 20) + 3);
        let read = |name| std::fs::read(dir.path().join(name)).unwrap();
        assert!(read("from") == read("to"));
        assert!(to.metadata().unwrap().blocks() < 100, "the hole was filled");
    }
}
