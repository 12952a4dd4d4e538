//! What can stop a build, besides what is wrong with the Dockerfile.

use std::{io, path::PathBuf};

use rbuild_oci::{CacheImageError, ManifestError, Platform};
use rbuild_plan::{Reason, StepId};
use rbuild_store::LayerId;
use rbuild_sys::Errno;

use crate::{pull::PullError, shelf::ShelfError, step::StepError};

/// A build, or the search for a base image, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A step failed.
    #[error("the build failed")]
    Step {
        /// Which; the plan knows where it is in the Dockerfile.
        step: StepId,
        /// Why.
        source: Box<StepError>,
    },
    /// A step would have to be executed whose result must be known.
    #[error("a step is not cached: {why}")]
    Uncached {
        /// Which.
        step: StepId,
        /// Why it is not.
        why: Reason,
    },
    /// The build context is not there.
    #[error("cannot find the build context `{path}`")]
    ContextRoot {
        /// As given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The build context is not a directory, or closed to us.
    #[error("cannot open the build context `{path}`")]
    ContextDirectory {
        /// As given.
        path: PathBuf,
        /// Why.
        source: rbuild_sys::Error,
    },
    /// The ignore file is wrong.
    #[error("cannot use the ignore file of the build context `{path}`")]
    Context {
        /// As given.
        path: PathBuf,
        /// Why.
        source: rbuild_context::Error,
    },
    /// The ignore file that was asked for cannot be opened.
    #[error("cannot open the ignore file `{path}`")]
    IgnoreFileClosed {
        /// As given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The ignore file that was asked for is wrong.
    #[error("cannot use the ignore file `{path}`")]
    IgnoreFile {
        /// As given.
        path: PathBuf,
        /// Why.
        source: Box<rbuild_context::Error>,
    },
    /// The store refused.
    #[error("cannot use the store")]
    Store(#[from] rbuild_store::Error),
    /// A layer was deleted while it was needed.
    #[error("layer {0} is not in the store any more")]
    LayerMissing(LayerId),
    /// Trees cannot be stacked.
    #[error("cannot prepare the step's tree")]
    Snapshot(#[from] rbuild_snapshot::Error),
    /// What mount points left in the tree cannot be removed.
    #[error("cannot remove the traces of mount points")]
    Traces(#[source] rbuild_sys::Error),
    /// No random numbers.
    #[error("cannot read /dev/urandom")]
    Random(#[source] io::Error),
    /// The name is no image reference.
    #[error("cannot understand the name of an image")]
    Reference(#[from] rbuild_oci::Error),
    /// No image of that name, neither here nor there.
    #[error("no image named `{name}` in the store, and it cannot be pulled{tried}")]
    Pull {
        /// As written.
        name: String,
        /// ` from ` and the places that were asked in vain, where there are several.
        tried: String,
        /// Why.
        source: Box<PullError>,
    },
    /// A result of another machine's build cannot be had.
    #[error("cannot take an imported layer")]
    Import {
        /// What it is called here.
        layer: LayerId,
        /// Why.
        source: Box<PullError>,
    },
    /// An image that should be a cache is none.
    #[error("`{location}` is of no use as a cache")]
    CacheImage {
        /// As written.
        location: String,
        /// Why.
        source: CacheImageError,
    },
    /// It is not here, and may not be fetched.
    #[error("no image named `{name}` for {platform} in the store, and it may not be pulled")]
    NotInStore {
        /// As written.
        name: String,
        /// What it must run on.
        platform: Platform,
    },
    /// All images of an index are wanted, and there is none.
    #[error("`{0}` is no index in a registry: only its one image can be taken")]
    NoIndex(String),
    /// Files that are damaged, or lack the image.
    #[error("cannot take the image from `{location}`")]
    Files {
        /// As written.
        location: String,
        /// Why.
        source: Box<PullError>,
    },
    /// The image's configuration is not JSON of the right form.
    #[error("the configuration of `{name}` is damaged")]
    Config {
        /// The image.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl Error {
    /// Whether a place has images, but none for the platform.
    pub(crate) fn is_about_platform(&self) -> bool {
        use rbuild_registry::Error as Registry;
        let (Self::Pull { source, .. } | Self::Files { source, .. }) = self else {
            return false;
        };
        let why = match &**source {
            PullError::Files(ShelfError::Document { source, .. })
            | PullError::Registry(Registry::Manifest { source, .. }) => source,
            _ => return false,
        };
        matches!(why, ManifestError::Platform { .. })
    }

    /// What the user can do about it, where a registry's answer or a policy says that.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotInStore { .. } => {
                Some("no registry is asked for it: that is the policy".to_owned())
            }
            Self::Pull { source, .. } => match &**source {
                PullError::Registry(error) => error.hint(),
                _ => None,
            },
            Self::Files { location, source } => other_place(location, source),
            _ => None,
        }
    }
}

/// What is at `location` in truth, where opening it has shown that.
fn other_place(location: &str, why: &PullError) -> Option<String> {
    let PullError::Files(why) = why else {
        return None;
    };
    let path = location.split(':').nth(1)?;
    match why {
        ShelfError::Directory(error) if error.is(Errno::NOTDIR) => Some(format!(
            "`{path}` is a file: oci-archive: and docker-archive: name such"
        )),
        ShelfError::Copy(error) if error.kind() == io::ErrorKind::IsADirectory => {
            Some(format!("`{path}` is a directory: oci: and dir: name such"))
        }
        ShelfError::Other(_) => Some(
            "`rbuild load -i` finds out what it is; `rbuild import` makes an image of plain files"
                .to_owned(),
        ),
        _ => None,
    }
}
