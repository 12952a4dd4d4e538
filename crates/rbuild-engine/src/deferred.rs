//! Steps that are known to have a result, whose files are gone: nobody executes them unless their
//! files are wanted.
//!
//! Knows: which layer stands for what such a step changed, and what came in its place.
//! Does not know: how a step is executed ([`crate::work`]).
//!
//! After `prune`, or with the inline cache of an image, only the results of the last stage are
//! there. The key of what others copy from is known all the same, so as long as these are cached
//! nobody opens it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rbuild_plan::{Key, Plan, StepId};
use rbuild_store::LayerId;

use crate::{build::State, remains::Remains};

/// The steps of a build that were put off.
#[derive(Default)]
pub(crate) struct Deferred {
    /// The steps that the targets consist of: it is known from the start that their files are wanted.
    wanted: BTreeSet<StepId>,
    steps: Mutex<BTreeMap<LayerId, Arc<Known>>>,
    remains: Mutex<Option<Remains>>,
}

/// A step whose result is known by name alone.
pub(crate) struct Known {
    pub id: StepId,
    /// What it stands on.
    pub parent: State,
    /// For each of the operation's sources that is a tree: its state.
    pub sources: Vec<Option<State>>,
    /// What it is looked up by.
    pub definition: Key,
    /// The state that it leads to.
    pub key: Key,
    /// When it has been executed: the layer that it made, if it changed anything.
    pub made: Mutex<Option<Option<LayerId>>>,
}

impl Known {
    /// Waits for whoever executes it.
    pub fn made(&self) -> MutexGuard<'_, Option<Option<LayerId>>> {
        // Nothing half done is behind a panic.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deferred {
    /// For a build of `plan`.
    pub fn of(plan: &Plan) -> Self {
        let stages = plan.targets.iter().map(|&target| plan.stage(target));
        let steps = stages.flat_map(|stage| stage.history.iter().filter_map(|entry| entry.step));
        Self {
            wanted: steps.collect(),
            ..Self::default()
        }
    }

    /// Whether the step can be put off.
    pub fn can_wait(&self, step: StepId) -> bool {
        !self.wanted.contains(&step)
    }

    /// Puts off `step`, which once made `layer`.
    pub fn add(&self, layer: LayerId, step: Known) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.entry(layer).or_insert_with(|| Arc::new(step));
    }

    /// The step that once made `layer`, if it was put off.
    pub fn find(&self, layer: &LayerId) -> Option<Arc<Known>> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.get(layer).cloned()
    }

    /// `layers`, with what came in place of those that are gone.
    pub fn settled(&self, layers: &[LayerId]) -> Vec<LayerId> {
        let settle = |layer: &LayerId| match self.find(layer) {
            Some(known) => known.made().unwrap_or(Some(*layer)),
            None => Some(*layer),
        };
        layers.iter().filter_map(settle).collect()
    }

    /// Keeps what a step that was put off has left when it failed: the first one, as others are
    /// ended then.
    pub fn keep(&self, failed: Option<Remains>) {
        let mut remains = self.remains.lock().unwrap_or_else(PoisonError::into_inner);
        *remains = remains.take().or(failed);
    }

    /// What was kept.
    pub fn take(&self) -> Option<Remains> {
        let mut remains = self.remains.lock().unwrap_or_else(PoisonError::into_inner);
        remains.take()
    }
}
