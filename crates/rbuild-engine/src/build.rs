//! The loop: key → cached? → prepare a tree → run or copy → freeze → record.
//!
//! Knows: the order of things. Does not know: how any of them is done.
//!
//! Invariant: a step's result becomes visible complete, by one rename, or not at all; a cached
//! result that vanishes is a miss, never an error (T53).

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use rbuild_context::{Owners, ReadFiles, digest};
use rbuild_plan::{Copy, Key, Op, Plan, Source, SourceDigest, Step, StepId, Tree, step_key};
use rbuild_snapshot::{has_changes, prepare, readable, writable};
use rbuild_store::{
    CacheRecord, Key as StoreKey, LayerId, LayerRecord, Session, StagedLayer, Store,
};
use rbuild_sys::{Dir, Upper};

use crate::{
    BaseTree, BuildContext, Error, Event, Runner,
    context::select,
    step::{
        StepError,
        copy::{Owner, copy},
        place,
        run::{chown, run},
        workdir::workdir,
    },
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
    /// The base images' trees, by the reference text of the plan.
    pub bases: &'a BTreeMap<String, BaseTree>,
    /// Directories that lie under every tree.
    pub bottoms: &'a Bottoms,
    /// Whether results of earlier builds count.
    pub caching: Caching,
    /// Is told what happens.
    pub emit: &'a dyn Fn(Event),
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
    /// Executes all steps of `plan` in order; returns the state after each.
    ///
    /// # Errors
    /// [`Error::Step`] with the step that failed; the results of those before it stay cached.
    pub fn build(&self, plan: &Plan) -> Result<Vec<State>, Error> {
        let built = self.execute(plan);
        // A build that failed has read the context too.
        self.context.save(self.session);
        built
    }

    fn execute(&self, plan: &Plan) -> Result<Vec<State>, Error> {
        let mut states: Vec<State> = Vec::with_capacity(plan.steps.len());
        for (step, id) in plan.steps.iter().zip((0..).map(StepId)) {
            let parent = self.state(plan, &step.parent, &states);
            let source = match &step.op {
                Op::Copy(Copy {
                    source: Source::Tree(tree),
                    ..
                }) => Some(self.state(plan, tree, &states)),
                _ => None,
            };
            let work = Work {
                builder: self,
                id,
                step,
                parent,
                source,
            };
            states.push(work.execute()?);
        }
        Ok(states)
    }

    /// The state that `tree` names; steps come after everything that they need.
    fn state(&self, plan: &Plan, tree: &Tree, states: &[State]) -> State {
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
            Tree::Step(id) => states[id.0 as usize].clone(),
        }
    }
}

/// One step and what it stands on.
struct Work<'a> {
    builder: &'a Builder<'a>,
    id: StepId,
    step: &'a Step,
    parent: State,
    /// For `COPY --from`: the tree that is copied from.
    source: Option<State>,
}

