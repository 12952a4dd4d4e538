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
    work::Work,
};

/// Opens trees.
#[derive(Clone, Copy)]
pub(crate) struct Trees<'a> {
    pub builder: &'a Builder<'a>,
    pub plan: &'a Plan,
    pub deferred: &'a Deferred,
}

impl Trees<'_> {
    /// The tree of `state`, to be read.
    pub fn open(&self, state: &State) -> Result<Dir, Error> {
        let layers = self.layers(&state.layers)?;
        Ok(readable(&layers.top_first(), &self.builder.bottoms.empty)?)
    }

    /// Opens `layers`, wherever they are; of those that are made again, what they are now.
    pub fn layers(&self, layers: &[LayerId]) -> Result<Layers, Error> {
        let opened = layers.iter().filter_map(|id| self.layer(id).transpose());
        opened.collect::<Result<_, _>>().map(Layers)
    }

    /// `None`: it was made again, and nothing changed.
    fn layer(&self, id: &LayerId) -> Result<Option<Dir>, Error> {
        let Builder {
            store,
            session,
            supplies,
            ..
        } = self.builder;
        // One that a power cut may have emptied can be there all the same.
        let id = match self.deferred.find(id) {
            Some(known) => match Work::again(*self, &known)? {
                Some(made) => made,
                None => return Ok(None),
            },
            None => {
                if supplies.has(id) && session.finished_layer(id)?.is_none() {
                    supplies.bring(id)?;
                }
                *id
            }
        };
        let layer = store.layer(&id)?.ok_or(Error::LayerMissing(id))?;
        Ok(Some(layer.diff))
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
