//! What was fetched for a build, gathered while it tells of it, for those who tell others.
//!
//! Knows: how provenance calls what tells one state of a place from others.
//! Does not know: who fetches.

use std::{collections::BTreeMap, sync::Mutex};

use rbuild_engine::{
    Event,
    fetch::{Remote, Revision},
};
use rbuild_export::Material;
use rbuild_plan::StepId;

/// What each item of an ADD has fetched.
#[derive(Default)]
pub struct Fetched(Mutex<BTreeMap<(StepId, usize), Material>>);

impl Fetched {
    /// Keeps `event` if something was fetched.
    pub fn note(&self, event: &Event) {
        if let Event::Fetched { step, item, remote } = event {
            let mut all = self.0.lock().expect("no holder panics");
            all.insert((*step, *item), material(remote));
        }
    }

    /// All of it, by step and item.
    pub fn all(&self) -> BTreeMap<(StepId, usize), Material> {
        self.0.lock().expect("no holder panics").clone()
    }
}

/// `remote` in the words of provenance.
pub fn material(remote: &Remote) -> Material {
    let digest = match &remote.revision {
        Revision::Commit(commit) => ("gitCommit", commit.clone()),
        Revision::Bytes(digest) => ("sha256", digest.hex()),
    };
    Material {
        uri: remote.uri.clone(),
        digest,
    }
}
