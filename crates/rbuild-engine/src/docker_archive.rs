//! Images as `docker save` and `podman save` write them: `manifest.json` names configurations and
//! layers of each image in the archive.
//!
//! moby image-spec v1.2, "Combined Image JSON + Filesystem Changeset Format". There is no manifest
//! and no digest but that of the configuration, which names the diff ids of the layers: that is
//! what the layers are held against.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use rbuild_layer::{Codec, sniff};
use rbuild_oci::{BlobDigest, Descriptor, Digest, Hasher, ImageConfig, Reference, media_type};
use serde::Deserialize;

use crate::{
    layout::{malformed, unusable},
    shelf::{Shelf, ShelfError},
};

const MANIFEST: &str = "manifest.json";

/// One image of an archive.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DockerImage {
    config: String,
    /// Its names, e.g. `localhost/a:1`, or `a:1` for one of Docker Hub.
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The parts of an image.
pub struct Parts<'a> {
    shelf: &'a Shelf,
    /// The configuration's bytes.
    pub config: String,
    /// What each layer is, bottom first.
    pub layers: Vec<Descriptor>,
    paths: BTreeMap<Digest, String>,
}

/// Whether the files are those of such an archive.
pub fn is_one(shelf: &Shelf) -> bool {
    shelf.has(MANIFEST)
}

/// All images of the archive.
///
/// # Errors
/// [`ShelfError::Document`] if `manifest.json` is wrong.
pub fn images(shelf: &Shelf) -> Result<Vec<DockerImage>, ShelfError> {
    let text = shelf.text(MANIFEST, None)?;
    serde_json::from_str(&text).map_err(|error| {
        unusable(
            MANIFEST,
            malformed(&format!("it is not a list of images: {error}")),
        )
    })
}

/// The image called `tag`; without one the only image there is.
///
/// # Errors
/// [`ShelfError::Document`] if there is none, or several.
pub fn image(shelf: &Shelf, tag: Option<&str>) -> Result<DockerImage, ShelfError> {
    let mut images = images(shelf)?;
    let Some(tag) = tag else {
        return match images.len() {
            1 => Ok(images.remove(0)),
            count => Err(unusable(
                MANIFEST,
                rbuild_oci::ManifestError::Ambiguous(count),
            )),
        };
    };
    let wanted = full(tag);
    let found = images.into_iter().find(|image| {
        image
            .names()
            .any(|name| name == tag || full(name) == wanted)
    });
    found.ok_or_else(|| unusable(MANIFEST, rbuild_oci::ManifestError::Tag(tag.to_owned())))
}

/// A name in the one form that it has everywhere; `None` if it is not one.
fn full(name: &str) -> Option<String> {
    let reference: Reference = name.parse().ok()?;
    Some(reference.on_docker_hub().local_name().to_string())
}

impl DockerImage {
    /// What it is called.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.repo_tags.iter().flatten().map(String::as_str)
    }

    /// Finds its parts; layers are not verified yet.
    ///
    /// # Errors
    /// [`ShelfError::Missing`], [`ShelfError::Damaged`], [`ShelfError::Document`].
    pub fn parts<'a>(&self, shelf: &'a Shelf) -> Result<Parts<'a>, ShelfError> {
        let config = shelf.text(&self.config, promised(&self.config).as_ref())?;
        let parsed: ImageConfig = serde_json::from_str(&config)
            .map_err(|error| unusable(&self.config, malformed(&error.to_string())))?;
        let files = self.layers.as_deref().unwrap_or_default();
        let diff_ids = parsed.rootfs.diff_ids;
        if files.len() != diff_ids.len() {
            let (files, ids) = (files.len(), diff_ids.len());
            let why = format!("it has {files} layers, the configuration {ids}");
            return Err(unusable(MANIFEST, malformed(&why)));
        }
        let mut paths = BTreeMap::new();
        let mut layers = Vec::with_capacity(files.len());
        for (file, diff_id) in files.iter().zip(&diff_ids) {
            let layer = describe(shelf, file, BlobDigest(diff_id.0))?;
            paths.insert(layer.digest.0, file.clone());
            layers.push(layer);
        }
        Ok(Parts {
            shelf,
            config,
            layers,
            paths,
        })
    }
}

impl Parts<'_> {
    /// The bytes of a layer; whoever reads them verifies them.
    ///
    /// # Errors
    /// [`ShelfError::Missing`].
    pub fn layer(&self, layer: &Descriptor) -> Result<Box<dyn Read + '_>, ShelfError> {
        let missing = || ShelfError::Missing(layer.digest.to_string());
        let path = self.paths.get(&layer.digest.0).ok_or_else(missing)?;
        self.shelf.open(path)
    }
}

/// The digest that a configuration's name promises: `HEX.json`, or `blobs/sha256/HEX`.
fn promised(path: &str) -> Option<BlobDigest> {
    let name = path.rsplit('/').next()?;
    let hex = name.strip_suffix(".json").unwrap_or(name);
    Digest::from_hex(hex).ok().map(BlobDigest)
}

/// The layer in `file`. A plain tar must hash to the diff id; others are hashed here.
fn describe(shelf: &Shelf, file: &str, diff_id: BlobDigest) -> Result<Descriptor, ShelfError> {
    let failed = |source| ShelfError::Read {
        file: file.to_owned(),
        source,
    };
    let mut bytes = shelf.open(file)?;
    let mut start = Vec::new();
    let mut head = bytes.by_ref().take(16);
    head.read_to_end(&mut start).map_err(failed)?;
    let media_type = match sniff(&start) {
        Codec::None => {
            let size = shelf.size(file)?;
            return Ok(Descriptor::new(media_type::OCI_LAYER, diff_id, size));
        }
        Codec::Gzip => media_type::OCI_LAYER_GZIP,
        Codec::Zstd => media_type::OCI_LAYER_ZSTD,
        Codec::Bzip2 | Codec::Xz => {
            return Err(unusable(
                file,
                malformed("layers are plain, or compressed with gzip or zstd"),
            ));
        }
    };
    let mut hashing = Hashing(Hasher::new());
    io::copy(&mut (&start[..]).chain(bytes), &mut hashing).map_err(failed)?;
    let size = hashing.0.size();
    let digest = BlobDigest(hashing.0.finish());
    Ok(Descriptor::new(media_type, digest, size))
}

/// Hashes what is written to it.
struct Hashing(Hasher);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
