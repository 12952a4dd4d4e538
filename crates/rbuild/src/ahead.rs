//! Layers are hashed, and what goes to registries is sent, while later steps still run; when none
//! does any more, the layers go to the disk while the last are hashed.
//!
//! Knows: which steps' layers become layers of an image.
//! Does not know: how a layer is packed; what came out is remembered in the store, where the
//! commit finds it. How it gets to a registry: [`crate::uploads`].

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use rbuild_engine::Event;
use rbuild_export::{Layers, Place, packed};
use rbuild_oci::FileTimes;
use rbuild_plan::{Plan, StageId, StepId};
use rbuild_store::{LayerId, Session};

use crate::{
    failure::Failure,
    order::{Order, Product},
    output::Ends,
    planning::Resolved,
    uploads::{CONNECTIONS, Hashed, Uploads},
};

/// Takes layers as they are finished.
pub struct Ahead {
    wanted: BTreeSet<StepId>,
    reach: Reach,
    /// Those that this build has made.
    frozen: Mutex<Vec<LayerId>>,
    /// `None` ends it.
    layers: Sender<Option<(StepId, LayerId)>>,
}

/// Which layers are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Those of steps that were executed; the commit knows the others from an earlier build.
    New,
    /// Those of steps whose result was known, too.
    All,
}

/// The other end of [`Ahead`].
pub struct Finished(Receiver<Option<(StepId, LayerId)>>);

impl Ahead {
    /// Has the layer hashed, and perhaps sent, that `event` tells of, if it will be one of an
    /// image.
    pub fn note(&self, event: &Event) {
        let (step, layer, reach) = match event {
            Event::Frozen { step, layer } => (*step, *layer, Reach::New),
            Event::Known { step, layer } if self.reach == Reach::All => (*step, *layer, Reach::All),
            _ => return,
        };
        if !self.wanted.contains(&step) {
            return;
        }
        if reach == Reach::New {
            let frozen = self.frozen.lock();
            frozen.unwrap_or_else(PoisonError::into_inner).push(layer);
        }
        // Fails only when nobody hashes any more.
        let _ = self.layers.send(Some((step, layer)));
    }

    /// Nothing more comes; returns the layers that this build has made.
    fn end(&self) -> Vec<LayerId> {
        let _ = self.layers.send(None);
        let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut frozen)
    }
}

/// What is done beside a build.
pub struct Beside<'a> {
    place: Place<'a>,
    product: Product,
    /// Whether each step's layer is one of an image.
    grouping: Layers,
    /// What becomes of the times of files in layers.
    times: FileTimes,
    uploads: Uploads<'a>,
}

impl<'a> Beside<'a> {
    /// What `order` lets be done.
    pub fn of(
        order: &Order,
        grouping: Layers,
        ends: Ends<'a>,
        planned: (&'a Plan, &'a Resolved),
    ) -> Self {
        Self {
            place: ends.place(),
            product: order.product,
            grouping,
            times: order.description.files,
            uploads: match grouping {
                Layers::PerStep => Uploads::of(order, ends, planned),
                Layers::Squashed => Uploads::none(ends, planned),
            },
        }
    }

    /// What is to be told of the build of `plan`, and what that is handed on to.
    pub fn ahead(&self, plan: &Plan) -> (Ahead, Finished) {
        let (layers, finished) = channel();
        let ahead = Ahead {
            wanted: match self.product {
                Product::Images => wanted(plan, self.grouping),
                Product::Files => BTreeSet::new(),
            },
            reach: match self.uploads.is_empty() {
                true => Reach::New,
                false => Reach::All,
            },
            frozen: Mutex::default(),
            layers,
        };
        (ahead, Finished(finished))
    }

    fn hash(&self, finished: &Finished, hashed: &Sender<Hashed>, stop: impl Fn() -> bool) {
        let Place { store, session } = self.place;
        for (step, layer) in finished.0.iter().map_while(|layer| layer) {
            if stop() {
                return;
            }
            if let Ok(packed) = packed(store, session, layer, self.times) {
                // Fails where nothing is sent.
                let _ = hashed.send((step, packed.layer(layer, self.times)));
            }
        }
    }
}

/// Calls `build`, which tells what is ahead of each plan what happens, and meanwhile hashes and sends
/// what comes out as finished; returns when what was begun is done. Failures are left to the commit
/// and the outputs, which do it again, but for that of the disk: it tells of a lost block only once.
///
/// # Errors
/// Those of `build`, and [`rbuild_store::Error::Write`].
pub fn during<T>(
    session: &Session,
    plans: Vec<(&Beside<'_>, &Ahead, Finished)>,
    build: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let failed = &Arc::new(AtomicBool::new(false));
    let stop = &|| failed.load(Ordering::Relaxed);
    let connections = (CONNECTIONS / plans.len().max(1)).max(1);
    let aheads: Vec<&Ahead> = plans.iter().map(|(_, ahead, _)| *ahead).collect();
    thread::scope(|scope| {
        for (beside, _, finished) in plans {
            let (hashed, layers) = channel();
            scope.spawn(move || beside.hash(&finished, &hashed, stop));
            if !beside.uploads.is_empty() {
                scope.spawn(move || beside.uploads.send(&layers, connections, failed));
            }
        }
        let built = build();
        failed.store(built.is_err(), Ordering::Relaxed);
        let frozen: Vec<LayerId> = aheads.into_iter().flat_map(Ahead::end).collect();
        let made = built?;
        let synced = session.sync(&frozen);
        failed.store(synced.is_err(), Ordering::Relaxed);
        synced?;
        Ok(made)
    })
}

/// The steps whose layers the targets of `plan` consist of, if each is a layer of its own.
pub fn wanted(plan: &Plan, grouping: Layers) -> BTreeSet<StepId> {
    let targets = match grouping {
        Layers::PerStep => &plan.targets[..],
        Layers::Squashed => &[],
    };
    let steps = targets.iter().flat_map(|&stage| steps_of(plan, stage));
    steps.collect()
}

/// The steps that `stage` consists of, those of the stages that it stands on included.
pub fn steps_of(plan: &Plan, stage: StageId) -> BTreeSet<StepId> {
    let history = plan.stage(stage).history.iter();
    history.filter_map(|entry| entry.step).collect()
}
