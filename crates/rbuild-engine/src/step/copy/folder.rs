//! A directory of the tree that is being filled.
//!
//! Knows: that filling it changes its time. Does not know: who fills it.
//!
//! Invariant: it gets its time when the last of those who share it has left.

use std::sync::Arc;

use rbuild_sys::{Timestamp, set_file_mtime};

use super::super::{StepError, place::Place, shown};

/// A directory that is being filled.
pub(super) struct Folder {
    /// Where it is.
    pub place: Place,
    /// The same from the tree's root, for messages.
    pub path: Vec<u8>,
    /// What it has when it is complete.
    pub mtime: Timestamp,
}

impl Folder {
    /// Leaves it: nothing more comes from this side.
    ///
    /// # Errors
    /// [`StepError::Write`] if it is complete and its time cannot be set.
    pub fn leave(self: Arc<Self>) -> Result<(), StepError> {
        let Some(folder) = Arc::into_inner(self) else {
            return Ok(());
        };
        set_file_mtime(&folder.place.changes, folder.mtime)
            .map_err(|source| StepError::write(shown(&folder.path), source))
    }

    /// The path of `name` in it, for messages.
    pub fn shown(&self, name: &[u8]) -> String {
        shown(&[&self.path, &b"/"[..], name].concat())
    }
}
