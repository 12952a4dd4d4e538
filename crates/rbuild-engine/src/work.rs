//! One step: key ([`keys`]) → cached? ([`records`]) → make ([`make`]) → record.
//!
//! Knows: the order of these, and what it says to others. Does not know: how any of them is done.
//!
//! Invariant: a step's result becomes visible complete, by one rename, or not at all; a cached
//! result that vanishes is a miss, never an error (T53).

mod keys;
mod make;
mod records;

use std::{collections::BTreeSet, sync::Mutex};

use rbuild_plan::{Absence, Account, Key, Plan, Reason, Step, StepId, Tree};
use rbuild_store::{KeyLock, LayerId, Wait};

use crate::{
    Error, Event,
    build::{Builder, State},
    deferred::Known,
    remains::Failure,
    step::StepError,
    trees::Trees,
};
pub(crate) use make::commit;
pub(crate) use records::Found;
use records::{now, record_of, store_key};

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
        if state.is_renewed {
            let record = record_of(&state, created);
            self.trees.renewed.add(definition, record);
        }
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

    pub fn failed(&self, source: StepError) -> Error {
        Error::Step {
            step: self.id,
            source: Box::new(source),
        }
    }
}
