//! The two ways to write an image down: OCI's and Docker's.
//!
//! Invariant: the parts of one image are all of one format.
//!
//! OCI image-spec, manifest.md and layer.md; Docker registry image manifest v2, schema 2.

use serde::{Deserialize, Serialize};

use crate::media_type::{self, Compression};

/// How an image's manifest is written, and what its parts are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// OCI image-spec 1.1.
    #[default]
    Oci,
    /// Docker, version 2 schema 2.
    Docker,
}

impl Format {
    /// The format of a manifest of that type; `None` if it is no manifest of an image.
    pub fn of_manifest(media_type: &str) -> Option<Self> {
        [Self::Oci, Self::Docker]
            .into_iter()
            .find(|format| format.manifest() == media_type)
    }

    /// Media type of the manifest.
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_MANIFEST,
            Self::Docker => media_type::DOCKER_MANIFEST,
        }
    }

    /// Media type of a list of manifests.
    pub const fn index(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_INDEX,
            Self::Docker => media_type::DOCKER_INDEX,
        }
    }

    /// Media type of the configuration.
    pub const fn config(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_CONFIG,
            Self::Docker => media_type::DOCKER_CONFIG,
        }
    }

    /// Media type of a layer; `None` if nothing that every reader of the format knows: Docker's
    /// has no zstd, what BuildKit writes there is unknown to podman.
    pub const fn layer(self, compression: Compression) -> Option<&'static str> {
        match (self, compression) {
            (Self::Oci, Compression::None) => Some(media_type::OCI_LAYER),
            (Self::Oci, Compression::Gzip) => Some(media_type::OCI_LAYER_GZIP),
            (Self::Oci, Compression::Zstd) => Some(media_type::OCI_LAYER_ZSTD),
            (Self::Docker, Compression::None) => Some(media_type::DOCKER_LAYER),
            (Self::Docker, Compression::Gzip) => Some(media_type::DOCKER_LAYER_GZIP),
            (Self::Docker, Compression::Zstd) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::media_type::{Compression, layer_compression};

    #[test]
    fn what_a_format_calls_its_parts_is_understood_again() {
        for format in [Format::Oci, Format::Docker] {
            assert_eq!(Format::of_manifest(format.manifest()), Some(format));
            assert_eq!(Format::of_manifest(format.config()), None);
            for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                if let Some(layer) = format.layer(compression) {
                    assert_eq!(layer_compression(layer), Some(compression));
                }
            }
        }
    }
}
