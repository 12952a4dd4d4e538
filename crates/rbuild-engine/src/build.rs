//! The loop: key → cached? → prepare a tree → run or copy → freeze → record.
//!
//! Knows: the order of things. Does not know: how any of them is done.
//!
//! Invariant: a step's result becomes visible complete, by one rename, or not at all; a cached
//! result that vanishes is a miss, never an error (T53).

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZero,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rbuild_plan::{Copy, Key, Op, Plan, Run, Source, SourceDigest, Step, StepId, Tree, step_key};
use rbuild_sandbox::{CapabilitySet, Mount};
use rbuild_snapshot::{has_changes, prepare, readable, writable};
use rbuild_store::{
    CacheRecord, Key as StoreKey, LayerId, LayerRecord, Session, StagedLayer, Store, Wait,
};
use rbuild_sys::{Dir, Upper};

use crate::{
    BaseTree, BuildContext, Error, Event, Runner,
    fetch::Fetcher,
    remains::{Failed, Failure, Remains},
    selection::{Root, Selection, Staging},
    step::{
        StepError,
        copy::{Destination, Mounted, copy},
        mounts::{self, Confidential},
        place,
        run::{chown, run},
        workdir::workdir,
    },
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
    /// The base images' trees, by the reference text of the plan.
    pub bases: &'a BTreeMap<String, BaseTree>,
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
    /// Whether results of earlier builds count.
    pub caching: Caching,
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

/// Whether results of earlier builds count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// They do.
    Use,
    /// Every step is executed (K2); its result replaces the old one.
    Refresh,
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
}

impl Builder<'_> {
    /// Executes all steps of `plan`, each when what it needs is done; returns the state after each.
    ///
    /// # Errors
    /// [`Error::Step`] with the step that failed; the results of those before it stay cached.
    pub fn build(&self, plan: &Plan) -> Result<Vec<State>, Box<Failed>> {
        let built = self.execute(plan);
        // A build that failed has read the context too.
        for context in self.named_contexts.values().chain([self.context]) {
            context.save(self.session);
        }
        built
    }

    fn execute(&self, plan: &Plan) -> Result<Vec<State>, Box<Failed>> {
        let execute = |id: StepId, made: &Made<State>| {
            let step = plan.step(id);
            let state = |tree: &Tree| self.state(plan, tree, made);
            let sources = step.op.sources().into_iter();
            let work = Work {
                builder: self,
                id,
                step,
                parent: state(&step.parent),
                sources: sources.map(|source| source.tree().map(state)).collect(),
            };
            work.execute()
        };
        let steps = Steps {
            execute: &execute,
            stop: &|| self.runner.stop(),
            jobs: self.jobs,
        };
        steps.of(plan).map_err(|stopped| {
            let Failure { error, remains } = *stopped.failure;
            Box::new(Failed {
                error,
                remains,
                states: stopped.made,
            })
        })
    }

    /// The state that `tree` names; steps come after everything that they need.
    fn state(&self, plan: &Plan, tree: &Tree, made: &Made<State>) -> State {
        let platform = plan.platform();
        match tree {
            Tree::Empty => State {
                key: Key::of_empty_tree(&platform),
                layers: Vec::new(),
                added: None,
            },
            Tree::Image(name) => {
                let base = self
                    .bases
                    .get(name)
                    .expect("a plan names only bases that were resolved");
                let key = Key::of_image_tree(&base.tree_key, &platform);
                State {
                    key,
                    layers: base.layers.clone(),
                    added: None,
                }
            }
            Tree::Step(id) => {
                let state = made[id.0 as usize].get();
                state
                    .expect("a step starts when what it needs is done")
                    .clone()
            }
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

    /// The tree of `state`, to be read.
    pub(crate) fn open(&self, state: &State) -> Result<Dir, Error> {
        let layers = Layers::open(self.store, &state.layers)?;
        Ok(readable(&layers.top_first(), &self.bottoms.empty)?)
    }
}

/// One step and what it stands on.
pub(crate) struct Work<'a> {
    pub builder: &'a Builder<'a>,
    pub id: StepId,
    pub step: &'a Step,
    pub parent: State,
    /// For each of the operation's sources that is a tree: its state.
    pub sources: Vec<Option<State>>,
}

