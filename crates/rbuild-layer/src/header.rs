//! The bytes of one archive entry's header, in canonical form.
//!
//! POSIX pax Interchange Format; a PAX record only for what the ustar header cannot hold.
//! Times are whole seconds, as all image builders write them.
//!
//! Invariant: equal entries ⇒ equal bytes; user and group names are empty.

use crate::pax;

/// Size of a header and unit of padding.
pub(crate) const BLOCK: usize = 512;
/// Largest number in a field of 7 octal digits.
const MAX_OCTAL_7: u64 = 0o7_777_777;
/// Largest number in a field of 11 octal digits.
const MAX_OCTAL_11: u64 = 0o77_777_777_777;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

impl Type {
    fn flag(self) -> u8 {
        match self {
            Self::File => b'0',
            Self::HardLink => b'1',
            Self::Symlink => b'2',
            Self::CharDevice => b'3',
            Self::BlockDevice => b'4',
            Self::Directory => b'5',
            Self::Fifo => b'6',
        }
    }
}

/// Everything that a header says.
#[derive(Clone, Debug)]
pub(crate) struct Header<'a> {
    pub kind: Type,
    /// Relative; a directory's ends with a slash.
    pub path: &'a [u8],
    /// Target of a hard or symbolic link; empty for others.
    pub link: &'a [u8],
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    pub rdev: (u32, u32),
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

impl Header<'_> {
    /// Appends the header's blocks to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut records = Vec::new();
        let mut block = Block::new(self.kind.flag());
        self.names(&mut block, &mut records);
        block.octal(100, 8, self.mode.into());
        block.number((108, 8, "uid"), self.uid.into(), &mut records);
        block.number((116, 8, "gid"), self.gid.into(), &mut records);
        block.number((124, 12, "size"), self.size, &mut records);
        match u64::try_from(self.mtime) {
            Ok(mtime) if mtime <= MAX_OCTAL_11 => block.octal(136, 12, mtime),
            _ => {
                block.octal(136, 12, 0);
                pax::record(&mut records, b"mtime", self.mtime.to_string().as_bytes());
            }
        }
        block.octal(329, 8, u64::from(self.rdev.0).min(MAX_OCTAL_7));
        block.octal(337, 8, u64::from(self.rdev.1).min(MAX_OCTAL_7));
        for (key, value) in self.xattrs {
            pax::record(&mut records, &[pax::XATTR, key].concat(), value);
        }
        if !records.is_empty() {
            extended(self.path, &records, out);
        }
        out.extend_from_slice(&block.sealed());
    }

    fn names(&self, block: &mut Block, records: &mut Vec<u8>) {
        match split(self.path) {
            Some((prefix, name)) => {
                block.bytes(0, 100, name);
                block.bytes(345, 155, prefix);
            }
            None => {
                block.bytes(0, 100, self.path);
                pax::record(records, b"path", self.path);
            }
        }
        block.bytes(157, 100, self.link);
        if self.link.len() > 100 {
            pax::record(records, b"linkpath", self.link);
        }
    }
}

/// Appends the PAX header that holds `records` for the entry `path`.
fn extended(path: &[u8], records: &[u8], out: &mut Vec<u8>) {
    let mut block = Block::new(b'x');
    let base = path.split(|&b| b == b'/').rfind(|part| !part.is_empty());
    block.bytes(0, 100, &[b"PaxHeaders/", base.unwrap_or(b".")].concat());
    block.octal(100, 8, 0o644);
    block.octal(108, 8, 0);
    block.octal(116, 8, 0);
    block.octal(124, 12, records.len() as u64);
    block.octal(136, 12, 0);
    out.extend_from_slice(&block.sealed());
    out.extend_from_slice(records);
    out.resize(out.len() + padding(records.len() as u64), 0);
}

/// Number of zero bytes after `size` bytes of content.
pub(crate) fn padding(size: u64) -> usize {
    let used = usize::try_from(size % BLOCK as u64).expect("a remainder of 512");
    (BLOCK - used) % BLOCK
}

/// `path` as ustar's prefix and name; `None` if it does not fit.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    let from = path.len().checked_sub(101)?;
    let slashes = (from..path.len() - 1).filter(|&at| path[at] == b'/');
    let at = slashes.min().filter(|&at| at > 0 && at <= 155)?;
    Some((&path[..at], &path[at + 1..]))
}

struct Block([u8; BLOCK]);

impl Block {
    fn new(flag: u8) -> Self {
        let mut block = Self([0; BLOCK]);
        block.0[156] = flag;
        block.bytes(257, 8, b"ustar\x0000");
        block
    }

    /// As much of `bytes` as the field holds.
    fn bytes(&mut self, at: usize, width: usize, bytes: &[u8]) {
        let count = bytes.len().min(width);
        self.0[at..at + count].copy_from_slice(&bytes[..count]);
    }

    /// Octal digits and a NUL.
    fn octal(&mut self, at: usize, width: usize, mut value: u64) {
        for digit in self.0[at..at + width - 1].iter_mut().rev() {
            *digit = b'0' + (value & 7) as u8;
            value >>= 3;
        }
    }

    /// `value`, in a PAX record if the field (position, width, key) is too small for it.
    fn number(&mut self, field: (usize, usize, &str), value: u64, records: &mut Vec<u8>) {
        let (at, width, key) = field;
        let fits = value < 1 << (3 * (width - 1));
        self.octal(at, width, if fits { value } else { 0 });
        if !fits {
            pax::record(records, key.as_bytes(), value.to_string().as_bytes());
        }
    }

    /// With the checksum.
    fn sealed(mut self) -> [u8; BLOCK] {
        self.0[148..156].fill(b' ');
        let sum = self.0.iter().map(|&b| u64::from(b)).sum();
        self.octal(148, 7, sum);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[track_caller]
    fn check(path: &str, expected: Option<(usize, usize)>) {
        let lengths = split(path.as_bytes()).map(|(prefix, name)| (prefix.len(), name.len()));
        assert_eq!(lengths, expected);
    }

    #[test]
    fn long_paths_are_split_at_a_slash_or_not_at_all() {
        check(&"n".repeat(100), Some((0, 100)));
        check(&"n".repeat(101), None);
        check(
            &format!("{}/{}", "p".repeat(155), "n".repeat(100)),
            Some((155, 100)),
        );
        check(&format!("{}/{}", "p".repeat(156), "n".repeat(100)), None);
        check(&format!("{}/", "p".repeat(150)), None);
    }
}
