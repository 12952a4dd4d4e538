//! What can go wrong with the store.

use std::{io, path::PathBuf};

use rbuild_oci::{BlobDigest, ImageId, Name};

/// What every function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// The store cannot be used, or could not do something with an object.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory cannot be created or opened.
    #[error("cannot open the store `{path}`")]
    Open {
        /// The store.
        path: PathBuf,
        /// Why.
        source: rbuild_sys::Error,
    },
    /// It belongs to somebody else.
    #[error("the store `{path}` belongs to another user (uid {owner})")]
    Owner {
        /// The store.
        path: PathBuf,
        /// Its owner, as seen from our user namespace.
        owner: u32,
    },
    /// Others may look into it, and run setuid programs that are in there.
    #[error("the store `{path}` is open to other users (mode {mode:04o})")]
    Mode {
        /// The store.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A directory with other things in it.
    #[error("`{path}` is not empty and not a store")]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// Written by a later rbuild.
    #[error("the store `{path}` has version {version}, and this rbuild knows only 1")]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Other machines may write to it too, and chown fails there.
    #[error("the store `{path}` is on the network file system {file_system}")]
    Network {
        /// The store.
        path: PathBuf,
        /// Name of the file system.
        file_system: &'static str,
    },
    /// A lock cannot be taken.
    #[error("cannot lock `{what}` in the store")]
    Lock {
        /// The lock.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// Somebody else uses it, and waiting was ended.
    #[error("stopped waiting for {what}")]
    GaveUp {
        /// The object.
        what: String,
    },
    /// An object cannot be read for a reason other than being absent or damaged.
    #[error("cannot read {what} from the store")]
    Read {
        /// The object.
        what: String,
        /// Why.
        source: rbuild_sys::Error,
    },
    /// An object cannot be written.
    #[error("cannot write {what} to the store")]
    Write {
        /// The object.
        what: String,
        /// Why.
        source: rbuild_sys::Error,
    },
    /// An object cannot be removed.
    #[error("cannot remove {what} from the store")]
    Remove {
        /// The object.
        what: String,
        /// Why.
        source: rbuild_sys::Error,
    },
    /// What was written is not what was announced; nothing became visible.
    #[error(
        "blob {expected} of {expected_size} bytes turned out to be {found} of {found_size} bytes"
    )]
    Mismatch {
        /// Announced digest.
        expected: BlobDigest,
        /// Announced size.
        expected_size: u64,
        /// Digest of what came.
        found: BlobDigest,
        /// Size of what came.
        found_size: u64,
    },
    /// An image in an index is not removed.
    #[error("image {image} is listed in the index `{index}`")]
    Listed {
        /// The image.
        image: ImageId,
        /// The name of an index that lists it.
        index: Name,
    },
    /// An image with names is not removed.
    #[error("image {image} still has the name `{name}`")]
    StillNamed {
        /// The image.
        image: ImageId,
        /// One of its names.
        name: Name,
    },
}

impl Error {
    /// What the user can try.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Network { .. } => Some("set RBUILD_STORE to a directory on a local file system"),
            Self::Owner { .. } | Self::NotAStore { .. } => {
                Some("set RBUILD_STORE to a directory of your own")
            }
            Self::Mode { .. } => Some("take the permissions of others away with `chmod 700`"),
            Self::Lock { .. } => {
                Some("set RBUILD_STORE to a directory on a file system with flock(2)")
            }
            _ => None,
        }
    }
}

/// Says which object a failed system call was about.
pub(crate) trait Context<T> {
    fn opening(self, path: &std::path::Path) -> Result<T>;
    fn reading(self, what: impl FnOnce() -> String) -> Result<T>;
    fn writing(self, what: impl FnOnce() -> String) -> Result<T>;
    fn removing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for rbuild_sys::Result<T> {
    fn opening(self, path: &std::path::Path) -> Result<T> {
        self.map_err(|source| Error::Open {
            path: path.to_owned(),
            source,
        })
    }

    fn reading(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Read {
            what: what(),
            source,
        })
    }

    fn writing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Write {
            what: what(),
            source,
        })
    }

    fn removing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Remove {
            what: what(),
            source,
        })
    }
}
