//! What can go wrong between a tree and an archive.

use std::io;

use rbuild_sys as sys;

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A tree could not be packed or an archive not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tree cannot be read.
    #[error("cannot pack `{path}`")]
    Pack {
        /// Path below the tree's root.
        path: String,
        /// Why.
        source: sys::Error,
    },
    /// The content of a file cannot be read.
    #[error("cannot read `{path}`")]
    ReadFile {
        /// Path below the tree's root.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file has another size than it had when its header was written.
    #[error("`{path}` changed while it was packed")]
    Changed {
        /// Path below the tree's root.
        path: String,
    },
    /// PAX has no form for this attribute's name.
    #[error("attribute `{name}` of `{path}` cannot be stored in an archive")]
    AttributeName {
        /// Path below the tree's root.
        path: String,
        /// Name of the attribute.
        name: String,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    /// The archive cannot be read: its source or its decompression fails.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// The bytes are not a well-formed archive.
    #[error("the archive is damaged at byte {offset}: {why}")]
    Damaged {
        /// Where the member's first header starts.
        offset: u64,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The entry is well-formed, but nothing that may be unpacked.
    #[error("archive entry `{path}` {why}")]
    Refused {
        /// The entry's path as the archive says it.
        path: String,
        /// Why it is refused.
        why: &'static str,
    },
    /// The tree cannot be written.
    #[error("cannot unpack `{path}`")]
    Unpack {
        /// The entry's path.
        path: String,
        /// Why.
        source: sys::Error,
    },
    /// An owner cannot be set.
    #[error("cannot give `{path}` to {uid}:{gid} (hint: are the ids mapped, see /etc/subuid?)")]
    Owner {
        /// The entry's path.
        path: String,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Why.
        source: sys::Error,
    },
    /// The content of a file cannot be written.
    #[error("cannot write `{path}`")]
    WriteFile {
        /// The entry's path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The archive is larger than allowed.
    #[error("`{path}` exceeds the limit `{limit}` of {allowed}")]
    Limit {
        /// The entry's path.
        path: String,
        /// Name of the limit.
        limit: &'static str,
        /// Its value.
        allowed: u64,
    },
}

/// `path` for a message.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
