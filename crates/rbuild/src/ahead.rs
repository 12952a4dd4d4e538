//! Layers are hashed while later steps still run.
//!
//! Knows: which steps' layers become layers of an image.
//! Does not know: how a layer is packed; what came out is remembered in the store, where the
//! commit finds it.

use std::{
    collections::BTreeSet,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use rbuild_engine::Event;
use rbuild_export::{Layers, packed};
use rbuild_oci::FileTimes;
use rbuild_plan::{Plan, StepId};
use rbuild_store::{LayerId, Session, Store};

/// Takes layers as they are finished.
pub struct Ahead {
    wanted: BTreeSet<StepId>,
    /// `None` ends it.
    layers: Sender<Option<LayerId>>,
}

/// The other end of [`Ahead`].
pub struct Finished(Receiver<Option<LayerId>>);

impl Ahead {
    /// For the layers of the steps in `wanted`.
    pub fn new(wanted: BTreeSet<StepId>) -> (Self, Finished) {
        let (layers, finished) = channel();
        (Self { wanted, layers }, Finished(finished))
    }

    /// Has the layer hashed that `event` tells of, if it will be one of an image.
    pub fn note(&self, event: &Event) {
        if let Event::Frozen { step, layer } = event
            && self.wanted.contains(step)
        {
            // Fails only when nobody hashes any more.
            let _ = self.layers.send(Some(*layer));
        }
    }
}

/// Calls `build`, which tells `ahead` what happens, and hashes meanwhile what comes out as
/// `finished`; returns when what was begun is done. Failures are left to the commit, which does it
/// again.
pub fn hashing<T, E>(
    (store, session): (&Store, &Session),
    (ahead, finished): (&Ahead, Finished),
    times: FileTimes,
    build: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let failed = AtomicBool::new(false);
    let failed = &failed;
    thread::scope(|scope| {
        scope.spawn(move || {
            for layer in finished.0.iter().map_while(|layer| layer) {
                if failed.load(Ordering::Relaxed) {
                    return;
                }
                let _ = packed(store, session, layer, times);
            }
        });
        let built = build();
        failed.store(built.is_err(), Ordering::Relaxed);
        let _ = ahead.layers.send(None);
        built
    })
}

/// The steps whose layers the targets of `plan` consist of, if each is a layer of its own.
pub fn wanted(plan: &Plan, grouping: Layers) -> BTreeSet<StepId> {
    if grouping == Layers::Squashed {
        return BTreeSet::new();
    }
    let targets = plan.targets.iter().map(|&id| plan.stage(id));
    targets
        .flat_map(|stage| stage.history.iter().filter_map(|entry| entry.step))
        .collect()
}
