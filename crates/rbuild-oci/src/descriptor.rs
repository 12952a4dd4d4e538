//! Descriptors: a blob's type, digest and size; enough to fetch and verify it.
//!
//! OCI image-spec, descriptor.md. The full form, with annotations and a platform, is
//! [`crate::spec::Descriptor`]; this one has our digest type and is safe to trust.

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
}

impl TryFrom<&spec::Descriptor> for Descriptor {
    type Error = Error;

    /// [`Error::Digest`] if the digest is not sha256.
    fn try_from(foreign: &spec::Descriptor) -> Result<Self, Error> {
        Ok(Self {
            media_type: foreign.media_type().to_string(),
            digest: BlobDigest(foreign.digest().to_string().parse()?),
            size: foreign.size(),
        })
    }
}
