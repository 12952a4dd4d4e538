//! Layers are hashed while later steps still run.
//!
//! Knows: which steps' layers become layers of an image.
//! Does not know: how a layer is packed; what came out is remembered in the store, where the
//! commit finds it.

use std::{
    collections::BTreeSet,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
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
    layers: Sender<LayerId>,
}

impl Ahead {
    /// Has the layer hashed that `event` tells of, if it will be one of an image.
    pub fn note(&self, event: &Event) {
        if let Event::Frozen { step, layer } = event
            && self.wanted.contains(step)
        {
            // Fails only when nobody hashes any more.
            let _ = self.layers.send(*layer);
        }
    }
}

/// Calls `build` with something that hashes layers of the steps in `wanted` meanwhile; returns
/// when what was begun is done. Failures are left to the commit, which does it again.
pub fn hashing<T, E>(
    (store, session): (&Store, &Session),
    wanted: BTreeSet<StepId>,
    times: FileTimes,
    build: impl FnOnce(&Ahead) -> Result<T, E>,
) -> Result<T, E> {
    let (layers, finished) = channel();
    let ahead = Ahead { wanted, layers };
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for layer in finished {
                if failed.load(Ordering::Relaxed) {
                    return;
                }
                let _ = packed(store, session, layer, times);
            }
        });
        let built = build(&ahead);
        failed.store(built.is_err(), Ordering::Relaxed);
        drop(ahead);
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
