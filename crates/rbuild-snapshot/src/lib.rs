//! Snapshots: file system states stacked on each other.
//!
//! A snapshot is a directory of changes (an overlay "upper") that is never written again once
//! it is frozen; a state is a stack of them. Freezing costs nothing here: the caller renames
//! the directory into its store.
//!
//! Knows: how a stack becomes a tree that a step can work on, and whether the step changed it.
//! Does not know: steps, images, where the directories live.

mod tree;
mod upper;

pub use tree::{MAX_LAYERS, readable, writable};
pub use upper::{has_changes, prepare};

/// What can go wrong with a stack.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refuses more.
    #[error("a tree of {0} layers is higher than the limit of {MAX_LAYERS}")]
    TooManyLayers(usize),
    /// No overlay here.
    #[error("cannot stack {layers} layers with overlayfs")]
    Mount {
        /// How many.
        layers: usize,
        /// What the kernel said.
        source: rbuild_sys::Error,
    },
    /// The new layer's directory cannot be made like the root below it.
    #[error("cannot prepare the directory for a step's changes")]
    Prepare(#[source] rbuild_sys::Error),
    /// The step's changes cannot be read.
    #[error("cannot look through a step's changes")]
    Changes(#[source] rbuild_sys::Error),
}
