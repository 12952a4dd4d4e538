//! What an image's configuration tells of the steps that its layers come from, so that another
//! machine need not execute them.
//!
//! Knows: how that is written (docs/formats.md). Does not know: what a key stands for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Descriptor, DiffId, ImageConfig, Manifest};

/// The field of an image's configuration that has [`CacheRecords`].
const FIELD: &str = "io.rbuild.cache.v1";

/// What steps led to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRecords {
    /// In no order that matters.
    pub steps: Vec<CachedStep>,
}

/// What a step led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedStep {
    /// What it can be looked up by: 64 hexadecimal digits each.
    pub keys: Vec<String>,
    /// The key of the state that it led to.
    pub state: String,
    /// Which of the image's layers it made, counted from 0 at the bottom; `None` if it changed
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// When it ended, seconds since 1970.
    pub created: i64,
}

/// Why an image is of no use as a cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheImageError {
    /// It is not JSON of the right form.
    #[error("its configuration is damaged")]
    Config(#[from] serde_json::Error),
    /// It is an ordinary image.
    #[error("it has no cache records")]
    NoRecords,
    /// Records, configuration and manifest contradict each other.
    #[error("it has {blobs} layers and {diff_ids} diff ids, and a record names layer {named}")]
    Layers {
        /// In the manifest.
        blobs: usize,
        /// In the configuration.
        diff_ids: usize,
        /// The largest that a record names.
        named: usize,
    },
}

/// An image whose layers are results of steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheImage {
    /// What led to them.
    pub records: CacheRecords,
    /// Bottom first: the blob of each, and what it must unpack to.
    pub layers: Vec<(Descriptor, DiffId)>,
}

impl CacheImage {
    /// Understands the image of `manifest` and the configuration `config`.
    ///
    /// # Errors
    /// [`CacheImageError`].
    pub fn parse(manifest: &Manifest, config: &str) -> Result<Self, CacheImageError> {
        let mut config: ImageConfig = serde_json::from_str(config)?;
        let records = config.other.remove(FIELD);
        let records: CacheRecords =
            serde_json::from_value(records.ok_or(CacheImageError::NoRecords)?)?;
        let (blobs, diff_ids) = (&manifest.layers, config.rootfs.diff_ids);
        let named = records.steps.iter().filter_map(|step| step.layer).max();
        if blobs.len() != diff_ids.len() || named.is_some_and(|layer| layer >= blobs.len()) {
            return Err(CacheImageError::Layers {
                blobs: blobs.len(),
                diff_ids: diff_ids.len(),
                named: named.unwrap_or_default(),
            });
        }
        Ok(Self {
            records,
            layers: blobs.iter().cloned().zip(diff_ids).collect(),
        })
    }
}

impl ImageConfig {
    /// Tells `records`, instead of those that the base image may have told.
    pub fn set_cache(&mut self, records: Option<&CacheRecords>) {
        match records {
            Some(records) => {
                let value = serde_json::to_value(records).unwrap_or(Value::Null);
                self.other.insert(FIELD.to_owned(), value);
            }
            None => drop(self.other.remove(FIELD)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CacheImage, CacheImageError, CacheRecords, CachedStep};
    use crate::{Descriptor, DiffId, Digest, Document, ImageConfig, Manifest, RootFs};

    fn manifest(layers: usize) -> Manifest {
        let descriptor = |kind: &str| {
            let digest = Digest::of(b"x");
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":1}}"#
            )
        };
        let layers = vec![descriptor("layer.v1.tar+gzip"); layers].join(",");
        let config = descriptor("config.v1+json");
        let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#);
        match Document::parse(text, "application/vnd.oci.image.manifest.v1+json").unwrap() {
            Document::Manifest(manifest) => *manifest,
            Document::Index(_) => unreachable!("it has a configuration"),
        }
    }

    fn config(diff_ids: usize, layer: Option<usize>) -> String {
        let mut config = ImageConfig {
            rootfs: RootFs {
                diff_ids: vec![DiffId(Digest::of(b"y")); diff_ids],
                ..RootFs::default()
            },
            ..ImageConfig::default()
        };
        config.set_cache(Some(&CacheRecords {
            steps: vec![CachedStep {
                keys: vec!["a".to_owned()],
                state: "b".to_owned(),
                layer,
                created: 1,
            }],
        }));
        serde_json::to_string(&config).unwrap()
    }

    #[test]
    fn records_are_read_with_the_layers_that_they_name() {
        let image = CacheImage::parse(&manifest(2), &config(2, Some(1))).unwrap();
        assert_eq!(image.records.steps[0].layer, Some(1));
        let (blob, diff_id): &(Descriptor, DiffId) = &image.layers[1];
        assert_eq!((blob.size, *diff_id), (1, DiffId(Digest::of(b"y"))));
    }

    #[test]
    fn contradictions_and_ordinary_images_are_refused() {
        for (blobs, config) in [
            (1, config(2, Some(0))),
            (2, config(2, Some(2))),
            (0, config(0, Some(0))),
        ] {
            let error = CacheImage::parse(&manifest(blobs), &config).unwrap_err();
            assert!(matches!(error, CacheImageError::Layers { .. }), "{error}");
        }
        let mut ordinary: ImageConfig = serde_json::from_str(&config(1, None)).unwrap();
        ordinary.set_cache(None);
        let ordinary = serde_json::to_string(&ordinary).unwrap();
        let error = CacheImage::parse(&manifest(1), &ordinary).unwrap_err();
        assert!(matches!(error, CacheImageError::NoRecords), "{error}");
        let other = ordinary.replacen('{', r#"{"io.rbuild.cache.v1":[],"#, 1);
        for damaged in ["", "[]", &other] {
            let error = CacheImage::parse(&manifest(1), damaged).unwrap_err();
            assert!(matches!(error, CacheImageError::Config(_)), "{error}");
        }
    }
}
