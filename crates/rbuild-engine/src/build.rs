//! A build: everything that its steps work with, and the states that they lead to.
//!
//! Knows: which state a tree of the plan is in. Does not know: what a step does ([`crate::work`]),
//! nor which is next ([`crate::schedule`]).

use std::{collections::BTreeMap, iter::successors, num::NonZero, time::Duration};

use rbuild_plan::{ImageRef, Key, Plan, Source, StepId, Tree};
use rbuild_sandbox::{CapabilitySet, Mount};
use rbuild_store::{LayerId, Session, Store};
use rbuild_sys::Dir;

use crate::{
    BaseTree, BuildContext, Caching, Error, Event, Imports, Memory, Runner, Supplies,
    deferred::Deferred,
    fetch::Fetcher,
    remains::{Failed, Failure},
    selection::Staging,
    step::mounts::Confidential,
    trees::Trees,
    work::Work,
    workers::{Made, Steps},
};

/// All that a build works with.
pub struct Builder<'a> {
    /// Keeps layers and cache records.
    pub store: &'a Store,
    /// Writes them.
    pub session: &'a Session,
    /// Runs commands.
    pub runner: &'a dyn Runner,
    /// Where COPY looks.
    pub context: &'a BuildContext,
    /// Where it looks for names that `--build-context` gave.
    pub named_contexts: &'a BTreeMap<String, BuildContext>,
    /// The base images' trees, by what the plan calls them.
    pub bases: &'a BTreeMap<ImageRef, BaseTree>,
    /// Directories that lie under every tree.
    pub bottoms: &'a Bottoms,
    /// Fetches what ADD names.
    pub fetcher: Fetcher<'a>,
    /// What only single commands may see.
    pub confidential: &'a Confidential,
    /// What commands can do as root at most.
    pub capabilities: CapabilitySet,
    /// Devices that every command has.
    pub devices: &'a [Mount<'a>],
    /// How long a command may take; `None`: as long as it wants.
    pub timeout: Option<Duration>,
    /// Brings layers that the store does not have.
    pub supplies: &'a Supplies<'a>,
    /// Results of other machines' builds.
    pub imports: &'a Imports,
    /// Which results of earlier builds count.
    pub caching: &'a Caching,
    /// What is remembered of earlier builds, to explain why steps are executed.
    pub memory: &'a Memory,
    /// So many steps are executed at the same time; the result does not depend on it.
    pub jobs: NonZero<usize>,
    /// Is told what happens, by several threads.
    pub emit: &'a (dyn Fn(Event) + Sync),
}

/// Directories that lie under every tree.
pub struct Bottoms {
    /// An empty one, for COPY and for reading.
    pub empty: Dir,
    /// One with the mount points that RUN needs, so that they never get into a layer.
    pub skeleton: Dir,
}

/// A file system state that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What it is made of and how.
    pub key: Key,
    /// Its layers, bottom first.
    pub layers: Vec<LayerId>,
    /// The layer that the step added, and when (seconds since 1970); `None` if it changed nothing.
    pub added: Option<(LayerId, i64)>,
    /// Whether it, or what it stands on, was to be made anew: another result of the same steps, so
    /// what was made from that is out of date.
    pub is_renewed: bool,
}

