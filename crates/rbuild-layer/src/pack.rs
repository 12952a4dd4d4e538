//! Tree → archive. Same tree in, same bytes out.
//!
//! Canonical order: a directory, `.wh..wh..opq` if it is opaque, then its entries by their names'
//! bytes (a deletion where the deleted name would be), each directory's content right after it.
//! Times are cut to whole seconds; sockets are left out; holes are packed as zeros.
//!
//! Invariant: a member's size is the one that its header says, or packing fails.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Write},
};

use rbuild_oci::{FileTimes, RootEntry};
use rbuild_sys::{Dir, FileKind, Stat, Xattr, file_xattrs};

use crate::{
    attribute,
    error::{Error, Result, shown},
    header::{Header, Type, padding},
    merge::{Merge, Node},
};

/// How much is written at once, in bytes.
const BUFFER: usize = 256 * 1024;

/// Mode, user and group of a root that nothing is said of.
const USUAL_ROOT: (u32, u32, u32) = (0o755, 0, 0);

/// How a tree on disk is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An overlayfs upper directory: deletions and opaque directories become `.wh.` entries.
    Overlay,
    /// A complete file system: a 0/0 character device is just that.
    Plain,
}

/// How [`pack`] works.
#[derive(Clone, Copy, Debug)]
pub struct PackOptions {
    /// How the trees are read.
    pub form: Form,
    /// Whether the root is listed.
    pub root: RootEntry,
    /// What becomes of times of modification.
    pub times: FileTimes,
}

impl PackOptions {
    /// A tree of that form, with all its times. A complete file system always lists its root. A layer
    /// does if there is something to say: its root is also that of the layers below it.
    pub const fn new(form: Form) -> Self {
        let root = match form {
            Form::Overlay => RootEntry::Unusual,
            Form::Plain => RootEntry::Listed,
        };
        Self {
            form,
            root,
            times: FileTimes::Kept,
        }
    }
}

/// What [`pack`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Number of entries, those for deletions included.
    pub entries: u64,
    /// Bytes of the archive.
    pub size: u64,
}

/// Writes `trees`, bottom first and merged as overlayfs does it, as one archive.
///
/// Deletions and opaqueness of the merged tree are kept, so the result is one layer with the
/// effect of all. Hard links are found within one tree: names in different trees may share
/// storage without having been one file.
///
/// # Errors
/// [`Error::Pack`] and [`Error::ReadFile`] for the tree, [`Error::Changed`] if a file grew or
/// shrank meanwhile, [`Error::Refused`] for names that would mean a deletion, [`Error::Write`].
pub fn pack(trees: &[&Dir], options: &PackOptions, out: &mut dyn Write) -> Result<Packed> {
    let at_root = |source| Error::Pack {
        path: ".".to_owned(),
        source,
    };
    let (mut merge, opaque) = Merge::new(trees, options.form).map_err(at_root)?;
    let mut packer = Packer {
        options,
        out: Output::new(out),
        links: HashMap::new(),
        entries: 0,
    };
    if let Some(top) = trees.last() {
        packer.root(top)?;
    }
    if opaque {
        packer.whiteout(b".wh..wh..opq")?;
    }
    loop {
        match merge.next() {
            Ok(Some(node)) => packer.node(&merge, &node)?,
            Ok(None) => return packer.finish(),
            Err(source) => {
                return Err(Error::Pack {
                    path: shown(merge.path()),
                    source,
                });
            }
        }
    }
}

struct Packer<'a> {
    options: &'a PackOptions,
    out: Output<'a>,
    /// First path of each file with several names, by tree, device and inode.
    links: HashMap<(usize, u64, u64), Vec<u8>>,
    entries: u64,
}

/// What an entry has besides its metadata.
#[derive(Clone, Copy)]
struct Extra<'a> {
    kind: Type,
    link: &'a [u8],
    xattrs: &'a [Xattr],
}

