//! From a stack of frozen directories to one tree, by the kernel's overlayfs.
//!
//! The mount is detached: it exists as long as the returned handle (or a RUN that uses it).

use rbuild_sys::{Dir, Upper, overlay};

use crate::Error;

/// Most directories that one overlay can have; the kernel's `OVL_MAX_STACK`.
const MAX_STACK: usize = 500;

/// Most layers of a tree: an overlay can have another one among its directories, but no third.
pub const MAX_LAYERS: usize = 2 * MAX_STACK - 2;

/// A tree to work in: what is written goes to `upper`.
///
/// `below` is the stack, top first. `bottom` lies under all of it and shows where the stack has
/// nothing: an empty directory, or one with the mount points that a RUN needs.
///
/// # Errors
/// [`Error::TooManyLayers`], [`Error::Mount`].
pub fn writable(below: &[&Dir], bottom: &Dir, upper: Upper<'_>) -> Result<Dir, Error> {
    mount(below, bottom, Some(upper))
}

/// A tree to read from. `below` as in [`writable`]; `empty` is an empty directory.
///
/// # Errors
/// [`Error::TooManyLayers`], [`Error::Mount`].
pub fn readable(below: &[&Dir], empty: &Dir) -> Result<Dir, Error> {
    if below.is_empty() {
        // The kernel wants two layers when nothing can be written, and not the same one twice.
        return empty
            .try_clone()
            .map_err(|source| Error::Mount { layers: 1, source });
    }
    mount(below, empty, None)
}

fn mount(below: &[&Dir], bottom: &Dir, upper: Option<Upper<'_>>) -> Result<Dir, Error> {
    if below.len() > MAX_LAYERS {
        return Err(Error::TooManyLayers(below.len()));
    }
    let layers = below.len() + 1;
    let failed = |source| Error::Mount { layers, source };
    let (top, deep) = below.split_at(split(below.len()));
    let folded = (!deep.is_empty()).then(|| overlay(deep, None));
    let folded = folded.transpose().map_err(failed)?;
    let lowers = top.iter().copied().chain(&folded).chain([bottom]);
    overlay(&lowers.collect::<Vec<_>>(), upper).map_err(failed)
}

/// How many of `layers` are stacked one by one, on one overlay of all others. Since Linux 6.15 an
/// overlay may be part of another one before it has a place in the tree.
fn split(layers: usize) -> usize {
    match layers < MAX_STACK {
        true => layers,
        false => layers - MAX_STACK,
    }
}