impl Builder<'_> {
    /// Executes all steps of `plan`, each when what it needs is done; returns the state after each.
    ///
    /// # Errors
    /// [`Error::Step`] with the step that failed; the results of those before it stay cached.
    pub fn build(&self, plan: &Plan) -> Result<Vec<State>, Box<Failed>> {
        let trees = Trees {
            builder: self,
            plan,
            deferred: &Deferred::of(plan),
        };
        let built = loop {
            let built = self.execute(trees);
            match built.and_then(|states| self.complete(trees, states)) {
                Err(failed) if self.is_settled_by_disbelief(&failed.error) => {}
                other => break other,
            }
        };
        // A build that failed has read the context too.
        for context in self.named_contexts.values().chain([self.context]) {
            context.save(self.session);
        }
        self.memory.save(plan, self.session);
        built
    }

    fn execute(&self, trees: Trees<'_>) -> Result<Vec<State>, Box<Failed>> {
        let plan = trees.plan;
        let execute = |id: StepId, made: &Made<State>| {
            let state = |tree: &Tree| {
                let of = |id: StepId| made[id.0 as usize].get().cloned();
                let state = self.state(plan, tree, &of);
                state.expect("a step starts when what it needs is done")
            };
            Work::new(trees, id, &state).execute()
        };
        let steps = Steps {
            execute: &execute,
            stop: &|failure| match failure.error {
                // The build goes on without it.
                Error::Import { .. } => {}
                _ => self.runner.stop(),
            },
            jobs: self.jobs,
        };
        steps.of(plan).map_err(|stopped| {
            let Failure { error, remains } = *stopped.failure;
            Box::new(Failed {
                error,
                remains: remains.or_else(|| trees.deferred.take()),
                states: stopped.made,
            })
        })
    }

    /// Makes sure that what the targets consist of is there.
    fn complete(&self, trees: Trees<'_>, states: Vec<State>) -> Result<Vec<State>, Box<Failed>> {
        let plan = trees.plan;
        let bring = || {
            for &target in &plan.targets {
                let base = plan
                    .base_image(target)
                    .and_then(|name| self.bases.get(name));
                base.map_or(Ok(()), |base| self.supplies.bring_image(&base.image))?;
                let steps = plan
                    .stage(target)
                    .history
                    .iter()
                    .filter_map(|entry| entry.step);
                let added = steps.filter_map(|step| states[step.0 as usize].added);
                let layers: Vec<LayerId> = added.map(|(layer, _)| layer).collect();
                trees.layers(&layers)?;
            }
            Ok(())
        };
        match bring() {
            Ok(()) => Ok(states.iter().map(|it| trees.settled(it)).collect()),
            Err(error) => Err(Box::new(Failed {
                error,
                remains: trees.deferred.take(),
                states: states.into_iter().map(Some).collect(),
            })),
        }
    }

    /// Whether `error` is that an imported layer cannot be had, and the same build can do without.
    pub(crate) fn is_settled_by_disbelief(&self, error: &Error) -> bool {
        let Error::Import { layer, .. } = error else {
            return false;
        };
        let is_new = self.imports.disbelieve(*layer);
        if is_new {
            let chain = successors(Some(error as &dyn std::error::Error), |&it| it.source());
            let texts: Vec<String> = chain.map(ToString::to_string).collect();
            (self.emit)(Event::Warning(texts.join(": ")));
        }
        is_new
    }

    /// The state that `tree` names, if `made` knows that of its step.
    pub(crate) fn state(
        &self,
        plan: &Plan,
        tree: &Tree,
        made: &dyn Fn(StepId) -> Option<State>,
    ) -> Option<State> {
        match tree {
            Tree::Empty => Some(State {
                key: Key::of_empty_tree(&plan.platform()),
                layers: Vec::new(),
                added: None,
                is_renewed: false,
            }),
            Tree::Image(image) => {
                let base = self.bases.get(image)?;
                Some(State {
                    key: Key::of_image_tree(&base.tree_key, &image.platform),
                    layers: base.layers.clone(),
                    added: None,
                    is_renewed: false,
                })
            }
            Tree::Step(id) => made(*id),
        }
    }

    /// The context that `source` names; for a tree, the main one.
    pub(crate) fn context_of(&self, source: &Source) -> &BuildContext {
        match source {
            Source::Named(name) => self.named_contexts.get(name).unwrap_or(self.context),
            Source::Context | Source::Tree(_) => self.context,
        }
    }

    pub(crate) fn staging(&self) -> Staging<'_> {
        Staging {
            store: self.store,
            session: self.session,
            fetcher: self.fetcher,
        }
    }
}
