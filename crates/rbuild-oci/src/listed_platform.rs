//! What an index says of the platform of an image that it lists.
//!
//! OCI image-spec, image-index.md, "platform". Unlike a [`crate::Platform`] it is not normalised:
//! it is said to others as the image says it.

use serde::{Deserialize, Serialize};

use crate::{ImageConfig, Platform};

/// The property `platform` of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedPlatform {
    /// `GOARCH`.
    pub architecture: String,
    /// `GOOS`.
    pub os: String,
    /// E.g. the build number of Windows.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// What the system must have.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl From<&ListedPlatform> for Platform {
    fn from(listed: &ListedPlatform) -> Self {
        Self::new(&listed.os, &listed.architecture, listed.variant.as_deref())
    }
}

impl From<&ImageConfig> for ListedPlatform {
    fn from(config: &ImageConfig) -> Self {
        let version = config.other.get("os.version").and_then(|it| it.as_str());
        let features = config.other.get("os.features").and_then(|it| it.as_array());
        let features = features.into_iter().flatten();
        Self {
            architecture: config.architecture.clone(),
            os: config.os.clone(),
            os_version: version.map(str::to_owned),
            os_features: features
                .filter_map(|feature| Some(feature.as_str()?.to_owned()))
                .collect(),
            variant: config.variant.clone().filter(|it| !it.is_empty()),
        }
    }
}
