//! The vocabulary of the OCI specifications: digests, references, platforms,
//! in-image paths, modes, formats, places of images, image configurations.
//!
//! Pure. Manifests, indexes and descriptors are those of the `oci-spec` crate,
//! re-exported as [`spec`]; the image configuration is ours, because Docker's
//! extra fields (`Healthcheck`, `Shell`, `OnBuild`…) must survive.

mod cache;
mod config;
mod descriptor;
mod digest;
mod file_times;
mod format;
mod listed_platform;
mod location;
mod manifest;
pub mod media_type;
mod mode;
mod path;
mod platform;
mod reference;
mod root_entry;

pub use cache::{CacheImage, CacheImageError, CacheRecords, CachedStep};
pub use config::{DEFAULT_PATH, Empty, HistoryEntry, ImageConfig, RootFs, RunConfig};
pub use descriptor::Descriptor;
pub use digest::{BlobDigest, ChainId, DiffId, Digest, Hasher, ImageId};
pub use file_times::FileTimes;
pub use format::Format;
pub use listed_platform::ListedPlatform;
pub use location::{LocalPlace, Location};
pub use manifest::{Document, IN_ZSTD, Index, Manifest, ManifestError};
pub use mode::ModeChange;
pub use oci_spec::image as spec;
pub use path::ImagePath;
pub use platform::Platform;
pub use reference::{Name, Reference};
pub use root_entry::RootEntry;

/// What is wrong with a text that should be one of this crate's values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not `sha256:` and 64 lower-case hexadecimal digits.
    #[error("`{0}` is not a sha256 digest")]
    Digest(String),
    /// Not an image reference.
    #[error("`{reference}` is not an image reference: {why}")]
    Reference {
        /// The text.
        reference: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// Not a place that an image can be at.
    #[error("`{location}` is not an image's place: {why}")]
    Location {
        /// The text.
        location: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A place that only other programs reach.
    #[error("`{transport}:` is not supported")]
    Transport {
        /// What stands before the colon.
        transport: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
    /// Not a mode that `--chmod` takes.
    #[error("`{mode}` is not a mode: {why}")]
    Mode {
        /// The text.
        mode: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// Not a platform.
    #[error("`{0}` is not a platform: expected os/arch[/variant]")]
    Platform(String),
}

impl Error {
    /// What to do instead, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Transport { hint, .. } => Some(hint),
            Self::Reference { reference, .. } if reference.starts_with(['/', '.', '~']) => Some(
                "for a path say what is there: oci:DIR, dir:DIR, oci-archive:FILE or docker-archive:FILE",
            ),
            Self::Reference { reference, .. }
                if reference.starts_with("http") && reference.contains("://") =>
            {
                Some("a registry is named without that: docker://HOST[:PORT]/NAME[:TAG]")
            }
            _ => None,
        }
    }
}