/// How much of other trees a key looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// How they are made.
    Definition,
    /// The bytes that are selected from them (K3, T55).
    Content,
}

impl Work<'_> {
    /// Branches are here, work is below.
    fn execute(&self) -> Result<State, Box<Failure>> {
        let definition = self.key(Depth::Definition)?;
        if let Some(hit) = self.lookup(&definition)? {
            return Ok(hit);
        }
        let lock = store_key(&definition);
        let mut wait = Wait {
            waiting: &mut || (self.builder.emit)(Event::Waiting(self.id)),
            give_up: &|| self.builder.runner.is_cancelled(),
        };
        let session = self.builder.session;
        let _lock = session.key_lock(&lock, &mut wait).map_err(Error::Store)?;
        if let Some(hit) = self.lookup(&definition)? {
            return Ok(hit);
        }
        let content = match self.sources.iter().any(Option::is_some) {
            true => self.key(Depth::Content)?,
            false => definition,
        };
        let alone = self.alone()?;
        let keys: BTreeSet<Key> = [definition, content].into_iter().chain(alone).collect();
        for known in keys.iter().filter(|&&key| key != definition) {
            if let Some(hit) = self.lookup(known)? {
                let hit = State {
                    key: content,
                    ..hit
                };
                self.record(&keys, &hit)?;
                return Ok(hit);
            }
        }
        (self.builder.emit)(Event::Started(self.id));
        let state = self.make(content)?;
        self.record(&keys, &state)?;
        (self.builder.emit)(Event::Finished(self.id));
        Ok(state)
    }

    /// The key of a step whose changes do not depend on what it stands on (C22); `None` for all
    /// others.
    fn alone(&self) -> Result<Option<Key>, Error> {
        if !self.is_linked() {
            return Ok(None);
        }
        self.key_on(&Key::of_any_tree(), Depth::Content).map(Some)
    }

    fn is_linked(&self) -> bool {
        matches!(&self.step.op, Op::Copy(copy) if copy.link)
    }

    fn key(&self, depth: Depth) -> Result<Key, Error> {
        self.key_on(&self.parent.key, depth)
    }

    fn key_on(&self, parent: &Key, depth: Depth) -> Result<Key, Error> {
        let mut digests = Vec::with_capacity(self.sources.len());
        for (index, state) in self.sources.iter().enumerate() {
            digests.push(match (state, depth) {
                (Some(state), Depth::Definition) => SourceDigest::Tree(state.key),
                _ => SourceDigest::Content(self.content(index, state.as_ref())?),
            });
        }
        Ok(step_key(self.step, parent, &digests))
    }

    /// Digest of what the step reads from its source number `index`, which is the context if it
    /// has no `state`.
    fn content(&self, index: usize, state: Option<&State>) -> Result<[u8; 32], Error> {
        let tree = state.map(|state| self.builder.open(state)).transpose()?;
        let root = self.root(index, tree.as_ref());
        let staging = self.builder.staging();
        let digest = match &self.step.op {
            Op::Copy(copy) => Selection::of(copy, root, staging)
                .and_then(|selection| selection.digest(root, staging)),
            Op::Run(run) => mounts::digest(run, index, root, staging),
            Op::Workdir(_) => unreachable!("WORKDIR has no sources"),
        };
        digest.map_err(|error| self.failed(error))
    }

    /// Where the source number `index` is; `tree` if it is one.
    fn root<'r>(&'r self, index: usize, tree: Option<&'r Dir>) -> Root<'r> {
        let context = |source| Root::Context(self.builder.context_of(source));
        let source = self.step.op.sources().get(index).copied();
        let main = Root::Context(self.builder.context);
        tree.map_or_else(|| source.map_or(main, context), Root::Tree)
    }

    /// The state that an earlier build recorded under `key`, if all of it is still there.
    fn lookup(&self, key: &Key) -> Result<Option<State>, Error> {
        if self.builder.caching == Caching::Refresh {
            return Ok(None);
        }
        let Some(record) = self.builder.store.lookup(&store_key(key))? else {
            return Ok(None);
        };
        let key = Key::from_bytes(*record.state.as_bytes());
        let mut state = State {
            key,
            added: None,
            ..self.parent.clone()
        };
        if let Some(layer) = record.layer {
            // A linked copy may be there twice, and a tree cannot have a layer twice.
            if state.layers.contains(&layer) {
                return Ok(None);
            }
            if self.builder.session.finished_layer(&layer)?.is_none() {
                return Ok(None);
            }
            state.layers.push(layer);
            state.added = Some((layer, record.created));
        }
        (self.builder.emit)(Event::Cached(self.id));
        Ok(Some(state))
    }

    fn record(&self, keys: &BTreeSet<Key>, state: &State) -> Result<(), Error> {
        let record = CacheRecord {
            layer: state.added.map(|(layer, _)| layer),
            state: store_key(&state.key),
            created: state.added.map_or(0, |(_, created)| created),
        };
        for key in keys {
            self.builder.session.record(&store_key(key), &record)?;
        }
        Ok(())
    }

    /// Executes the step on a tree of its own and freezes what it changed.
    fn make(&self, key: Key) -> Result<State, Box<Failure>> {
        let Builder { store, session, .. } = self.builder;
        let layers = Layers::open(store, &self.parent.layers)?;
        let below = layers.top_first();
        // A linked copy looks at nothing below, not even at the root's mode (C22).
        let like = below.first().copied().filter(|_| !self.is_linked());
        let staged = session.new_layer().map_err(Error::Store)?;
        prepare(&staged.diff, like).map_err(Error::Snapshot)?;
        match self.apply(&below, &staged) {
            Ok(()) => Ok(self.freeze(key, staged, like)?),
            Err(error) => Err(Box::new(Failure {
                error,
                remains: match &self.step.op {
                    Op::Run(_) => Some(Remains::new(self, staged)),
                    Op::Copy(_) | Op::Workdir(_) => None,
                },
            })),
        }
    }

    /// Makes what the step changed, if it did, a layer.
    fn freeze(&self, key: Key, staged: StagedLayer, like: Option<&Dir>) -> Result<State, Error> {
        let mut state = State {
            key,
            added: None,
            ..self.parent.clone()
        };
        if has_changes(&staged.diff, like)? {
            let parent = self.parent.layers.last().copied();
            let parent = parent.filter(|_| !self.is_linked());
            let added = commit(self.builder.session, staged, parent)?;
            (self.builder.emit)(Event::Frozen {
                step: self.id,
                layer: added.0,
            });
            state.layers.push(added.0);
            state.added = Some(added);
        }
        Ok(state)
    }

    /// Does to the tree what the step says; it is unmounted when this returns.
    fn apply(&self, below: &[&Dir], staged: &StagedLayer) -> Result<(), Error> {
        let Bottoms { empty, skeleton } = self.builder.bottoms;
        let upper = Upper {
            changes: &staged.diff,
            work: &staged.work,
        };
        let done = match &self.step.op {
            Op::Run(command) => {
                return self.run(writable(below, skeleton, upper)?, staged, command);
            }
            Op::Copy(command) => {
                let tree = readable(below, empty)?;
                let tree = place::Tree {
                    // A linked copy does not look at what is below (C22).
                    below: if command.link { empty } else { &tree },
                    changes: &staged.diff,
                };
                return self.copy((tree, below), command);
            }
            Op::Workdir(command) => workdir(&writable(below, empty, upper)?, command),
        };
        done.map_err(|error| self.failed(error))
    }

    /// Runs `command` in `tree`, the changes of which are in `staged`.
    fn run(&self, tree: Dir, staged: &StagedLayer, command: &Run) -> Result<(), Error> {
        let mut output = |stream, line: &[u8]| {
            let line = line.to_vec();
            (self.builder.emit)(Event::Output {
                step: self.id,
                stream,
                line,
            });
        };
        let ran = run(self, &tree, command, &mut output);
        drop(tree);
        let ran = ran.map_err(|error| self.failed(error))?;
        let erased = ran.traces.erase(&staged.diff).map_err(Error::Traces);
        ran.outcome.map_err(|error| self.failed(error))?;
        erased
    }

    fn copy(
        &self,
        (tree, layers): (place::Tree<'_>, &[&Dir]),
        command: &Copy,
    ) -> Result<(), Error> {
        let Builder {
            session, bottoms, ..
        } = self.builder;
        let source = self.sources.first().and_then(Option::as_ref);
        let other = source.map(|state| self.builder.open(state)).transpose()?;
        let root = self.root(0, other.as_ref());
        let mount = || {
            let work = session.new_layer()?;
            let upper = Upper {
                changes: tree.changes,
                work: &work.work,
            };
            let layers = if command.link { &[] } else { layers };
            let tree = writable(layers, &bottoms.empty, upper).map_err(StepError::Mount)?;
            Ok(Mounted { tree, _work: work })
        };
        let copied = || {
            let owner = command.chown.as_deref();
            let owner = owner.map(|owner| match chown(tree.below, owner) {
                Err(StepError::User { user, .. }) if command.link => {
                    Err(StepError::LinkedUser { user })
                }
                found => found,
            });
            let owner = owner.transpose()?;
            let selection = Selection::of(command, root, self.builder.staging())?;
            if other.is_some() && command.exclude.is_empty() {
                self.tell_unmatched(&selection);
            }
            copy(
                Destination {
                    tree,
                    mount: &mount,
                },
                command,
                &selection,
                owner,
            )
        };
        copied().map_err(|error| self.failed(error))
    }

    /// Tells which wildcards matched nothing: without `--exclude`, nothing else selects nothing.
    fn tell_unmatched(&self, selection: &Selection<'_>) {
        for (item, group) in selection.groups.iter().enumerate() {
            if group.sources.is_empty() {
                let step = self.id;
                (self.builder.emit)(Event::Unmatched { step, item });
            }
        }
    }

    pub(crate) fn failed(&self, source: StepError) -> Error {
        Error::Step {
            step: self.id,
            source: Box::new(source),
        }
    }
}

/// Freezes `staged` as a layer on `parent`; says which it is and when that was.
pub(crate) fn commit(
    session: &Session,
    staged: StagedLayer,
    parent: Option<LayerId>,
) -> Result<(LayerId, i64), Error> {
    let id = LayerId::random().map_err(Error::Random)?;
    let record = LayerRecord {
        parent,
        ..LayerRecord::default()
    };
    session.commit_layer(staged, id, &record)?;
    Ok((id, now()))
}

/// Open handles on the layers of a state.
pub(crate) struct Layers(Vec<Dir>);

impl Layers {
    pub(crate) fn open(store: &Store, layers: &[LayerId]) -> Result<Self, Error> {
        let open = |id: &LayerId| Ok(store.layer(id)?.ok_or(Error::LayerMissing(*id))?.diff);
        layers.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn top_first(&self) -> Vec<&Dir> {
        self.0.iter().rev().collect()
    }
}

fn store_key(key: &Key) -> StoreKey {
    StoreKey::from_bytes(*key.as_bytes())
}

/// Seconds since 1970. The clock only dates results; nothing is decided by it.
fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
