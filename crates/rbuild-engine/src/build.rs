//! A build: everything that its steps work with, and the states that they lead to.
//!
//! Knows: which state a tree of the plan is in. Does not know: what a step does ([`crate::work`]),
//! nor when ([`crate::builds`]).

use std::{collections::BTreeMap, iter::successors, time::Duration};

use rbuild_plan::{ImageRef, Key, Plan, Source, SourceDigest, StepId, Tree, step_key};
use rbuild_sandbox::{CapabilitySet, Mount};
use rbuild_store::{LayerId, Session, Store};
use rbuild_sys::Dir;

use crate::{
    BaseTree, BuildContext, Caching, Error, Event, Imports, Memory, Runner, Supplies,
    fetch::Fetcher, selection::Staging, step::mounts::Confidential, trees::Trees,
};

/// In place of what a step reads, before it is read.
const UNREAD: SourceDigest = SourceDigest::Content([0; 32]);

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

impl State {
    /// A tree that no step has made.
    fn of(key: Key, layers: Vec<LayerId>) -> Self {
        Self {
            key,
            layers,
            added: None,
            is_renewed: false,
        }
    }
}

impl Builder<'_> {
    /// Makes sure that what the targets consist of is there.
    pub(crate) fn complete(&self, trees: Trees<'_>, states: &[State]) -> Result<(), Error> {
        let plan = trees.plan;
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
    }

    /// What tells the steps of `plan` from others, as far as that is known before: with another
    /// name they are different, with the same one equal, or reading different files.
    pub(crate) fn names(&self, plan: &Plan) -> Vec<(Key, String)> {
        let mut names: Vec<(Key, String)> = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let key = |tree: &Tree| {
                let of = |id: StepId| Some(State::of(names[id.0 as usize].0, Vec::new()));
                let state = self.state(plan, tree, &of);
                state.expect("a build has all its base images").key
            };
            let sources = step.op.sources().into_iter();
            let sources = sources.map(|source| match source.tree() {
                Some(tree) => SourceDigest::Tree(key(tree)),
                None => UNREAD,
            });
            let secrets = step.op.counted_secrets().into_iter().map(|_| UNREAD);
            let read: Vec<SourceDigest> = sources.chain(secrets).collect();
            let name = step_key(step, &key(&step.parent), &read);
            names.push((name, step.title.clone()));
        }
        names
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
            Tree::Empty => Some(State::of(Key::of_empty_tree(&plan.platform()), Vec::new())),
            Tree::Image(image) => {
                let base = self.bases.get(image)?;
                let key = Key::of_image_tree(&base.tree_key, &image.platform);
                Some(State::of(key, base.layers.clone()))
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
