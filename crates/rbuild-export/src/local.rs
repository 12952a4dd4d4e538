//! The files of an image, all layers merged: a plain directory (`-o type=local`), or a tar
//! (`-o type=tar`, `rbuild export`).

use std::{io::Write, path::Path};

use rbuild_layer::{Form, PackOptions, pack};
use rbuild_snapshot::readable;
use rbuild_store::{ImageRecord, Store};
use rbuild_sys::Dir;

use crate::{Error, import::through_tar};

/// Writes the files of `image` into `directory`, made if it is missing; what is there already and
/// has another name stays.
///
/// # Errors
/// [`Error::LayerMissing`], [`Error::Unpack`].
pub fn write_tree(
    store: &Store,
    image: &ImageRecord,
    empty: &Dir,
    directory: &Path,
) -> Result<(), Error> {
    std::fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
    let to = Dir::open(directory).map_err(Error::directory(directory))?;
    let tree = merged(store, image, empty)?;
    through_tar(&[&tree], &PackOptions::new(Form::Plain), &to)
}

/// Writes the files of `image` as a tar to `out`.
///
/// # Errors
/// [`Error::LayerMissing`], [`Error::Pack`].
pub fn write_tree_tar(
    store: &Store,
    image: &ImageRecord,
    empty: &Dir,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let tree = merged(store, image, empty)?;
    pack(&[&tree], &PackOptions::new(Form::Plain), out)
        .map(drop)
        .map_err(Error::Pack)
}

/// The image's layers as one tree; `empty` is a directory without anything in it.
fn merged(store: &Store, image: &ImageRecord, empty: &Dir) -> Result<Dir, Error> {
    let mut dirs = Vec::with_capacity(image.layers.len());
    for layer in image.layers.iter().rev() {
        dirs.push(
            store
                .layer(&layer.layer)?
                .ok_or(Error::LayerMissing(layer.layer))?
                .diff,
        );
    }
    let below: Vec<&Dir> = dirs.iter().collect();
    Ok(readable(&below, empty)?)
}
