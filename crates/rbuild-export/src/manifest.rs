//! What an image looks like outside of the store: a manifest, a configuration and compressed
//! layers as blobs.
//!
//! A layer is compressed when it first leaves; its blob stays in the store, so the second time
//! costs nothing. Invariant: what leaves has the diff id that the configuration promises, or
//! nothing leaves (store.md, fault 24).
//!
//! OCI image-spec, manifest.md.

use std::{collections::BTreeMap, io};

use rbuild_layer::{Decoder, Encoder, EncoderOptions, pack};
use rbuild_oci::{
    BlobDigest, Descriptor, DiffId, Digest, Format, Hasher,
    media_type::{Compression, layer_compression},
};
use rbuild_store::{Draft, ImageLayer, ImageRecord, Session, Store};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Error, annotations,
    commit::{pack_options, remember},
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

/// Makes the manifest of `image` and the compressed layers that it names.
///
/// A pulled image keeps its manifest, byte for byte.
///
/// # Errors
/// [`Error::LayerMissing`], [`Error::LayerChanged`].
pub fn export(place: Place<'_>, image: &ImageRecord) -> Result<Exported, Error> {
    export_as(place, image, format_of(image))
}

/// The same in `format`, for a destination that knows no other. An image that is of another one
/// gets a new manifest, and so another digest.
///
/// # Errors
/// As [`export`].
pub fn export_as(place: Place<'_>, image: &ImageRecord, format: Format) -> Result<Exported, Error> {
    let converted;
    let image = match format_of(image) == format {
        true => image,
        false => {
            converted = ImageRecord {
                manifest: None,
                draft: Draft {
                    format,
                    annotations: BTreeMap::new(),
                },
                ..image.clone()
            };
            &converted
        }
    };
    let blobs = image.layers.iter().map(|layer| match &image.manifest {
        Some(_) => blob(place, layer),
        None => in_format(place, layer, format),
    });
    let layers: Vec<Descriptor> = blobs.collect::<Result<_, _>>()?;
    let config_descriptor = describe(format.config(), &image.config);
    let manifest = written(image, &config_descriptor, &layers);
    Ok(Exported {
        descriptor: describe(format.manifest(), &manifest),
        manifest,
        config: image.config.clone(),
        config_descriptor,
        layers,
    })
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
    let said = serde_json::from_str::<Said>(manifest);
    match said {
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
    let uncompressed = |layer: &ImageLayer| Descriptor {
        media_type: media_type(format, Compression::None),
        digest: BlobDigest(layer.diff_id.0),
        size: layer.size,
    };
    let layers: Vec<Descriptor> = image.layers.iter().map(uncompressed).collect();
    let text = written(image, &describe(format.config(), &image.config), &layers);
    describe(format.manifest(), &text)
}

fn describe(media_type: &str, text: &str) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: BlobDigest(Digest::of(text.as_bytes())),
        size: text.len() as u64,
    }
}

/// The manifest of `image`: the one it has, else a new one. Keys are in the order of the
/// specification's examples.
fn written(image: &ImageRecord, config: &Descriptor, layers: &[Descriptor]) -> String {
    if let Some(manifest) = &image.manifest {
        return manifest.clone();
    }
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": image.draft.format.manifest(),
        "config": config,
        "layers": layers,
    });
    let annotations: BTreeMap<String, String> = annotations(image);
    if !annotations.is_empty() {
        manifest["annotations"] = json!(annotations);
    }
    manifest.to_string()
}

/// What `format` calls a layer with that compression, which is one that it knows.
fn media_type(format: Format, compression: Compression) -> String {
    let name = format.layer(compression);
    let name = name.expect("both formats know plain layers and gzip");
    name.to_owned()
}