impl Packer<'_> {
    /// The root, as `top` has it, if that is wanted.
    fn root(&mut self, top: &Dir) -> Result<()> {
        let stat = top.stat_self().map_err(|source| Error::Pack {
            path: ".".to_owned(),
            source,
        })?;
        let xattrs = belonging(top.xattrs(b""), b"./")?;
        let is_usual = (stat.mode, stat.uid, stat.gid) == USUAL_ROOT && xattrs.is_empty();
        match self.options.root {
            RootEntry::Listed => {}
            RootEntry::Unusual if !is_usual => {}
            RootEntry::Unusual | RootEntry::Omitted => return Ok(()),
        }
        let extra = Extra {
            kind: Type::Directory,
            link: b"",
            xattrs: &xattrs,
        };
        self.entry(b"./", &stat, extra)
    }

    fn node(&mut self, merge: &Merge, node: &Node) -> Result<()> {
        let path = merge.path();
        if self.options.form == Form::Overlay && node.name.starts_with(b".wh.") {
            let why = "has a name that means a deletion in a layer";
            return Err(Error::Refused {
                path: shown(path),
                why,
            });
        }
        if node.whiteout {
            let parent = &path[..path.len() - node.name.len()];
            return self.whiteout(&[parent, b".wh.", &node.name].concat());
        }
        if node.stat.kind == FileKind::Socket || self.hard_link(path, node)? {
            return Ok(());
        }
        let dir = merge.dir(node.tree);
        let failed = |source| Error::Pack {
            path: shown(path),
            source,
        };
        if node.stat.kind == FileKind::File {
            let file = dir.read_seen(&node.name).map_err(failed)?;
            return self.file(file, path, &node.stat);
        }
        let xattrs = belonging(dir.xattrs(&node.name), path)?;
        let mut extra = Extra {
            kind: Type::Fifo,
            link: b"",
            xattrs: &xattrs,
        };
        match node.stat.kind {
            FileKind::Directory => {
                extra.kind = Type::Directory;
                let path = [path, b"/"].concat();
                self.entry(&path, &node.stat, extra)?;
                if node.opaque {
                    self.whiteout(&[&path, &b".wh..wh..opq"[..]].concat())?;
                }
                Ok(())
            }
            FileKind::Symlink => {
                let target = dir.read_link(&node.name).map_err(failed)?;
                extra.kind = Type::Symlink;
                extra.link = &target;
                self.entry(path, &node.stat, extra)
            }
            FileKind::CharDevice | FileKind::BlockDevice => {
                let char = node.stat.kind == FileKind::CharDevice;
                extra.kind = if char {
                    Type::CharDevice
                } else {
                    Type::BlockDevice
                };
                self.entry(path, &node.stat, extra)
            }
            // Files have returned above, and sockets before them.
            FileKind::Fifo | FileKind::Socket | FileKind::File => {
                self.entry(path, &node.stat, extra)
            }
        }
    }

    /// A regular file, through one descriptor.
    fn file(&mut self, file: File, path: &[u8], stat: &Stat) -> Result<()> {
        let xattrs = belonging(file_xattrs(&file), path)?;
        let extra = Extra {
            kind: Type::File,
            link: b"",
            xattrs: &xattrs,
        };
        self.entry(path, stat, extra)?;
        self.out.content(file, stat.size, path)
    }

    /// Writes a hard link if the file was packed under another name.
    fn hard_link(&mut self, path: &[u8], node: &Node) -> Result<bool> {
        if node.stat.links < 2 || node.stat.is_dir() {
            return Ok(false);
        }
        let key = (node.tree, node.stat.dev, node.stat.ino);
        let Some(first) = self.links.get(&key).cloned() else {
            self.links.insert(key, path.to_vec());
            return Ok(false);
        };
        let extra = Extra {
            kind: Type::HardLink,
            link: &first,
            xattrs: &[],
        };
        self.entry(path, &node.stat, extra).map(|()| true)
    }

    fn entry(&mut self, path: &[u8], stat: &Stat, extra: Extra) -> Result<()> {
        self.header(&Header {
            kind: extra.kind,
            path,
            link: extra.link,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            size: if extra.kind == Type::File {
                stat.size
            } else {
                0
            },
            mtime: self.options.times.of(stat.mtime.seconds),
            rdev: stat.rdev,
            xattrs: extra.xattrs,
        })
    }

    /// Writes the empty file `path` that stands for a deletion.
    fn whiteout(&mut self, path: &[u8]) -> Result<()> {
        self.header(&Header {
            kind: Type::File,
            path,
            link: b"",
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: self.options.times.of(0),
            rdev: (0, 0),
            xattrs: &[],
        })
    }

    fn header(&mut self, header: &Header) -> Result<()> {
        self.entries += 1;
        header.write(&mut self.out.buffer);
        self.out.flush_when_full()
    }

    fn finish(mut self) -> Result<Packed> {
        self.out.zeros(1024);
        self.out.flush()?;
        Ok(Packed {
            entries: self.entries,
            size: self.out.written,
        })
    }
}

/// Those of the attributes of `path` that belong to the image.
fn belonging(all: rbuild_sys::Result<Vec<Xattr>>, path: &[u8]) -> Result<Vec<Xattr>> {
    let mut all = all.map_err(|source| Error::Pack {
        path: shown(path),
        source,
    })?;
    all.retain(|(key, _)| attribute::belongs(key));
    match all.iter().find(|(key, _)| key.contains(&b'=')) {
        Some((key, _)) => Err(Error::AttributeName {
            path: shown(path),
            name: shown(key),
        }),
        None => Ok(all),
    }
}

/// The archive's end of the pipe: collects small writes.
struct Output<'a> {
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
    written: u64,
}

impl<'a> Output<'a> {
    fn new(out: &'a mut dyn Write) -> Self {
        Self {
            out,
            buffer: Vec::with_capacity(2 * BUFFER),
            written: 0,
        }
    }

    /// Copies `file`, which has `size` bytes.
    fn content(&mut self, mut file: File, size: u64, path: &[u8]) -> Result<()> {
        let mut left = size;
        loop {
            let start = self.buffer.len();
            // One byte more than expected shows a file that grew; fewer show the end.
            let wanted = BUFFER.min(usize::try_from(left + 1).unwrap_or(BUFFER));
            self.buffer.resize(start + wanted, 0);
            let count = file.read(&mut self.buffer[start..]);
            let count = match count {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                    self.buffer.truncate(start);
                    continue;
                }
                count => count.map_err(|source| Error::ReadFile {
                    path: shown(path),
                    source,
                })?,
            };
            self.buffer.truncate(start + count);
            match left.checked_sub(count as u64) {
                Some(0) if count < wanted => break,
                Some(rest) if count > 0 => left = rest,
                _ => return Err(Error::Changed { path: shown(path) }),
            }
            self.flush_when_full()?;
        }
        self.zeros(padding(size));
        self.flush_when_full()
    }

    fn zeros(&mut self, count: usize) {
        self.buffer.resize(self.buffer.len() + count, 0);
    }

    fn flush_when_full(&mut self) -> Result<()> {
        if self.buffer.len() < BUFFER {
            Ok(())
        } else {
            self.flush()
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.out.write_all(&self.buffer).map_err(Error::Write)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
