//! Who hears what a build tells.
//!
//! Knows: that all hear everything. Does not know: what they make of it.

use rbuild_engine::Event;

use crate::{ahead::Ahead, exchange::KeyBook, fetched::Fetched, progress::Progress, unseen};

/// Who hears what a build tells.
pub struct Listeners {
    /// Remembers what results can be looked up by.
    pub keys: KeyBook,
    /// Has layers hashed.
    pub ahead: Ahead,
    /// Remembers what ADD has fetched.
    pub fetched: Fetched,
    /// Remembers wildcards that match nothing.
    pub unmatched: unseen::InTrees,
    /// Draws.
    pub progress: Progress,
}

impl Listeners {
    /// `ahead`, `progress`, and those who have heard nothing yet.
    pub fn new(ahead: Ahead, progress: Progress) -> Self {
        Self {
            keys: KeyBook::default(),
            ahead,
            fetched: Fetched::default(),
            unmatched: unseen::InTrees::default(),
            progress,
        }
    }

    /// Passes `event` on.
    pub fn hear(&self, event: &Event) {
        self.keys.note(event);
        self.ahead.note(event);
        self.fetched.note(event);
        self.unmatched.note(event);
        self.progress.show(event);
    }
}
