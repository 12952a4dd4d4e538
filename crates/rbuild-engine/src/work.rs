//! One step: key → cached? → make → record.
//!
//! Knows: what a step is looked up by, and where. Does not know: how it is done ([`make`]).
//!
//! Invariant: a step's result becomes visible complete, by one rename, or not at all; a cached
//! result that vanishes is a miss, never an error (T53).

mod make;

use std::{
    collections::BTreeSet,
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use rbuild_plan::{
    Absence, Account, Key, Listing, Op, Parent, Plan, Reason, SourceDigest, Step, StepId, Tree,
    step_key,
};
use rbuild_store::{CacheRecord, Key as StoreKey, KeyLock, LayerId, Wait};
use rbuild_sys::Dir;

use crate::{
    Error, Event,
    build::{Builder, State},
    deferred::Known,
    list::{List, Unlisted},
    remains::Failure,
    selection::{Root, Selection},
    step::{StepError, mounts},
    trees::Trees,
};
pub(crate) use make::commit;

/// One step and what it stands on.
pub(crate) struct Work<'a> {
    pub builder: &'a Builder<'a>,
    pub plan: &'a Plan,
    pub trees: Trees<'a>,
    pub id: StepId,
    pub step: &'a Step,
    pub parent: State,
    /// For each of the operation's sources that is a tree: its state.
    pub sources: Vec<Option<State>>,
}

/// What the store says of a key.
pub(crate) enum Found {
    /// The state that an earlier build recorded, all of it there, and when it was made.
    Hit(State, i64),
    /// The same, but for the files of the last layer.
    Known(State, LayerId),
    /// It has none.
    Miss(Absence),
}

/// What the step reads besides its tree, looked at.
pub(crate) struct Reading {
    digests: Vec<SourceDigest>,
    files: Vec<Listing>,
}

impl<'a> Work<'a> {
    /// Step `id` of `plan`, on what `state` knows of the trees that it needs.
    pub fn new(trees: Trees<'a>, id: StepId, state: &dyn Fn(&Tree) -> State) -> Self {
        let step = trees.plan.step(id);
        let sources = step.op.sources().into_iter();
        let sources = sources.map(|source| source.tree().map(state)).collect();
        Self::on(trees, id, (state(&step.parent), sources))
    }

    /// Step `id` of the plan, on `parent` and `sources`.
    pub fn on(
        trees: Trees<'a>,
        id: StepId,
        (parent, sources): (State, Vec<Option<State>>),
    ) -> Self {
        Self {
            builder: trees.builder,
            plan: trees.plan,
            trees,
            id,
            step: trees.plan.step(id),
            parent,
            sources,
        }
    }

    /// Executes a step that was put off, unless that has been done; returns the layer that it made,
    /// if it changed anything.
    pub fn again(trees: Trees<'a>, known: &Known) -> Result<Option<LayerId>, Error> {
        let mut made = known.made();
        if let Some(made) = *made {
            return Ok(made);
        }
        let stands_on = (known.parent.clone(), known.sources.clone());
        let work = Self::on(trees, known.id, stands_on);
        let state = work.execute_again(known).map_err(|failure| {
            trees.deferred.keep(failure.remains);
            failure.error
        })?;
        let layer = state.added.map(|(layer, _)| layer);
        *made = Some(layer);
        Ok(layer)
    }
}