impl Work<'_> {
    /// Branches are here, work is below.
    fn execute(&self) -> Result<State, Error> {
        let definition = self.definition_key()?;
        if let Some(hit) = self.lookup(&definition)? {
            return Ok(hit);
        }
        let _lock = self
            .builder
            .session
            .key_lock(&store_key(&definition), &mut || {
                (self.builder.emit)(Event::Waiting(self.id));
            })?;
        if let Some(hit) = self.lookup(&definition)? {
            return Ok(hit);
        }
        let content = self.content_key()?.unwrap_or(definition);
        if content != definition
            && let Some(hit) = self.lookup(&content)?
        {
            self.record(&definition, &hit)?;
            return Ok(hit);
        }
        (self.builder.emit)(Event::Started(self.id));
        let state = self.make(content)?;
        self.record(&content, &state)?;
        if content != definition {
            self.record(&definition, &state)?;
        }
        (self.builder.emit)(Event::Finished(self.id));
        Ok(state)
    }

    /// The key by what is known without looking into other stages' trees.
    fn definition_key(&self) -> Result<Key, Error> {
        let source = match (&self.step.op, &self.source) {
            (Op::Copy(_), Some(tree)) => Some(SourceDigest::Tree(tree.key)),
            (Op::Copy(copy), None) => Some(
                self.context_digest(copy)
                    .map_err(|error| self.failed(error))?,
            ),
            _ => None,
        };
        Ok(step_key(self.step, &self.parent.key, source.as_ref()))
    }

    fn context_digest(&self, copy: &Copy) -> Result<SourceDigest, StepError> {
        let context = self.builder.context;
        let sources = context.select(&copy.patterns)?;
        context
            .digest(self.builder.store, &sources)
            .map(SourceDigest::Content)
    }

    /// The key by the bytes that `COPY --from` selects (K3, T55); `None` for all other steps.
    fn content_key(&self) -> Result<Option<Key>, Error> {
        let (Op::Copy(copy), Some(from)) = (&self.step.op, &self.source) else {
            return Ok(None);
        };
        let layers = Layers::open(self.builder.store, &from.layers)?;
        let tree = readable(&layers.top_first(), &self.builder.bottoms.empty)?;
        let digest = select(&tree, &copy.patterns, None)
            .and_then(|sources| Ok(digest(&sources, None, Owners::Counted, &mut ReadFiles)?))
            .map_err(|error| self.failed(error))?;
        Ok(Some(step_key(
            self.step,
            &self.parent.key,
            Some(&SourceDigest::Content(digest)),
        )))
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
            if self.builder.session.finished_layer(&layer)?.is_none() {
                return Ok(None);
            }
            state.layers.push(layer);
            state.added = Some((layer, record.created));
        }
        (self.builder.emit)(Event::Cached(self.id));
        Ok(Some(state))
    }

    fn record(&self, key: &Key, state: &State) -> Result<(), Error> {
        let record = CacheRecord {
            layer: state.added.map(|(layer, _)| layer),
            state: store_key(&state.key),
            created: state.added.map_or(0, |(_, created)| created),
        };
        Ok(self.builder.session.record(&store_key(key), &record)?)
    }

    /// Executes the step on a tree of its own and freezes what it changed.
    fn make(&self, key: Key) -> Result<State, Error> {
        let Builder { store, session, .. } = self.builder;
        let layers = Layers::open(store, &self.parent.layers)?;
        let below = layers.top_first();
        let staged = session.new_layer()?;
        prepare(&staged.diff, below.first().copied())?;
        self.apply(&below, &staged)?;
        let mut state = State {
            key,
            added: None,
            ..self.parent.clone()
        };
        if has_changes(&staged.diff, below.first().copied())? {
            let id = LayerId::random().map_err(Error::Random)?;
            let record = LayerRecord {
                parent: self.parent.layers.last().copied(),
                ..LayerRecord::default()
            };
            session.commit_layer(staged, id, &record)?;
            state.layers.push(id);
            state.added = Some((id, now()));
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
                let mut output = |stream, line: &[u8]| {
                    let line = line.to_vec();
                    (self.builder.emit)(Event::Output {
                        step: self.id,
                        stream,
                        line,
                    });
                };
                let tree = writable(below, skeleton, upper)?;
                run(self.builder.runner, &tree, command, &mut output)
            }
            Op::Copy(command) => {
                let tree = readable(below, empty)?;
                let tree = place::Tree {
                    below: &tree,
                    changes: &staged.diff,
                };
                match &self.source {
                    None => self.copy_from_context(tree, command),
                    Some(from) => return self.copy_from_tree(tree, command, from),
                }
            }
            Op::Workdir(command) => workdir(&writable(below, empty, upper)?, command),
        };
        done.map_err(|error| self.failed(error))
    }

    fn copy_from_context(&self, tree: place::Tree<'_>, command: &Copy) -> Result<(), StepError> {
        let context = self.builder.context;
        let owner = owner(tree.below, command, Owner::Fixed { uid: 0, gid: 0 })?;
        let sources = context.select(&command.patterns)?;
        copy(tree, command, &sources, (owner, context.rules()))
    }

    fn copy_from_tree(
        &self,
        tree: place::Tree<'_>,
        command: &Copy,
        from: &State,
    ) -> Result<(), Error> {
        let layers = Layers::open(self.builder.store, &from.layers)?;
        let other = readable(&layers.top_first(), &self.builder.bottoms.empty)?;
        let copied = || {
            let owner = owner(tree.below, command, Owner::AsInSource)?;
            let sources = select(&other, &command.patterns, None)?;
            copy(tree, command, &sources, (owner, None))
        };
        copied().map_err(|error| self.failed(error))
    }

    fn failed(&self, source: StepError) -> Error {
        Error::Step {
            step: self.id,
            source: Box::new(source),
        }
    }
}

/// Who owns what `command` copies into `tree`: `usual`, unless it says otherwise.
fn owner(tree: &Dir, command: &Copy, usual: Owner) -> Result<Owner, StepError> {
    command
        .chown
        .as_deref()
        .map_or(Ok(usual), |owner| chown(tree, owner))
}

/// Open handles on the layers of a state.
struct Layers(Vec<Dir>);

impl Layers {
    fn open(store: &Store, layers: &[LayerId]) -> Result<Self, Error> {
        let open = |id: &LayerId| Ok(store.layer(id)?.ok_or(Error::LayerMissing(*id))?.diff);
        layers.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    fn top_first(&self) -> Vec<&Dir> {
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
