//! What may be chosen when an archive is unpacked.
//!
//! Values only; no choice makes it possible to write outside of the tree.

/// How [`crate::unpack`] treats what the archive says.
#[derive(Clone, Debug)]
pub struct UnpackOptions {
    /// Where in the tree the archive's root is; empty for the tree's root. In-root path,
    /// symlinks in it are followed inside.
    pub below: Vec<u8>,
    /// What `.wh.` entries become.
    pub whiteouts: Whiteouts,
    /// Who owns the unpacked files.
    pub ownership: Ownership,
    /// What the archive's own root, `./`, says about the directory that it is unpacked into.
    pub root: RootEntry,
    /// When large files are to reach the disk.
    pub disk: Disk,
    /// What is too much.
    pub limits: Limits,
}

impl UnpackOptions {
    /// At the tree's root, with the owners of the archive and the usual limits.
    pub fn new(whiteouts: Whiteouts) -> Self {
        Self {
            below: Vec::new(),
            whiteouts,
            ownership: Ownership::Keep,
            root: RootEntry::Applied,
            disk: Disk::Later,
            limits: Limits::default(),
        }
    }
}

/// What a `.wh.` entry becomes on disk. OCI image-spec, layer.md, "Whiteouts".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whiteouts {
    /// The overlayfs form. The tree must be empty at first: a deletion spares what is in it,
    /// because it comes from the same layer.
    Overlay,
    /// A file with that name: the archive is not a layer.
    Literal,
}

/// Whether the archive's own root changes the directory that it is unpacked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootEntry {
    /// Owner, mode, time and attributes are set.
    Applied,
    /// They stay as they are: other things are in there too.
    Ignored,
}

/// When the content of large files is sent to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// When the kernel likes.
    Later,
    /// While the rest is unpacked: somebody will wait for it.
    Meanwhile,
}

/// Who owns an unpacked file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// As the archive says; needs the ids to be mapped.
    Keep,
    /// Always this user and group.
    Fixed {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
}

/// Upper bounds; beyond one is [`crate::Error::Limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries.
    pub entries: u64,
    /// Bytes of all files' content.
    pub size: u64,
    /// Bytes of one extended header.
    pub header: u64,
    /// Bytes of a path or of a link's target.
    pub path: u64,
    /// Bytes of one attribute's value.
    pub xattr: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 10_000_000,
            size: 256 << 30,
            header: 1 << 20,
            path: 32 << 10,
            xattr: 64 << 10,
        }
    }
}
