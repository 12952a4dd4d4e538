//! What an image looks like outside of the store: a manifest, a configuration and compressed
//! layers as blobs.
//!
//! OCI image-spec, manifest.md.

use rbuild_oci::{
    BlobDigest, Descriptor, Digest, Format,
    media_type::{Compression, layer_compression},
};
use rbuild_store::{ImageLayer, ImageRecord, Session, Store};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Error, annotations,
    blob::{Affected, Compress, Stop, blob},
};

/// An image ready to leave: all its blobs are in the store or in here.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The manifest's bytes.
    pub manifest: String,
    /// Its descriptor.
    pub descriptor: Descriptor,
    /// The configuration's bytes.
    pub config: String,
    /// Its descriptor.
    pub config_descriptor: Descriptor,
    /// The layers' descriptors, bottom first; the blobs are in the store.
    pub layers: Vec<Descriptor>,
}

/// Where the bytes come from and go to.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Holds trees and blobs.
    pub store: &'a Store,
    /// Writes the blobs that are missing.
    pub session: &'a Session,
}

/// What an image is to look like outside of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// How its manifest is written; `None`: as [`format_of`] says.
    pub format: Option<Format>,
    /// How its layers are compressed.
    pub compress: Compress,
}

/// Makes the manifest of `image` and the compressed layers that it names.
///
/// A pulled image keeps its manifest, byte for byte, unless `looks` wants another one.
///
/// # Errors
/// [`Error::LayerMissing`], [`Error::LayerChanged`]; [`Error::Zstd`] for a format that has none.
pub fn export(place: Place<'_>, image: &ImageRecord, looks: Looks) -> Result<Exported, Error> {
    let format = looks.format.unwrap_or_else(|| format_of(image));
    let as_is = image.manifest.is_some()
        && looks.compress.layers == Affected::New
        && format == format_of(image);
    let mut layers = Vec::with_capacity(image.layers.len());
    let mut changed = !as_is;
    for layer in &image.layers {
        let kept = match &layer.blob {
            Some(blob) if as_is && place.store.open_blob(&blob.digest)?.is_some() => blob.clone(),
            came => {
                let made = layer_blob(place, layer, (looks.compress, format), &|| false)?;
                changed |= came.as_ref().map(|blob| blob.digest) != Some(made.digest);
                made
            }
        };
        layers.push(kept);
    }
    let config_descriptor = describe(format.config(), &image.config);
    let manifest = match &image.manifest {
        Some(manifest) if !changed => manifest.clone(),
        _ => written((image, format), &config_descriptor, &layers),
    };
    Ok(Exported {
        descriptor: describe(format.manifest(), &manifest),
        manifest,
        config: image.config.clone(),
        config_descriptor,
        layers,
    })
}

/// The blob of a layer, called and compressed as `format` knows it; it is in the store.
///
/// # Errors
/// As [`export`]; [`Error::File`] after a `stop`.
pub fn layer_blob(
    place: Place<'_>,
    layer: &ImageLayer,
    (compress, format): (Compress, Format),
    stop: Stop<'_>,
) -> Result<Descriptor, Error> {
    let mut made = blob(place, layer, compress, stop)?;
    let called = |made: &Descriptor| format.layer(layer_compression(&made.media_type)?);
    if called(&made).is_none() && compress.compression == Compression::Gzip {
        let layers = Affected::All;
        made = blob(place, layer, Compress { layers, ..compress }, stop)?;
    }
    made.media_type = called(&made).ok_or(Error::Zstd)?.to_owned();
    if format == Format::Docker {
        // Its descriptors have none.
        made.annotations.clear();
    }
    Ok(made)
}

/// How `image` is written down.
pub fn format_of(image: &ImageRecord) -> Format {
    #[derive(Deserialize)]
    struct Said {
        config: Part,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Part {
        media_type: String,
    }
    let Some(manifest) = &image.manifest else {
        return image.draft.format;
    };
    match serde_json::from_str::<Said>(manifest) {
        Ok(said) if said.config.media_type == Format::Docker.config() => Format::Docker,
        _ => Format::Oci,
    }
}

/// Digest of the manifest of `image` as it is in the store: the one it was pulled with, or one of
/// uncompressed layers, as podman has it.
pub fn local_digest(image: &ImageRecord) -> BlobDigest {
    local_descriptor(image).digest
}

/// The descriptor of that manifest.
pub fn local_descriptor(image: &ImageRecord) -> Descriptor {
    let format = format_of(image);
    let called = format.layer(Compression::None);
    let called = called.expect("both formats know plain layers");
    let uncompressed =
        |layer: &ImageLayer| Descriptor::new(called, BlobDigest(layer.diff_id.0), layer.size);
    let text = image.manifest.clone().unwrap_or_else(|| {
        let layers: Vec<Descriptor> = image.layers.iter().map(uncompressed).collect();
        let config = describe(format.config(), &image.config);
        written((image, format), &config, &layers)
    });
    describe(format.manifest(), &text)
}

/// The descriptor of a document.
pub(crate) fn describe(media_type: &str, text: &str) -> Descriptor {
    let digest = BlobDigest(Digest::of(text.as_bytes()));
    Descriptor::new(media_type, digest, text.len() as u64)
}

/// A manifest that says nothing else. Keys are in the order of the specification's examples.
pub(crate) fn manifest(format: Format, config: &Descriptor, layers: &[Descriptor]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": format.manifest(),
        "config": config,
        "layers": layers,
    })
}

/// A new manifest of `image` in `format`; Docker's has no place for annotations.
fn written(
    (image, format): (&ImageRecord, Format),
    config: &Descriptor,
    layers: &[Descriptor],
) -> String {
    let mut manifest = manifest(format, config, layers);
    let said = annotations(image);
    if format == Format::Oci && !said.is_empty() {
        manifest["annotations"] = json!(said);
    }
    manifest.to_string()
}
