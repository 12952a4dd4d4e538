//! What earlier builds recorded of a step, and whether it counts.
//!
//! Knows: the store's records, those of imported caches, how old a result may be.
//! Does not know: how a key came about.

use std::time::{SystemTime, UNIX_EPOCH};

use rbuild_plan::{Absence, Key};
use rbuild_store::{CacheRecord, Key as StoreKey, LayerId};

use super::Work;
use crate::{
    Error,
    build::{Builder, State},
};

/// What the store says of a key.
pub(crate) enum Found {
    /// The state that an earlier build recorded, all of it there, and when it was made.
    Hit(State, i64),
    /// The same, but for the files of the last layer.
    Known(State, LayerId),
    /// It has none.
    Miss(Absence),
}

impl Work<'_> {
    /// What this build has made anew for the step as it is defined, or an earlier one recorded: that
    /// does not count if what it reads is made anew.
    pub fn defined(&self, definition: &Key) -> Result<Found, Error> {
        if let Some(record) = self.trees.renewed.find(definition)
            && let Found::Hit(state, created) = self.recorded(&record)?
        {
            let is_renewed = true;
            return Ok(Found::Hit(
                State {
                    is_renewed,
                    ..state
                },
                created,
            ));
        }
        let mut sources = self.sources.iter().flatten();
        match sources.any(|source| source.is_renewed) {
            true if self.is_anew() => Ok(Found::Miss(Absence::Unasked)),
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
    pub(super) fn lookup_here(&self, key: &Key) -> Result<Found, Error> {
        match self.builder.store.lookup(&store_key(key))? {
            Some(record) => self.known(&record),
            None => Ok(Found::Miss(Absence::Unknown)),
        }
    }

    /// The state that `record` leads to, if that can be had and counts.
    fn known(&self, record: &CacheRecord) -> Result<Found, Error> {
        if self.builder.caching.is_expired(record.created, now()) {
            return Ok(Found::Miss(Absence::Expired));
        }
        if self.is_anew() {
            return Ok(Found::Miss(Absence::Unasked));
        }
        self.recorded(record)
    }

    /// The same, however old it is.
    fn recorded(&self, record: &CacheRecord) -> Result<Found, Error> {
        let Builder {
            session, imports, ..
        } = self.builder;
        let key = Key::from_bytes(*record.state.as_bytes());
        let mut state = self.expected_state(key);
        if let Some(layer) = record.layer {
            // A linked copy may be there twice, and a tree cannot have a layer twice.
            if state.layers.contains(&layer) {
                return Ok(Found::Miss(Absence::Unknown));
            }
            state.layers.push(layer);
            state.added = Some((layer, record.created));
            if session.finished_layer(&layer)?.is_none() && !imports.offers(&layer) {
                return Ok(Found::Known(state, layer));
            }
        }
        Ok(Found::Hit(state, record.created))
    }

    pub(super) fn record(&self, keys: &[Key], state: &State, created: i64) -> Result<(), Error> {
        let record = record_of(state, created);
        for key in keys {
            self.builder.session.record(&store_key(key), &record)?;
        }
        Ok(())
    }
}

/// What is kept of `state`, `created` at that time if it has nothing that is older.
pub(super) fn record_of(state: &State, created: i64) -> CacheRecord {
    CacheRecord {
        layer: state.added.map(|(layer, _)| layer),
        state: store_key(&state.key),
        created: state.added.map_or(created, |(_, created)| created),
    }
}

pub(super) fn store_key(key: &Key) -> StoreKey {
    StoreKey::from_bytes(*key.as_bytes())
}

/// Seconds since 1970. The clock dates results, and expires them if that is asked for.
pub(super) fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
