//! Results that were made anew: what of earlier builds does not count, counts of this one.
//!
//! Knows: that equal steps are made anew once, for whatever platform.
//! Does not know: why a step was executed although it had a result.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use rbuild_plan::Key;
use rbuild_store::CacheRecord;

/// What builds that are done together have made anew, by how it is defined.
#[derive(Default)]
pub(crate) struct Renewed(Mutex<BTreeMap<Key, CacheRecord>>);

impl Renewed {
    /// `definition` led to `record`.
    pub fn add(&self, definition: Key, record: CacheRecord) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(definition, record);
    }

    /// What `definition` led to, if that was made anew.
    pub fn find(&self, definition: &Key) -> Option<CacheRecord> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(definition).cloned()
    }
}