impl Work<'_> {
    /// Branches are here, work is below.
    pub fn execute(&self) -> Result<State, Box<Failure>> {
        let definition = self.definition()?;
        if let Some(found) = self.found(self.defined(&definition)?, definition)? {
            return Ok(found);
        }
        let _lock = self.lock(&definition)?;
        let looked_up = self.defined(&definition)?;
        let absence = match &looked_up {
            Found::Miss(absence) => *absence,
            Found::Hit(..) | Found::Known(..) => Absence::Deleted,
        };
        if let Some(found) = self.found(looked_up, definition)? {
            return Ok(found);
        }
        let reading = self.read()?;
        let content = self.content_key(definition, &reading);
        let alone = self.alone(&reading);
        let keys: BTreeSet<Key> = [definition, content].into_iter().chain(alone).collect();
        let keys: Vec<Key> = keys.into_iter().collect();
        for known in keys.iter().filter(|&&key| key != definition) {
            if let Found::Hit(hit, created) = self.lookup(known)? {
                let hit = State {
                    key: content,
                    ..hit
                };
                self.record(&keys, &hit, created)?;
                return Ok(self.cached((hit, created), &keys)?);
            }
        }
        let account = self.account(reading);
        let why = self.explain(absence, &account);
        if self.builder.caching.required.has(self.step.stage) {
            let step = self.id;
            return Err(Error::Uncached { step, why }.into());
        }
        let step = self.id;
        (self.builder.emit)(Event::Started { step, why });
        let mut state = self.make(content)?;
        state.is_renewed |= absence == Absence::Expired;
        let created = now();
        self.record(&keys, &state, created)?;
        self.builder.memory.executed(self.id, account);
        self.tell_recorded(keys, created);
        (self.builder.emit)(Event::Finished(self.id));
        Ok(state)
    }

    /// The state that was found under `definition`, if one was; a step whose files are gone is put
    /// off.
    fn found(&self, found: Found, definition: Key) -> Result<Option<State>, Error> {
        match found {
            Found::Hit(state, created) => self.cached((state, created), &[definition]).map(Some),
            Found::Known(state, layer) if self.trees.deferred.can_wait(self.id) => {
                let known = Known {
                    id: self.id,
                    parent: self.parent.clone(),
                    sources: self.sources.clone(),
                    definition,
                    key: state.key,
                    made: Mutex::default(),
                };
                self.trees.deferred.add(layer, known);
                let created = state.added.map_or(0, |(_, created)| created);
                self.tell_recorded([definition, state.key], created);
                (self.builder.emit)(Event::Cached(self.id));
                Ok(Some(state))
            }
            Found::Known(..) | Found::Miss(_) => Ok(None),
        }
    }

    /// Executes a step that was taken for cached, as its files are wanted.
    fn execute_again(&self, known: &Known) -> Result<State, Box<Failure>> {
        let _lock = self.lock(&known.definition)?;
        if let Found::Hit(hit, _) = self.lookup(&known.definition)? {
            return Ok(hit);
        }
        let (step, why) = (self.id, Reason::Deleted);
        if self.builder.caching.required.has(self.step.stage) {
            return Err(Error::Uncached { step, why }.into());
        }
        (self.builder.emit)(Event::Started { step, why });
        let state = self.make(known.key)?;
        self.record(&[known.definition, known.key], &state, now())?;
        (self.builder.emit)(Event::Finished(step));
        Ok(state)
    }

    /// Waits until no other build makes what `definition` stands for.
    fn lock(&self, definition: &Key) -> Result<KeyLock, Error> {
        let mut wait = Wait {
            waiting: &mut || (self.builder.emit)(Event::Waiting(self.id)),
            give_up: &|| self.builder.runner.is_cancelled(),
        };
        let session = self.builder.session;
        Ok(session.key_lock(&store_key(definition), &mut wait)?)
    }

    /// The state was looked up under one of `keys`.
    fn cached(&self, (state, created): (State, i64), keys: &[Key]) -> Result<State, Error> {
        let keys = [keys, &[state.key]].concat();
        for key in &keys {
            // So that the next build knows it without the import; what was known here stays.
            if self.builder.imports.lookup(key).is_some()
                && !matches!(self.lookup_here(key)?, Found::Hit(..))
            {
                self.record(&[*key], &state, created)?;
            }
        }
        self.tell_recorded(keys, created);
        if let Some((layer, _)) = state.added {
            (self.builder.emit)(Event::Known {
                step: self.id,
                layer,
            });
        }
        (self.builder.emit)(Event::Cached(self.id));
        Ok(state)
    }

    /// The result can be looked up under `keys`.
    fn tell_recorded(&self, keys: impl IntoIterator<Item = Key>, created: i64) {
        let keys: BTreeSet<Key> = keys.into_iter().collect();
        (self.builder.emit)(Event::Recorded {
            step: self.id,
            keys: keys.into_iter().collect(),
            created,
        });
    }

    /// Why the step is executed, when the store has no result but `absence`.
    pub fn explain(&self, absence: Absence, account: &Account) -> Reason {
        let Builder { memory, store, .. } = self.builder;
        memory.explain((self.plan, self.id), (absence, account), store)
    }

    /// What the keys of the step are made of.
    pub fn account(&self, reading: Reading) -> Account {
        let base = match &self.step.parent {
            Tree::Image(image) => Some(&image.name[..]),
            Tree::Empty | Tree::Step(_) => None,
        };
        let parent = match self.is_linked() {
            true => Parent::default(),
            false => Parent::of(&self.parent.key, base),
        };
        let mut account = Account::of(self.step, parent, reading.files);
        let secrets = &reading.digests[self.sources.len()..];
        for (id, digest) in self.step.op.counted_secrets().into_iter().zip(secrets) {
            if let SourceDigest::Content(digest) = digest {
                account.secret(id, digest);
            }
        }
        account
    }

    /// The key by the content of what is read; `definition` if nothing else is read than the
    /// context, whose content that has already.
    pub fn content_key(&self, definition: Key, reading: &Reading) -> Key {
        match self.sources.iter().any(Option::is_some) {
            true => step_key(self.step, &self.parent.key, &reading.digests),
            false => definition,
        }
    }

    /// The key of a step whose changes do not depend on what it stands on (C22); `None` for all
    /// others.
    pub fn alone(&self, reading: &Reading) -> Option<Key> {
        let key = || step_key(self.step, &Key::of_any_tree(), &reading.digests);
        self.is_linked().then(key)
    }

    fn is_linked(&self) -> bool {
        matches!(&self.step.op, Op::Copy(copy) if copy.link)
    }

    /// Whether results of earlier builds do not count: that is so for all that follows in a stage,
    /// and in stages on it.
    fn is_anew(&self) -> bool {
        self.builder.caching.refreshed.has(self.step.stage) || self.parent.is_renewed
    }

    /// The state that executing the step leads to, as far as it is known before: without a layer.
    pub fn expected_state(&self, key: Key) -> State {
        State {
            key,
            added: None,
            is_renewed: self.is_anew(),
            ..self.parent.clone()
        }
    }

    /// The key by how the trees are made that are read.
    pub fn definition(&self) -> Result<Key, Error> {
        let mut digests = Vec::with_capacity(self.sources.len());
        for (index, state) in self.sources.iter().enumerate() {
            digests.push(match state {
                Some(state) => SourceDigest::Tree(state.key),
                None => SourceDigest::Content(self.content(index, None, &mut Unlisted)?),
            });
        }
        digests.extend(self.secrets()?.into_iter().map(SourceDigest::Content));
        Ok(step_key(self.step, &self.parent.key, &digests))
    }

    /// What stands for each secret that counts: without the store's own secret nobody can tell
    /// whether it is that of a content that he guesses.
    fn secrets(&self) -> Result<Vec<[u8; 32]>, Error> {
        let counted = self.step.op.counted_secrets();
        if counted.is_empty() {
            return Ok(Vec::new());
        }
        let own = self.builder.session.secret()?;
        let known = &self.builder.confidential.secrets;
        let digest = |id: &str| match known.get(id) {
            Some(content) => *blake3::keyed_hash(&own, content).as_bytes(),
            None => [0; 32],
        };
        Ok(counted.into_iter().map(digest).collect())
    }

    /// Looks at all that the step reads, also in other trees (K3, T55).
    pub fn read(&self) -> Result<Reading, Error> {
        let mut reading = Reading {
            digests: Vec::new(),
            files: Vec::new(),
        };
        for (index, state) in self.sources.iter().enumerate() {
            let mut listing = Listing::default();
            let content = self.content(index, state.as_ref(), &mut listing)?;
            reading.digests.push(SourceDigest::Content(content));
            reading.files.push(listing);
        }
        let secrets = self.secrets()?.into_iter().map(SourceDigest::Content);
        reading.digests.extend(secrets);
        Ok(reading)
    }

    /// Digest of what the step reads from its source number `index`, which is the context if it
    /// has no `state`; `list` is told of the files.
    fn content(
        &self,
        index: usize,
        state: Option<&State>,
        list: &mut dyn List,
    ) -> Result<[u8; 32], Error> {
        let tree = state.map(|state| self.trees.open(state)).transpose()?;
        let root = self.root(index, tree.as_ref());
        let staging = self.builder.staging();
        let digest = match &self.step.op {
            Op::Copy(copy) => Selection::of(copy, root, staging).and_then(|selection| {
                self.tell_fetched(&selection);
                selection.digest(root, staging, list)
            }),
            Op::Run(run) => mounts::digest((run, index), root, staging, list),
            Op::Workdir(_) => unreachable!("WORKDIR has no sources"),
        };
        digest.map_err(|error| self.failed(error))
    }

    /// Tells what was fetched for `selection`.
    fn tell_fetched(&self, selection: &Selection<'_>) {
        for (item, group) in selection.groups.iter().enumerate() {
            if let Some(remote) = group.remote.clone() {
                let step = self.id;
                (self.builder.emit)(Event::Fetched { step, item, remote });
            }
        }
    }

    /// Where the source number `index` is; `tree` if it is one.
    fn root<'r>(&'r self, index: usize, tree: Option<&'r Dir>) -> Root<'r> {
        let context = |source| Root::Context(self.builder.context_of(source));
        let source = self.step.op.sources().get(index).copied();
        let main = Root::Context(self.builder.context);
        tree.map_or_else(|| source.map_or(main, context), Root::Tree)
    }

    /// What an earlier build recorded for the step as it is defined: nothing that counts, if what it
    /// reads is made anew.
    pub fn defined(&self, definition: &Key) -> Result<Found, Error> {
        let mut sources = self.sources.iter().flatten();
        match sources.any(|source| source.is_renewed) {
            true => Ok(Found::Miss(Absence::Unknown)),
            false => self.lookup(definition),
        }
    }

    /// What an earlier build recorded under `key`, here or elsewhere.
    pub fn lookup(&self, key: &Key) -> Result<Found, Error> {
        if self.builder.caching.refreshed.has(self.step.stage) {
            return Ok(Found::Miss(Absence::Unasked));
        }
        let here = self.lookup_here(key)?;
        match (&here, self.builder.imports.lookup(key)) {
            (Found::Hit(..), _) | (_, None) => Ok(here),
            (Found::Known(..) | Found::Miss(_), Some(record)) => match self.known(record)? {
                Found::Miss(_) => Ok(here),
                found => Ok(found),
            },
        }
    }

    /// The same of the store alone.
    fn lookup_here(&self, key: &Key) -> Result<Found, Error> {
        match self.builder.store.lookup(&store_key(key))? {
            Some(record) => self.known(&record),
            None => Ok(Found::Miss(Absence::Unknown)),
        }
    }

    /// The state that `record` leads to, if that can be had.
    fn known(&self, record: &CacheRecord) -> Result<Found, Error> {
        let Builder {
            caching,
            session,
            imports,
            ..
        } = self.builder;
        if caching.is_expired(record.created, now()) {
            return Ok(Found::Miss(Absence::Expired));
        }
        if self.is_anew() {
            return Ok(Found::Miss(Absence::Unasked));
        }
        let key = Key::from_bytes(*record.state.as_bytes());
        let mut state = self.expected_state(key);
        if let Some(layer) = record.layer {
            // A linked copy may be there twice, and a tree cannot have a layer twice.
            if state.layers.contains(&layer) {
                return Ok(Found::Miss(Absence::Unknown));
            }
            if session.finished_layer(&layer)?.is_none() && !imports.offers(&layer) {
                state.layers.push(layer);
                state.added = Some((layer, record.created));
                return Ok(Found::Known(state, layer));
            }
            state.layers.push(layer);
            state.added = Some((layer, record.created));
        }
        Ok(Found::Hit(state, record.created))
    }

    fn record(&self, keys: &[Key], state: &State, created: i64) -> Result<(), Error> {
        let record = CacheRecord {
            layer: state.added.map(|(layer, _)| layer),
            state: store_key(&state.key),
            created: state.added.map_or(created, |(_, created)| created),
        };
        for key in keys {
            self.builder.session.record(&store_key(key), &record)?;
        }
        Ok(())
    }

    pub fn failed(&self, source: StepError) -> Error {
        Error::Step {
            step: self.id,
            source: Box::new(source),
        }
    }
}

fn store_key(key: &Key) -> StoreKey {
    StoreKey::from_bytes(*key.as_bytes())
}

/// Seconds since 1970. The clock dates results, and expires them if that is asked for.
fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