/// The blob of a layer for a manifest in `format`: called as it says, and compressed as it knows.
fn in_format(place: Place<'_>, layer: &ImageLayer, format: Format) -> Result<Descriptor, Error> {
    let found = blob(place, layer)?;
    let compression = layer_compression(&found.media_type).unwrap_or(Compression::Gzip);
    match format.layer(compression) {
        Some(name) => Ok(Descriptor {
            media_type: name.to_owned(),
            ..found
        }),
        None => {
            let what = layer.diff_id.to_string();
            let note = ("regzip", what.as_bytes());
            let make = || recompress(place, (layer, &found), compression);
            let known: Descriptor = remember(place.store, place.session, note, make)?;
            let known = match place.store.open_blob(&known.digest)? {
                Some(_) => known,
                None => make()?,
            };
            Ok(Descriptor {
                media_type: media_type(format, Compression::Gzip),
                ..known
            })
        }
    }
}

/// The compressed blob of a layer: the one it was pulled as, the one made before, or a new one.
fn blob(place: Place<'_>, layer: &ImageLayer) -> Result<Descriptor, Error> {
    if let Some(blob) = &layer.blob
        && place.store.open_blob(&blob.digest)?.is_some()
    {
        return Ok(blob.clone());
    }
    let key = layer.diff_id.to_string();
    let known: Descriptor = remember(place.store, place.session, ("gzip", key.as_bytes()), || {
        compress(place, layer)
    })?;
    match place.store.open_blob(&known.digest)? {
        Some(_) => Ok(known),
        None => compress(place, layer),
    }
}

/// Packs and compresses a layer into a new blob.
fn compress(place: Place<'_>, layer: &ImageLayer) -> Result<Descriptor, Error> {
    let tree = place
        .store
        .layer(&layer.layer)?
        .ok_or(Error::LayerMissing(layer.layer))?;
    gzipped(place, layer, |tar| {
        let packed = pack(&[&tree.diff], &pack_options(layer.times), tar);
        packed.map(drop).map_err(Error::Pack)
    })
}

/// Makes the blob `found` of a layer a new one that is compressed with gzip.
fn recompress(
    place: Place<'_>,
    (layer, found): (&ImageLayer, &Descriptor),
    compression: Compression,
) -> Result<Descriptor, Error> {
    let failed = || Error::file("read", found.digest.to_string());
    let blob = place.store.open_blob(&found.digest)?;
    let blob = blob.ok_or_else(|| failed()(io::ErrorKind::NotFound.into()))?;
    // It was unpacked before: that it is not too large is known.
    let mut tar = Decoder::new(blob, compression, u64::MAX).map_err(failed())?;
    gzipped(place, layer, |out| {
        io::copy(&mut tar, out).map(drop).map_err(failed())
    })
}

/// Makes a new blob of the tar that `write` writes, which must be that of `layer`.
fn gzipped(
    place: Place<'_>,
    layer: &ImageLayer,
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), Error>,
) -> Result<Descriptor, Error> {
    let failed = || Error::file("compress", "a layer");
    let mut blob = place.session.blob()?;
    let options = EncoderOptions::new(Compression::Gzip);
    let mut encoder = Encoder::new(&mut blob, &options).map_err(failed())?;
    let mut hasher = Hasher::new();
    write(&mut Tee {
        first: &mut hasher,
        second: &mut encoder,
    })?;
    encoder.finish().map_err(failed())?;
    let found = DiffId(hasher.finish());
    if found != layer.diff_id {
        return Err(Error::LayerChanged {
            expected: layer.diff_id,
            found,
        });
    }
    let size = blob.size();
    let digest = blob.commit(None)?;
    Ok(Descriptor {
        media_type: media_type(Format::Oci, Compression::Gzip),
        digest,
        size,
    })
}

/// Writes to two places.
struct Tee<'a> {
    first: &'a mut dyn io::Write,
    second: &'a mut dyn io::Write,
}

impl io::Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.first.write_all(bytes)?;
        self.second.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.first.flush()?;
        self.second.flush()
    }
}
