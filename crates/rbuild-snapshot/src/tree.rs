//! From a stack of frozen directories to one tree, by the kernel's overlayfs.
//!
//! The mount is detached: it exists as long as the returned handle (or a RUN that uses it).

use rbuild_sys::{Dir, Upper, overlay};

use crate::Error;

/// Most layers that one overlay can have; the kernel's `OVL_MAX_STACK`.
pub const MAX_LAYERS: usize = 500;

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
    let layers = below.len() + 1;
    if layers > MAX_LAYERS {
        return Err(Error::TooManyLayers(below.len()));
    }
    let lowers: Vec<&Dir> = below.iter().copied().chain([bottom]).collect();
    overlay(&lowers, upper).map_err(|source| Error::Mount { layers, source })
}
