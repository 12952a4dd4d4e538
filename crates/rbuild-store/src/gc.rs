//! Garbage collection: what is deleted is decided first, as data, and then done.
//!
//! ```text
//! directory ── survey ──► Survey ── decide (pure) ──► victims ── remove ──► trash ──► gone
//! ```
//!
//! Knows: what refers to what, and who is using it.
//! Does not know: how a cache key came about, what is in a layer, what a user typed.
//!
//! Invariant: removing creates no file, so it works on a full disk; what a living session holds
//! or a name leads to is still there afterwards; every prefix of it is a valid store. Spec:
//! docs/formats.md, "Garbage collection"; docs/adr/0007-aside.md.

pub(crate) mod aside;
mod holds;
mod leases;
mod policy;
mod remove;
mod survey;
pub(crate) mod usage;

use std::{
    fs::File,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

pub use policy::{Budget, Cache, Label, Object, Policy, Victim, Why, decide, dump};
pub use survey::{
    Measure, Survey, SurveyedImage, SurveyedLayer, SurveyedNote, SurveyedRecord, Use,
};
pub use usage::{Part, Usage};

pub(crate) use remove::{discard, empty_trash};

use crate::{
    ImageRecord, Store,
    error::{Context, Result},
    flock::Flock,
    session::sweep,
};

/// A prune does not stop half-way through the leftovers of the dead.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// The right to delete: one at a time has it. It is a lock on the directory `trash` itself, so
/// that none has to be created on a full disk.
pub(crate) struct Pruner {
    _lock: Flock,
}

impl Pruner {
    /// `None` if somebody else is pruning.
    pub(crate) fn start(store: &Store) -> Result<Option<Self>> {
        let trash = store
            .make_subdirectory("trash")
            .removing(|| "what is in the trash".to_owned())?;
        let trash = File::from(OwnedFd::from(trash));
        let lock = Flock::try_exclusive(trash, || "trash".to_owned())?;
        Ok(lock.map(|lock| Self { _lock: lock }))
    }
}

impl Store {
    /// Deletes what `policy` says, and what dead processes left behind; returns what is gone.
    /// `None` if another process is pruning.
    ///
    /// Layers can hold files of other ids: to be called inside the user namespace.
    ///
    /// # Errors
    /// [`Error::Remove`] if something cannot be deleted, [`Error::Read`] if the store cannot be
    /// read; what was deleted until then stays deleted.
    pub fn prune(&self, policy: &Policy) -> Result<Option<Vec<Victim>>> {
        let Some(_pruner) = Pruner::start(self)? else {
            return Ok(None);
        };
        aside::restore_all(self)?;
        sweep(self, Instant::now() + LONG);
        let survey = self.survey(Measure::Sizes)?;
        let victims = decide(&survey, policy);
        let gone = remove::remove(self, &survey, victims)?;
        empty_trash(self)?;
        Ok(Some(gone))
    }

    /// Deletes the layers and blobs that only the images `removed`, whose records are gone, had a
    /// use for; cache records that lead there go too. Returns what is gone; nothing if another
    /// process is pruning.
    ///
    /// To be called inside the user namespace.
    ///
    /// # Errors
    /// As [`Store::prune`].
    pub fn release(&self, removed: &[ImageRecord]) -> Result<Vec<Victim>> {
        let Some(_pruner) = Pruner::start(self)? else {
            return Ok(Vec::new());
        };
        let survey = self.survey(Measure::Names)?;
        let victims = policy::decide_release(&survey, removed);
        let gone = remove::remove(self, &survey, victims)?;
        empty_trash(self)?;
        Ok(gone)
    }
}

#[cfg(test)]
mod tests;
