//! What an image looks like outside of the store: a manifest, a configuration and compressed
//! layers as blobs.
//!
//! A layer is compressed when it first leaves; its blob stays in the store, so the second time
//! costs nothing. Invariant: what leaves has the diff id that the configuration promises, or
//! nothing leaves (store.md, fault 24).
//!
//! OCI image-spec, manifest.md.

use rbuild_layer::{Encoder, EncoderOptions, pack};
use rbuild_oci::{BlobDigest, Descriptor, DiffId, Digest, Hasher, media_type};
use rbuild_store::{ImageLayer, ImageRecord, Session, Store};
use serde_json::json;

use crate::{
    Error,
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
    let layers: Vec<Descriptor> = image
        .layers
        .iter()
        .map(|layer| blob(place, layer))
        .collect::<Result<_, _>>()?;
    let config_type = match &image.manifest {
        Some(manifest) if manifest.contains(media_type::DOCKER_CONFIG) => media_type::DOCKER_CONFIG,
        _ => media_type::OCI_CONFIG,
    };
    let config_descriptor = describe(config_type, &image.config);
    let manifest = image
        .manifest
        .clone()
        .unwrap_or_else(|| manifest(&config_descriptor, &layers));
    let manifest_type = match &image.manifest {
        Some(_) if config_type == media_type::DOCKER_CONFIG => media_type::DOCKER_MANIFEST,
        _ => media_type::OCI_MANIFEST,
    };
    Ok(Exported {
        descriptor: describe(manifest_type, &manifest),
        manifest,
        config: image.config.clone(),
        config_descriptor,
        layers,
    })
}

/// Digest of the manifest of `image` as it is in the store: the one it was pulled with, or one of
/// uncompressed layers, as podman has it.
pub fn local_digest(image: &ImageRecord) -> BlobDigest {
    let uncompressed = |layer: &ImageLayer| Descriptor {
        media_type: media_type::OCI_LAYER.to_owned(),
        digest: BlobDigest(layer.diff_id.0),
        size: layer.size,
    };
    let text = image.manifest.clone().unwrap_or_else(|| {
        let layers: Vec<Descriptor> = image.layers.iter().map(uncompressed).collect();
        manifest(&describe(media_type::OCI_CONFIG, &image.config), &layers)
    });
    BlobDigest(Digest::of(text.as_bytes()))
}

fn describe(media_type: &str, text: &str) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: BlobDigest(Digest::of(text.as_bytes())),
        size: text.len() as u64,
    }
}

/// Keys in the order of the specification's examples.
fn manifest(config: &Descriptor, layers: &[Descriptor]) -> String {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": config,
        "layers": layers,
    })
    .to_string()
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
    let mut blob = place.session.blob()?;
    let options = EncoderOptions::new(media_type::Compression::Gzip);
    let mut encoder =
        Encoder::new(&mut blob, &options).map_err(Error::file("compress", "a layer"))?;
    let mut hasher = Hasher::new();
    let mut both = Tee {
        first: &mut hasher,
        second: &mut encoder,
    };
    pack(&[&tree.diff], &pack_options(layer.mtime_limit), &mut both).map_err(Error::Pack)?;
    encoder
        .finish()
        .map_err(Error::file("compress", "a layer"))?;
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
        media_type: media_type::OCI_LAYER_GZIP.to_owned(),
        digest,
        size,
    })
}

/// Writes to two places.
struct Tee<'a> {
    first: &'a mut dyn std::io::Write,
    second: &'a mut dyn std::io::Write,
}

impl std::io::Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.first.write_all(bytes)?;
        self.second.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.first.flush()?;
        self.second.flush()
    }
}
