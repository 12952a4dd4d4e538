//! A build's results as an image, for other machines: `--cache-to`.
//!
//! Knows: that a cache is an image like any other, whose configuration has records besides.
//! Does not know: which steps are worth it, nor who reads it (`rbuild_engine::Imports`).

use rbuild_oci::{
    CacheRecords, CachedStep, Descriptor, DiffId, FileTimes, Format, ImageConfig, Platform, RootFs,
};
use rbuild_store::{Key, LayerId};

use crate::{
    Compress, Error, Exported, Place,
    blob::blob,
    commit::packed,
    manifest::{describe, manifest},
};

/// What a step led to.
#[derive(Clone, Debug)]
pub struct CacheStep {
    /// What it can be looked up by.
    pub keys: Vec<Key>,
    /// The key of the state that it led to.
    pub state: Key,
    /// What it changed; `None` if that is nothing.
    pub layer: Option<CacheLayer>,
    /// When it ended, seconds since 1970.
    pub created: i64,
}

/// The layer of a step.
#[derive(Clone, Debug)]
pub enum CacheLayer {
    /// In the store.
    Here(LayerId),
    /// Where the cache goes: from there it came.
    There(Descriptor, DiffId),
}

/// Makes an image of the layers of `steps`; a layer that several have is there once.
///
/// Same steps in the same order in, same bytes out.
///
/// # Errors
/// [`Error::LayerMissing`], [`Error::LayerChanged`], [`Error::Pack`], [`Error::Store`].
pub fn cache_image(
    place: Place<'_>,
    steps: &[CacheStep],
    (platform, compress): (&Platform, Compress),
) -> Result<Exported, Error> {
    let mut layers: Vec<(Descriptor, DiffId)> = Vec::new();
    let mut records = CacheRecords::default();
    for step in steps {
        let layer = step
            .layer
            .as_ref()
            .map(|layer| {
                let (descriptor, diff_id) = leaving(place, layer, compress)?;
                let known = layers.iter().position(|(_, known)| *known == diff_id);
                Ok::<_, Error>(known.unwrap_or_else(|| {
                    layers.push((descriptor, diff_id));
                    layers.len() - 1
                }))
            })
            .transpose()?;
        records.steps.push(record(step, layer));
    }
    let (blobs, diff_ids): (Vec<Descriptor>, Vec<DiffId>) = layers.into_iter().unzip();
    let mut config = ImageConfig {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        rootfs: RootFs {
            diff_ids,
            ..RootFs::default()
        },
        ..ImageConfig::default()
    };
    config.set_cache(Some(&records));
    let config = serde_json::to_string(&config).expect("a configuration has string keys");
    let config_descriptor = describe(Format::Oci.config(), &config);
    let manifest = manifest(Format::Oci, &config_descriptor, &blobs).to_string();
    Ok(Exported {
        descriptor: describe(Format::Oci.manifest(), &manifest),
        manifest,
        config,
        config_descriptor,
        layers: blobs,
    })
}

/// `step`, whose layer is that of the number `layer`.
pub(crate) fn record(step: &CacheStep, layer: Option<usize>) -> CachedStep {
    CachedStep {
        keys: step.keys.iter().map(Key::to_string).collect(),
        state: step.state.to_string(),
        layer,
        created: step.created,
    }
}

/// The blob of `layer`, and what it unpacks to.
fn leaving(
    place: Place<'_>,
    layer: &CacheLayer,
    compress: Compress,
) -> Result<(Descriptor, DiffId), Error> {
    let id = match layer {
        CacheLayer::There(blob, diff_id) => return Ok((blob.clone(), *diff_id)),
        CacheLayer::Here(id) => *id,
    };
    let times = FileTimes::Kept;
    let packed = packed(place.store, place.session, id, times)?;
    let layer = packed.layer(id, times);
    Ok((blob(place, &layer, compress, &|| false)?, packed.diff_id))
}
