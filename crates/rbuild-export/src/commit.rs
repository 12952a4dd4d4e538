//! From a stage's frozen layers to an image in the local store.
//!
//! Packing here only hashes: the tar goes nowhere. What a layer packs to is remembered, so a
//! build from cache reads no layer at all.

use std::collections::BTreeMap;

use rbuild_layer::{Form, PackOptions, pack};
use rbuild_oci::{
    CacheRecords, CachedStep, DiffId, FileTimes, Format, ImageConfig, ImageId, Name, RootEntry,
};
use rbuild_plan::{Stage, StepId};
use rbuild_store::{Draft, ImageLayer, ImageRecord, Key, LayerId, Session, Store};
use rbuild_sys::Dir;
use serde::{Deserialize, Serialize};

use crate::{
    Annotations, Assembly, CacheStep, Error, Layers, NewLayer, Origin, Telling, assemble,
    cache_image::record,
    hashing::hash_aside,
    import::{Root, freeze},
};

/// What new layers say of their root.
const NEW_ROOT: RootEntry = RootEntry::Unusual;

/// What a stage becomes an image with.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// The stage: configuration and history.
    pub stage: &'a Stage,
    /// The image that the stage starts from; `None` for scratch.
    pub base: Option<Origin<'a>>,
    /// The layers that steps made, bottom first.
    pub layers: &'a [BuiltLayer],
    /// One layer for each step, or one for all.
    pub grouping: Layers,
    /// Everything new is of that time, seconds since 1970; `None`: of when it was made.
    pub epoch: Option<i64>,
    /// What becomes of the times of files in new layers.
    pub files: FileTimes,
    /// Whether the history is told.
    pub telling: Telling,
    /// How the image is written down.
    pub format: Format,
    /// What its manifest says of it.
    pub annotations: Annotations<'a>,
    /// What the configuration tells other machines of the steps that made `layers`; none: nothing.
    pub cache: &'a [(StepId, CacheStep)],
    /// The time, seconds since 1970.
    pub now: i64,
    /// What the image shall be called.
    pub names: &'a [Name],
}

/// A frozen layer of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltLayer {
    /// The step that made it.
    pub step: StepId,
    /// Where it is.
    pub layer: LayerId,
    /// When, seconds since 1970.
    pub created: i64,
}

/// Commits the image and names it; returns its id.
///
/// The image becomes visible at once, complete; an error leaves nothing behind.
///
/// # Errors
/// [`Error::LayerMissing`] if a layer vanished meanwhile; [`Error::Pack`], [`Error::Store`].
pub fn commit(store: &Store, session: &Session, request: &Commit<'_>) -> Result<ImageId, Error> {
    let built = match request.grouping {
        Layers::PerStep => request.layers.to_vec(),
        Layers::Squashed => squash(store, session, request)?,
    };
    let mut layers = request
        .base
        .map_or_else(Vec::new, |base| base.image.layers.clone());
    let mut new = Vec::with_capacity(built.len());
    for layer in &built {
        let packed = packed(store, session, layer.layer, request.files)?;
        new.push(NewLayer {
            step: layer.step,
            diff_id: packed.diff_id,
            created: layer.created,
        });
        layers.push(packed.layer(layer.layer, request.files));
    }
    let mut config = config(store, session, request, &new)?;
    let below = layers.len() - new.len();
    config.set_cache(inline_cache(request.cache, &built, below).as_ref());
    let id = session.put_image(&ImageRecord {
        draft: draft(request, &config),
        config: serde_json::to_string(&config).expect("a configuration has string keys"),
        manifest: None,
        layers,
    })?;
    for name in request.names {
        session.set_name(name, &id)?;
    }
    Ok(id)
}

/// What `steps` led to, where the lowest of the layers `built` has the number `below`.
fn inline_cache(
    steps: &[(StepId, CacheStep)],
    built: &[BuiltLayer],
    below: usize,
) -> Option<CacheRecords> {
    let steps = steps.iter().map(|(id, step)| {
        let layer = built.iter().position(|layer| layer.step == *id);
        record(step, layer.map(|layer| below + layer))
    });
    let steps: Vec<CachedStep> = steps.collect();
    (!steps.is_empty()).then_some(CacheRecords { steps })
}

/// What the manifest is going to be: it is written when there are blobs for it to name.
fn draft(request: &Commit<'_>, config: &ImageConfig) -> Draft {
    let created = config.created.as_deref().unwrap_or_default();
    Draft {
        format: request.format,
        annotations: match request.format {
            Format::Oci => request.annotations.of(request.base, created),
            Format::Docker => BTreeMap::new(),
        },
    }
}

