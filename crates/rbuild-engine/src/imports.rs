//! Results of steps that other machines have executed: `--cache-from`.
//!
//! Knows: which image has which result. Does not know: when a result is looked up, or its layer
//! opened ([`Supplies`]).
//!
//! Invariant: what is wrong with them is a miss. A layer that turns out to be damaged when it is
//! opened is not believed in any more, and the build begins again without it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rbuild_oci::{CacheImage, Descriptor, DiffId, Digest};
use rbuild_plan::Key;
use rbuild_registry::Repository;
use rbuild_store::{CacheRecord, Key as StoreKey, LayerId, Session};

use crate::{
    Error, Supplies,
    layout::Layout,
    pull::{Origin, Stock, Tally, Wanted},
    shelf::Shelf,
};

/// Results of other machines, by their keys.
#[derive(Debug, Default)]
pub struct Imports {
    records: BTreeMap<Key, CacheRecord>,
    origins: BTreeMap<LayerId, (String, Descriptor, DiffId)>,
    disbelieved: Mutex<BTreeSet<LayerId>>,
}

/// An image that somebody else's build has left as a cache.
pub struct Import {
    pub(crate) image: CacheImage,
    pub(crate) place: Place,
}

/// Where its blobs are.
pub(crate) enum Place {
    Registry(Box<Repository>),
    Layout(Shelf),
}

impl Place {
    pub fn origin(&self) -> Origin<'_> {
        match self {
            Self::Registry(repository) => Origin::Registry(repository),
            Self::Layout(shelf) => Origin::Layout(Layout(shelf)),
        }
    }
}

impl Imports {
    /// Adds what `import`, which is at the place called `from`, has; `supplies` brings its layers
    /// into the store of `session`. Of two results with one key the first stays.
    pub fn add<'a>(
        &mut self,
        (from, import): (String, Import),
        supplies: &mut Supplies<'a>,
        session: &'a Session,
    ) {
        let Import { image, place } = import;
        let place = Arc::new(place);
        for step in image.records.steps {
            let Some(state) = StoreKey::from_hex(&step.state) else {
                continue;
            };
            let layer = step.layer.map(|index| {
                let (blob, diff_id) = &image.layers[index];
                let id = layer_id(diff_id, &state);
                if !supplies.has(&id) {
                    let bring = bring((id, *diff_id), blob.clone(), place.clone(), session);
                    supplies.add(&[id], bring);
                    let origin = (from.clone(), blob.clone(), *diff_id);
                    self.origins.insert(id, origin);
                }
                id
            });
            let record = CacheRecord {
                layer,
                state,
                created: step.created,
            };
            for key in step.keys.iter().filter_map(|key| Key::from_hex(key)) {
                self.records.entry(key).or_insert_with(|| record.clone());
            }
        }
    }

    /// What an imported image has under `key`.
    pub(crate) fn lookup(&self, key: &Key) -> Option<&CacheRecord> {
        self.records.get(key)
    }

    /// Whether `layer` comes from an imported image that is believed.
    pub(crate) fn offers(&self, layer: &LayerId) -> bool {
        self.origins.contains_key(layer) && !self.disbelieved().contains(layer)
    }

    /// Nobody has `layer` from now on; whether that is new.
    pub(crate) fn disbelieve(&self, layer: LayerId) -> bool {
        self.disbelieved().insert(layer)
    }

    fn disbelieved(&self) -> MutexGuard<'_, BTreeSet<LayerId>> {
        // Nothing half done is behind a panic.
        self.disbelieved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Where `layer` comes from, if it is imported, as which blob, and what that unpacks to.
    pub fn origin(&self, layer: &LayerId) -> Option<(&str, &Descriptor, &DiffId)> {
        let (from, blob, diff_id) = self.origins.get(layer)?;
        Some((from, blob, diff_id))
    }
}

/// What a layer is called here: the same one each time, and another one wherever a state has it, as
/// no tree can have a layer twice.
fn layer_id(diff_id: &DiffId, state: &StoreKey) -> LayerId {
    let name = format!("imported {diff_id} for {state}");
    LayerId::from_bytes(*Digest::of(name.as_bytes()).as_bytes())
}

fn bring<'a>(
    (id, diff_id): (LayerId, DiffId),
    blob: Descriptor,
    place: Arc<Place>,
    session: &'a Session,
) -> Box<dyn Fn() -> Result<(), Error> + Send + Sync + 'a> {
    Box::new(move || {
        let wanted = Wanted {
            origin: &place.origin(),
            session,
            stock: &Stock::new(session),
            tally: &Tally::default(),
            blob: &blob,
            diff_id,
            id,
            parent: None,
        };
        let fetched = wanted.fetch().map_err(|source| Error::Import {
            layer: id,
            source: Box::new(source),
        });
        fetched.map(drop)
    })
}
