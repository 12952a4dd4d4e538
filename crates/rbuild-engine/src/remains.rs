//! What a step that failed leaves: its tree, before it is thrown away.
//!
//! Knows: how that tree is looked into, entered by a shell, or kept.
//! Does not know: which of these the user wants, or who the user is.
//!
//! Invariant: nothing of it gets into the cache.

use rbuild_plan::{Op, Plan, StepId};
use rbuild_sandbox::Stdio;
use rbuild_snapshot::{readable, writable};
use rbuild_store::{LayerId, Session, StagedLayer};
use rbuild_sys::{Dir, Upper};

use crate::{
    Error,
    build::{Builder, State},
    deferred::Deferred,
    renewed::Renewed,
    step::run::shell,
    trees::{Layers, Trees},
    work::{Work, commit},
};

/// A build that failed.
#[derive(Debug)]
pub struct Failed {
    /// Which of the builds that were done together.
    pub build: usize,
    /// Why.
    pub error: Error,
    /// The tree of the RUN that failed; `None` if it was something else.
    pub remains: Option<Remains>,
    /// The state after each of its steps that was done.
    pub states: Vec<Option<State>>,
}

/// Why a step was not done, and what is left of it.
pub(crate) struct Failure {
    pub error: Error,
    pub remains: Option<Remains>,
}

impl From<Error> for Box<Failure> {
    fn from(error: Error) -> Self {
        Self::new(Failure {
            error,
            remains: None,
        })
    }
}

/// The tree of a RUN that failed, as it was when its command ended. Dropping it is enough: the
/// session removes it.
#[derive(Debug)]
pub struct Remains {
    /// The step.
    pub step: StepId,
    parent: State,
    sources: Vec<Option<State>>,
    staged: StagedLayer,
}

impl Remains {
    pub(crate) fn new(work: &Work<'_>, staged: StagedLayer) -> Self {
        let settled = |state: &Option<State>| state.as_ref().map(|it| work.trees.settled(it));
        Self {
            step: work.id,
            parent: work.trees.settled(&work.parent),
            sources: work.sources.iter().map(settled).collect(),
            staged,
        }
    }

    /// The tree, to be read.
    ///
    /// # Errors
    /// [`Error::LayerMissing`], [`Error::Snapshot`].
    pub fn tree(&self, builder: &Builder<'_>) -> Result<Dir, Error> {
        let layers = Layers::in_store(builder.store, &self.parent.layers)?;
        let below = layers.top_first();
        let all: Vec<&Dir> = [&self.staged.diff].into_iter().chain(below).collect();
        Ok(readable(&all, &builder.bottoms.empty)?)
    }

    /// Runs a shell in the tree, with the mounts, the variables, the user and the directory of the
    /// command that failed, and no limit of time. Returns its status. What it changes stays.
    ///
    /// # Errors
    /// [`Error::Step`] if it cannot be run.
    pub fn shell(&self, builder: &Builder<'_>, plan: &Plan, stdio: Stdio<'_>) -> Result<u8, Error> {
        let trees = Trees {
            builder,
            plan,
            deferred: &Deferred::default(),
            renewed: &Renewed::default(),
        };
        let stands_on = (self.parent.clone(), self.sources.clone());
        let work = Work::on(trees, self.step, stands_on);
        let Op::Run(command) = &work.step.op else {
            unreachable!("only a RUN has remains")
        };
        let layers = trees.layers(&self.parent.layers)?;
        // A volatile overlay takes no work directory that another one had; overlayfs(rst).
        let room = builder.session.new_layer()?;
        let upper = Upper {
            changes: &self.staged.diff,
            work: &room.work,
        };
        let tree = writable(&layers.top_first(), &builder.bottoms.skeleton, upper)?;
        let exit = shell(&work, &tree, command, stdio).map_err(|error| work.failed(error))?;
        drop(tree);
        let erased = exit.traces.erase(&self.staged.diff);
        erased.map_err(Error::Traces)?;
        Ok(exit.status)
    }

    /// Keeps what the step changed as a layer; says which it is and when that was, in seconds
    /// since 1970.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn keep(self, session: &Session) -> Result<(LayerId, i64), Error> {
        let parent = self.parent.layers.last().copied();
        commit(session, self.staged, parent)
    }
}