/// The configuration file. An image without any new layer has no time of its own, so the time of
/// the first commit is remembered: the same build gives the same image again.
fn config(
    store: &Store,
    session: &Session,
    request: &Commit<'_>,
    layers: &[NewLayer],
) -> Result<ImageConfig, Error> {
    let base = request
        .base
        .map(|base| base_config(base.image))
        .transpose()?;
    let mut assembly = Assembly {
        config: &request.stage.config,
        base: base.as_ref(),
        history: &request.stage.history,
        layers,
        grouping: request.grouping,
        telling: request.telling,
        format: request.format,
        epoch: request.epoch,
        now: 0,
    };
    if layers.is_empty() && request.epoch.is_none() {
        let timeless =
            serde_json::to_vec(&assemble(&assembly)).expect("a configuration has string keys");
        assembly.now = remember(store, session, ("created", &timeless), || Ok(request.now))?;
    }
    Ok(assemble(&assembly))
}

fn base_config(base: &ImageRecord) -> Result<ImageConfig, Error> {
    serde_json::from_str(&base.config).map_err(|source| Error::Config {
        image: base.id().to_string(),
        source,
    })
}

/// What a layer packs to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Packed {
    /// Digest of the tar.
    pub diff_id: DiffId,
    /// Bytes of the tar.
    pub size: u64,
}

impl Packed {
    /// The layer of an image that `layer` is, where `self` is what it packs to with `times`.
    pub fn layer(self, layer: LayerId, times: FileTimes) -> ImageLayer {
        ImageLayer {
            layer,
            diff_id: self.diff_id,
            size: self.size,
            blob: None,
            times,
            root: NEW_ROOT,
        }
    }
}

/// What `layer` packs to with `times`; remembered, so that only the first asker waits.
///
/// # Errors
/// [`Error::LayerMissing`], [`Error::Pack`], [`Error::Store`].
pub fn packed(
    store: &Store,
    session: &Session,
    layer: LayerId,
    times: FileTimes,
) -> Result<Packed, Error> {
    // Once the root was in no layer: then `what` had nothing more than these two.
    let what = format!("{layer} {times:?} with its root");
    remember(store, session, ("packed", what.as_bytes()), || {
        let found = store.layer(&layer)?.ok_or(Error::LayerMissing(layer))?;
        let options = pack_options(times, NEW_ROOT);
        let (packed, hasher) = hash_aside(|out| pack(&[&found.diff], &options, out));
        packed.map_err(Error::Pack)?;
        Ok(Packed {
            size: hasher.size(),
            diff_id: DiffId(hasher.finish()),
        })
    })
}

/// How a layer is packed that is known to have been packed so.
pub(crate) fn pack_options(times: FileTimes, root: RootEntry) -> PackOptions {
    PackOptions {
        form: Form::Overlay,
        root,
        times,
    }
}

/// The value that `make` gave the first time that anyone asked for `(kind, what)`.
pub(crate) fn remember<T: Serialize + for<'de> Deserialize<'de>>(
    store: &Store,
    session: &Session,
    (kind, what): (&'static str, &[u8]),
    make: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let key = Key::of(what);
    if let Some(known) = store
        .note(kind, &key)?
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
    {
        return Ok(known);
    }
    let value = make()?;
    let bytes = serde_json::to_vec(&value).expect("notes have string keys");
    session.put_note(kind, &key, &bytes)?;
    Ok(value)
}

/// All of the build's layers as one frozen layer.
fn squash(
    store: &Store,
    session: &Session,
    request: &Commit<'_>,
) -> Result<Vec<BuiltLayer>, Error> {
    let [.., last] = request.layers else {
        return Ok(Vec::new());
    };
    let mut dirs: Vec<Dir> = Vec::new();
    for built in request.layers {
        dirs.push(
            store
                .layer(&built.layer)?
                .ok_or(Error::LayerMissing(built.layer))?
                .diff,
        );
    }
    let trees: Vec<&Dir> = dirs.iter().collect();
    let created = request
        .layers
        .iter()
        .map(|layer| layer.created)
        .max()
        .unwrap_or(request.now);
    let layer = freeze(session, Root::Stack(&trees))?;
    // The step of the last entry: assemble() hangs the layer there anyway.
    Ok(vec![BuiltLayer {
        step: last.step,
        layer,
        created,
    }])
}
