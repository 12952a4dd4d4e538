//! Descriptors: a blob's type, digest and size; enough to fetch and verify it.
//!
//! OCI image-spec, descriptor.md. The full form, with annotations and a platform, is
//! [`crate::spec::Descriptor`]; this one has our digest type and is safe to trust.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{BlobDigest, Error, spec};

/// What a blob is called and what it must turn out to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes mean.
    pub media_type: String,
    /// Their digest.
    pub digest: BlobDigest,
    /// Their number.
    pub size: u64,
    /// What else is said of them here; read from a manifest only for its layers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A descriptor without annotations.
    pub fn new(media_type: &str, digest: BlobDigest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            annotations: BTreeMap::new(),
        }
    }
}

impl TryFrom<&spec::Descriptor> for Descriptor {
    type Error = Error;

    /// Without its annotations; [`Error::Digest`] if the digest is not sha256.
    fn try_from(foreign: &spec::Descriptor) -> Result<Self, Error> {
        let digest = BlobDigest(foreign.digest().to_string().parse()?);
        Ok(Self::new(
            foreign.media_type().as_ref(),
            digest,
            foreign.size(),
        ))
    }
}
