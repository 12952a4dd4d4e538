//! The trees of a build: layers that are there, come from elsewhere, or have to be made again.
//!
//! Knows: whom to ask for a layer. Does not know: why a tree is opened.

use rbuild_plan::Plan;
use rbuild_snapshot::readable;
use rbuild_store::{LayerId, Store};
use rbuild_sys::Dir;

use crate::{
    Error,
    build::{Builder, State},
    deferred::Deferred,
    renewed::Renewed,
    work::Work,
};

/// Opens trees.
#[derive(Clone, Copy)]
pub(crate) struct Trees<'a> {
    pub builder: &'a Builder<'a>,
    pub plan: &'a Plan,
    pub deferred: &'a Deferred,
    pub renewed: &'a Renewed,
}

impl Trees<'_> {
    /// The tree of `state`, to be read.
    pub fn open(&self, state: &State) -> Result<Dir, Error> {
        let layers = self.layers(&state.layers)?;
        Ok(readable(&layers.top_first(), &self.builder.bottoms.empty)?)
    }

    /// Opens `layers`, wherever they are; of those that are made again, what they are now.
    pub fn layers(&self, layers: &[LayerId]) -> Result<Layers, Error> {
        let Builder {
            supplies, session, ..
        } = self.builder;
        let is_put_off = |id: &&LayerId| self.deferred.find(id).is_some();
        let others = layers.iter().filter(|id| !is_put_off(id)).copied();
        supplies.bring_all(&others.collect::<Vec<_>>(), session)?;
        let opened = layers.iter().filter_map(|id| self.layer(id).transpose());
        opened.collect::<Result<_, _>>().map(Layers)
    }

    /// `None`: it was made again, and nothing changed.
    fn layer(&self, id: &LayerId) -> Result<Option<Dir>, Error> {
        let Builder { store, session, .. } = self.builder;
        let open = |id: LayerId| Ok(store.layer(&id)?.ok_or(Error::LayerMissing(id))?.diff);
        let Some(known) = self.deferred.find(id) else {
            return open(*id).map(Some);
        };
        // What a power cut may have emptied is made again too.
        if let Some(layer) = session.finished_layer(id)? {
            return Ok(Some(layer.diff));
        }
        Work::again(*self, &known)?.map(open).transpose()
    }

    /// `state` with the layers that are there now, for whoever comes after the build.
    pub fn settled(&self, state: &State) -> State {
        let added = state.added.and_then(|(layer, created)| {
            let layer = self.deferred.settled(&[layer]).pop()?;
            Some((layer, created))
        });
        State {
            layers: self.deferred.settled(&state.layers),
            added,
            is_renewed: false,
            key: state.key,
        }
    }
}

/// Open handles on the layers of a state.
pub(crate) struct Layers(Vec<Dir>);

impl Layers {
    /// Opens `layers`, which the store has.
    pub fn in_store(store: &Store, layers: &[LayerId]) -> Result<Self, Error> {
        let open = |id: &LayerId| Ok(store.layer(id)?.ok_or(Error::LayerMissing(*id))?.diff);
        layers.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    pub fn top_first(&self) -> Vec<&Dir> {
        self.0.iter().rev().collect()
    }
}
