//! What can go wrong on the way out.

use std::path::PathBuf;

use rbuild_oci::{BlobDigest, DiffId};
use rbuild_sys::Errno;

/// An image could not be made, or could not be sent somewhere.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused.
    #[error("cannot use the store")]
    Store(#[from] rbuild_store::Error),
    /// A layer is gone, or was damaged.
    #[error("layer {0} is not in the store any more")]
    LayerMissing(rbuild_store::LayerId),
    /// An image of an index is gone, or was damaged.
    #[error("image {0} is not in the store any more")]
    ImageMissing(rbuild_oci::ImageId),
    /// The bytes on disk are not those that the image was made of.
    #[error("layer {expected} has changed on disk: it now is {found}")]
    LayerChanged {
        /// What the image's configuration says.
        expected: DiffId,
        /// What the tree packs to.
        found: DiffId,
    },
    /// The store's copy of a blob is not what it was; it has been removed, so that the same
    /// command makes it again, or a pull fetches it again.
    #[error("blob {expected} has changed on disk: it now is {found}")]
    BlobChanged {
        /// Its digest.
        expected: BlobDigest,
        /// That of the bytes on disk.
        found: BlobDigest,
    },
    /// A tree cannot become a tar.
    #[error("cannot pack a layer")]
    Pack(#[source] rbuild_layer::Error),
    /// A tar cannot become zstd:chunked.
    #[error("cannot compress a layer file by file")]
    Chunk(#[source] rbuild_layer::Error),
    /// A tar cannot become a tree.
    #[error("cannot unpack `{path}`")]
    Unpack {
        /// The archive or the destination.
        path: PathBuf,
        /// Why.
        source: rbuild_layer::Error,
    },
    /// Trees cannot be stacked.
    #[error("cannot look into the image")]
    Snapshot(#[from] rbuild_snapshot::Error),
    /// A file outside of the store.
    #[error("cannot {action} `{path}`")]
    File {
        /// E.g. `write`.
        action: &'static str,
        /// The host path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A directory handle.
    #[error("cannot use `{path}`")]
    Directory {
        /// The host path.
        path: PathBuf,
        /// Why.
        source: rbuild_sys::Error,
    },
    /// A file of a directory that is to have only what a result has.
    #[error("cannot remove `{path}`, which the result does not have")]
    Remove {
        /// The host path.
        path: PathBuf,
        /// Why.
        source: rbuild_sys::Error,
    },
    /// The destination exists and is something else.
    #[error("`{path}` is not an OCI image layout")]
    NotALayout {
        /// The host path.
        path: PathBuf,
    },
    /// Docker's manifests cannot say it.
    #[error("docker's format has no layers that are compressed with zstd")]
    Zstd,
    /// The manifest is another one than the destination's name says.
    #[error("the manifest is {found}, and `{destination}` says another digest")]
    Pinned {
        /// As written.
        destination: String,
        /// The manifest's digest.
        found: BlobDigest,
    },
    /// The destination has files that are not those of an image.
    #[error("`{path}` is there and is not empty")]
    NotEmpty {
        /// The host path.
        path: PathBuf,
    },
    /// A record in the store is not JSON of the right form.
    #[error("the configuration of image {image} is damaged")]
    Config {
        /// Its id.
        image: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The registry refused, or could not be reached.
    #[error(transparent)]
    Registry(#[from] rbuild_registry::Error),
    /// There is nothing of that name in a tree.
    #[error("cannot find `{path}` in the image")]
    Select {
        /// In the tree.
        path: String,
        /// Why.
        source: rbuild_sys::Error,
    },
    /// The image has a file where an attestation would be.
    #[error("cannot write the attestation `{name}`: the image has a file of that name")]
    Taken {
        /// Of the file.
        name: &'static str,
    },
    /// A device, a socket or a pipe.
    #[error("`{path}` in the image is neither a file nor a directory")]
    NotCopied {
        /// In the tree.
        path: String,
    },
}

impl Error {
    /// What the user can do about it, where a registry's answer says that.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Remove { source, .. } if is_mounted(source) => {
                let hint = "something is mounted there, and stays: unmount it first";
                Some(hint.to_owned())
            }
            _ => None,
        }
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    pub(crate) fn directory(path: impl Into<PathBuf>) -> impl FnOnce(rbuild_sys::Error) -> Self {
        let path = path.into();
        move |source| Self::Directory { path, source }
    }
}

/// Whether something is in the way that is mounted there.
fn is_mounted(error: &rbuild_sys::Error) -> bool {
    error.is(Errno::XDEV) || error.is(Errno::BUSY)
}
