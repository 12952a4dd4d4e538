//! What is remembered of the steps of earlier builds, for explanations alone.
//!
//! One note of the store for each Dockerfile and context: looked up by its name, never searched.
//! A build that executes nothing neither reads nor writes it.
//!
//! Invariant: nothing depends on it. What cannot be read is not remembered, what cannot be
//! written is forgotten.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use rbuild_plan::{Absence, Account, Ledger, Plan, Reason, StepId};
use rbuild_store::{Key, Session, Store};

/// Kind of the store's notes that keep ledgers.
const NOTES: &str = "steps";

/// Longest note, in bytes.
const LONGEST: usize = 32 << 20;

/// The memory of one Dockerfile with one context.
pub struct Memory {
    key: Key,
    /// Loaded when the first step misses.
    ledger: OnceLock<Ledger>,
    executed: Mutex<BTreeMap<StepId, Account>>,
}

impl Memory {
    /// Of the builds that are called `name`: whatever tells the Dockerfile and the context from
    /// others.
    pub fn of(name: &[u8]) -> Self {
        Self {
            key: Key::of(name),
            ledger: OnceLock::new(),
            executed: Mutex::default(),
        }
    }

    /// Why step `id` of `plan`, with the account `now`, is executed.
    pub(crate) fn explain(
        &self,
        (plan, id): (&Plan, StepId),
        (absence, now): (Absence, &Account),
        store: &Store,
    ) -> Reason {
        let ledger = self.ledger.get_or_init(|| {
            let note = store.note(NOTES, &self.key).ok().flatten();
            serde_json::from_slice(&note.unwrap_or_default()).unwrap_or_default()
        });
        Reason::of(absence, ledger.nearest(plan, id), now)
    }

    /// Remembers that step `id`, with the account `account`, was executed.
    pub(crate) fn executed(&self, id: StepId, account: Account) {
        let mut executed = self.executed.lock().unwrap_or_else(PoisonError::into_inner);
        executed.insert(id, account);
    }

    /// Writes down what was executed of `plan`.
    pub(crate) fn save(&self, plan: &Plan, session: &Session) {
        let executed = self.executed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ledger) = self.ledger.get()
            && !executed.is_empty()
            && let Ok(bytes) = serde_json::to_vec(&ledger.after(plan, &executed))
            && bytes.len() <= LONGEST
        {
            let _ = session.put_note(NOTES, &self.key, &bytes);
        }
    }
}
